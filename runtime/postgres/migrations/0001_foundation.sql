-- The tables and functions of the runtime.
-- Placeholders: schema (an identifier), channel (a literal), partitions (an integer literal).

-- One row: what is fixed for the life of this database.
create table {schema}.meta (
    only_row boolean primary key default true check (only_row),
    system_identifier text not null,
    partitions smallint not null check (partitions between 1 and 1024),
    created_at timestamptz not null default now()
);
insert into {schema}.meta (system_identifier, partitions)
select system_identifier::text, {partitions} from pg_control_system();

-- A message keeps its id when it waits in `scheduled` and comes back, so that
-- the idempotency key its handler sees stays the same over all attempts.
create sequence {schema}.message_ids as bigint;

-- The mailbox. One index serves the fetch, the delete and the look-up: a
-- second one on the id would cost every sender a second index entry. The
-- partition is in it so that a process passes over what belongs to others.
create table {schema}.messages (
    id bigint not null default nextval('{schema}.message_ids'),
    queue text not null,
    partition smallint not null,
    priority smallint not null default 0 check (priority between -1 and 1),
    key text,
    type text not null,
    version smallint not null default 1,
    payload json not null,
    headers json,
    attempts integer not null default 0,
    last_error text,
    not_before timestamptz,
    sent_at timestamptz not null default now(),
    tx xid8 not null default pg_current_xact_id(),
    primary key (queue, priority, tx, id, partition)
);
-- Rows live for milliseconds: vacuum by count, not by share of the table.
alter table {schema}.messages set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

-- What a fetch reads is never compressed: so `pg_column_size` is its true length, without reading it, and a row whose
-- bytes are all in the row has no more than a page of them. `enqueue` takes care of what comes compressed.
alter table {schema}.messages
    alter payload set storage external, alter headers set storage external,
    alter key set storage external, alter type set storage external;

-- What is parked until somebody resumes it. No other row has an entry here.
create index messages_parked on {schema}.messages (queue, key) where not_before = 'infinity';

create table {schema}.scheduled (
    id bigint primary key default nextval('{schema}.message_ids'),
    due_at timestamptz not null,
    queue text not null,
    partition smallint not null,
    priority smallint not null default 0 check (priority between -1 and 1),
    key text,
    type text not null,
    version smallint not null default 1,
    payload json not null,
    headers json,
    attempts integer not null default 0,
    last_error text,
    sent_at timestamptz not null default now()
);
create index scheduled_due on {schema}.scheduled (due_at, id);
-- As in `messages`, where its rows go.
alter table {schema}.scheduled
    alter payload set storage external, alter headers set storage external,
    alter key set storage external, alter type set storage external;

-- The journal. Readers that need every event in one order use (tx, position)
-- below the oldest running transaction: positions are handed out before commit.
create table {schema}.events (
    position bigint generated always as identity,
    actor text not null,
    key text not null,
    seq bigint not null check (seq > 0),
    type text not null,
    version smallint not null,
    payload json not null,
    metadata json,
    recorded_at timestamptz not null default now(),
    tx xid8 not null default pg_current_xact_id(),
    primary key (actor, key, seq)
);
create index events_in_order on {schema}.events (tx, position);
-- Finds out that no event of an actor is large: then the number of its rows bounds their bytes.
create index events_large on {schema}.events (actor, key, seq) where octet_length(payload::text) > 1600;

create function {schema}.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the journal is append-only: % on % is refused', tg_op, tg_table_name
        using errcode = 'insufficient_privilege',
              hint = 'Record a correcting event instead.';
end $$;
create trigger append_only before update or delete or truncate on {schema}.events
    for each statement execute function {schema}.refuse_change();

create table {schema}.snapshots (
    actor text not null,
    key text not null,
    seq bigint not null,
    state_version integer not null,
    state json not null,
    recorded_at timestamptz not null default now(),
    primary key (actor, key, seq)
);
create index snapshots_large on {schema}.snapshots (actor, key, seq) where octet_length(state::text) > 16000;

