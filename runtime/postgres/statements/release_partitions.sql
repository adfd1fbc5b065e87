-- release_partitions: give partitions back, for any process to take.
-- params: queue text[], partition smallint[]
select pg_advisory_unlock({schema}.ownership_lock(queue, partition))
from unnest(%s::text[], %s::smallint[]) as held (queue, partition)
