"""What this process may have sent, in numbers: by them an ask knows what came before it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, final
from weakref import WeakSet

from attrs import define, field


@final
@define(eq=False)
class SendCount:
    """Numbers the occasions on which messages were, or may have been, sent to queues.

    An ask that takes the local way is held back until what was sent before it has been delivered. The number
    of the latest occasion says what "before" is; the fetcher says up to which number it has delivered.

    Attributes:
        latest: The number of the latest occasion.
        by_queue: The number of the latest on which a queue was sent to.
        anywhere: The number of the latest on which nobody knows where to.
        lent: Connections of ours that are in the hands of user code: what it sends by SQL, nobody says.
        elsewhere: Connections of callers on which they sent to a queue: nobody says when they commit.
    """

    latest: int = 0
    by_queue: dict[str, int] = field(factory=dict[str, int])
    anywhere: int = 0
    lent: int = 0
    elsewhere: dict[str, WeakSet[Any]] = field(factory=dict[str, WeakSet[Any]])
    _unseen: bool = False

    def of(self, queue: str) -> int:
        """Return the number of the latest occasion that may concern a queue."""
        return max(self.by_queue.get(queue, 0), self.anywhere)

    def sent(self, queues: Iterable[str]) -> None:
        """Messages to these queues were committed, and the fetcher is told to look."""
        self.latest += 1
        self.by_queue.update(dict.fromkeys(queues, self.latest))

    def sent_anywhere(self) -> None:
        """Messages may have been committed, to any queue: there is a look to take before the next ask."""
        self.latest += 1
        self.anywhere = self.latest
        self._unseen = True

    @contextmanager
    def lending(self) -> Generator[None]:
        """Lend a connection to user code for the length of a block."""
        self.lent += 1
        try:
            yield
        finally:
            self.lent -= 1
            self.sent_anywhere()

    def sent_elsewhere(self, queues: Iterable[str], connection: Any) -> None:
        """Messages were sent on a caller's connection, and are there when that commits."""
        for queue in queues:
            self.elsewhere.setdefault(queue, WeakSet()).add(connection)

    def take_stock(self, queue: str, has_ended: Callable[[Any], bool]) -> bool:
        """Count what may have been committed to a queue by now.

        Args:
            queue: That is about to be asked.
            has_ended: Says whether a connection's transaction is over.

        Returns:
            Whether it takes a look to see it.
        """
        if not (self.elsewhere or self.lent or self._unseen):
            return False
        if queue in self.elsewhere:
            self.sent((queue,))
            if all(map(has_ended, self.elsewhere[queue])):
                del self.elsewhere[queue]
            return True
        if self.lent:
            self.sent_anywhere()
        unseen, self._unseen = self._unseen, False
        return unseen
