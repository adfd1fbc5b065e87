-- begin_trials: record what is about to begin, each in place of the last of its level in its partition.
-- params: life bigint, queue text[], partition smallint[], level smallint[], ids text[] (array literals), lived float8[]
insert into {schema}.trials (life, queue, partition, level, ids, lived)
select %s, queue, partition, level, ids::bigint[], lived
from unnest(%s::text[], %s::smallint[], %s::smallint[], %s::text[], %s::float8[])
     as t (queue, partition, level, ids, lived)
on conflict (queue, partition, life, level) do update
set ids = excluded.ids, lived = excluded.lived, began_at = clock_timestamp()