-- Who may handle a partition: whose session holds the advisory lock of the number in `nonce`, at this epoch.
-- A process has one such number, and one lock, for each of its sessions; `life` is the same in all of them.
create table {schema}.partitions (
    queue text not null,
    partition smallint not null,
    epoch bigint not null default 0,
    nonce bigint,
    life bigint,
    owner text,
    taken_at timestamptz,
    careful pg_snapshot,  -- what was visible in it is begun with care: an owner died
    primary key (queue, partition)
) with (fillfactor = 50);

-- The processes that serve queues; one is there while the lock of its number is held. What each should own follows
-- from these rows. The revision says whether `queues` has changed.
create table {schema}.members (
    life bigint primary key,
    nonce bigint not null,
    process text not null,
    queues text[] not null,
    revision bigint not null,
    joined_at timestamptz not null default clock_timestamp()
);

-- What is in work of partitions whose owner died, written before it begins: who takes over knows whom to suspect.
create table {schema}.trials (
    queue text not null,
    partition smallint not null,
    life bigint not null,
    level smallint not null,
    ids bigint[] not null,
    lived double precision not null,
    began_at timestamptz not null default clock_timestamp(),
    primary key (queue, partition, life, level)
);

-- Messages that may have ended their process, until their partition has been read through.
create table {schema}.suspects (
    id bigint primary key,
    queue text not null,
    partition smallint not null,
    level smallint not null,
    deaths integer not null,
    patience double precision not null
);

create table {schema}.dead_letters (
    id bigint generated always as identity primary key,
    message_id bigint not null,
    queue text not null,
    partition smallint not null,
    priority smallint not null,
    key text,
    type text not null,
    version smallint not null,
    payload json not null,
    headers json,
    attempts integer not null,
    error text not null,
    sent_at timestamptz not null,
    died_at timestamptz not null default now()
);
create index dead_letters_by_queue on {schema}.dead_letters (queue, id);
-- As in `messages`, where its rows may go again.
alter table {schema}.dead_letters
    alter payload set storage external, alter headers set storage external,
    alter key set storage external, alter type set storage external;

create table {schema}.checkpoints (
    projection text primary key,
    tx xid8 not null,
    position bigint not null
);

-- What a caller is told when it asks again: replies to remote asks and first
-- outcomes of idempotency keys.
create table {schema}.outcomes (
    id text primary key,
    outcome json not null,
    expires_at timestamptz not null
);
create index outcomes_expiry on {schema}.outcomes (expires_at);

-- The shapes of each app's classes of events and commands: to find out at a start that one was changed in place.
create table {schema}.shapes (
    app text not null,
    kind text not null,
    name text not null,
    version integer not null,
    shape text not null,
    kept_at timestamptz not null default now(),
    primary key (app, kind, name, version)
);

-- The marker of a batch that committed. Its unique key settles a commit whose
-- answer was lost: whoever inserts the marker first decides, for good.
create table {schema}.commits (
    writer uuid not null,
    batch bigint not null,
    void boolean not null default false,
    at timestamptz not null default now(),
    primary key (writer, batch)
);

-- The partition of a key, computed alike by every sender in every language.
-- Volatile: without a key it is a random one.
create function {schema}.partition_of(key text) returns smallint
language sql volatile as $$
    select case when $1 is null then floor(random() * meta.partitions)::smallint
           else ((get_byte(digest, 0) * 65536 + get_byte(digest, 1) * 256 + get_byte(digest, 2))
                 % meta.partitions)::smallint end
    from {schema}.meta, sha256(convert_to(coalesce($1, ''), 'UTF8')) as digest
$$;

-- Wake every process: the name of a queue or `*` for a look at the mailbox, `+name` for the parked keys of a queue,
-- `@` for the scheduler, with the time when something is due in seconds since the epoch, `!name` for one asker, `~` for a look at who owns what.
-- A full queue of notifications fails the transactions of all who notify. Over half full it gets none of ours: what
-- they would have told is found by polling. To ask for its usage is also what lets the server clear a full one.
create function {schema}.ring(queue text) returns void language plpgsql as $$
begin
    if pg_notification_queue_usage() <= float8 '0.5' then
        perform pg_notify({channel}, queue);
    end if;
