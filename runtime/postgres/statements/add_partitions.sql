-- add_partitions: make sure that a queue's partitions have their rows.
-- params: queues text[]
insert into {schema}.partitions (queue, partition)
select queue, partition
from unnest(%s::text[]) as q (queue), {schema}.meta, generate_series(0, meta.partitions - 1) as partition
on conflict do nothing
