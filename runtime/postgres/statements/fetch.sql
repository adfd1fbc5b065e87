-- fetch: the rows that became visible in each lane since its cursor, and the snapshot they were read in.
-- One row for the snapshot (lane 0), then the lanes' rows, each lane in (tx, id) order.
--
-- Nothing is compressed in the mailbox. While no row has bytes out of line, none has more than 2 kB, and the number of
-- rows bounds their bytes. If some may have, the snapshot comes alone, with a 1 in `headers`: then `fetch_large` is used.
--
-- params: queue text[], priority smallint[], key text[], first smallint[], last smallint[]: of its run of partitions,
--         xip text[] (array literals), xip_tx xid8[], xip_id bigint[]: of the running ones, after this row,
--         late_tx xid8[], late_id bigint[]: of the later ones, after this row,
--         within text[] (pg_snapshot or null), within_xmax xid8[], room int[]
{seen}
select lane.number, m.id, m.tx::text::bigint, m.partition, m.key, m.type, m.version,
       m.payload::text, m.headers::text, m.attempts,
       case when m.not_before = 'infinity' then 'infinity'::double precision
            when m.not_before > clock_timestamp()
            then extract(epoch from m.not_before - clock_timestamp())::double precision end,
       date_part('epoch', m.sent_at)
{unread}
where not (select large from seen)
