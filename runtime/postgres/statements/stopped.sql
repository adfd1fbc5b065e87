-- stopped: the keys of some queues that wait to be resumed, and why.
-- params: queues text[]
select distinct on (m.queue, m.key) m.queue, m.key, m.attempts, coalesce(m.last_error, '')
from {schema}.messages m
where m.not_before = 'infinity' and m.key is not null and m.queue = any (%s::text[])
order by m.queue, m.key, m.tx, m.id
