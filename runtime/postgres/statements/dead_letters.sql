-- dead_letters: the newest first.
-- params: queue text or null (twice), most int
select id, message_id, queue, key, type, version, payload::text, headers::text, attempts, error, sent_at, died_at
from {schema}.dead_letters where %s::text is null or queue = %s
order by id desc limit %s
