"""The lines of a queue's keys: messages of one key begin one at a time, in order.

A key whose message waits for a retry is blocked: it keeps a bounded number of
messages behind it in memory, which take up no room of the mailbox, so that
other keys can go on. What is beyond the bound is set aside, and read again
from the mailbox when the line is empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from attrs import define, field

from ._resident import Spill
from ._rows import Message
from ._settings import Settings
from ._signals import Page, Reread


@define(eq=False)
class Line:
    """One key.

    Attributes:
        waiting: Its messages that have not begun.
        busy: Whether one is about to begin, in work, or waits for its retry.
        blocked: Whether one waits for its retry.
        reading: Which reading of its set-aside messages is under way.
    """

    waiting: deque[Message] = field(factory=deque[Message])
    busy: bool = True
    blocked: bool = False
    spill: Spill = Spill.NONE
    reading: int = 0

    def expects(self, page: Page) -> bool:
        """Whether a page's messages follow those in line: not if some in between were set aside."""
        if page.key is None:
            return self.spill is Spill.NONE
        return self.spill is Spill.REREADING and self.reading == page.number


@define(eq=False)
class Lines:
    """The keys of one queue that have something in memory.

    Attributes:
        freed: Room to give back to the fetcher.
        held: Messages that blocked keys hold: they take up no room.
    """

    settings: Settings
    freed: int = 0
    held: int = 0
    _by_key: dict[str, Line] = field(factory=dict[str, Line])
    _uncommitted: dict[str, int] = field(factory=dict[str, int])

    def __len__(self) -> int:
        return sum(len(line.waiting) for line in self._by_key.values())

    def take(self, message: Message, page: Page) -> bool:
        """Take a message in; say whether it may begin now."""
        if message.key is None:
            return True
        line = self._by_key.get(message.key)
        if line is None and page.key is None:
            self._by_key[message.key] = Line()
            return True
        if line is None or not line.expects(page):
            self.done_with(message)
            return False
        if not line.busy:
            line.busy = True
            return True
        line.waiting.append(message)
        if line.blocked:
            self._make_room(line, (message,))
        return False

    def end_reading(self, key: str, number: int) -> None:
        """The messages that were set aside have all come in again."""
        line = self._by_key.get(key)
        if line is not None and line.spill is Spill.REREADING and line.reading == number:
            line.spill = Spill.NONE
            if not line.busy:
                del self._by_key[key]

    def hold(self, message: Message) -> None:
        """A message that was in work waits for its retry, at the head of its line."""
        assert message.key is not None
        line = self._by_key.setdefault(message.key, Line())
        line.busy = line.blocked = True
        self._make_room(line, (message, *line.waiting))

    def put_back(self, message: Message) -> bool:
        """Put a message that was not committed back to the head; say whether it may begin at once."""
        if message.key is None:
            return True
        line = self._by_key.setdefault(message.key, Line(busy=False))
        if line.busy:
            line.waiting.appendleft(message)
            return False
        line.busy = True
        return True

    def next_of(self, message: Message) -> Message | None:
        """A message is no longer in work: return the next of its key, or None if there is none in memory."""
        line = None if message.key is None else self._by_key.get(message.key)
        if line is None or message.key is None:
            return None
        line.blocked = False
        if line.waiting:
            return line.waiting.popleft()
        line.busy = False
        if line.spill is Spill.NONE:
            del self._by_key[message.key]
        return None

    def handed_over(self, message: Message) -> None:
        """What became of a message is with the writer."""
        if message.key is not None:
            self._uncommitted[message.key] = self._uncommitted.get(message.key, 0) + 1

    def settled(self, message: Message) -> None:
        """The writer has given its verdict."""
        if message.key is not None:
            left = self._uncommitted.pop(message.key, 1) - 1
            if left:
                self._uncommitted[message.key] = left

    def rereading(self, message: Message) -> Reread | None:
        """Return how to get at the messages of a key that were set aside, once that can be done.

        Not while one of its messages is in memory, or handled and not committed:
        it would come a second time.
        """
        key = message.key
        line = None if key is None else self._by_key.get(key)
        if key is None or line is None or line.spill is not Spill.ASIDE:
            return None
        if line.busy or line.waiting or key in self._uncommitted:
            return None
        line.spill = Spill.REREADING
        line.reading += 1
        return Reread(message.queue, key, message.partition, line.reading)

    def done_with(self, message: Message) -> None:
        """Forget a message: it is handled, or will come again."""
        if message.counted:
            self.freed += 1
        else:
            self.held -= 1

    def clear(self) -> None:
        """Forget everything that has not begun."""
        self._by_key.clear()

    def _make_room(self, line: Line, newly: Iterable[Message]) -> None:
        for message in newly:
            if message.counted:
                message.counted = False
                self.freed += 1
                self.held += 1
        settings = self.settings
        while line.waiting and (
            len(line.waiting) >= settings.blocked_capacity or self.held > settings.mailbox_capacity
        ):
            line.spill = Spill.ASIDE
            self.done_with(line.waiting.pop())
