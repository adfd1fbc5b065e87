-- pending: whether any of these queues has a message that is due.
-- The time is that of the statement: a clock that goes on while it runs is no condition for an index. The order is
-- that of the index: without it a planner that knows nothing of the table would read it from its beginning.
-- params: queues text[] (twice)
select exists (select from {schema}.messages m
               where m.queue = any (%s::text[]) and (m.not_before is null or m.not_before <= statement_timestamp()))
    or (select true from {schema}.scheduled s
        where s.due_at <= statement_timestamp() and s.queue = any (%s::text[])
        order by s.due_at limit 1) is not null