end $$;

-- Wake those processes that own some partitions and are asleep, each on a channel of its own. To be called after the
-- messages were inserted, for then this transaction has an id:
--   who takes a partition over meanwhile waits for the transactions that had an id by then;
--   so does who falls asleep meanwhile. While a session is awake it holds the advisory lock of ~nonce; who sends
--   tries that lock, and lets go of it at once. A lock is as of now, not as of a snapshot, and ends with its session.
-- A snapshot that was taken earlier may show a former owner: then everybody is woken.
create function {schema}.ring_owners(queues text[], partitions smallint[]) returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        perform {schema}.ring(q.queue) from (select distinct queue from unnest(queues) as r (queue)) as q;
        return;
    end if;
    perform pg_notify('rb_' || to_hex(o.life), o.queue) from (
        select distinct p.life, p.nonce, p.queue
        from unnest(queues, ring_owners.partitions) as r (queue, partition)
        join {schema}.partitions p using (queue, partition)
        where p.life is not null
    ) as o
    where case when pg_try_advisory_lock_shared(~o.nonce) then
          case when pg_advisory_unlock_shared(~o.nonce) then pg_notification_queue_usage() <= float8 '0.5' end end;
end $$;

-- Send to a queue from any language, inside the caller's own transaction.
create function {schema}.enqueue(
    queue text, type text, payload json, key text default null, version int default 1,
    delay interval default null, due_at timestamptz default null,
    priority int default 0, headers json default null
) returns bigint language plpgsql as $$
declare
    message_id bigint;
    placed smallint := {schema}.partition_of(enqueue.key);
    wanted timestamptz := coalesce(enqueue.due_at, clock_timestamp() + enqueue.delay);
begin
    -- A value that comes out of a table may be compressed, and would stay so.
    if pg_column_compression(payload) is not null then
        payload := payload::text::json;
    end if;
    if pg_column_compression(headers) is not null then
        headers := headers::text::json;
    end if;
    if pg_column_compression(key) is not null then
        key := key || '';
    end if;
    if pg_column_compression(type) is not null then
        type := type || '';
    end if;
    if wanted is null or wanted <= clock_timestamp() then
        insert into {schema}.messages (queue, partition, priority, key, type, version, payload, headers)
        values (enqueue.queue, placed, enqueue.priority, enqueue.key,
                enqueue.type, enqueue.version, enqueue.payload, enqueue.headers)
        returning id into message_id;
        perform {schema}.ring_owners(array[enqueue.queue], array[placed]);
    else
        insert into {schema}.scheduled (due_at, queue, partition, priority, key, type, version, payload, headers)
        values (wanted, enqueue.queue, placed, enqueue.priority, enqueue.key,
                enqueue.type, enqueue.version, enqueue.payload, enqueue.headers)
        returning id into message_id;
        perform {schema}.ring('@' || extract(epoch from wanted));
    end if;
    return message_id;
end $$;

-- Send to an actor: its name is its queue, and it needs a key.
create function {schema}.tell(
    actor text, key text, type text, payload json, version int default 1,
    delay interval default null, due_at timestamptz default null,
    priority int default 0, headers json default null
) returns bigint language plpgsql as $$
begin
    if coalesce(tell.key, '') = '' then
        raise exception 'a message to actor % needs a key', tell.actor using errcode = 'invalid_parameter_value';
    end if;
    return {schema}.enqueue(tell.actor, tell.type, tell.payload, tell.key, tell.version,
                            tell.delay, tell.due_at, tell.priority, tell.headers);
end $$;

