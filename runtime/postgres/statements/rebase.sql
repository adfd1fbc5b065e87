-- rebase: make the transaction ids of a restored dump fit this cluster.
-- Every stored id becomes 3, the lowest there is, so that all of it is the past here. The order they told is
-- kept: events are numbered anew in it, and so are the checkpoints of projections; messages go by their ids,
-- which order what one sender sent. What gives out numbers goes on behind those that are there.
-- params: none
with renumbered as (
    select actor, key, seq, tx, position, row_number() over (order by tx, position) as number
    from {schema}.events
), marks as (
    update {schema}.checkpoints c
    set tx = '3', position = (select count(*) from renumbered r where (r.tx, r.position) <= (c.tx, c.position))
    returning 1
), events as (
    update {schema}.events e set tx = '3', position = r.number
    from renumbered r where e.actor = r.actor and e.key = r.key and e.seq = r.seq
    returning 1
), messages as (
    update {schema}.messages set tx = '3' returning 1
), owners as (
    update {schema}.partitions set nonce = null, life = null, owner = null, careful = null returning 1
), markers as (
    delete from {schema}.commits returning 1
), numbers as (
    -- A copy that was not made by a dump, a logical replica for one, has rows and untouched sequences.
    select setval('{schema}.message_ids', greatest(
               (select last_value from {schema}.message_ids), (select max(id) from {schema}.messages),
               (select max(id) from {schema}.scheduled), (select max(message_id) from {schema}.dead_letters))),
           setval(pg_get_serial_sequence('{schema}.dead_letters', 'id'), greatest(
               1, (select max(id) from {schema}.dead_letters))),
           setval(pg_get_serial_sequence('{schema}.events', 'position'), greatest(
               1, (select count(*) from {schema}.events)))
), cluster as (
    update {schema}.meta m set system_identifier = c.system_identifier::text
    from pg_catalog.pg_control_system() c returning 1
)
select (select count(*) from events) as events, (select count(*) from messages) as messages,
       (select count(*) from marks) as checkpoints, (select count(*) from owners) as partitions,
       (select count(*) from markers) as markers, (select count(*) from numbers) as numbers, (select count(*) from cluster) as cluster
