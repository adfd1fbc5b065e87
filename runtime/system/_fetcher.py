"""The fetcher: owns the persistent session, and through it the partitions.

Its round: hear what the others say, take what partitions are free, read what
became visible in each lane that has room, hand it out. It rests when nothing
is left to read, until somebody rings; or, if so much comes that it has said
that nobody need ring, for a moment. It looks again after `poll_interval` in
any case.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import final

import trio
from attrs import define, field, frozen

from rolebook.actors import Stopping
from rolebook.actors.supervision import MailboxStatistics

from .._settings import Settings
from ..contract import Cursor, Ending, Fetched, FetchSession, ServerForgot, Snapshot, Store
from ._care import CarefulReader
from ._clock import StoreClock
from ._doubt import Doubt
from ._drowsing import Drowsing
from ._life import Life
from ._mailbox import Mailbox, messages, page_bytes
from ._ownership import RESTART, Declines, Ownership
from ._send_count import SendCount
from ._signals import (
    Attach,
    Credit,
    Delivered,
    Detach,
    Drained,
    FetcherSignal,
    Look,
    LookAtOwners,
    Page,
    Reread,
    Withdraw,
)
from ._standing import FORGOTTEN, SessionLost, Standing
from ._turns import Turns

SHEET = 250
"""Messages in one page to a handler: what it has done of a read can be committed while it does the rest."""


@final
@frozen
class FetcherStatistics:
    """What the fetcher holds and has done.

    Attributes:
        owned: How many partitions of each queue this process owns.
        leaving: How many of each it is giving back: what began of them is being settled.
        members: The names of the processes that serve queues, the oldest first, as last seen.
        moves: Partitions taken and given back.
        reads: Statements that read the mailbox.
        messages: Messages handed out.
    """

    owned: Mapping[str, int]
    leaving: Mapping[str, int]
    members: Sequence[str]
    moves: int
    reads: int
    messages: int


@final
@define(eq=False)
class Fetcher:
    """Reads the mailbox for every handler of the process.

    Attributes:
        owner: The name of the process.
        life: Its number in the database.
        serves: The queues that have a handler here.
        owned: The partitions of each queue that this process owns.
        count: What this process may have sent.
        declines: Says which queues this process is too old for.
        standing: What everything of this process stands on: the session that is opened here.
        ending: Whether the runtime is ending: nothing is read any more, and what a handler leaves is for
            others. Otherwise its next life is expected, and others leave it that for a moment.
    """

    store: Store
    settings: Settings
    owner: str
    life: Life
    serves: Collection[str]
    clock: StoreClock
    inbox: trio.MemoryReceiveChannel[FetcherSignal]
    owned: dict[str, AbstractSet[int]]
    count: SendCount
    declines: Declines
    standing: Standing
    ending: Ending
    reads: int = 0
    messages: int = 0
    _mailboxes: dict[str, Mailbox] = field(factory=dict[str, Mailbox])
    _careful: CarefulReader = field(init=False)
    _ownership: Ownership = field(init=False)
    _look: bool = False
    _rung: bool = False
    _next_look: float = 0.0
    _round: Snapshot | None = None  # what is to be read of every lane, while a look has room for some of them
    _doubt: Doubt = field(factory=Doubt)
    _drowsing: Drowsing = field(factory=Drowsing)
    _turns: Turns = field(factory=Turns)

    def __attrs_post_init__(self) -> None:
        self._careful = CarefulReader()
        self._ownership = Ownership(self.settings, self.life.number, self._careful, self.declines)

    async def run(
        self, *, stopping: Stopping, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Own and read until asked to stop; a database error ends it, and the session with it.

        If its runtime is ending it gives back what its handlers have left. Otherwise it leaves everything as
        it is: the next session of this process takes it up again.
        """
        self.life.go_on()
        self._forget()
        try:
            async with self.store.open_fetch_session(self.owner, self.life.number) as session:
                with self.standing.held(session.nonce):
                    await self._serve(session, stopping, task_status)
        except ServerForgot:  # which the store has announced
            raise SessionLost(FORGOTTEN) from None
        finally:
            self._forget()

    async def _serve(
        self, session: FetchSession, stopping: Stopping, task_status: trio.TaskStatus[None]
    ) -> None:
        with trio.fail_after(self.settings.command_deadline):
            # Before any turn: `turn.now` is the store's time.
            self.clock.set((await session.read((), ())).server_time)
            if not self.ending.is_announced:
                self._ownership.expect(self.serves)
            await self._ownership.settle(session, self._mailboxes, self.store.partitions)
        task_status.started()
        while not stopping.is_set():
            with stopping.interrupts():
                await self._hear()
            with trio.fail_after(self.settings.command_deadline):
                if await self._ownership.settle(session, self._mailboxes, self.store.partitions):
                    self._look_out()
                if self._careful and not self.ending.is_announced:
                    await self._careful.go_on(session, self._mailboxes, self.life.since)
                if self._wants_to_read():
                    await self._read(session)
                    await self._wake_or_sleep(session)
        if self.ending.is_announced:
            with trio.fail_after(self.settings.command_deadline):
                await self._leave(session)

    async def _leave(self, session: FetchSession) -> None:
        """Give back what the handlers, which have ended, have left."""
        self._hear_the_rest()
        for mailbox in list(self._mailboxes.values()):
            self._let_go(mailbox, Detach(mailbox.queue, mailbox.inbox))
        await self._ownership.leave(session)

    def statistics(self) -> FetcherStatistics:
        """Return what it holds and has done."""
        mailboxes = self._mailboxes
        return FetcherStatistics(
            owned={queue: len(mailbox.fences) for queue, mailbox in mailboxes.items()},
            leaving={queue: len(mailbox.leaving) for queue, mailbox in mailboxes.items() if mailbox.leaving},
            members=tuple(member.process for member in self._ownership.members),
            moves=self._ownership.moves,
            reads=self.reads,
            messages=self.messages,
        )

    def mailbox(self, queue: str) -> MailboxStatistics:
        """Return how many messages of a queue its handler holds, at most held, and may hold."""
        mailbox = self._mailboxes.get(queue)
        if mailbox is None:
            return MailboxStatistics(0, 0, self.settings.mailbox_capacity)
        return MailboxStatistics(mailbox.depth, mailbox.peak, mailbox.capacity)

    def note(self) -> str:
        """Say who shares the work, for the drawn tree."""
        members = [member.process for member in self._ownership.members]
        if not members:
            return ""
        moves = self._ownership.moves
        return f"members {', '.join(members)}; {moves} partitions moved"

    def note_of(self, queue: str) -> str:
        """Say what this process owns of a queue, for the drawn tree."""
        mailbox = self._mailboxes.get(queue)
        if mailbox is None:
            return ""
        going = f", gives back {len(mailbox.leaving)}" if mailbox.leaving else ""
        return f"owns {len(mailbox.fences)} of {self.store.partitions} partitions{going}"

    def _forget(self) -> None:
        """Start with nothing: what is in the inbox speaks of a session that has ended."""
        self._mailboxes.clear()
        self._careful = CarefulReader()
        self._ownership = Ownership(self.settings, self.life.number, self._careful, self.declines)
        self._doubt, self._drowsing, self._round = Doubt(), Drowsing(), None
        self._next_look = 0.0
        self.owned.clear()
        try:
            while True:
                self.inbox.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            pass

    # ---- hear ----

    async def _hear(self) -> None:
        with trio.move_on_after(self._rest()):
            self._take_in(await self.inbox.receive())
        self._hear_the_rest()

    def _hear_the_rest(self) -> None:
        try:
            while True:
                self._take_in(self.inbox.receive_nowait())
        except trio.WouldBlock:
            pass

    def _rest(self) -> float:
        """How long there is nothing to do unless somebody says so."""
        if self.ending.is_announced:
            return self._ownership.rest()
        if self._careful.is_pressing or self._wants_to_read():
            return 0.0
        reads_next = float("inf") if self._careful.alone is not None else self._next_look
        next_look = min(reads_next, self._careful.next_look)
        return max(0.0, min(next_look - trio.current_time(), self._ownership.rest()))

    def _wants_to_read(self) -> bool:
        if self._careful.alone is not None or self.ending.is_announced:
            return False  # nothing else is to be in work
        return self._is_due() or self._round is not None or self._has_backlog()

    def _is_due(self) -> bool:
        return self._look or trio.current_time() >= self._next_look

    def _has_backlog(self) -> bool:
        return any(mailbox.has_backlog() for mailbox in self._mailboxes.values())

    def _take_in(self, signal: FetcherSignal) -> None:
        match signal:
            case Look(rung):
                self._look, self._rung = True, self._rung or rung
            case Credit(queue, count, size):
                if (mailbox := self._mailboxes.get(queue)) is not None:
                    self._look = self._look or not mailbox.has_room
                    mailbox.room += count
                    mailbox.room_bytes += size
            case LookAtOwners():
                self._ownership.look = True
            case Attach(queue, inbox, room, size):
                mailbox = self._mailboxes[queue] = Mailbox(queue, inbox, room, room, size, size)
                self.owned[queue] = mailbox.fences.keys()
                self._ownership.look = True
            case Reread(queue):
                mailbox = self._mailboxes.get(queue)
                if mailbox is not None and mailbox.reread(signal):
                    self._look = True
            case Withdraw(queue, inbox) | Drained(queue, inbox) | Detach(queue, inbox):
                mailbox = self._mailboxes.get(queue)
                # The next life of the same handler may have attached already: that mailbox stays.
                if mailbox is not None and mailbox.inbox is inbox:
                    self._let_go(mailbox, signal)

    def _let_go(self, mailbox: Mailbox, signal: Withdraw | Drained | Detach) -> None:
        # Given back only now that the handler has settled everything: given back before, another process
        # would handle what is still being committed here, and one of the two commits would be lost.
        match signal:
            case Withdraw():
                mailbox.withdrawn = True
                if not self.ending.is_announced:
                    self._ownership.expect([mailbox.queue])
                self._give_all(mailbox)
            case Drained(partitions=partitions):
                self._ownership.let_go(mailbox.drained(partitions), after=self._patience(mailbox))
            case Detach():
                del self._mailboxes[mailbox.queue]
                self.owned.pop(mailbox.queue, None)
                if not self.ending.is_announced:
                    self._ownership.expect([mailbox.queue])
                self._give_all(mailbox)
                mailbox.withdrawn = True
                self._ownership.let_go(mailbox.drained(list(mailbox.leaving)), after=self._patience(mailbox))

    def _patience(self, mailbox: Mailbox) -> float:
        return RESTART if mailbox.withdrawn and not self.ending.is_announced else 0.0

    def _give_all(self, mailbox: Mailbox) -> None:
        self._careful.drop(mailbox.queue, mailbox.fences)
        mailbox.give(list(mailbox.fences))

    # ---- read ----

    async def _read(self, session: FetchSession) -> None:
        plan = self._turns.order(
            [entry for mailbox in self._mailboxes.values() for entry in mailbox.readable()]
        )
        began = trio.current_time()
        if self._is_due():
            self._round = None
        rung, self._look, self._rung = self._rung, False, False
        self._next_look = began + self.settings.poll_interval
        if not plan:
            self._round = None
            return
        # As of before the read: it sees what was sent by then.
        sent = {queue: self.count.of(queue) for queue in self._mailboxes}
        most_bytes = page_bytes(self.settings.mailbox_bytes)
        look = await session.read([cursor for cursor, _ in plan], [room for _, room in plan], most_bytes)
        self.reads += 1
        self.clock.set(look.server_time)
        now = trio.current_time()
        if self._doubt.looked(look.seen, now):
            self._round = None
        self._drowsing.looked(began, now, sum(map(len, look.rows)), rung=rung)
        self._next_look = min(self._next_look, self._doubt.next_look(now), self._drowsing.next_look())
        self._advance(plan, look)
        self._turns.took(plan, look)
        for queue, mailbox in list(self._mailboxes.items()):
            for ended in mailbox.looked():
                mailbox.hand_out(ended)
            mailbox.coverage.looked(sent[queue], look.seen)
            # Behind the messages: it opens the gate of asks.
            if numbers := mailbox.coverage.reached(mailbox.cursors):
                mailbox.hand_out(Delivered(numbers))
        self._go_round(len(plan), look.seen)

    def _go_round(self, lanes: int, seen: Snapshot) -> None:
        """After a look at so many lanes: of a handler with little room only some are read at once."""
        mailboxes = [mailbox for mailbox in self._mailboxes.values() if mailbox.has_room]
        if lanes >= sum(len(mailbox.cursors) for mailbox in mailboxes):
            self._round = None
            return
        target = self._round or seen
        read = all(cursor.has_read(target) for mailbox in mailboxes for cursor, _ in mailbox.readable())
        self._round = None if read else target

    async def _wake_or_sleep(self, session: FetchSession) -> None:
        """Say whether senders need to ring, if that has changed; after either there is a look to take."""
        if self._drowsing.wants_to_sleep:
            await session.fall_asleep()
            self._drowsing.fell_asleep()
            self._look_out()
        elif self._drowsing.wants_to_wake and await session.stay_awake():
            self._drowsing.woke()
            self._look = True

    def _look_out(self) -> None:
        """Look at once, and for those who may not have rung."""
        self._doubt.begin()
        self._look = True

    def _advance(self, plan: Sequence[tuple[Cursor, int]], look: Fetched) -> None:
        for number, ((cursor, room), rows) in enumerate(zip(plan, look.rows, strict=True)):
            mailbox = self._mailboxes[cursor.lane.queue]
            last = (rows[-1].tx, rows[-1].id) if rows else None
            place = next(i for i, each in enumerate(mailbox.cursors) if each is cursor)
            full = len(rows) >= room or number in look.cut
            mailbox.cursors[place] = cursor.advance(look.seen, last, full=full)
            if rows:
                found = list(messages(cursor.lane, rows, mailbox.fences, large=look.large))
                self.messages += len(found)
                key, reading = cursor.lane.key, cursor.lane.number
                for start in range(0, len(found), SHEET):
                    mailbox.hand_out_messages(Page(found[start : start + SHEET], key=key, number=reading))


__all__ = ["Fetcher", "FetcherStatistics"]
