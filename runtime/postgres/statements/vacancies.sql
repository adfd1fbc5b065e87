-- vacancies: the partitions of some queues that nobody owns. Those of a session that ended come with its number if
-- the writer of its process is connected still: it may come back for them. Those of an earlier session of this
-- process come without.
-- params: queues text[], life bigint, nonce bigint (twice)
with held as materialized (
    select p.queue, p.partition, p.nonce, p.life, p.owner from {schema}.partitions p
    where p.queue = any (%s::text[]) and p.partition < (select partitions from {schema}.meta)
), sessions as materialized (
    select distinct nonce, owner, life = %s as ours from held where nonce is not null and nonce <> %s
), gone as materialized (
    select nonce, case when not ours and exists (
        select from pg_catalog.pg_stat_activity a where a.application_name = 'rolebook ' || owner || ' writer'
    ) then nonce end as lost
    from sessions where ours or pg_try_advisory_xact_lock_shared(nonce)
)
select held.queue, array_agg(held.partition order by held.partition), gone.lost
from held left join gone using (nonce)
where held.nonce is null or (held.nonce <> %s and gone.nonce is not null)
group by held.queue, gone.lost
