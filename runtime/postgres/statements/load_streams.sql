-- load_streams: of each actor its newest sequence number, its newest usable snapshot, and the events after it.
-- Each stream's events come in order, as the index gives them; whoever folds them checks it.
-- params: actor text, state_version int, key text[], after bigint[] (null: start at the snapshot), most int
select wanted.key, coalesce(newest.seq, 0), snapshot.seq, snapshot.state_version, snapshot.state::text,
       e.seq, e.type, e.version, e.payload::text
from (select %s::text as actor, %s::int as state_version) as given
cross join unnest(%s::text[], %s::bigint[]) as wanted (key, after)
left join lateral (
    select seq from {schema}.events n where n.actor = given.actor and n.key = wanted.key
    order by seq desc limit 1
) as newest on true
left join lateral (
    select s.seq, s.state_version, s.state from {schema}.snapshots s
    where wanted.after is null and s.actor = given.actor and s.key = wanted.key
      and s.state_version <= given.state_version and s.seq <= newest.seq
    order by s.seq desc limit 1
) as snapshot on true
left join lateral (
    select seq, type, version, payload from {schema}.events v
    where v.actor = given.actor and v.key = wanted.key
      and v.seq > coalesce(wanted.after, snapshot.seq, 0)
    order by v.seq limit %s
) as e on true
