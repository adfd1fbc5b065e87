"""`rolebook run`: an app's handlers at work until a signal."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import click
import trio
from attrs import define, field

from rolebook.actors import App
from rolebook.actors.supervision import draw

from .._open import open_runtime
from .._roles import names
from .._runtime import Runtime
from .._settings import Settings
from ._apps import AppParameter
from ._fleet import MEMBER, Fleet, end_with_parent
from ._logging import LEVELS, set_up_logging
from ._where import database_options, tree_option

_log = logging.getLogger("rolebook.run")

_DEFAULTS: Final = Settings()
_STOPS: Final = {signal.SIGINT, signal.SIGTERM}
_SHOWS: Final[set[int]] = {getattr(signal, "SIGUSR1")} if hasattr(signal, "SIGUSR1") else set()  # noqa: B009 - Windows has none


@click.command(
    epilog="""\b
Examples:
  rolebook run shop.actors:app
  rolebook run shop.actors:app --database-url postgresql://me:secret@db.example/shop
  rolebook run shop.actors:app --tree tree.toml
  rolebook run shop.actors:app --only mail --only invoices
  rolebook run shop.actors:app --except web
  rolebook run shop.actors:app --processes 4
  kill -USR1 PID            prints the live supervision tree of that process
"""
)
@click.argument("app", type=AppParameter(), metavar="MODULE:APP")
@database_options
@tree_option
@click.option("--direct-url", metavar="URL", help="Past a pooler, for the sessions that it would break.")
@click.option("--only", multiple=True, metavar="NAME", help="Serve this actor, queue or child, and no other.")
@click.option("--except", "without", multiple=True, metavar="NAME", help="Serve all but this.")
@click.option(
    "--processes", type=click.IntRange(1), default=1, show_default=True, help="How many to start and keep up."
)
@click.option("--no-migrate", is_flag=True, help="Refuse an older schema instead of migrating it.")
@click.option(
    "--shutdown",
    type=click.FloatRange(0, min_open=True),
    default=_DEFAULTS.shutdown,
    show_default=True,
    metavar="SECONDS",
    help="How long the end may take, all of it.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.pass_context
def run(
    context: click.Context,
    app: App,
    *,
    database_url: str | None,
    schema: str,
    data_folder: Path | None,
    tree_file: Path | None,
    direct_url: str | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    processes: int,
    no_migrate: bool,
    shutdown: float,
    log_level: str,
) -> None:
    """Run the handlers of an app until Ctrl-C (SIGINT) or SIGTERM.

    The first signal stops it in order: nothing new begins, what has begun is finished and committed, within
    --shutdown seconds; what is not done by then is cancelled.
    A second one cancels what still runs; its messages are handled again by whoever owns them next.

    Start it as often as you like, on as many machines: the processes share the work, each with partitions of
    its own of every queue that it serves. With --only or --except a process serves some; each may be given
    several times.

    With --processes N there are N of them: one that ends is started again, signals are passed on to all, and
    the exit code is 0 if all ended in order, else the first other one. If one fails before any has worked for
    10 seconds, all end.
    """
    served = _served(app, only, without)
    set_up_logging(log_level)
    if processes > 1 and MEMBER not in os.environ:
        context.exit(trio.run(Fleet([sys.executable, *_again()], processes).run))
    end_with_parent()
    opened = open_runtime(
        app,
        database=database_url,
        direct_url=direct_url,
        settings=Settings(schema=schema, shutdown=shutdown),
        folder=data_folder,
        migrate=not no_migrate,
        tree=tree_file,
        serve=served,
    )
    context.exit(trio.run(_Running(opened, served or app.queues).until_signal))


def _served(app: App, only: Sequence[str], without: Sequence[str]) -> Sequence[str] | None:
    """Return the names of what is to be served; None for all."""
    if only and without:
        raise click.UsageError("give --only or --except, not both")
    known = names(app)
    for name in (*only, *without):
        if name not in known:
            raise click.UsageError(
                f"app {app.name!r} has nothing of the name {name!r}; it has: {', '.join(known)}"
            )
    if not without:
        return only or None
    left = [name for name in known if name not in without]
    if not left:
        raise click.UsageError("--except leaves nothing to serve")
    return left


def _again() -> Sequence[str]:
    """Return the arguments of Python that run this command once more."""
    return ["-m", "rolebook.runtime.cli", *sys.argv[1:]]


@define(eq=False)
class _Running:
    """A runtime that signals stop: the first in order, the second at once."""

    opened: AbstractAsyncContextManager[Runtime]
    runs: Sequence[str]
    _code: int = 0
    _runtime: Runtime | None = None
    _scope: trio.CancelScope = field(factory=trio.CancelScope)
    _stop: trio.Event = field(factory=trio.Event)

    async def until_signal(self) -> int:
        """Run; returns the exit code: 0 if it stopped in order, 128 + n if signal n cancelled it."""
        with trio.open_signal_receiver(*_STOPS, *_SHOWS) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._obey, signals)
                with self._scope:
                    await self._work()
                nursery.cancel_scope.cancel()
        _log.info("stopped")
        return self._code

    async def _work(self) -> None:
        async with self.opened as self._runtime:
            app = self._runtime.app
            _log.info("%s runs: %s; Ctrl-C stops it", app.name, ", ".join(self.runs) or "no queues")
            await self._stop.wait()

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number in _SHOWS:
                self._show()
                continue
            name = signal.Signals(number).name
            if self._stop.is_set() or self._runtime is None:
                _log.warning("%s: cancelled", name)
                self._code = 128 + number
                self._scope.cancel()
            else:
                _log.info("%s: stopping; a second signal cancels what still runs", name)
            self._stop.set()

    def _show(self) -> None:
        click.echo("not ready yet" if self._runtime is None else draw(self._runtime.tree.snapshot()))
