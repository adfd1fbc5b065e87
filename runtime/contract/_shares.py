"""Who owns how many partitions of a queue, and which ones change hands. Pure.

Of P partitions and n members each has P // n, and the oldest P % n have one more. Whoever has more gives
some back, whoever has less takes some that nobody owns. So nothing moves while nobody comes or goes, and
who joins gets a few from each. A member acts on what it saw last: with an old view it may take too many, and
gives them back when it looks again.

What a process owns is read by runs of partitions with a lane each, so few runs are better than many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import final

from attrs import frozen


@final
@frozen
class Member:
    """A process that serves queues, as another sees it.

    Attributes:
        life: The number of the process: another for each time it is started.
        process: Its name.
        queues: What it serves.
    """

    life: int
    process: str
    queues: frozenset[str]


@final
@frozen
class Vacancy:
    """A partition that nobody owns.

    Attributes:
        lost: The number of the session that had it, if that broke and its process may come back for it.
    """

    queue: str
    partition: int
    lost: int | None = None


def share(partitions: int, members: Sequence[Member], queue: str, life: int) -> int:
    """Return how many partitions of a queue a process should own.

    Args:
        partitions: How many the queue has.
        members: Oldest first.
        queue: Which queue.
        life: Of the process in question; one that does not serve the queue should own none.
    """
    serving = [member.life for member in members if queue in member.queues]
    if life not in serving:
        return 0
    each, rest = divmod(partitions, len(serving))
    return each + (serving.index(life) < rest)


def to_give(held: Collection[int], wanted: int) -> set[int]:
    """Choose what to give back of some partitions, so that few runs are left and few are given.

    Args:
        held: What is owned.
        wanted: How many may stay.
    """
    given = set[int]()
    left = runs(held)
    while (excess := len(held) - len(given) - wanted) > 0:
        fitting = [run for run in left if len(run) <= excess]
        # Whole runs, the largest that fit; then the end of the smallest of those that are too large.
        run = max(fitting, key=len) if fitting else min(left, key=len)
        given.update(run[-excess:])
        left.remove(run)
    return given


def to_take(free: Collection[int], held: Collection[int], wanted: int) -> list[int]:
    """Choose what to take of the partitions that nobody owns: next to what is held, then the longest runs.

    Args:
        free: What nobody owns.
        held: What is owned already.
        wanted: How many there should be in the end.
    """
    room = wanted - len(held)
    if room <= 0:
        return []
    owned = frozenset(held)
    chosen: list[int] = []
    for run in sorted(runs(free), key=lambda run: (not _touches(run, owned), -len(run), run.start)):
        missing = room - len(chosen)
        if missing == 0:
            break
        follows = run.start - 1 in owned or run.stop not in owned
        chosen.extend(run[:missing] if follows else run[-missing:])
    return sorted(chosen)


def runs(partitions: Iterable[int]) -> list[range]:
    """Return partitions as runs without a gap, in order."""
    ordered = sorted(partitions)
    if not ordered:
        return []
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after != before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after != before + 1), ordered[-1]]
    return [range(start, end + 1) for start, end in zip(starts, ends, strict=True)]


def _touches(run: range, owned: frozenset[int]) -> bool:
    return run.start - 1 in owned or run.stop in owned
