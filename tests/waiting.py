"""Waiting for a condition that nobody announces.

Most waits in these tests are for an event, a reply or `wait_idle`. What only the database knows (a session
that ended, a lock that was freed, a row that another process wrote) sends no event to the test, so it has to
be asked for again and again. That happens here and nowhere else, always with a deadline.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

WITHIN = 60.0
"""Seconds after which a condition counts as never met: far beyond what it takes on a busy machine."""

_BREATH = 0.01
# Without it the loop would take the processor from what it waits for. No test depends on its length.


async def eventually(condition: Callable[[], object], *, within: float = WITHIN) -> None:
    """Ask until the answer is true.

    Args:
        condition: A function, async or not; it usually asks the database.
        within: Seconds.

    Raises:
        AssertionError: The time is up; with the last answer.
    """
    deadline = trio.current_time() + within
    while True:
        found: Any = condition()
        pending: Any = found
        answer: Any = await pending if isinstance(found, Awaitable) else found
        if answer:
            return
        if trio.current_time() > deadline:
            raise AssertionError(f"not within {within:g} s; the last answer was {answer!r}")
        await trio.sleep(_BREATH)
