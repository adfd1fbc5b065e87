-- all_stopped: the keys that wait to be resumed, and why, in every queue or in one.
-- params: queue text or null (twice)
select distinct on (m.queue, m.key) m.queue, m.key, m.attempts, coalesce(m.last_error, '') as error
from {schema}.messages m
where m.not_before = 'infinity' and m.key is not null and (%s::text is null or m.queue = %s)
order by m.queue, m.key, m.tx, m.id
