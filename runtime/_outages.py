"""What the log says when the parts of a runtime fail: the story of an outage, and tracebacks of bugs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import cast, final

import psycopg
import trio
from attrs import define, field

from rolebook.actors import RolebookError
from rolebook.actors.supervision import ChildFailed

from ._story import PATIENCE, Attempt, Story, Trouble
from .contract import line_of
from .postgres import DatabaseError, Fault, fault_of

_log = logging.getLogger("rolebook.supervision")

_OUTSIDE = {Fault.SERVER, Fault.SESSION, Fault.CONTENTION, Fault.UNKNOWN}
"""What the server, the way to it or others are to blame for: it is no bug, and passes."""


@final
@define(eq=False)
class Outages:
    """Tells of the failures of all parts of one runtime: a `Teller`, and what its store has for `Troubles`.

    Each attempt is a line with its reason, whole, and the pause that follows. A traceback comes with what
    may be a bug, and with the first of its kind only.
    """

    _story: Story = field(factory=Story)
    _quiet: dict[str, float] = field(factory=dict[str, float])
    _waiting: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    def failed(self, failure: ChildFailed, delay: float | None) -> bool:
        """Tell of a failure, unless another part has told the same."""
        self._tell(failure.path, failure.exceptions[0], failure.at, delay)
        return True

    def met(self, part: str, error: Exception, delay: float) -> None:
        """Tell of what a part tries again by itself, likewise; of several tasks of it, one for all."""
        now = trio.current_time()
        if now >= self._quiet.get(part, now):
            self._quiet[part] = now + max(delay, PATIENCE)
            self._tell(part, error, now, delay)

    async def wait(self, seconds: float) -> None:
        """Wait; until some part runs again at most, for then the others may try as well."""
        with trio.move_on_after(seconds):
            await self._waiting.park()

    def _tell(self, part: str, error: Exception, at: float, delay: float | None) -> None:
        trouble = trouble_of(error)
        attempt = self._story.failed(part, trouble, at, delay or 0.0)
        if attempt is not None:
            _say(part, error, trouble, attempt, delay)

    def overcome(self, part: str) -> None:
        """Say that it is over, once nobody fails any more."""
        self.recovered(part)

    def gave_up(self, part: str) -> None:
        """A part tries no more: that is no end of the trouble, nor does anybody wait for it."""
        self._story.left(part)

    def recovered(self, path: str) -> None:
        """Say that it is over, once nobody fails any more."""
        if not self._story.is_about(path):
            return
        self._quiet.pop(path, None)
        self._waiting.unpark_all()
        end = self._story.recovered(path, trio.current_time())
        if end is not None:
            what = "the database is back" if end.was_outage else "all parts run again"
            times = "1 attempt" if end.attempts == 1 else f"{end.attempts} attempts"
            _log.warning("%s after %.1f s, %s", what, end.seconds, times)


def _say(part: str, error: Exception, trouble: Trouble, attempt: Attempt, delay: float | None) -> None:
    again = "" if delay is None else f"; trying again in {delay:.1f} s"
    _log.log(
        logging.ERROR if attempt.is_news else logging.WARNING,
        "%s failed, attempt %d: %s%s",
        part,
        attempt.number,
        trouble.text,
        again,
        exc_info=error if attempt.is_news and not trouble.is_outage else None,
    )


def trouble_of(error: Exception) -> Trouble:
    """Read an error: the whole reason in one line, and whether it is one of the outside world."""
    leaves = list(_leaves(error))
    text = "; ".join(dict.fromkeys(map(_text, leaves)))
    # Who holds a connection, and for how many seconds: a number makes no other reason.
    return Trouble(text, all(map(_is_outage, leaves)), kind=re.sub("[0-9.]*[0-9]", "", text))


def _text(error: Exception) -> str:
    if isinstance(error, DatabaseError):
        return error.line
    if isinstance(error, trio.TooSlowError):
        return (
            "the database did not answer in time: it is away or slow, or somebody holds a lock"
            " (Settings.command_deadline)"
        )
    if isinstance(error, RolebookError):
        return " ".join(str(error).split())
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        # Not the context: that is the text of our own statements.
        said = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
        return f"{type(error).__name__}: {' '.join(' '.join(each.split()) for each in said if each)}"
    return line_of(error)


def _is_outage(error: Exception) -> bool:
    if isinstance(error, RolebookError):
        # One that wraps what somebody else raised is as good as that.
        return error.__cause__ is None or isinstance(error, DatabaseError)
    return fault_of(error) in _OUTSIDE


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in cast("ExceptionGroup[Exception]", error).exceptions:
        yield from _leaves(inner)
