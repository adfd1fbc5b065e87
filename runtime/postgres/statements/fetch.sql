-- fetch: the rows that became visible in each lane since its cursor, and the snapshot they were read in.
-- One row for the snapshot (lane 0), then the lanes' rows, each lane in (tx, id) order.
-- params: queue text[], priority smallint[], key text[], partitions text[] (array literals),
--         xmax xid8[], xip text[] (array literals), within text[] (pg_snapshot or null),
--         within_xmax xid8[], from_tx xid8[], from_id bigint[], room int[]
with seen as materialized (select pg_current_snapshot() as snapshot)
select 0::bigint as lane, null::bigint as id, null::bigint as tx, null::smallint as partition, null::text as key,
       null::text as type, null::smallint as version, snapshot::text as payload, null::text as headers,
       null::integer as attempts, extract(epoch from clock_timestamp())::double precision as wait
from seen
union all
select lane.number, m.id, m.tx::text::bigint, m.partition, m.key, m.type, m.version,
       m.payload::text, m.headers::text, m.attempts,
       case when m.not_before = 'infinity' then 'infinity'::double precision
            when m.not_before > clock_timestamp()
            then extract(epoch from m.not_before - clock_timestamp())::double precision end
from unnest(%s::text[], %s::smallint[], %s::text[], %s::text[], %s::xid8[], %s::text[], %s::text[], %s::xid8[],
            %s::xid8[], %s::bigint[], %s::int[])
     with ordinality as lane (queue, priority, key, partitions, xmax, xip, within, within_xmax,
                              from_tx, from_id, room, number)
cross join lateral (
    select * from (
        (select late.*
         from unnest(lane.xip::xid8[]) as running (tx)
         cross join lateral (
            select r.id, r.tx, r.partition, r.key, r.type, r.version, r.payload, r.headers, r.attempts, r.not_before
            from {schema}.messages r
            where r.queue = lane.queue and r.priority = lane.priority and r.tx = running.tx
              and (r.tx, r.id) > (lane.from_tx, lane.from_id)
              and r.partition = any (lane.partitions::smallint[])
              and (lane.key is null or r.key = lane.key)
              and (lane.within is null or pg_visible_in_snapshot(r.tx, lane.within::pg_snapshot))
            order by r.tx, r.id limit lane.room
         ) as late)
        union all
        (select n.id, n.tx, n.partition, n.key, n.type, n.version, n.payload, n.headers, n.attempts, n.not_before
         from {schema}.messages n
         where n.queue = lane.queue and n.priority = lane.priority
           and n.tx >= lane.xmax and n.tx < lane.within_xmax
           and (n.tx, n.id) > (lane.from_tx, lane.from_id)
           and n.partition = any (lane.partitions::smallint[])
           and (lane.key is null or n.key = lane.key)
           and (lane.within is null or pg_visible_in_snapshot(n.tx, lane.within::pg_snapshot))
         order by n.tx, n.id limit lane.room)
    ) as both_parts
    order by tx, id limit lane.room
) as m
