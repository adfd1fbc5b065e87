-- status_queues: of every queue, what waits, what died, and who owns how many partitions.
-- A partition is owned while some session holds the advisory lock of the number in its row.
-- params: none
with waiting as (
    select queue, count(*) as depth,
           count(*) filter (where not_before > clock_timestamp()) as delayed,
           extract(epoch from clock_timestamp() - min(sent_at))::float8 as oldest
    from {schema}.messages group by queue
), due_later as (
    select queue, count(*) as scheduled from {schema}.scheduled group by queue
), dead as (
    select queue, count(*) as dead from {schema}.dead_letters group by queue
), locks as (
    select (classid::bigint << 32) | objid::bigint as lock from pg_catalog.pg_locks
    where locktype = 'advisory' and objsubid = 1 and granted
      and database = (select oid from pg_catalog.pg_database where datname = current_database())
), owned as (
    select queue, owner, count(*) as partitions from {schema}.partitions p
    where p.nonce in (select lock from locks) and p.partition < (select m.partitions from {schema}.meta m)
    group by queue, owner
), owners as (
    select queue, sum(partitions) as owned, json_object_agg(owner, partitions)::text as owners
    from owned group by queue
), sizes as (
    select queue, count(*) as partitions from {schema}.partitions
    where partition < (select m.partitions from {schema}.meta m) group by queue
)
select queue, coalesce(depth, 0) as depth, coalesce(delayed, 0) as delayed, oldest,
       coalesce(scheduled, 0) as scheduled, coalesce(dead, 0) as dead,
       coalesce(partitions, 0) as partitions, coalesce(owned, 0)::bigint as owned,
       coalesce(owners, '{{}}') as owners
from waiting full join due_later using (queue) full join dead using (queue)
full join sizes using (queue) full join owners using (queue)
order by queue