-- Send several messages inside the caller's own transaction. What all of them share of queue, priority, type and
-- version is given once, and a column of nulls not at all: reading eight full arrays took a fifth of the time.
create function {schema}.send(
    queue text[], partition smallint[], priority smallint[], key text[],
    type text[], version smallint[], payload json[], headers json[],
    rare json, ring_queue text[], ring_partition smallint[]
) returns void language plpgsql as $$
begin
    if send.queue is not null then
        insert into {schema}.messages (queue, partition, priority, key, type, version, payload, headers)
        select coalesce(s.queue, send.queue[1]), s.partition, coalesce(s.priority, send.priority[1]), s.key,
               coalesce(s.type, send.type[1]), coalesce(s.version, send.version[1]), s.payload, s.headers
        from unnest(send.queue, send.partition, send.priority, send.key, send.type,
                    send.version, send.payload, send.headers)
             as s (queue, partition, priority, key, type, version, payload, headers);
    end if;
    if rare is not null then
        perform {schema}.commit_rare(rare);
    end if;
    if ring_queue is not null then
        perform {schema}.ring_owners(ring_queue, ring_partition);
    end if;
end $$;

-- Put dead letters back into their mailboxes, as new arrivals with no attempts.
create function {schema}.redrive(letters bigint[], wanted_queue text) returns bigint language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    moved bigint;
begin
    -- By the index of what is given: one condition for both would have all of them read for one letter.
    if letters is null and wanted_queue is null then
        letters := array(select d.id from {schema}.dead_letters d);
    elsif letters is null then
        letters := array(select d.id from {schema}.dead_letters d where d.queue = wanted_queue);
    end if;
    with gone as (
        delete from {schema}.dead_letters d
        where d.id = any (letters) and (wanted_queue is null or d.queue = wanted_queue)
        returning d.*
    ), back as (
        insert into {schema}.messages
            (id, queue, partition, priority, key, type, version, payload, headers, sent_at)
        select message_id, queue, partition, priority, key, type, version, payload, headers, sent_at
        from gone order by id returning queue
    )
    select count(*) into moved from back;
    if moved > 0 then
        perform {schema}.ring(coalesce(wanted_queue, '*'));
    end if;
    return moved;
end $$;

-- Let a parked key go on: its messages may be tried again, and its owner is told.
-- The owner is told even if none waits: an actor may have been found broken by an ask alone.
create function {schema}.resume(queue text, key text) returns bigint language plpgsql as $$
declare
    resumed bigint;
begin
    update {schema}.messages m set not_before = null
    where m.queue = resume.queue and m.key = resume.key and m.not_before = 'infinity';
    get diagnostics resumed = row_count;
    perform {schema}.ring('+' || resume.queue);
    return resumed;
end $$;

-- Rename an actor, with its journal, snapshots, messages and dead letters, while no process runs it.
-- Returns how many events were renamed. The outcomes of its idempotency keys are not found any more.
create function {schema}.rename_actor(old_name text, new_name text) returns bigint language plpgsql as $$
declare
    renamed bigint;
begin
    if new_name !~ '^[A-Za-z0-9_.:-]{{1,63}}$' then
        raise exception '% is no name for an actor', quote_literal(new_name)
            using errcode = 'invalid_parameter_value';
    end if;
    -- Held until the end: nobody can begin to run it meanwhile.
    perform from {schema}.partitions p where p.queue in (old_name, new_name) for update;
    if exists (select from {schema}.partitions p where p.queue in (old_name, new_name)
               and p.nonce is not null and not pg_try_advisory_xact_lock_shared(p.nonce)) then
        raise exception 'a process runs actor % or %', old_name, new_name
            using errcode = 'object_in_use', hint = 'Stop it first.';
    end if;
    if exists (select from {schema}.events where actor = new_name) then
        raise exception 'there is a journal of actor % already', new_name using errcode = 'unique_violation';
    end if;
    alter table {schema}.events disable trigger append_only;
    update {schema}.events set actor = new_name where actor = old_name;
    get diagnostics renamed = row_count;
    alter table {schema}.events enable trigger append_only;
    update {schema}.snapshots set actor = new_name where actor = old_name;
    update {schema}.messages set queue = new_name, tx = pg_current_xact_id() where queue = old_name;
    update {schema}.scheduled set queue = new_name where queue = old_name;
    update {schema}.dead_letters set queue = new_name where queue = old_name;
    delete from {schema}.partitions where queue = old_name;
    perform {schema}.ring(new_name);
    return renamed;
