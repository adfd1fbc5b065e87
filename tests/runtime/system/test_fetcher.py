"""The fetcher by itself, step by step: what it says it has delivered, it has."""

# pyright: reportPrivateUsage=false

from collections.abc import Collection
from typing import Any

import trio

from rolebook.runtime import Settings
from rolebook.runtime.contract import CommitUnit, Ending, SendRow
from rolebook.runtime.memory import MemoryStore
from rolebook.runtime.system import (
    Attach,
    Delivered,
    Fetcher,
    FetcherSignal,
    Life,
    Page,
    SendCount,
    Standing,
    StoreClock,
)


async def nobody_declines(_: Collection[str]) -> dict[str, str]:
    return {}


def message(queue: str, priority: int) -> SendRow:
    return SendRow(queue, 0, priority, "k", "note", 1, "{}", None)


async def test_a_queue_without_room_is_not_said_to_be_delivered() -> None:
    """What was sent to a queue whose handler is full is still to come, though another queue was read."""
    store, count = MemoryStore(partitions=1), SendCount()
    _, inbox = trio.open_memory_channel[FetcherSignal](10)
    nobody, _ = trio.open_memory_channel[Any](10)
    full, delivered = trio.open_memory_channel[object](100)
    clock, ending = StoreClock(), Ending(10)
    fetcher = Fetcher(
        store,
        Settings(),
        "me",
        Life(1),
        (),
        clock,
        inbox,
        {},
        count,
        nobody_declines,
        Standing(),
        ending,
    )
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


def _received(channel: trio.MemoryReceiveChannel[object]) -> list[object]:
    return [channel.receive_nowait() for _ in range(channel.statistics().current_buffer_used)]
