"""The lines of a queue's keys: what is next, what waits, and what is read again. Pure: no channel, no await.

What belongs to one key begins one at a time, in order. Both handlers drive these lines: they say what
happened, and are told what may begin, how much room is free again, and which key is to be read again.

Their states are in `_line_states`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeAlias, final

from attrs import define, field

from ..contract import Lineage, Message
from ..system import LocalAsk, Page
from ._life_cycle import after
from ._line_states import (
    ASIDE,
    BEGIN,
    BUSY,
    CAUGHT_UP,
    CLOSE,
    DROP,
    END,
    FORGET,
    FREE,
    HELD,
    HOLD,
    PUT_OFF,
    READ,
    RELEASE,
    REOPEN,
    REREADING,
    SPILL_STEPS,
    STEPS,
    WHOLE,
    WITHDRAW,
    Spill,
    SpillStep,
    State,
    Step,
)

Work: TypeAlias = Message | LocalAsk


@final
@define(eq=False)
class Line:
    """What is in memory of one key.

    Attributes:
        state: What becomes of its first.
        spill: Whether some of it was dropped from memory.
        first: What is held; None in every other state.
        waiting: What has not begun, in order.
        again: What was not committed and has to begin again, in order, before what waits.
        uncommitted: How many of its outcomes are with the writer.
        lineage: What began in the same life of the key builds on each other, and falls together.
        reading: The number of its latest reading.
        asks: Asks that came after messages that were dropped: those come in again first.
        is_unloaded: What is held was dropped too, but for its place: it comes in again as well.
    """

    key: str
    state: State = FREE
    spill: Spill = WHOLE
    first: Work | None = None
    waiting: deque[Work] = field(factory=deque[Work])
    again: Sequence[Work] = ()
    uncommitted: int = 0
    lineage: Lineage = field(factory=Lineage)
    reading: int = 0
    asks: Sequence[LocalAsk] = ()
    is_unloaded: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost if it were forgotten now."""
        return self.state is FREE and not self.waiting and not self.uncommitted and self.spill is WHOLE

    def expects(self, page: Page) -> bool:
        """Whether a page's messages follow those of the line.

        Not if some in between were dropped; and of a reading only the latest counts: an earlier one of the
        same key may have pages under way when another begins.
        """
        if page.key is None:
            return self.spill is WHOLE
        return self.spill is REREADING and self.reading == page.number

    def everything(self) -> Iterable[Work]:
        """What it holds that is not in work."""
        return (*([] if self.first is None else [self.first]), *self.again, *self.waiting, *self.asks)

    @property
    def is_asked(self) -> bool:
        """Whether somebody of this process waits for an answer that has not begun."""
        return any(isinstance(work, LocalAsk) for work in (*self.again, *self.waiting))

    def forget_given_up(self) -> None:
        """Let go of asks that nobody waits for any more: a held line may be asked again and again."""
        self.waiting = deque(
            work for work in self.waiting if isinstance(work, Message) or not work.promise.given_up
        )
        self.asks = tuple(ask for ask in self.asks if not ask.promise.given_up)

    def step(self, step: Step) -> None:
        """Change the state; written out, and not by `after`, because every message passes here twice."""
        try:
            self.state = STEPS[step][self.state]
        except KeyError:
            self.state = after(STEPS, step, self.state, f"the line of key {self.key!r}")

    def spill_step(self, step: SpillStep) -> None:
        """Change how far the dropped messages are."""
        self.spill = after(SPILL_STEPS, step, self.spill, f"what was dropped of key {self.key!r}")