end $$;

-- Change the number of partitions of every queue, while no process works on the database.
-- Returns how many messages have another partition now. What was to be begun with care still is.
create function {schema}.repartition(wanted integer) returns bigint language plpgsql as $$
declare
    moved bigint;
    company text;
begin
    perform from {schema}.meta for update;
    perform from {schema}.partitions for update;
    -- Who only sends counts too: it computes the partition of each key.
    select string_agg(distinct substring(application_name from '^rolebook (.*) '), ', ') into company
    from pg_catalog.pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and application_name like 'rolebook %';
    if company is not null then
        raise exception 'processes work on this database: %', company
            using errcode = 'object_in_use', hint = 'Stop them first.';
    end if;
    update {schema}.meta set partitions = wanted;
    insert into {schema}.partitions (queue, partition)
    select queue, partition from (select distinct queue from {schema}.partitions) as q,
                                 generate_series(0, wanted - 1) as partition
    on conflict do nothing;
    update {schema}.partitions p
    set careful = case when q.careful then pg_current_snapshot() end, nonce = null, life = null, owner = null
    from (select queue, bool_or(careful is not null or nonce is not null) as careful
          from {schema}.partitions group by queue) as q
    where p.queue = q.queue;
    delete from {schema}.trials;
    delete from {schema}.suspects;
    update {schema}.messages set partition = {schema}.partition_of(key);
    get diagnostics moved = row_count;
    update {schema}.scheduled set partition = {schema}.partition_of(key);
    update {schema}.dead_letters set partition = {schema}.partition_of(key);
    return moved;
end $$;

-- The mailbox is empty one moment and holds a million rows the next, so
-- statistics about it are wrong most of the time, and a plan made for an empty
-- table reads all of a full one. The functions below therefore name their one
-- good plan by its settings: index scans, driven by the given arrays. Where
-- these leave no choice, a server before 18 takes the plan for very costly and
-- compiles it, which takes a thousand times as long as to run it: jit is off.

-- Commit one batch of turns, or nothing of it. The checks:
--   the session whose number is given lives on this server: its lock can not be taken. Locks die with the memory
--   of the server, so one that has crashed, or has taken over from another, is told at once;
--   every fence (partition, epoch, number of the session) is still current, and stays so until this
--   transaction ends (for share makes a take-over wait);
--   each consumed message was still there to be deleted;
--   of an actor that stores for the first time since it was loaded, the event it was loaded up to is there;
--   (actor, key, seq) is free for each event (its primary key).
-- A failed check raises US001 with what failed in the detail, as JSON.
create function {schema}.commit_batch(
    writer uuid, batch bigint, forget bigint[], nonce bigint,
    fence_queue text[], fence_partition smallint[], fence_epoch bigint[],
    gone_queue text[], gone_priority smallint[], gone_tx xid8[], gone_id bigint[],
    event_actor text[], event_key text[], event_seq bigint[], event_type text[],
    event_version smallint[], event_payload json[], event_metadata json[],
    base_actor text[], base_key text[], base_seq bigint[],
    send_queue text[], send_partition smallint[], send_priority smallint[], send_key text[],
    send_type text[], send_version smallint[], send_payload json[], send_headers json[],
    rare json, ring_queue text[], ring_partition smallint[]
) returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    failed json;
    held integer;
    deleted bigint[];
