-- take_partitions: take what is free of some queues, raising the epoch in the same breath.
-- The lock is tried on materialized rows only, so that it is tried once for each and on no other.
-- params: queues text[], held_queue text[], held_partition smallint[], owner text
with wanted as materialized (
    select p.queue, p.partition from {schema}.partitions p
    where p.queue = any (%s::text[])
      and not exists (select from unnest(%s::text[], %s::smallint[]) as held (queue, partition)
                      where held.queue = p.queue and held.partition = p.partition)
    order by p.queue, p.partition
), taken as materialized (
    select queue, partition from wanted
    where pg_try_advisory_lock({schema}.ownership_lock(queue, partition))
)
update {schema}.partitions p
set epoch = p.epoch + 1, owner = %s, taken_at = now()
from taken
where p.queue = taken.queue and p.partition = taken.partition
returning p.queue, p.partition, p.epoch
