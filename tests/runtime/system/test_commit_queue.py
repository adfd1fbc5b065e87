"""What waits for the writer is bounded in bytes, and so is what one commit stores."""

from __future__ import annotations

import trio
import trio.testing

from rolebook.actors import Stopping
from rolebook.runtime.contract import CommitUnit, Settled, Store, Totals, Verdict, size_of
from rolebook.runtime.system import CommitQueue, FetcherSignal, SendCount, Standing, Writer
from tests.stores import event_row, finished, open_process, snapshot_part


def sized(seq: int, size: int) -> CommitUnit:
    """A turn that stores so many bytes."""
    return finished(events=[event_row(seq, payload=f'"{"x" * (size - 2)}"')])


def test_every_payload_counts() -> None:
    """Of events, messages, snapshots; in bytes, not in characters."""
    unit = finished(events=[event_row(1, payload='"ä€"')], parts=[snapshot_part(1, state="12345")])
    assert 7 + 5 == size_of(unit)


async def test_a_commit_is_bounded_in_bytes(store: Store) -> None:
    """A list of turns is divided in its order; one that is larger goes alone."""
    queue, totals, stopping = CommitQueue(), Totals(), Stopping()
    to_fetcher, _ = trio.open_memory_channel[FetcherSignal](10)
    origin, verdicts = trio.open_memory_channel[Settled](10)
    writer = Writer(
        store, queue.inbox, to_fetcher, SendCount(), {}, 100, lambda _: None, totals, Standing(), 1000, queue
    )
    units = [sized(seq, size) for seq, size in enumerate((400, 600, 1, 5000, 300, 300, 300, 300), 1)]
    for unit in units:
        unit.origin = origin
    queue.send_nowait(units, sum(map(size_of, units)))
    found: list[list[int]] = []
    async with open_process(store), trio.open_nursery() as nursery:
        nursery.start_soon(lambda: writer.run(stopping=stopping))
        while sum(map(len, found)) < len(units):
            settled = await verdicts.receive()
            assert settled.verdict is Verdict.COMMITTED
            found.append([unit.events[0].seq for unit in settled.units])
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [[1, 2], [3], [4], [5, 6, 7], [8]] == found
    assert queue.size == 0


async def test_who_hands_in_waits_for_room(autojump_clock: trio.testing.MockClock) -> None:
    """One after the other goes on, as far as there is room."""
    queue, handed = CommitQueue(1000), list[int]()

    async def hand_in(number: int) -> None:
        if queue.is_full:
            await queue.wait_room()
        queue.send_nowait([sized(number, 600)], 600)
        handed.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(hand_in, number)
        await trio.testing.wait_all_tasks_blocked()
        assert len(handed) == 2
        while len(handed) < 6:
            queue.settled(queue.inbox.receive_nowait())
            before = len(handed)
            await trio.testing.wait_all_tasks_blocked()
            assert len(handed) == before + 1
            assert queue.size <= 1200


async def test_who_gives_up_holds_up_nobody(autojump_clock: trio.testing.MockClock) -> None:
    """A task that is cancelled while it waits, or does nothing when its turn comes, lets the next go on."""
    queue, through = CommitQueue(10), list[int]()

    async def wait(number: int) -> None:
        await queue.wait_room()
        through.append(number)

    queue.send_nowait([sized(1, 100)], 100)
    async with trio.open_nursery() as nursery:
        scopes = [trio.CancelScope() for _ in range(2)]

        async def give_up(scope: trio.CancelScope) -> None:
            with scope:
                await wait(0)

        for scope in scopes:
            nursery.start_soon(give_up, scope)
        for number in (1, 2, 3):
            nursery.start_soon(wait, number)
        await trio.testing.wait_all_tasks_blocked()
        for scope in scopes:
            scope.cancel()
        queue.settled(queue.inbox.receive_nowait())
    assert [1, 2, 3] == sorted(through)
