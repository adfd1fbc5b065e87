"""The fetcher by itself, step by step: what it says it has delivered, it has."""

# pyright: reportPrivateUsage=false

from collections.abc import Collection
from typing import Any

import trio

from rolebook.runtime import Settings
from rolebook.runtime.contract import CommitUnit, Ending, FetchSession, SendRow
from rolebook.runtime.memory import MemoryStore
from rolebook.runtime.system import (
    Attach,
    Delivered,
    Fetcher,
    FetcherSignal,
    Life,
    Look,
    Page,
    SendCount,
    Standing,
    StoreClock,
)


async def nobody_declines(_: Collection[str]) -> dict[str, str]:
    return {}


def message(queue: str, priority: int, partition: int = 0) -> SendRow:
    return SendRow(queue, partition, priority, "k", "note", 1, "{}", None)


def make_fetcher(store: MemoryStore, count: SendCount) -> Fetcher:
    _, inbox = trio.open_memory_channel[FetcherSignal](10)
    return Fetcher(
        store,
        Settings(),
        "me",
        Life(1),
        (),
        StoreClock(),
        inbox,
        {},
        count,
        nobody_declines,
        Standing(),
        Ending(10),
    )


async def test_a_queue_without_room_is_not_said_to_be_delivered() -> None:
    """What was sent to a queue whose handler is full is still to come, though another queue was read."""
    store, count = MemoryStore(partitions=1), SendCount()
    nobody, _ = trio.open_memory_channel[Any](10)
    full, delivered = trio.open_memory_channel[object](100)
    fetcher = make_fetcher(store, count)
    async with store.open_fetch_session("me", 1) as session, store.open_write_session() as writer:
        fetcher._take_in(Attach("full", full, 2, 1000))
        fetcher._take_in(Attach("idle", nobody, 2, 1000))
        await fetcher._ownership.settle(session, fetcher._mailboxes, 1)
        await fetcher._read(session)
        for number in (1, 2):
            # One message of each priority: all lanes of the queue have room, and together they fill it.
            sends = [message("full", priority) for priority in ((1, 0) if number == 1 else (0,))]
            await writer.commit([CommitUnit(nobody, sends=sends)], [], None)
            count.sent(["full"])
            await fetcher._read(session)
    heard = _received(delivered)
    got = [page for page in heard if isinstance(page, Page)]
    assert [len(page.messages) for page in got if page.messages] == [1, 1]
    assert [1] == [said.numbers[0] for said in heard if isinstance(said, Delivered) and said.numbers[0]]


async def test_a_look_goes_round_all_lanes_though_there_is_room_for_few() -> None:
    """A ring does not say where: who has room for one message looks in one lane after the other."""
    store = MemoryStore(partitions=3)
    fetcher = make_fetcher(store, SendCount())
    nobody, _ = trio.open_memory_channel[Any](10)
    inbox, delivered = trio.open_memory_channel[object](100)
    async with store.open_fetch_session("me", 1) as session, store.open_write_session() as writer:
        fetcher._take_in(Attach("few", inbox, 1, 1_000_000))
        await session.prepare(["few"])
        mailbox = fetcher._mailboxes["few"]
        mailbox.take(await session.take([("few", 0), ("few", 2)]))  # two runs
        for partition in (2, 2, 0, 0):
            await settle(fetcher, session)
            await writer.commit([CommitUnit(nobody, sends=[message("few", 0, partition)])], [], None)
            fetcher._take_in(Look(rung=True))
            await settle(fetcher, session)
            assert 1 == sum(len(page.messages) for page in _received(delivered) if isinstance(page, Page))
            mailbox.room = 1


async def settle(fetcher: Fetcher, session: FetchSession) -> None:
    """Read until there is nothing to do."""
    for _ in range(20):
        if not fetcher._wants_to_read():
            return
        await fetcher._read(session)
    raise AssertionError("it goes on and on")


def _received(channel: trio.MemoryReceiveChannel[object]) -> list[object]:
    return [channel.receive_nowait() for _ in range(channel.statistics().current_buffer_used)]
