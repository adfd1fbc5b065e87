-- dead_letter: one of them.
-- params: id bigint
select id, message_id, queue, key, type, version, payload::text, headers::text, attempts, error, sent_at, died_at
from {schema}.dead_letters where id = %s
