"""The markers of a process: what a server must have that has forgotten nothing."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import pytest
import trio

from rolebook.runtime.contract import Committed, ServerForgot
from rolebook.runtime.postgres import Connection
from rolebook.runtime.postgres._markers import Claims, Marker, Markers
from rolebook.runtime.postgres._statements import Statements
from tests.stores import execute, finished, open_postgres_bench
from tests.waiting import eventually

STATEMENTS = Statements("rolebook")


@pytest.mark.parametrize(
    ("present", "holds"),
    [({1, 2}, True), ({1, 3}, True), ({1, 2, 3}, True), ({1}, False), ({2, 3}, False), (set[int](), False)],
)
def test_what_a_server_must_have(present: set[int], *, holds: bool) -> None:
    """What was acknowledged; and of a commit under way itself, or what it would delete."""
    under_way = Marker(Markers().writer, 3, 0.0, forget=(2,))
    assert holds is Claims([1], [under_way]).hold(present)


async def test_two_that_find_out_at_once_begin_anew_once(migrated_url: str) -> None:
    """Both hear of the same loss, which is announced once: what commits in between is not forgotten."""
    announced, heard = list[ServerForgot](), list[ServerForgot]()
    markers = Markers(announce=announced.append)
    markers.settle(markers.new(), [finished()])

    async def check(connection: Connection) -> None:
        with pytest.raises(ServerForgot) as caught:
            await markers.check(connection, STATEMENTS)
        heard.append(caught.value)

    async with open_postgres_bench(migrated_url) as bench:
        blocker, admin = await bench.connect("blocker"), await bench.connect("admin")
        one, two = await bench.connect("one"), await bench.connect("two")
        await execute(blocker, "begin")
        await execute(blocker, "lock table rolebook.commits in access exclusive mode")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(check, one)
            nursery.start_soon(check, two)

            async def both_wait() -> bool:
                waiting = "select count(*) = 2 from pg_locks where not granted"
                return await execute(admin, waiting) == [(True,)]

            await eventually(both_wait)
            await execute(blocker, "commit")
    assert [1] == [each.commits for each in announced]
    assert announced * 2 == heard


async def test_after_a_server_forgot_the_writer_goes_elsewhere(migrated_url: str) -> None:
    """Its connection may lead to a server that was left, where what it commits is missed again and again."""
    async with open_postgres_bench(migrated_url) as bench, bench.store.open_write_session() as writer:
        await writer.commit([finished()], [], None)
        admin = await bench.connect("admin")
        backends = "select pid from pg_stat_activity where application_name like '% writer' order by pid"
        before = await execute(admin, backends)
        await execute(admin, "delete from rolebook.commits")
        with pytest.raises(ServerForgot):
            async with bench.store.open_fetch_session("one", 1):
                pass
        assert Committed() == await writer.commit([finished()], [], None)
        assert writer._connection is not None
        assert [(writer._connection.info.backend_pid,)] != before
        async with bench.store.open_fetch_session("one", 1):
            pass  # what it has committed is there
