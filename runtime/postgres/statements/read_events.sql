-- read_events: one page of an actor's journal, bounded in bytes; one event comes in any case. The first that there is no
-- room for comes without its payload, and nothing behind it. A compressed value counts
-- eight times at first; only what is left then has its length found out, for which it is decompressed.
-- params: actor text, key text, after bigint, most int, most_bytes bigint
with given as materialized (
    select %s::text as actor, %s::text as key, %s::bigint as after, %s::int as most, %s::bigint as most_bytes
)
select seq, type, version, case when total <= most_bytes then payload::text end, metadata::text, recorded_at
from (
    select near.*, sum(bytes) over (order by seq rows unbounded preceding) as total from (
        select each.*, least(most_bytes, case when packed then octet_length(payload::text) else stored end) as bytes
        from (
            select page.*, sum(least(most_bytes, stored * case when packed then 8 else 1 end))
                           over (order by seq rows unbounded preceding) as guess
            from (
                select given.most_bytes, e.*, pg_column_size(e.payload)::bigint as stored,
                       pg_column_compression(e.payload) is not null as packed
                from given cross join lateral (
                    select l.seq, l.type, l.version, l.payload, l.metadata, l.recorded_at from {schema}.events l
                    where l.actor = given.actor and l.key = given.key and l.seq > given.after
                    order by l.seq limit (select most from given)
                ) as e
            ) as page
        ) as each where guess - least(most_bytes, stored * case when packed then 8 else 1 end) <= most_bytes
    ) as near
) as summed
where total - bytes <= most_bytes
order by seq
