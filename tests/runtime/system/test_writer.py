"""The writer by itself: what it makes of what it is handed."""

import trio

from rolebook.actors import Stopping
from rolebook.runtime.contract import CommitUnit, RetryInPlace, Settled, Store, Totals, Verdict
from rolebook.runtime.system import FetcherSignal, SendCount, Standing, Writer
from tests.stores import finished, open_process, retry_part, send_row


async def write(store: Store, *units: CommitUnit) -> list[Verdict]:
    """Hand all units to a writer at once, and return their verdicts in the order in which they came."""
    to_writer, inbox = trio.open_memory_channel[tuple[CommitUnit, ...]](10)
    to_fetcher, _ = trio.open_memory_channel[FetcherSignal](10)
    origin, verdicts = trio.open_memory_channel[Settled](10)
    for unit in units:
        unit.origin = origin
    to_writer.send_nowait(units)
    stopping = Stopping()
    writer = Writer(store, inbox, to_fetcher, SendCount(), {}, 100, lambda _: None, Totals(), Standing())
    found = list[Verdict]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: writer.run(stopping=stopping))
        while len(found) < len(units):
            settled = await verdicts.receive()
            found += [settled.verdict] * len(settled.units)
        nursery.cancel_scope.cancel()
    return found


async def test_a_message_that_is_retried_and_handled_before_the_retry_is_stored(store: Store) -> None:
    """A retry may be over sooner than a slow commit: both happen, one after the other."""
    async with open_process(store) as one:
        await one.send(send_row(1, "a"), send_row(2, "b"))
        first, second = await one.messages()
        units = [
            finished(fence=first.fence, parts=[retry_part(RetryInPlace, first, delay=0.001)]),
            finished(fence=second.fence, consumed=second),
            finished(fence=first.fence, parts=[retry_part(RetryInPlace, first, delay=0.001)]),
            finished(fence=first.fence, consumed=first, sends=[send_row(3, queue="other")]),
        ]
        assert [Verdict.COMMITTED] * 4 == await write(store, *units)
        assert [] == await one.messages()
        assert 1 == len(await one.messages("other"))
