"""An app of six queues whose turns do not end, for the tests of the end of a process."""

import logging

import trio
from attrs import frozen

import rolebook as rb

log = logging.getLogger("counters")


@rb.command("counters.count")
@frozen
class Count:
    number: int


app = rb.App("counters")

QUEUES = [f"counter{number}" for number in range(6)]


def _add(name: str) -> None:
    @app.handler(name, concurrency=1)
    async def count(command: Count, turn: rb.Turn) -> None:
        async with turn.connection() as connection:
            await connection.execute("select 1")
            log.info("%s begins %d", name, command.number)
            await trio.sleep_forever()


for _name in QUEUES[:4]:  # as many as there are pooled connections by default
    _add(_name)


def _add_plain(name: str) -> None:
    @app.handler(name, concurrency=1)
    async def count(command: Count) -> None:
        log.info("%s begins %d", name, command.number)
        await trio.sleep_forever()


for _name in QUEUES[4:]:
    _add_plain(_name)