begin
    insert into {schema}.commits (writer, batch) values (commit_batch.writer, commit_batch.batch);
    if forget is not null then
        delete from {schema}.commits c where c.writer = commit_batch.writer and c.batch = any (forget);
    end if;

    if pg_try_advisory_xact_lock_shared(commit_batch.nonce) then  -- null is not taken, and proves nothing
        raise exception 'the session of this batch does not live here' using errcode = 'US001',
            detail = json_build_object('elsewhere', true);
    end if;
    if fence_queue is not null then
        perform from unnest(fence_queue, fence_partition, fence_epoch) as f (queue, partition, epoch)
        join {schema}.partitions p using (queue, partition, epoch)
        where p.nonce = commit_batch.nonce
        for share of p;
        get diagnostics held = row_count;
        if held <> cardinality(fence_queue) then
            select json_agg(json_build_array(f.queue, f.partition)) into failed
            from unnest(fence_queue, fence_partition, fence_epoch) as f (queue, partition, epoch)
            left join {schema}.partitions p using (queue, partition)
            where p.epoch is distinct from f.epoch or p.nonce is distinct from commit_batch.nonce;
            raise exception 'partitions have another owner' using errcode = 'US001',
                detail = json_build_object('stale', failed);
        end if;
    end if;

    if gone_id is not null then
        with gone as (  -- not by a join: see places
            delete from {schema}.messages where ctid = any (array(
                select (select m.ctid from {schema}.messages m
                        where m.queue = g.queue and m.priority = g.priority and m.tx = g.tx and m.id = g.id)
                from unnest(gone_queue, gone_priority, gone_tx, gone_id) as g (queue, priority, tx, id)))
            returning id
        )
        select array_agg(id) into deleted from gone;
        if cardinality(deleted) is distinct from cardinality(gone_id) then
            select json_agg(id) into failed from unnest(gone_id) as expected (id)
            where id <> all (coalesce(deleted, array[]::bigint[]));
            raise exception 'messages were handled already' using errcode = 'US001',
                detail = json_build_object('missing', failed);
        end if;
    end if;

    if base_actor is not null then
        if exists (select from unnest(base_actor, base_key, base_seq) as b (actor, key, seq)
                   where b.seq > 0 and not exists (select from {schema}.events e where e.actor = b.actor
                                                   and e.key = b.key and e.seq = b.seq)) then
            raise exception 'an event that a turn stands on is not there' using errcode = 'US001',
                detail = json_build_object('outdated', true);
        end if;
        -- A snapshot that is ahead of its journal: what comes in these places now is not in it.
        delete from {schema}.snapshots s using unnest(base_actor, base_key, base_seq) as b (actor, key, seq)
        where s.actor = b.actor and s.key = b.key and s.seq > b.seq;
    end if;

    if event_actor is not null then
        insert into {schema}.events (actor, key, seq, type, version, payload, metadata)
        select * from unnest(event_actor, event_key, event_seq, event_type, event_version,
                             event_payload, event_metadata);
    end if;

    if send_queue is not null or rare is not null or ring_queue is not null then
        perform {schema}.send(send_queue, send_partition, send_priority, send_key, send_type,
                              send_version, send_payload, send_headers, rare, ring_queue, ring_partition);
    end if;
end $$;

-- Refuse a batch of which a message was handled already.
create function {schema}.check_all(wanted json, changed bigint[]) returns void language plpgsql as $$
declare
    missing json;
begin
    select json_agg(w.id) into missing from json_to_recordset(wanted) as w (id bigint)
    where w.id <> all (coalesce(changed, array[]::bigint[]));
    if missing is not null then
        raise exception 'messages were handled already' using errcode = 'US001',
            detail = json_build_object('missing', missing);
    end if;
end $$;

-- Where the rows of some messages are, by their keys. Whoever changes messages finds them so, and not by a
-- join: to a planner that last saw the mailbox empty, to read all of it costs nothing.
create function {schema}.places(messages json) returns tid[] language sql stable as $$
    select array(
        select (select m.ctid from {schema}.messages m
                where m.queue = r.queue and m.priority = r.priority and m.tx = r.tx::xid8 and m.id = r.id)
        from json_to_recordset(places.messages) as r (queue text, priority smallint, tx text, id bigint))
$$;

-- The parts of a batch that most batches lack: later messages, retries, dead
-- letters, snapshots, outcomes. What is JSON in them comes as text: a function
-- that takes JSON apart refuses a \u0000 in it, which a column of it stores.
create function {schema}.commit_rare(rare json) returns void language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    changed bigint[];
    failed json;
    due timestamptz;
