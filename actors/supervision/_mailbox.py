"""How a child shows how full its mailbox is."""

from collections.abc import Callable
from typing import TypeAlias, final

import attrs
import trio


@final
@attrs.frozen
class MailboxStatistics:
    """How full a mailbox is.

    Args:
        depth: Messages that wait now.
        peak: The most that ever waited.
        capacity: The most that can wait; infinite if there is no bound.
    """

    depth: int
    peak: int
    capacity: float = float("inf")


MailboxGauge: TypeAlias = Callable[[], MailboxStatistics | trio.MemoryChannelStatistics]


def read_gauge(gauge: MailboxGauge, peak: int) -> MailboxStatistics:
    """Read a mailbox, whichever way it tells.

    A Trio memory channel does not know its peak: there it is the greatest depth that a snapshot has seen.

    Args:
        gauge: The child's.
        peak: The greatest depth seen so far.
    """
    read = gauge()
    if isinstance(read, MailboxStatistics):
        return read
    depth = read.current_buffer_used
    return MailboxStatistics(depth, max(peak, depth), read.max_buffer_size)
