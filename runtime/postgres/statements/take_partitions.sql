-- take_partitions: take partitions that nobody owns, raising the epoch in the same breath.
-- Who owns one holds the lock of the number in its row. The rows are looked at again under their locks: another
-- process may have taken one meanwhile. One with a commit under way is passed over, not waited for.
-- What an owner had on trial that died is suspected: it goes up a level, or its death counts, if that was the last
-- and the process had lived longer before. An owner that was about to leave accuses nobody.
-- params: queue text[], partition smallint[], nonce bigint, life bigint, nonce bigint, life bigint (twice),
--         nonce bigint, life bigint, owner text
with wanted as materialized (
    select p.queue, p.partition, p.nonce
    from unnest(%s::text[], %s::smallint[]) as w (queue, partition) join {schema}.partitions p using (queue, partition)
), owners as materialized (
    select distinct nonce from wanted where nonce is not null
), lost as materialized (
    select array(select nonce from owners where nonce <> %s and pg_try_advisory_xact_lock_shared(nonce)) as nonces
), free as materialized (
    select p.queue, p.partition, p.life
    from wanted join {schema}.partitions p using (queue, partition) cross join lost
    where (p.nonce is null or p.nonce = any (lost.nonces) or (p.life = %s and p.nonce <> %s))
    for no key update of p skip locked
), seen as materialized (
    select free.queue, free.partition,
           free.life is not null and free.life <> %s and not exists (
               select from {schema}.members m where m.life = free.life and free.queue <> all (m.queues)) as died
    from free
), ended as (
    delete from {schema}.trials t using seen
    where t.queue = seen.queue and t.partition = seen.partition and t.life <> %s
    returning t.*, seen.died, extract(epoch from clock_timestamp() - t.began_at)::float8 as took
), accused as (
    select id, queue, partition, max(level) as level, bool_or(level = 2 and took <= lived)::int as counts,
           max(case when level = 2 then 2 * took else 0 end) as patience
    from ended cross join unnest(ended.ids) as id where died group by id, queue, partition
), suspected as (
    insert into {schema}.suspects as s (id, queue, partition, level, deaths, patience)
    select id, queue, partition, least(level + 1, 2), counts, patience from accused
    on conflict (id) do update
    set level = greatest(s.level, excluded.level), deaths = s.deaths + excluded.deaths,
        patience = greatest(s.patience, excluded.patience)
)
update {schema}.partitions p
set epoch = p.epoch + 1, nonce = %s, life = %s, owner = %s, taken_at = now(),
    careful = case when seen.died then pg_current_snapshot() else p.careful end
from seen
where p.queue = seen.queue and p.partition = seen.partition
returning p.queue, p.partition, p.epoch, p.nonce, p.careful::text
