"""What a store tells about itself: which actors there are, and how much waits."""

from tests.stores import QUEUE, Bench, event_row, finished, open_process, send_row


async def test_keys_come_in_pages_each_once(bench: Bench) -> None:
    """However many events an actor has, its key comes once; other kinds of actors are not among them."""
    async with open_process(bench.store) as one:
        keys = [f"k{number}" for number in range(7)]
        events = [event_row(seq, key) for key in keys for seq in (1, 2)]
        await one.commit(finished(events=events), finished(events=[event_row(1, "x", actor="other")]))
        pages: list[list[str]] = []
        after = ""
        while page := await bench.store.keys("account", after, 3):
            pages.append(page)
            after = page[-1]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert sorted(key for page in pages for key in page) == keys


async def test_an_actor_that_was_only_asked_for_has_no_key(bench: Bench) -> None:
    """Loading a stream that is empty leaves nothing behind."""
    await bench.store.load("account", 1, {"nobody": None}, 10)
    assert await bench.store.keys("account", "", 10) == []


async def test_depths_counts_each_queue(bench: Bench) -> None:
    """Every queue that was asked for is there, with 0 if it is empty, and no other."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2), send_row(3, queue="other"))
        assert await bench.store.depths([QUEUE, "empty"]) == {QUEUE: 2, "empty": 0}
        assert await bench.store.depths([]) == {}


async def test_a_queue_is_known_once_somebody_ran_it(bench: Bench) -> None:
    """It stays known when nobody runs it any more."""
    assert not await bench.store.served(QUEUE)
    async with open_process(bench.store):
        pass
    assert await bench.store.served(QUEUE)
    assert not await bench.store.served("other")