@final
@define(eq=False)
class KeyLines:
    """Moves the lines of one queue, and keeps account of the room their messages take.

    A message takes up room from its page until it is done with; what a held line keeps takes up none.

    Attributes:
        blocked_capacity: Messages that a held line keeps in memory, its first included.
        mailbox_capacity: Messages that all held lines keep together, beyond the first of each.
        mailbox_bytes: Bytes of messages that all held lines keep together.
        freed: Room to give back to the fetcher.
        freed_bytes: The same in bytes.
        held: Messages that take up no room.
        held_bytes: Their bytes.
    """

    blocked_capacity: int
    mailbox_capacity: int
    mailbox_bytes: int
    freed: int = 0
    freed_bytes: int = 0
    held: int = 0
    held_bytes: int = 0

    # ---- what comes in ----

    def arrived(self, line: Line, message: Message, page: Page, *, ready: bool = True) -> bool:
        """A message has come; say whether it begins now.

        Args:
            line: Of its key.
            message: What has come.
            page: With which page.
            ready: Whether anything of this line can begin at present.
        """
        # The usual page is looked at here: a call for each message is felt.
        if not (page.key is None and line.spill is WHOLE) and not line.expects(page):
            self.done_with(message)  # it is still in the mailbox, and comes again when the key is read again
            return False
        return self._line_up(line, message, ready)

    def asked(self, line: Line, ask: LocalAsk, *, ready: bool) -> bool:
        """An ask has come; say whether it begins now. It waits for dropped messages: they came before it."""
        if line.spill is not WHOLE:
            line.asks = (*line.asks, ask)
            return False
        return self._line_up(line, ask, ready)

    def _line_up(self, line: Line, work: Work, ready: bool) -> bool:  # noqa: FBT001 - once for each message
        # What has to begin again was there before: it is not overtaken, although nothing is in work.
        if ready and line.state is FREE and not line.waiting and not line.again:
            line.step(BEGIN)
            return True
        line.waiting.append(work)
        if line.state is HELD:
            self._make_room(line, (work,))
        return False

    def reading_ended(self, line: Line, number: int) -> Sequence[LocalAsk]:
        """A key has been read again to its end; return the asks that waited for that."""
        if line.spill is not REREADING or line.reading != number:
            return ()
        line.spill_step(CAUGHT_UP)
        asks, line.asks = line.asks, ()
        return asks

    # ---- what becomes of the first ----

    def begin_next(self, line: Line) -> Work | None:
        """Begin with the next, if nothing is in work: return it."""
        if line.state is not FREE or line.again or not line.waiting:
            return None
        line.step(BEGIN)
        return line.waiting.popleft()

    def ended(self, line: Line) -> None:
        """The first is no longer in work, and the writer has nothing of it: the next may begin."""
        line.step(END)
        self._put_back(line)

    def handed_over(self, line: Line) -> None:
        """The first is no longer in work; its outcome is with the writer.

        The next may begin before that is committed: the writer commits in the order in which it is given.
        """
        line.step(END)
        line.uncommitted += 1

    def noted(self, line: Line) -> None:
        """Something else about the key is with the writer."""
        line.uncommitted += 1

    def put_off(self, line: Line, work: Work) -> None:
        """The first could not begin yet."""
        line.step(PUT_OFF)
        line.waiting.appendleft(work)
        self._put_back(line)

    def hold(self, line: Line, message: Message) -> bool:
        """The first failed, and keeps its place until it is released; say whether it is held.

        It is not if something before it fell while it was in work: that begins first.
        """
        line.step(HOLD)
        line.first = message
        self._put_back(line)
        if line.state is not HELD:
            return False
        self._make_room(line, (message, *line.waiting))
        return True

    def release(self, line: Line) -> Message:
        """The one that is held may begin."""
        line.step(RELEASE)
        first, line.first = line.first, None
        assert isinstance(first, Message)  # an ask is never held
        first.wait = None
        if line.is_unloaded:
            line.is_unloaded = False
            self.done_with(first)  # it comes in again
        else:
            line.waiting.appendleft(first)
        return first

    def withdraw(self, line: Line, work: Work) -> bool:
        """That this one failed was not stored: it is not held for that, nor released. Say if it was held."""
        if work in line.waiting:
            line.waiting.remove(work)
        if line.first is not work:
            return False
        line.step(WITHDRAW)
        line.first = None
        return True

    # ---- verdicts ----

    def settled(self, line: Line) -> None:
        """The writer has given a verdict: what it was about is done with, kept, or begins again."""
        line.uncommitted -= 1
        if line.again:
            self._put_back(line)
        if self.held_bytes > self.mailbox_bytes and line.state is HELD:
            self._make_room(line, ())

    def begin_again(self, line: Line, work: Work) -> None:
        """This one was not committed: it begins again, before what waits.

        Not at once: others of the key may come back as well, and are put back together, in their old order.
        """
        if work not in line.again:
            line.again = (*line.again, work)

    def fell(self, line: Line) -> None:
        """Something was not committed: what begins from now on does not build on it, nor falls with it."""
        line.lineage = Lineage()

    def _put_back(self, line: Line) -> None:
        # Not while something is in work: it stands behind what comes back, and may have to be held behind it.
        if not line.again or line.uncommitted or line.state is BUSY:
            return
        if line.first is not None:
            # It was behind what comes back, too. It keeps its `wait`, and is held again when it begins.
            line.step(RELEASE)
            line.waiting.appendleft(line.first)
            line.first = None
        line.waiting.extendleft(reversed(line.again))
        line.again = ()

    def reread(self, line: Line) -> int | None:
        """Return the number of the reading to ask for, once messages were dropped and the line is empty.

        Not before: a message that is in memory, or handled and not committed, would come a second time.
        """
        if line.spill is not ASIDE or line.state is not FREE or line.waiting or line.uncommitted:
            return None
        line.spill_step(READ)
        line.reading += 1
        return line.reading

    # ---- closing, leaving ----

    def close(self, line: Line) -> list[Work]:
        """Nothing of this key can be handled; return what waited. Its messages are still in the mailbox."""
        line.step(CLOSE)
        line.spill_step(FORGET)
        waited = [*line.waiting, *line.asks]
        line.waiting.clear()
        line.asks = ()
        return waited

    def reopen(self, line: Line) -> None:
        """It may be tried again: what came meanwhile has to be read."""
        line.step(REOPEN)
        line.spill_step(DROP)

    def leave(self, line: Line) -> list[Work]:
        """The key goes to another process: forget what is not in work, and return it.

        What is in work, or with the writer, is settled as ever; nothing of it may begin again.
        """
        left = list(line.everything())
        for work in left:
            if isinstance(work, Message):
                self.done_with(work)
        if line.first is not None:
            line.step(WITHDRAW)
            line.first = None
        line.waiting.clear()
        line.again = line.asks = ()
        line.spill_step(FORGET)
        return left

    # ---- room ----

    def done_with(self, message: Message) -> None:
        """Forget a message: it is handled, or will come again."""
        if message.trial is not None:
            message.trial.done(message.id)
        if message.counted:
            self.freed += 1
            self.freed_bytes += message.size
        else:
            self.held -= 1
            self.held_bytes -= message.size

    def take_freed(self) -> tuple[int, int]:
        """Return the room that is free again, in messages and in bytes; it is given back once."""
        freed = (self.freed, self.freed_bytes)
        self.freed = self.freed_bytes = 0
        return freed

    def _make_room(self, line: Line, newly: Iterable[Work]) -> None:
        """Let what a held line keeps take up no room, and drop what is beyond the bounds.

        With many lines held each keeps its first only: what they keep together is bounded by their number
        and the mailbox's capacity.
        """
        for work in newly:
            if isinstance(work, Message) and work.counted:
                if work.trial is not None:
                    work.trial.hold(work.id)
                work.counted = False
                self.freed += 1
                self.freed_bytes += work.size
                self.held += 1
                self.held_bytes += work.size
        while line.waiting and (
            len(line.waiting) >= self.blocked_capacity
            or self.held > self.mailbox_capacity
            or self.held_bytes > self.mailbox_bytes
        ):
            # From the end: what is dropped must be behind everything that is kept, or it would be overtaken.
            work = line.waiting.pop()
            line.spill_step(DROP)
            if isinstance(work, Message):
                self.done_with(work)
            else:
                line.asks = (work, *line.asks)
        if self.held_bytes > self.mailbox_bytes:
            self._unload_first(line)

    def _unload_first(self, line: Line) -> None:
        """Drop the texts of what is held, which is stored as it is: of many keys, they are many bytes.

        Not while something of the key is with the writer, which may come back before it; nor what is on
        trial, which is not to come in again without; nor what the database refused, which says nothing of it.
        """
        first = line.first
        if line.uncommitted or not isinstance(first, Message) or not first.size:
            return
        if first.trial is not None or first.refusals:
            return
        self.held_bytes -= first.size
        first.payload, first.headers, first.size = "", None, 0
        line.is_unloaded = True
        line.spill_step(DROP)
