"""The runtime without one of its safeguards: what the controls run on.

A scenario proves a safeguard only if it fails without it. Each weakening below says what it has to take away,
and has a hook that does. The hook sees the database, for checks that are part of a function there, and may
patch the program, for what it does itself; see `tests/chaos/weakening.py` for both ways.

- proof: A commit proves in its own statement that the row of its partition has the number of its session, and
  that this number's lock is held; a load proves the latter. The hook takes that out of `commit_batch` and of
  loads, so that the epoch alone decides. A server that forgot gives the same epoch a second time, or still
  has the old one.
- marker: A writer's new connection looks for the marker of the last batch that was acknowledged; if it is
  missing, the server forgot, and all that is in memory is void. The hook lets the look always find it.
  Together with `proof`: each of the two may be enough for most of what happens.
- primary: Sessions are opened with `target_session_attrs=read-write` unless the URL says otherwise, and an
  error that says read-only (25006) ends the session that got it. The hook takes away both.
- timeline: Of several servers that take writes the one with the newest timeline is taken, and a session that
  finds an older one than its runtime knows is closed. The hook makes all timelines equal.
- waiting: A commit is never cancelled by request, and one that comes back with a warning is of unknown
  outcome. The hook restores the cancelling, and passes over the warning.
"""

# pyright: reportPrivateUsage=false

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
import trio
from attrs import frozen

from rolebook.runtime.contract import Stream
from rolebook.runtime.postgres import (
    Connection,
    _connection,
    _outcome,
    _session,
    _store,
    _turn_transaction,
    _writing,
)
from rolebook.runtime.postgres._markers import Markers
from rolebook.runtime.postgres._store import PostgresStore
from rolebook.runtime.postgres._whereabouts import Whereabouts
from tests.chaos.weakening import weaken
from tests.runtime.looking import Looking

Hook = Callable[[Looking, pytest.MonkeyPatch], Awaitable[None]]


async def without_proof(looking: Looking, patch: pytest.MonkeyPatch) -> None:
    """The epoch alone decides who may commit, and whatever is read is believed."""
    await weaken(looking, "session", "number")
    load = PostgresStore.load

    async def load_anywhere(self: PostgresStore, *given: Any, nonce: int | None = None) -> dict[str, Stream]:
        del nonce
        return await load(self, *given)

    patch.setattr(PostgresStore, "load", load_anywhere)


async def without_markers(looking: Looking, patch: pytest.MonkeyPatch) -> None:
    """Every server is believed to have what was acknowledged."""
    del looking
    patch.setattr(Markers, "check", _accept)


async def on_any_server(looking: Looking, patch: pytest.MonkeyPatch) -> None:
    """Sessions are opened on whatever answers, and stay there whatever it says."""
    del looking
    patch.setattr(_session, "SERVER", {})
    patch.setattr(_connection, "ends_session", _never)


async def without_timelines(looking: Looking, patch: pytest.MonkeyPatch) -> None:
    """An old primary is as good as the one that took over from it."""
    del looking
    patch.setattr(Whereabouts, "check", _accept)


async def cancelling(looking: Looking, patch: pytest.MonkeyPatch) -> None:
    """A commit that takes too long is cancelled by request, and success with a warning is success."""
    del looking

    async def execute(
        connection: Connection, statement: Any, parameters: Any = None, *, deadline: float, **options: Any
    ) -> Any:
        with trio.fail_after(deadline):
            return await connection.execute(statement, parameters, **options)

    for module in (_writing, _outcome, _turn_transaction, _store):
        patch.setattr(module, "execute_certainly", execute)


async def _accept(*_: object) -> None: ...


def _never(_: object) -> bool:
    return False


WEAKENINGS: Mapping[str, Hook] = MappingProxyType(
    {
        "proof": without_proof,
        "marker": without_markers,
        "primary": on_any_server,
        "timeline": without_timelines,
        "waiting": cancelling,
    }
)


@frozen
class Weakening:
    """Takes some safeguards away from the runtime on a bed; what a scenario is given."""

    patch: pytest.MonkeyPatch
    names: tuple[str, ...]

    async def __call__(self, looking: Looking) -> None:
        for name in self.names:
            await WEAKENINGS[name](looking, self.patch)
