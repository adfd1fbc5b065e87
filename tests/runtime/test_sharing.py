"""Nothing is shared: not between a state and its events, nor between an actor and who asks it."""

import pytest
import trio

import rolebook as rb
from rolebook.runtime import Settings
from rolebook.runtime.contract import Store
from tests.actors.basket import Add, Basket, Build, Fill, Filled, Show, Told

APP = rb.App("shop", actors=[Basket])


@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "guarded"])
async def test_an_event_is_stored_as_it_was_yielded(store: Store, *, guarded: bool) -> None:
    """Neither the state nor the decider can change it later in the turn; the guard agrees."""
    async with rb.open_runtime(APP, database=store, settings=Settings(check_purity=guarded)) as runtime:
        assert ["c", "ribbon"] == await runtime.ask(Basket, "a", Fill(["c"]))
        assert (await runtime.read(Basket, "a")).things == ["c", "ribbon"]
        await runtime.ask(Basket, "b", Build())
        stored = [each.event async for each in runtime.events(Basket, "b")]
        assert [Filled(["a"]), Filled(["a", "b"])] == stored


@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "guarded"])
async def test_a_message_is_sent_as_it_was_yielded(store: Store, *, guarded: bool) -> None:
    """Later events of the turn change the state's list, and not the message that it was put into."""
    told: list[list[str]] = []
    app = rb.App("shop", actors=[Basket])
    heard = trio.Event()

    @app.handler("ears")
    async def ears(command: Told) -> None:
        told.append(command.things)
        if len(told) == 2:
            heard.set()

    async with rb.open_runtime(app, database=store, settings=Settings(check_purity=guarded)) as runtime:
        await runtime.ask(Basket, "a", Fill(["c"]))
        await runtime.ask(Basket, "a", Show())
        await heard.wait()
    assert [["c", "ribbon"], ["c", "ribbon", "bow"]] == told


async def test_a_route_gets_the_event_as_it_is_stored(store: Store) -> None:
    """What an applier did to the event's list is not in what the route sends."""
    told: list[list[str]] = []
    app = rb.App("shop", actors=[Basket])
    heard = trio.Event()

    @app.route
    def tell(event: Filled) -> rb.Enqueue:
        return rb.Enqueue("ears", Told(event.things))

    @app.handler("ears")
    async def ears(command: Told) -> None:
        told.append(command.things)
        heard.set()

    async with rb.open_runtime(app, database=store) as runtime:
        await runtime.ask(Basket, "a", Fill(["c"]))
        await heard.wait()
    assert [["c"]] == told


async def test_a_reply_is_as_of_its_turn(store: Store) -> None:
    """Turns that are computed before it is given, on a state that is not committed yet, are not in it."""
    replies: list[list[str]] = []

    async def add(thing: str) -> None:
        replies.append(await runtime.ask(Basket, "a", Add(thing)))

    async with rb.open_runtime(APP, database=store) as runtime:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(add, str(number))
        final = (await runtime.read(Basket, "a")).things
    assert [final[:count] for count in range(1, 21)] == sorted(replies, key=len)


async def test_who_asks_cannot_reach_the_state(store: Store) -> None:
    """The command and the reply are values: what becomes of them outside is not in the actor."""
    async with rb.open_runtime(APP, database=store) as runtime:
        mine = ["c"]
        reply = await runtime.ask(Basket, "a", Fill(mine))
        assert ["c"] == mine
        mine.append("mine")
        reply.append("reply")
        assert ["c", "ribbon", "d"] == await runtime.ask(Basket, "a", Add("d"))


async def test_a_local_ask_is_as_strict_as_a_message(store: Store) -> None:
    """A command that would not come back as it was is refused before it is sent, also in one process."""
    async with rb.open_runtime(APP, database=store) as runtime:
        with pytest.raises(rb.Unencodable, match=r"command 'basket.fill' .* at things: expected list"):
            await runtime.ask(Basket, "a", Fill(("c",)))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # the mistake
        with pytest.raises(rb.PayloadTooLarge, match=r"basket\.add"):
            await runtime.ask(Basket, "a", Add("x" * 1024 * 1024))
        assert [each async for each in runtime.events(Basket, "a")] == []