begin
    if rare -> 'scheduled' is not null then
        with added as (
            insert into {schema}.scheduled
                (due_at, queue, partition, priority, key, type, version, payload, headers)
            select coalesce(s.at, clock_timestamp() + s.delay * interval '1 second'),
                   s.queue, s.partition, s.priority, s.key, s.type, s.version, s.payload::json, s.headers::json
            from json_to_recordset(rare -> 'scheduled') as s (
                delay double precision, at timestamptz, queue text, partition smallint, priority smallint,
                key text, type text, version smallint, payload text, headers text)
            returning due_at
        )
        select min(due_at) into due from added;
        perform {schema}.ring('@' || extract(epoch from due));
    end if;

    -- A failed message that keeps its place at the head of its key.
    if rare -> 'retries' is not null then
        with tried as (
            update {schema}.messages m
            set attempts = r.attempts, last_error = r.error,
                not_before = case when r.delay is null then 'infinity'
                                  else clock_timestamp() + r.delay * interval '1 second' end
            from json_to_recordset(rare -> 'retries') as r (
                queue text, priority smallint, tx text, id bigint,
                attempts integer, error text, delay double precision)
            where m.ctid = any ({schema}.places(rare -> 'retries')) and m.tx = r.tx::xid8 and m.id = r.id
            returning m.id
        )
        select array_agg(id) into changed from tried;
        perform {schema}.check_all(rare -> 'retries', changed);
    end if;

    -- A failed message that lets the others pass: it comes back as a new arrival.
    if rare -> 'later' is not null then
        with gone as (
            delete from {schema}.messages m
            using json_to_recordset(rare -> 'later') as r (
                queue text, priority smallint, tx text, id bigint,
                attempts integer, error text, delay double precision)
            where m.ctid = any ({schema}.places(rare -> 'later')) and m.tx = r.tx::xid8 and m.id = r.id
            returning m.*, r.attempts as tried, r.error, r.delay
        ), moved as (
            insert into {schema}.scheduled
                (id, due_at, queue, partition, priority, key, type, version, payload, headers,
                 attempts, last_error, sent_at)
            select id, clock_timestamp() + delay * interval '1 second', queue, partition, priority, key,
                   type, version, payload, headers, tried, error, sent_at
            from gone returning id, due_at
        )
        select array_agg(id), min(due_at) into changed, due from moved;
        perform {schema}.check_all(rare -> 'later', changed);
        perform {schema}.ring('@' || extract(epoch from due));
    end if;

    if rare -> 'dead' is not null then
        with gone as (
            delete from {schema}.messages m
            using json_to_recordset(rare -> 'dead') as r (
                queue text, priority smallint, tx text, id bigint, attempts integer, error text)
            where m.ctid = any ({schema}.places(rare -> 'dead')) and m.tx = r.tx::xid8 and m.id = r.id
            returning m.*, r.attempts as tried, r.error
        ), buried as (
            insert into {schema}.dead_letters
                (message_id, queue, partition, priority, key, type, version, payload, headers,
                 attempts, error, sent_at)
            select id, queue, partition, priority, key, type, version, payload, headers,
                   tried, error, sent_at
            from gone returning message_id
        )
        select array_agg(message_id) into changed from buried;
        perform {schema}.check_all(rare -> 'dead', changed);
    end if;

    if rare -> 'snapshots' is not null then
        insert into {schema}.snapshots (actor, key, seq, state_version, state)
        select s.actor, s.key, s.seq, s.state_version, s.state::json
        from json_to_recordset(rare -> 'snapshots') as s (
            actor text, key text, seq bigint, state_version integer, state text)
        on conflict (actor, key, seq) do update
            set state_version = excluded.state_version, state = excluded.state, recorded_at = now();
        delete from {schema}.snapshots old
        using json_to_recordset(rare -> 'snapshots') as s (actor text, key text, keep integer)
        where old.actor = s.actor and old.key = s.key and old.seq < (
            select min(kept.seq) from (
                select n.seq from {schema}.snapshots n
                where n.actor = s.actor and n.key = s.key order by n.seq desc limit s.keep
            ) as kept);
    end if;

    if rare -> 'outcomes' is not null then
        insert into {schema}.outcomes (id, outcome, expires_at)
        select o.id, o.outcome::json, clock_timestamp() + o.retention * interval '1 second'
        from json_to_recordset(rare -> 'outcomes') as o (
            id text, outcome text, retention double precision)
        on conflict (id) do nothing;
        perform {schema}.ring('!' || o.asker)
        from (select distinct asker from json_to_recordset(rare -> 'outcomes') as r (asker text)
              where asker is not null) as o;
    end if;

    -- First outcomes of idempotency keys. A turn that finds one, not expired, is a repetition and does not
    -- happen; one without an outcome of its own only looks.
    if rare -> 'once' is not null then
        with stored as (
            insert into {schema}.outcomes as old (id, outcome, expires_at)
            select o.id, o.outcome::json, clock_timestamp() + o.retention * interval '1 second'
            from json_to_recordset(rare -> 'once') as o (id text, outcome text, retention double precision)
            where o.outcome is not null
            on conflict (id) do update set outcome = excluded.outcome, expires_at = excluded.expires_at
                where old.expires_at <= clock_timestamp()
            returning old.id
        )
        select json_agg(o.id) into failed
        from json_to_recordset(rare -> 'once') as o (id text, outcome text)
        where case when o.outcome is not null then o.id not in (select id from stored)
              else exists (select from {schema}.outcomes kept
                           where kept.id = o.id and kept.expires_at > clock_timestamp()) end;
        if failed is not null then
            raise exception 'idempotency keys have outcomes already' using errcode = 'US001',
                detail = json_build_object('repeated', failed);
        end if;
    end if;

    -- A repeated ask from another process is answered with the first outcome.
    if rare -> 'copies' is not null then
        insert into {schema}.outcomes (id, outcome, expires_at)
        select c.id, kept.outcome, clock_timestamp() + c.retention * interval '1 second'
        from json_to_recordset(rare -> 'copies') as c (id text, "of" text, retention double precision)
        join {schema}.outcomes kept on kept.id = c."of"
        on conflict (id) do nothing;
        perform {schema}.ring('!' || o.asker)
        from (select distinct asker from json_to_recordset(rare -> 'copies') as r (asker text)) as o;
    end if;
