"""The doorbell on a server: who asks whether somebody is awake, and who may have missed a change."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import psycopg
import pytest
import trio

from rolebook.runtime.contract import Lane, SendLater
from rolebook.runtime.postgres import Connection, connect_session
from tests.stores import (
    EVERYWHERE,
    QUEUE,
    Reader,
    execute,
    finished,
    hear,
    life_of,
    open_postgres_bench,
    open_process,
    send_row,
    take_all,
)


@pytest.fixture
async def connection(migrated_database: str) -> AsyncGenerator[Connection]:
    """A session of somebody else's."""
    async with await connect_session(migrated_database, role="sender", process="shop") as connection:
        yield connection


async def test_a_question_whether_one_is_awake_leaves_nothing(
    migrated_database: str, connection: Connection
) -> None:
    """A sender's transaction may stay open for hours: it keeps nobody from being awake."""
    async with open_postgres_bench(migrated_database) as bench, open_process(bench.store) as process:
        await execute(connection, "begin")
        await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
        assert await process.session.stay_awake()
        await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
        await process.session.fall_asleep()
        held = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
        assert await execute(connection, held) == [(0,)]


async def test_one_who_cannot_say_that_it_is_awake_is_asleep(
    migrated_database: str, connection: Connection
) -> None:
    """While a sender asks: it does not wait, for who waits for the lock would look like its holder."""
    async with (
        open_postgres_bench(migrated_database) as bench,
        bench.store.open_listen_session(life_of("one")) as ear,
        open_process(bench.store) as process,
    ):
        await ear.retry()
        await execute(connection, f"select pg_advisory_lock_shared({~process.session.nonce})")
        assert not await process.session.stay_awake()
        await process.commit(rings=[("mail", 0)])
        assert await hear(ear, "mail") == ["mail"]
        await execute(connection, f"select pg_advisory_unlock_shared({~process.session.nonce})")
        assert await process.session.stay_awake()


INSERTED_FIRST = """
create or replace function rolebook.ring_owners(queues text[], partitions smallint[]) returns void
language plpgsql as $$
begin
    if (select count(distinct (m.queue, m.partition)) from rolebook.messages m
        join unnest(queues, partitions) as r (queue, partition) using (queue, partition)
        where m.tx = pg_current_xact_id_if_assigned()) < cardinality(queues) then
        raise exception 'rung before the messages were there';
    end if;
    perform pg_notify('rolebook', 'rung');
end $$
"""


async def test_all_who_ring_have_inserted(migrated_database: str, connection: Connection) -> None:
    """Else they have no transaction id yet, and whoever falls asleep would not wait for them."""
    async with (
        open_postgres_bench(migrated_database) as bench,
        bench.store.open_listen_session(1) as ear,
        open_process(bench.store) as process,
    ):
        await ear.retry()
        await execute(connection, INSERTED_FIRST)
        row = send_row(1)
        place = (row.queue, row.partition)

        async def by_function() -> None:
            await execute(connection, "select rolebook.enqueue('mail', 't', '1')")

        async def by_tell() -> None:
            await execute(connection, "select rolebook.tell('account', 'a', 't', '1')")

        async def in_a_transaction() -> None:
            await bench.store.send(connection, [row], [], [place])

        async def by_a_commit() -> None:
            await process.commit(finished(sends=[row]), rings=[place])

        async def by_promotion() -> None:
            await process.commit(finished(parts=[SendLater(row, 0.0, None)]))
            with trio.fail_after(10):
                while not (await bench.store.promote_due(10)).queues:
                    await trio.lowlevel.checkpoint()

        for send in (by_function, by_tell, in_a_transaction, by_a_commit, by_promotion):
            await send()
            assert "rung" in await hear(ear, "rung"), send
        with pytest.raises(psycopg.errors.RaiseException, match="rung before"):
            await execute(connection, "select rolebook.ring_owners('{mail}', '{0}')")


async def test_a_snapshot_of_before_wakes_also_who_is_awake(
    migrated_database: str, connection: Connection
) -> None:
    """It may show a former owner: then everybody is woken, whatever they say."""
    async with (
        open_postgres_bench(migrated_database) as bench,
        bench.store.open_listen_session(1) as ear,
        open_process(bench.store) as process,
    ):
        await ear.retry()
        assert await process.session.stay_awake()
        await execute(connection, "begin isolation level repeatable read")
        await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
        await execute(connection, "commit")
        assert await hear(ear, "mail") == ["mail"]


WAIT = """
create function public.wait_for_test() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(4711);
    return null;
end $$
"""


async def test_who_sent_while_a_take_committed_is_named_by_the_next_look(
    migrated_database: str, connection: Connection
) -> None:
    """Its transaction is younger than that of the take, and saw the former owner all the same."""
    async with (
        open_postgres_bench(migrated_database) as bench,
        open_process(bench.store) as process,
        bench.store.open_fetch_session("two", life_of("two")) as another,
        await connect_session(migrated_database, role="gate", process="shop") as gate,
    ):
        await process.session.release(list(process.fences.values()))
        await execute(gate, WAIT)
        await execute(
            gate,
            "create trigger slow after update on rolebook.partitions execute function public.wait_for_test()",
        )
        await execute(gate, "select pg_advisory_lock(4711)")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_all, another)
            waits = "select 1 from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"
            with trio.fail_after(10):
                while not await execute(gate, waits):
                    await trio.lowlevel.checkpoint()
            await execute(connection, "begin")
            await execute(connection, "select rolebook.enqueue('mail', 't', '1')")
            ((tx,),) = await execute(connection, "select pg_current_xact_id()::text")
            await execute(gate, "select pg_advisory_unlock(4711)")
        reader = Reader(another, Lane(QUEUE, 0, EVERYWHERE))
        assert (int(tx),) == (await another.read(reader.cursors, [10])).seen.xip
        await execute(connection, "rollback")
