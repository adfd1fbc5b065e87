-- release_partitions: give partitions back, for any process to take. One that a commit under way holds is passed
-- over, not waited for.
-- params: queue text[], partition smallint[], epoch bigint[], nonce bigint, life bigint
with ours as materialized (
    select p.queue, p.partition
    from unnest(%s::text[], %s::smallint[], %s::bigint[]) as held (queue, partition, epoch)
    join {schema}.partitions p using (queue, partition, epoch)
    where p.nonce = %s
    for no key update of p skip locked
), acquitted as (
    delete from {schema}.trials t using ours
    where t.queue = ours.queue and t.partition = ours.partition and t.life = %s
)
update {schema}.partitions p
set nonce = null, life = null, owner = null
from ours
where p.queue = ours.queue and p.partition = ours.partition
returning p.queue, p.partition
