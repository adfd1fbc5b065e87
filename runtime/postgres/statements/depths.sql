-- depths: how many messages each of some queues holds.
-- params: queues text[]
select m.queue, count(*) from {schema}.messages m where m.queue = any (%s::text[]) group by m.queue
