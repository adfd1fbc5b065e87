-- join: say which queues a process serves. Who comes back in a new session keeps its age.
-- params: life bigint, nonce bigint, process text, queues text[]
insert into {schema}.members as m (life, nonce, process, queues, revision)
values (%s, %s, %s, %s::text[], nextval('{schema}.message_ids'))
on conflict (life) do update
set nonce = excluded.nonce, process = excluded.process, queues = excluded.queues, revision = excluded.revision
