-- take_partitions: take partitions that nobody owns, raising the epoch in the same breath.
-- Who owns one holds the lock of the number in its row. The rows are looked at again under their locks: another
-- process may have taken one meanwhile. One with a commit under way is passed over, not waited for.
-- params: queue text[], partition smallint[], nonce bigint (twice), life bigint (three times), owner text
with wanted as materialized (
    select p.queue, p.partition, p.nonce
    from unnest(%s::text[], %s::smallint[]) as w (queue, partition) join {schema}.partitions p using (queue, partition)
), owners as materialized (
    select distinct nonce from wanted where nonce is not null
), lost as materialized (
    select array(select nonce from owners where nonce <> %s and pg_try_advisory_xact_lock_shared(nonce)) as nonces
), free as materialized (
    select p.queue, p.partition
    from wanted join {schema}.partitions p using (queue, partition) cross join lost
    where (p.nonce is null or p.nonce = any (lost.nonces) or (p.life = %s and p.nonce <> %s))
    for no key update of p skip locked
)
update {schema}.partitions p
set epoch = p.epoch + 1, nonce = %s, life = %s, owner = %s, taken_at = now()
from free
where p.queue = free.queue and p.partition = free.partition
returning p.queue, p.partition, p.epoch
