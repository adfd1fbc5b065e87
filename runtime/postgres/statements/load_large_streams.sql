-- load_large_streams: as `load_streams`, where events may be large. A page is bounded in bytes as well, as they are
-- stored; one event comes in any case. To add them up takes a third as long again as to read the rows.
-- params: actor text, state_version int, most int, most_bytes bigint, nonce bigint or null, key text[],
--         after bigint[] (null: start at the snapshot)
with given as materialized (
    select %s::text as actor, %s::int as state_version, %s::int as most, %s::bigint as most_bytes
    from (select %s::bigint as nonce) as session
    where session.nonce is null or not pg_try_advisory_xact_lock_shared(session.nonce)
)
select e.seq, e.type, e.version, e.payload
from given
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
cross join lateral (
    select coalesce(newest.seq, 0) as seq, wanted.key as type, null::int as version,
           (select case when pg_relation_size(reltoastrelid) > 0 then 'large' end
                   from pg_class where oid = '{schema}.events'::regclass) as payload
    union all
    select snapshot.seq, null, snapshot.state_version, snapshot.state::text where snapshot.seq is not null
    union all
    select v.seq, v.type, v.version, v.payload::text from (
        select p.*, row_number() over up as place, sum(pg_column_size(p.payload)) over up as bytes from (
            select l.seq, l.type, l.version, l.payload from {schema}.events l
            where l.actor = given.actor and l.key = wanted.key
              and l.seq > coalesce(wanted.after, snapshot.seq, 0)
            order by l.seq limit (select most from given)
        ) as p window up as (order by p.seq rows unbounded preceding)
    ) as v where v.place = 1 or v.bytes <= given.most_bytes
) as e
