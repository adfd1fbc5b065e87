"""The runtime without one of its safeguards: what the controls run on.

A scenario proves a safeguard only if it fails without it. Each weakening below says what it has to take away,
and has a hook that does. The hook sees the database, for checks that are part of a function there, and may
patch the program, for what it does itself; see `tests/chaos/weakening.py` for both ways.

A safeguard that the runtime does not have yet needs no hook: the runtime as it is is the weakened one, its
scenario is marked as failing, and its control passes. Whoever adds the safeguard removes the mark, sees the
control fail, and fills the hook: what it then undoes is what is proved.

- proof: A commit proves in its own statement that the row of its partition has the number of its session, and
  that this number's lock is held. The hook takes both conditions out of `commit_batch`, so that the epoch
  alone decides. A server that forgot gives the same epoch a second time, or still has the old one.
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

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import pytest
from attrs import frozen

from tests.runtime.looking import Looking

Hook = Callable[[Looking, pytest.MonkeyPatch], Awaitable[None]]


async def as_it_is(looking: Looking, patch: pytest.MonkeyPatch) -> None:
    """Take nothing away: the runtime lacks this safeguard."""


WEAKENINGS: Mapping[str, Hook] = MappingProxyType(
    {
        "proof": as_it_is,
        "marker": as_it_is,
        "primary": as_it_is,
        "timeline": as_it_is,
        "waiting": as_it_is,
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
