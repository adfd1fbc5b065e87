"""A commit too large for its deadline: of a slow server it is divided, over a slow link it goes on."""

from __future__ import annotations

import trio
from attrs import evolve, frozen
from psycopg.conninfo import make_conninfo

import rolebook as rb
from tests.proxy import open_proxy
from tests.runtime.apps import Note
from tests.runtime.looking import Looking
from tests.waiting import WITHIN

DEADLINE = 1.0
SETTINGS = rb.Settings(command_deadline=DEADLINE, backoff=rb.Backoff(first=0.01, cap=0.1))


@rb.command("slow.parcel")
@frozen
class Parcel:
    """Something large."""

    number: int
    content: str


def notes() -> tuple[rb.App, list[int]]:
    """An app that keeps the number of each of its messages."""
    app, numbers = rb.App("app"), list[int]()

    @app.handler("mail")
    async def mail(command: Note | Parcel) -> None:
        numbers.append(command.number)

    return app, numbers


async def test_what_a_server_cannot_commit_in_time_is_divided(database_url: str, looking: Looking) -> None:
    """A hundred sends that take three deadlines together: each is committed once, in smaller batches."""
    app, numbers = notes()
    # The server gives up soon what nobody waits for any more: else it commits late, and that is found.
    url = make_conninfo(database_url, options="-c client_connection_check_interval=200")
    async with rb.open_runtime(app, database=url, settings=SETTINGS) as runtime:
        await looking.do(
            "create function slow() returns trigger language plpgsql as "
            "$$ begin perform pg_sleep(0.03); return new; end $$; "
            "create trigger slow before insert on rolebook.messages for each row execute function slow()"
        )
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(runtime.enqueue, "mail", Note(number))
            await runtime.wait_idle()
    assert list(range(100)) == sorted(numbers)


async def test_what_a_link_takes_long_for_goes_on(database_url: str) -> None:
    """One commit that takes three deadlines to send, and a small one behind it."""
    app, numbers = notes()
    slow = evolve(SETTINGS, command_deadline=2 * DEADLINE)
    parcel = "x" * 500_000
    async with (
        open_proxy(database_url, rate=4_000_000) as proxy,
        rb.open_runtime(app, database=proxy.url, settings=slow) as runtime,
    ):
        began = trio.current_time()
        with trio.fail_after(WITHIN):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(runtime.send, *(rb.Enqueue("mail", Parcel(n, parcel)) for n in range(48)))
                nursery.start_soon(runtime.enqueue, "mail", Note(48))
            assert trio.current_time() - began > 2 * slow.command_deadline
            await runtime.wait_idle()
    assert list(range(49)) == sorted(numbers)
