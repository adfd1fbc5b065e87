-- pending: whether any of these queues has a message that is due.
-- params: queues text[] (twice)
select exists (select from {schema}.messages m
               where m.queue = any (%s::text[]) and (m.not_before is null or m.not_before <= clock_timestamp()))
    or exists (select from {schema}.scheduled s
               where s.queue = any (%s::text[]) and s.due_at <= clock_timestamp())
