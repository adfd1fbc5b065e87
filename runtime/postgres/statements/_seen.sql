-- _seen: how both forms of the fetch begin: with the snapshot, as a row of lane 0. A part, no statement.
with seen as materialized (
    select pg_current_snapshot() as snapshot, pg_relation_size(reltoastrelid) > 0 as large
    from pg_class where oid = '{schema}.messages'::regclass
)
select 0::bigint as lane, null::bigint as id, null::bigint as tx, null::smallint as partition, null::text as key,
       null::text as type, null::smallint as version, snapshot::text as payload, case when large then '1' end as headers,
       null::integer as attempts, extract(epoch from clock_timestamp())::double precision as wait,
       null::double precision as sent
from seen
union all
