-- load_large_streams: as `load_streams`, where events or snapshots may be large. All of its rows together are bounded in
-- bytes; the first event or snapshot comes in any case. The first that there is no room for comes without its payload, and
-- nothing behind it.
-- Each stream has an equal share first, but one event at least: so that a long one holds up no other. A compressed value
-- counts eight times there; only what is left then has its length found out, for which it is decompressed.
-- params: actor text, state_version int, most int (events of each), share bigint, most_bytes bigint, nonce bigint or null,
--         key text[], after bigint[] (null: start at the snapshot)
with given as materialized (
    select %s::text as actor, %s::int as state_version, %s::int as most, %s::bigint as share, %s::bigint as most_bytes
    from (select %s::bigint as nonce) as session
    where session.nonce is null or not pg_try_advisory_xact_lock_shared(session.nonce)
)
select seq, type, version, case when total <= most_bytes then payload::text end as payload
from (
    select each.*, sum(bytes) over (rows unbounded preceding) as total from (
        select given.most_bytes, e.seq, e.type, e.version, e.payload,
               case when e.payload is null then 0
                    else least(given.most_bytes, case when pg_column_compression(e.payload) is null
                                                      then pg_column_size(e.payload)
                                                      else octet_length(e.payload::text) end) end as bytes
        from given
        cross join unnest(%s::text[], %s::bigint[]) as wanted (key, after)
        {starts}
        cross join lateral (
            select coalesce(newest.seq, 0) as seq, wanted.key as type, null::int as version, null::json as payload
            union all
            select snapshot.seq, null, snapshot.state_version, snapshot.state where snapshot.seq is not null
            union all
            select v.seq, v.type, v.version, v.payload from (
                select p.*, row_number() over up as place, sum(
                    pg_column_size(p.payload) * case when pg_column_compression(p.payload) is null then 1 else 8 end
                ) over up as bytes
                from (
                    select l.seq, l.type, l.version, l.payload from {schema}.events l
                    where l.actor = given.actor and l.key = wanted.key
                      and l.seq > coalesce(wanted.after, snapshot.seq, 0)
                    order by l.seq limit (select most from given)
                ) as p window up as (order by p.seq rows unbounded preceding)
            ) as v where v.place = 1 or v.bytes <= given.share
        ) as e
    ) as each
) as summed
where total - bytes <= most_bytes
