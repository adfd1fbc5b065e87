-- _unread: what both forms of the fetch read: the rows that became visible in each lane since its cursor. A part of
-- `fetch` and `fetch_large`, no statement.
--
-- A lane has two parts: rows of the transactions that were running at its last look (xip), and rows of later
-- ones. Each part has one lower bound and no other condition from below. With two of them (a row comparison
-- for the position, and tx >= xmax) the index scan starts at the lower one and walks over every entry in
-- between, the dead ones too: 1480 pages and 15 ms with 300,000 rows behind the cursor, instead of 3 pages.
--
-- The partition is the last column of the index, and a range of it a condition of the scan: what belongs to other
-- processes is passed over in the index. Of a set (`= any`) the rows would be read, and then dropped.
from unnest(%s::text[], %s::smallint[], %s::text[], %s::smallint[], %s::smallint[], %s::text[], %s::xid8[],
            %s::bigint[], %s::xid8[], %s::bigint[], %s::text[], %s::xid8[], %s::int[])
     with ordinality as lane (queue, priority, key, first, last, xip, xip_tx, xip_id,
                              late_tx, late_id, within, within_xmax, room, number)
cross join lateral (
    select * from (
        (select late.*
         from unnest(lane.xip::xid8[]) as running (tx)
         cross join lateral (
            select r.id, r.tx, r.partition, r.key, r.type, r.version, r.payload, r.headers, r.attempts, r.not_before,
                   r.sent_at
            from {schema}.messages r
            where r.queue = lane.queue and r.priority = lane.priority and r.tx = running.tx
              and r.id > case when running.tx = lane.xip_tx then lane.xip_id else -1 end
              and r.partition between lane.first and lane.last
              and (lane.key is null or r.key = lane.key)
              and (lane.within is null or pg_visible_in_snapshot(r.tx, lane.within::pg_snapshot))
            order by r.tx, r.id limit lane.room
         ) as late
         where running.tx >= lane.xip_tx)
        union all
        (select n.id, n.tx, n.partition, n.key, n.type, n.version, n.payload, n.headers, n.attempts, n.not_before,
                n.sent_at
         from {schema}.messages n
         where n.queue = lane.queue and n.priority = lane.priority
           and (n.tx, n.id) > (lane.late_tx, lane.late_id) and n.tx < lane.within_xmax
           and n.partition between lane.first and lane.last
           and (lane.key is null or n.key = lane.key)
           and (lane.within is null or pg_visible_in_snapshot(n.tx, lane.within::pg_snapshot))
         order by n.tx, n.id limit lane.room)
    ) as both_parts
    order by tx, id limit lane.room
) as m