end $$;

-- Move what is due into the mailbox, where it gets a fresh transaction id; forget what has expired.
-- Returns the queues that got something, and the seconds to the next due time.
--
-- One process does so at a time, by a lock that lasts as long as this transaction, which is one statement: a process
-- that is frozen holds it for nobody. Who comes meanwhile moves nothing, and comes again in a moment.
-- The time is taken once: a clock that goes on while the statement runs is no condition for an index.
create function {schema}.promote_due(most integer) returns table (queues text[], next_due double precision)
language plpgsql
set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    moment constant timestamptz := clock_timestamp();
    placed smallint[];
begin
    if not pg_try_advisory_xact_lock(-7411000000000000000 - '{schema}.scheduled'::regclass::oid::bigint) then
        queues := array[]::text[];
        select greatest(0.02, extract(epoch from min(due_at) - moment)) into next_due from {schema}.scheduled;
        return next;
        return;
    end if;
    delete from {schema}.outcomes where expires_at <= moment;
    with gone as (  -- not by a join: see places
        delete from {schema}.scheduled where ctid = any (array(
            select ctid from {schema}.scheduled where due_at <= moment
            order by due_at, id limit most for update skip locked))
        returning *
    ), moved as (
        insert into {schema}.messages
            (id, queue, partition, priority, key, type, version, payload, headers, attempts, last_error, sent_at)
        select id, queue, partition, priority, key, type, version, payload, headers, attempts, last_error, sent_at
        from gone order by due_at, id returning queue, partition
    ), places as (
        select distinct queue, partition from moved
    )
    select array_agg(queue), array_agg(partition) into queues, placed from places;
    if queues is not null then
        perform {schema}.ring_owners(queues, placed);
    end if;
    queues := array(select distinct queue from unnest(queues) as q (queue));
    select extract(epoch from min(due_at) - moment) into next_due from {schema}.scheduled;
    return next;
end $$;
