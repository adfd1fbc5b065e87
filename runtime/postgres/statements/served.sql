-- served: whether any process has ever run a queue.
-- params: queue text
select exists (select from {schema}.partitions where queue = %s)
