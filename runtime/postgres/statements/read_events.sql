-- read_events: one page of an actor's journal.
-- params: actor text, key text, after bigint, most int
select seq, type, version, payload::text, metadata::text, recorded_at
from {schema}.events where actor = %s and key = %s and seq > %s
order by seq limit %s
