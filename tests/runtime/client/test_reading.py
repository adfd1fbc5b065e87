"""What a runtime lends and tells: states of many actors, keys, depths, statistics, a connection."""

import psycopg
import pytest
import trio

import rolebook as rb
from examples.bank import Account
from tests.runtime.cli.shop import Sell, Shop, Wrap, app
from tests.waiting import eventually


async def test_read_many_gives_the_states_in_the_order_of_the_keys(database_url: str) -> None:
    """Actors that nothing has happened to are in their initial state; a key named twice counts once."""
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.send(*(rb.Tell(Shop, f"key{number}", Sell(number)) for number in range(450)))
        await runtime.wait_idle()
        keys = [f"key{number}" for number in reversed(range(450))]
        shops = await runtime.read_many(Shop, [*keys, "nobody", "key0"])
    assert list(shops) == [*keys, "nobody"]
    assert [shops[f"key{number}"].sold for number in range(450)] == list(range(450))
    assert shops["nobody"] == Shop()


async def test_read_many_refuses_an_actor_of_another_app(database_url: str) -> None:
    """The error names the actor and the remedy."""
    other = rb.App("other", actors=[Account])
    async with rb.open_runtime(other, database=database_url) as runtime:
        with pytest.raises(rb.DefinitionError, match="app 'other' has no actor 'shop': add Shop"):
            await runtime.read_many(Shop, ["a"])


async def test_read_many_raises_for_a_broken_journal(database_url: str) -> None:
    """A hole in one journal is an error, not a state that is wrong."""
    async with rb.open_runtime(app, database=database_url) as runtime:
        await runtime.tell(Shop, "whole", Sell(1))
        await runtime.wait_idle()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "insert into rolebook.events (actor, key, seq, type, version, payload)"
                " values ('shop', 'broken', 2, 'shop.sold', 1, '{\"amount\": 1}')"
            )
        with pytest.raises(rb.RolebookError, match="no event 1"):
            await runtime.read_many(Shop, ["whole", "broken"])


async def test_keys_gives_every_actor_with_events_page_by_page(database_url: str) -> None:
    """More than a page of them, each once, however many events it has."""
    wanted = {f"key{number}" for number in range(1100)}
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert [key async for key in runtime.keys(Shop)] == []
        await runtime.send(*(rb.Tell(Shop, key, Sell(1)) for key in sorted(wanted) for _ in range(2)))
        await runtime.wait_idle()
        found = [key async for key in runtime.keys(Shop)]
        assert [key async for key in runtime.keys("shop")] == found
    assert len(found) == len(wanted)
    assert set(found) == wanted


async def test_statistics_count_what_was_committed(database_url: str) -> None:
    """Turns and events of this runtime, from its opening on."""
    async with rb.open_runtime(app, database=database_url) as runtime:
        assert runtime.statistics().turns == 0
        await runtime.send(rb.Tell(Shop, "a", Sell(1)), rb.Tell(Shop, "a", Sell(2)))
        await runtime.wait_idle()
        done = runtime.statistics()
    assert (done.events, done.turns) == (2, 3)  # two turns, and the sending itself
    assert 2 <= done.commits <= 3


async def test_statistics_count_turns_with_a_transaction_of_their_own(database_url: str) -> None:
    """A handler's turn counts once, on whichever connection it was committed."""
    own = rb.App("own")

    @own.handler("wrapping")
    async def wrap(command: Wrap, turn: rb.Turn) -> None:  # pyright: ignore[reportUnusedFunction] - registered
        async with turn.connection() as connection:
            await connection.execute("select 1")

    async with rb.open_runtime(own, database=database_url) as runtime:
        await runtime.enqueue("wrapping", Wrap(1))
        await runtime.wait_idle()
        await eventually(lambda: runtime.statistics().turns == 2)
        assert runtime.statistics().commits == 2


async def test_depths_counts_what_waits_in_each_queue(database_url: str) -> None:
    """Queues of the app without a message are there with 0."""
    idle = rb.App("idle", actors=[Shop])

    @idle.handler("wrapping")
    async def wait(command: Wrap) -> None:  # pyright: ignore[reportUnusedFunction] - registered
        await trio.sleep_forever()

    async with rb.open_runtime(idle, database=database_url, settings=rb.Settings(shutdown=0.1)) as runtime:
        await runtime.enqueue("wrapping", Wrap(1.0))
        assert await runtime.depths() == {"shop": 0, "wrapping": 1}


async def test_a_lent_connection_sends_with_the_callers_own_sql(database_url: str) -> None:
    """What the transaction wrote and what it sent stand or fall together."""
    async with rb.open_runtime(app, database=database_url) as runtime:

        async def order(key: str) -> None:
            async with runtime.connection() as connection, connection.transaction():
                await runtime.tell(Shop, key, Sell(1), connection=connection)
                await connection.execute("insert into public.orders values (1)")

        async with runtime.connection() as connection:
            await connection.execute("create table public.orders (id int primary key)")
        await order("kept")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await order("undone")
        await runtime.wait_idle()
        shops = await runtime.read_many(Shop, ["kept", "undone"])
    assert (shops["kept"].sold, shops["undone"].sold) == (1, 0)
