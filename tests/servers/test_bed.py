"""The bed itself does what the scenarios count on."""

import psycopg
import pytest
import trio

from rolebook.runtime.postgres.embedded import find_binaries
from tests.waiting import eventually

from .cluster import aside, open_cluster
from .installation import NEEDED
from .server import FORGETFUL


async def test_a_standby_follows() -> None:
    """A standby shows what its primary wrote, and refuses to write."""
    async with open_cluster() as bed:
        await aside(bed.a.ask, "create table noted as select 1 as number")
        await bed.caught_up(bed.b, bed.a)
        assert await aside(bed.b.value, "select number from noted") == 1
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await aside(bed.b.ask, "insert into noted values (2)")


async def test_a_forgetful_server_forgets_what_it_acknowledged() -> None:
    """Killed within its ten seconds, it has nothing of what it acknowledged, and is the same server."""
    async with open_cluster(FORGETFUL, standby=False) as bed:
        who = "select system_identifier, timeline_id from pg_control_system(), pg_control_checkpoint()"
        before = await aside(bed.a.ask, who)
        await aside(bed.a.ask, "create sequence noted")
        await aside(bed.a.kill)
        await aside(bed.a.start)
        assert await aside(bed.a.value, "select to_regclass('noted')") is None
        assert await aside(bed.a.ask, who) == before


async def test_a_killed_backend_takes_the_whole_server_with_it() -> None:
    """SIGKILL of one backend ends every session, and the server comes back without being started."""
    async with open_cluster(FORGETFUL, standby=False) as bed:
        await aside(bed.a.ask, "create sequence noted")
        with psycopg.connect(bed.a.url, application_name="victim") as victim:
            with psycopg.connect(bed.a.url) as bystander:
                await aside(bed.a.kill_backend, "victim")
                with pytest.raises(psycopg.OperationalError):
                    await aside(lambda: bystander.execute("select pg_sleep(30)"))
            victim.close()
        await bed.returned(bed.a)
        assert await aside(bed.a.value, "select to_regclass('noted')") is None


async def test_a_standby_that_was_cut_off_lacks_a_suffix() -> None:
    """What the primary acknowledged after the cut is not on the standby that takes its place."""
    async with open_cluster() as bed:
        await aside(bed.a.ask, "create table noted as select 1 as number")
        await bed.caught_up(bed.b, bed.a)
        await bed.cut(bed.b)
        await aside(bed.a.ask, "insert into noted values (2)")
        await aside(bed.a.kill)
        await bed.replace(bed.b)
        assert await aside(bed.b.value, "select max(number) from noted") == 1
        assert await aside(bed.b.timeline) == 2


async def test_two_primaries_at_once() -> None:
    """The old primary can come back as it was, beside the new one; both take writes."""
    async with open_cluster() as bed:
        await bed.caught_up(bed.b, bed.a)
        await aside(bed.a.kill)
        await bed.replace(bed.b)
        await aside(bed.a.start)
        for server in bed.servers:
            await aside(server.ask, "create table noted as select 1")
        assert [1, 2] == [await aside(server.timeline) for server in bed.servers]


async def test_the_old_primary_returns_as_a_standby() -> None:
    """A rewound primary follows the new one, without what only it had."""
    async with open_cluster() as bed:
        await bed.cut(bed.b)
        await aside(bed.a.ask, "create table lost as select 1")
        await aside(bed.a.kill)
        await bed.replace(bed.b)
        await bed.return_as_standby(bed.a, bed.b)
        await aside(bed.b.ask, "create table kept as select 1")
        await bed.caught_up(bed.a, bed.b)
        assert await aside(bed.a.value, "select to_regclass('lost')") is None
        assert await aside(bed.a.value, "select to_regclass('kept')") == "kept"


async def test_a_synchronous_commit_waits_for_the_standby() -> None:
    """Without its synchronous standby no commit is acknowledged; with it, all are there."""
    async with open_cluster(synchronous=True) as bed:
        await aside(bed.a.ask, "create table noted as select 1 as number")
        await bed.cut(bed.b)
        with psycopg.connect(bed.a.url, autocommit=True) as connection:
            notices: list[str | None] = []
            connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(aside, lambda: connection.execute("insert into noted values (2)"))
                waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
                await eventually(lambda: aside(bed.a.value, waits))
                connection.cancel_safe()
        assert notices == ["canceling wait for synchronous replication due to user request"]
        await bed.mend(bed.b, bed.a)
        await bed.caught_up(bed.b, bed.a)
        assert await aside(bed.b.value, "select max(number) from noted") == 2


async def test_a_frozen_server_answers_nobody() -> None:
    """A frozen server takes a connection and says nothing; woken, it goes on."""
    async with open_cluster(standby=False) as bed:
        await aside(bed.a.freeze)
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            await aside(lambda: psycopg.connect(bed.a.url, connect_timeout=2))
        await aside(bed.a.wake)
        assert await aside(bed.a.value, "select 1") == 1


def test_what_the_bed_needs_is_there() -> None:
    """The programs that are found have all that the bed runs."""
    folder = find_binaries().folder
    assert [name for name in NEEDED if not (folder / name).exists()] == []
