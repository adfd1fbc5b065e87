-- fetch_large: as `fetch`, where messages may be large. All its rows together are bounded in bytes; the first comes in
-- any case. The first that there is no room for comes without its payload, and nothing behind it: its lane, and those
-- after it, have more. A 1 in `headers` of the snapshot says that some row still has bytes out of line.
-- To add the bytes up takes half as long again as to read small rows. Rows come in order, as nested loops give them.
--
-- params: queue text[], priority smallint[], key text[], first smallint[], last smallint[]: of its run of partitions,
--         xip text[] (array literals), xip_tx xid8[], xip_id bigint[]: of the running ones, after this row,
--         late_tx xid8[], late_id bigint[]: of the later ones, after this row,
--         within text[] (pg_snapshot or null), within_xmax xid8[], room int[],
--         most bigint: bytes of all rows, 1 or more
{seen}
select lane, id, tx::text::bigint, partition, key, type, version,
       case when total <= most then payload::text end, case when total <= most then headers::text end, attempts,
       case when not_before = 'infinity' then 'infinity'::double precision
            when not_before > clock_timestamp()
            then extract(epoch from not_before - clock_timestamp())::double precision end,
       date_part('epoch', sent_at)
from (
    select each.*, sum(bytes) over (rows unbounded preceding) as total from (
        select lane.number as lane, given.most, m.*, least(given.most,
                   case when pg_column_compression(m.payload) is null then pg_column_size(m.payload)
                        else octet_length(m.payload::text) end::bigint
                   + case when m.headers is null then 0
                          when pg_column_compression(m.headers) is null then pg_column_size(m.headers)
                          else octet_length(m.headers::text) end
                   + coalesce(octet_length(m.key), 0) + octet_length(m.type)) as bytes
        {unread}
        cross join (select %s::bigint as most) as given
    ) as each
) as summed
where total - bytes <= most
