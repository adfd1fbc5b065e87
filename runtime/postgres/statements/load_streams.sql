-- load_streams: of each actor its newest sequence number, its newest usable snapshot, and the events after it.
-- For each stream first a row (newest number, key, null, null), then, if there is a snapshot, a row (its number,
-- null, its version, the state), then the events (number, type, version, payload). No column is repeated: a
-- journal is read at the speed of its rows' conversion, and that is paid by the column.
-- The streams, and the rows of each, come in order, as nested loops give them; whoever folds the events checks it.
-- No event it gives has more than 1,600 bytes, and no snapshot more than 16,000: the rows bound the bytes. If one of the
-- wanted may have more, all that comes is a row (0, null, null, 'large'): then `load_large_streams` is used. An index has
-- only what is large, and is one page long as long as there is nothing in it.
-- Nothing at all comes if the session of that number does not live on this server: its lock can be taken. That is
-- asked once, before anything is read.
-- params: actor text, state_version int, nonce bigint or null, key text[], after bigint[] (null: start at the
--         snapshot), most int
with given as materialized (
    select %s::text as actor, %s::int as state_version from (select %s::bigint as nonce) as session
    where session.nonce is null or not pg_try_advisory_xact_lock_shared(session.nonce)
), wanted as materialized (
    select * from unnest(%s::text[], %s::bigint[]) as each (key, after)
), checked as materialized (
    select given.*, case
        when pg_relation_size('{schema}.events_large') > current_setting('block_size')::int then exists (
            select from wanted cross join lateral (
                select from {schema}.events l
                where l.actor = given.actor and l.key = wanted.key and octet_length(l.payload::text) > 1600
                  and l.seq > coalesce(wanted.after, 0)
                limit 1) as one)
        else false end or case
        when pg_relation_size('{schema}.snapshots_large') > current_setting('block_size')::int then exists (
            select from wanted cross join lateral (
                select from {schema}.snapshots l
                where l.actor = given.actor and l.key = wanted.key and octet_length(l.state::text) > 16000
                limit 1) as one where wanted.after is null)
        else false end as large
    from given
)
select 0::bigint as seq, null::text as type, null::int as version, 'large'::text as payload from checked where large
union all
select e.seq, e.type, e.version, e.payload
from checked as given
cross join wanted
{starts}
cross join lateral (
    select coalesce(newest.seq, 0) as seq, wanted.key as type, null::int as version, null::text as payload
    union all
    select snapshot.seq, null, snapshot.state_version, snapshot.state::text where snapshot.seq is not null
    union all
    (select v.seq, v.type, v.version, v.payload::text from {schema}.events v
     where v.actor = given.actor and v.key = wanted.key
       and v.seq > coalesce(wanted.after, snapshot.seq, 0)
     order by v.seq limit %s)
) as e
where not given.large
