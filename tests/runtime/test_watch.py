"""The watch over the loop: code that holds it is named while it does."""

import logging
import threading
import time

import pytest
import trio
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import MemoryStore, Settings


@rb.command("watch.sleep")
@frozen
class Sleep(rb.Command[None]):
    seconds: float


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)


@rb.actor("sleeper")
@define
class Sleeper:
    @rb.decide
    def sleep(self, command: Sleep) -> rb.Effects[None]:
        hold_the_loop(command.seconds)
        yield rb.Stop()


def make_app() -> rb.App:
    app = rb.App("watch", actors=[Sleeper])

    @app.handler("beds")
    async def bed(command: Sleep) -> None:
        await trio.lowlevel.checkpoint()
        hold_the_loop(command.seconds)

    @app.handler("threads")
    async def thread(command: Sleep, turn: rb.Turn) -> None:
        await turn.run_sync(hold_the_loop, command.seconds)

    return app


QUICK = Settings(loop_hold=0.1)


@pytest.mark.parametrize(
    ("queue", "words"), [("beds", "to beds/k) has held the loop"), ("sleeper", "a turn of k (watch.sleep,")]
)
async def test_what_holds_the_loop_is_named(queue: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the message and the stack, while it still does."""
    async with rb.open_runtime(make_app(), database=MemoryStore(), settings=QUICK) as runtime:
        if queue == "sleeper":
            await runtime.tell(Sleeper, "k", Sleep(0.6))
        else:
            await runtime.enqueue(queue, Sleep(0.6), key="k")
        await runtime.wait_idle()
        assert runtime.statistics().longest_step >= 0.6
    told = [record for record in caplog.records if record.name == "rolebook.watch"]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert words in told[0].getMessage()
    assert "hold_the_loop" in told[0].getMessage()


async def test_a_thread_holds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What runs by `turn.run_sync` lets the loop go on."""
    async with rb.open_runtime(make_app(), database=MemoryStore(), settings=QUICK) as runtime:
        await runtime.enqueue("threads", Sleep(0.6))
        await runtime.wait_idle()
    assert [record for record in caplog.records if record.name == "rolebook.watch"] == []


async def test_the_watch_ends_with_its_runtime() -> None:
    """It leaves no thread behind."""
    async with rb.open_runtime(make_app(), database=MemoryStore(), settings=QUICK):
        (watcher,) = [each for each in threading.enumerate() if each.name == "rolebook loop watch"]
    watcher.join(5)
    assert not watcher.is_alive()
