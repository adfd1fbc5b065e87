"""The lines of a queue's keys, played against a simple model of all that is around them.

The model has a mailbox, a fetcher that reads it in order and reads keys again, a writer that gives verdicts,
and a handler that does nothing but drive the lines. Whatever comes in whatever order: messages of one key
begin in order, none begins twice, none is forgotten, and no room is lost.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Literal

import pytest
from attrs import define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rolebook.runtime.contract import Fence, Lineage, Message, Promise
from rolebook.runtime.handlers import (
    KeyLines,
    Line,
    State,
)
from rolebook.runtime.system import LocalAsk, Page

KEYS = ("a", "b")
FOREVER = float("inf")
Outcome = Literal["done", "block", "park", "skip", "nothing"]


@define(eq=False)
class Stored:
    """A message in the mailbox.

    Attributes:
        id: Its place: a message that comes back as a new arrival gets another.
        name: What it is, wherever it stands.
        wait: How long it has to wait; None if not at all.
    """

    id: int
    name: int
    key: str
    wait: float | None = None


@define(eq=False)
class Unit:
    """What the writer has: what becomes of a message once it is committed."""

    message: Message
    outcome: Outcome
    lineage: Lineage


@define(eq=False)
class Reading:
    """A key that is being read again."""

    number: int
    position: int = 0


def message_of(stored: Stored) -> Message:
    """A message as a handler gets it."""
    fence = Fence("queue", 0, 1, 1)
    message = Message(
        stored.id, 0, "queue", 0, 0, stored.key, "t", 1, str(stored.name), None, 0, stored.wait, 0.0, fence
    )
    message.size = 1 + stored.id % 3
    return message


class World(RuleBasedStateMachine):
    """A handler that works on several messages at a time, and what is around it."""

    @initialize(
        blocked=st.integers(1, 4), capacity=st.integers(2, 12), held=st.integers(1, 12), loads=st.booleans()
    )
    def begin(self, blocked: int, capacity: int, held: int, *, loads: bool) -> None:
        """Start with an empty mailbox.

        Args:
            blocked: Messages that a held line keeps.
            capacity: Messages that the handler has room for.
            held: Bytes that held lines keep.
            loads: Whether a key has a state, which is loaded anew after something fell: as actors do.
        """
        self.loads = loads
        self.blocked, self.capacity, self.held = blocked, capacity, held
        self.names = 0
        self.ids = 0
        self.asks = 0
        self.mailbox: dict[int, Stored] = {}
        self.handled: list[tuple[str, int]] = []
        self.skipped: set[int] = set()
        self.start_handler()

    def start_handler(self) -> None:
        """A handler, its fetcher and what the writer has of it begin anew, as in another session."""
        self.lines = KeyLines(self.blocked, self.capacity, self.held)
        self.by_key: dict[str, Line] = {}
        self.ready: deque[Message] = deque()
        self.working: dict[int, tuple[Message, Lineage]] = {}
        self.units: deque[Unit] = deque()
        self.position = 0
        self.readings: dict[str, Reading] = {}
        self.pages: deque[Page] = deque()
        self.room, self.room_bytes = self.capacity, 0
        self.asked: dict[str, set[int]] = {}
        self.loaded: set[str] = set()

    # ---- the mailbox and the fetcher ----

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=5))
    def send(self, keys: list[str]) -> None:
        """Somebody sends messages."""
        for key in keys:
            self.names += 1
            self.arrive(Stored(0, self.names, key))

    def arrive(self, stored: Stored) -> None:
        """A message is put at the end of the mailbox."""
        self.ids += 1
        stored.id = self.ids
        self.mailbox[stored.id] = stored

    @rule(most=st.integers(1, 6))
    def read(self, most: int) -> None:
        """The fetcher reads on, as far as there is room."""
        found = [each for each in self.mailbox.values() if each.id > self.position]
        found = sorted(found, key=lambda each: each.id)[: max(0, min(most, self.room))]
        if found:
            self.position = found[-1].id
            self.give_out(Page([message_of(each) for each in found]))

    def give_out(self, page: Page) -> None:
        """A page is under way to the handler, and its messages take up room."""
        self.room -= len(page.messages)
        self.room_bytes -= sum(message.size for message in page.messages)
        self.pages.append(page)

    @precondition(lambda self: self.readings)
    @rule(data=st.data(), most=st.integers(1, 6))
    def read_again(self, data: st.DataObject, most: int) -> None:
        """The fetcher reads on in a key that is read again; with the others at their end, it ends."""
        key = data.draw(st.sampled_from(sorted(self.readings)))
        self.read_key(key, most)

    def read_key(self, key: str, most: int) -> None:
        """Read on in one key that is read again."""
        reading = self.readings[key]
        found = [each for each in self.mailbox.values() if each.key == key and each.id > reading.position]
        found = sorted(found, key=lambda each: each.id)[:most]
        if found:
            reading.position = found[-1].id
            self.give_out(Page([message_of(each) for each in found], key=key, number=reading.number))
        elif all(each.id <= self.position for each in self.mailbox.values()):
            del self.readings[key]
            self.pages.append(Page(key=key, last=True, number=reading.number))

    # ---- the handler ----

    @precondition(lambda self: self.pages)
    @rule()
    def take_pages(self) -> None:
        """All pages that are under way reach the handler."""
        while self.pages:
            self.take_page()

    @precondition(lambda self: self.pages)
    @rule()
    def take_page(self) -> None:
        """A page reaches the handler."""
        page = self.pages.popleft()
        for message in page.messages:
            assert message.key is not None
            line = self.by_key.setdefault(message.key, Line(message.key))
            if self.lines.arrived(line, message, page, ready=self.is_ready(line)):
                self.make_ready(line, message)
            else:
                self.go_on(line)
        if page.last and page.key in self.by_key:
            line = self.by_key[page.key]
            for ask in self.lines.reading_ended(line, page.number):
                self.take_ask(line, ask)
            self.go_on(line)
        self.give_room()

    @rule(key=st.sampled_from(KEYS))
    def ask(self, key: str) -> None:
        """A local ask comes: what the handler was given before it begins before it."""
        coming = {message.id for page in self.pages for message in page.messages if page.key is None}
        before = {each.id for each in self.mailbox.values() if each.key == key and each.id <= self.position}
        self.asks += 1
        ask = LocalAsk(key, "t", 1, "{}", Promise(), str(self.asks), None, 0)
        self.asked[ask.id] = before - coming
        self.take_ask(self.by_key.setdefault(key, Line(key)), ask)

    def take_ask(self, line: Line, ask: LocalAsk) -> None:
        """It begins, or waits behind the others."""
        if self.lines.asked(line, ask, ready=self.is_ready(line)):
            self.answer(line, ask)
        else:
            self.go_on(line)

    def is_ready(self, line: Line) -> bool:
        """Whether the key's state is there, if it has one."""
        return not self.loads or line.key in self.loaded

    def load(self, line: Line) -> None:
        """Load the state of a key: not before everything that it may have changed is settled."""
        if line.waiting and not line.uncommitted:
            self.loaded.add(line.key)

    def answer(self, line: Line, ask: LocalAsk) -> None:
        """What was given before it has begun, or another process has handled it."""
        under_way = {unit.message.id for unit in self.units}
        before = self.asked.pop(ask.id) & self.mailbox.keys()
        assert before <= under_way, f"{before - under_way} come before ask {ask.id}"
        self.lines.ended(line)
        self.go_on(line)

    def make_ready(self, line: Line, message: Message) -> None:
        """What may begin does, or is held if its time has not come."""
        self.check_begin(message)
        if message.wait is None:
            self.working[message.id] = message, line.lineage
        else:
            self.hold(line, message)

    def hold(self, line: Line, message: Message) -> None:
        """A message waits at the head of its key, unless something before it has to begin again."""
        self.loaded.discard(line.key)
        if not self.lines.hold(line, message):
            self.go_on(line)

    def check_begin(self, message: Message) -> None:
        """Nothing begins twice, or before what stands before it."""
        assert message.payload, "it was dropped from memory"
        assert message.id not in self.working, "it is in work already"
        under_way = {unit.message.id for unit in self.units}
        assert message.id not in under_way, "what becomes of it is with the writer"
        if message.id not in self.mailbox:
            return  # another process has handled it: its commit will tell
        before = {
            each.id for each in self.mailbox.values() if each.key == message.key and each.id < message.id
        }
        assert before <= under_way, f"{before - under_way} come before {message.id}"

    def go_on(self, line: Line) -> None:
        """Let the next begin; read the key again if there is none and some were dropped."""
        if not self.is_ready(line):
            self.load(line)
        following = self.lines.begin_next(line) if self.is_ready(line) else None
        if isinstance(following, LocalAsk):
            self.answer(line, following)
        elif following is not None:
            self.make_ready(line, following)
        elif (number := self.lines.reread(line)) is not None:
            self.readings[line.key] = Reading(number)
        elif line.is_empty:
            self.by_key.pop(line.key, None)

    def give_room(self) -> None:
        """The fetcher gets the room that is free."""
        count, size = self.lines.take_freed()
        self.room += count
        self.room_bytes += size

    @precondition(lambda self: self.working)
    @rule(data=st.data(), outcome=st.sampled_from(["done", "done", "block", "park", "skip"]))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        """A message's turn is over."""
        message, lineage = self.working.pop(data.draw(st.sampled_from(sorted(self.working))))
        assert message.key is not None
        line = self.by_key[message.key]
        if outcome in ("block", "park"):
            message.wait = FOREVER if outcome == "park" else 1.0
            self.mark(message)
            self.hold(line, message)
        else:
            self.lines.handed_over(line)
            self.units.append(Unit(message, outcome, lineage))
            self.go_on(line)
        self.give_room()

    def mark(self, message: Message) -> None:
        """That a message waits is stored with it."""
        if message.id in self.mailbox:
            self.mailbox[message.id].wait = message.wait

    @precondition(lambda self: any(line.state is State.HELD for line in self.by_key.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """The time of what is held has come, or somebody resumes it."""
        held = sorted(key for key, line in self.by_key.items() if line.state is State.HELD)
        line = self.by_key[data.draw(st.sampled_from(held))]
        message = self.lines.release(line)
        self.mark(message)
        self.go_on(line)
        self.give_room()

    # ---- the writer ----

    @precondition(lambda self: self.units)
    @rule()
    def commit_all(self) -> None:
        """Everything the writer has is committed."""
        while self.units:
            self.commit()

    @precondition(lambda self: self.units)
    @rule()
    def commit(self) -> None:
        """The first unit is committed; it is lost if its message is gone, and falls if its life is void."""
        unit = self.units.popleft()
        if unit.lineage.void:
            self.let_fall([unit])
            return
        message = unit.message
        assert message.key is not None
        line = self.by_key[message.key]
        stored = self.mailbox.pop(message.id, None)
        if stored is not None:
            if unit.outcome == "skip":
                self.skipped.add(stored.name)
                stored.wait = None
                self.arrive(stored)
            else:
                self.handled.append((stored.key, stored.name))
        self.lines.done_with(message)
        self.lines.settled(line)
        self.go_on(line)
        self.give_room()

    @precondition(lambda self: self.units)
    @rule(count=st.integers(1, 3))
    def fall(self, count: int) -> None:
        """Some units do not commit, and with them everything that was built on the same life of a key."""
        for unit in list(self.units)[:count]:
            unit.lineage.void = True
        units = [unit for unit in self.units if unit.lineage.void]
        self.units = deque(unit for unit in self.units if not unit.lineage.void)
        self.let_fall(units)

    def let_fall(self, units: Iterable[Unit]) -> None:
        """The handler hears that some units are void."""
        for unit in units:
            message = unit.message
            assert message.key is not None
            line = self.by_key[message.key]
            self.lines.fell(line)
            self.loaded.discard(line.key)
            self.lines.begin_again(line, message)
            self.lines.settled(line)
            self.go_on(line)
        self.give_room()

    # ---- other processes ----

    @precondition(lambda self: self.units)
    @rule(data=st.data())
    def steal(self, data: st.DataObject) -> None:
        """Another process handles what comes first of a key whose commit is under way here."""
        key = data.draw(st.sampled_from(list(self.units))).message.key
        its = [each.id for each in self.mailbox.values() if each.key == key]
        if its:
            stored = self.mailbox.pop(min(its))
            self.handled.append((stored.key, stored.name))

    @rule(luck=st.integers(0, 9))
    def restart(self, luck: int) -> None:
        """Everything in memory is gone; another process may have handled what comes first meanwhile."""
        if luck > 1:
            return  # a program that restarts all the time gets nowhere
        if luck and self.mailbox:
            stored = self.mailbox.pop(min(self.mailbox))
            self.handled.append((stored.key, stored.name))
        self.start_handler()

    # ---- what always holds ----

    def in_memory(self) -> Iterator[Message]:
        """Every message that the handler has."""
        for line in self.by_key.values():
            yield from (work for work in line.everything() if isinstance(work, Message))
        yield from (message for message, _ in self.working.values())
        yield from (unit.message for unit in self.units)

    @invariant()
    def room_is_conserved(self) -> None:
        """Room is with the fetcher, in a page, or taken up by one message."""
        if hasattr(self, "lines"):
            under_way = sum(len(page.messages) for page in self.pages)
            counted = sum(message.counted for message in self.in_memory())
            assert self.room + under_way + counted + self.lines.freed == self.capacity
            assert self.lines.held == sum(not message.counted for message in self.in_memory())

    @invariant()
    def room_in_bytes_is_conserved(self) -> None:
        """As room is."""
        if hasattr(self, "lines"):
            under_way = sum(message.size for page in self.pages for message in page.messages)
            counted = sum(message.size for message in self.in_memory() if message.counted)
            assert self.room_bytes + under_way + counted + self.lines.freed_bytes == 0
            assert self.lines.held_bytes == sum(each.size for each in self.in_memory() if not each.counted)

    @invariant()
    def a_held_line_is_bounded(self) -> None:
        """It keeps no more than it may, and all of them together no more beyond their firsts."""
        held = [line for line in getattr(self, "by_key", {}).values() if line.state is State.HELD]
        for line in held:
            assert 1 + len(line.waiting) <= max(1, self.blocked)
        waiting = [work for line in held for work in line.waiting if isinstance(work, Message)]
        assert len(waiting) <= self.capacity  # who asks is bounded by the callers that there are
        # What the writer has something of may come back before it, and stays until that is settled.
        settled = [line for line in held if not line.uncommitted]
        kept = [work for line in settled for work in line.everything() if isinstance(work, Message)]
        if settled and len(settled) == len(held):
            assert sum(message.size for message in kept) <= self.held + 3

    @invariant()
    def nothing_is_in_memory_twice(self) -> None:
        """A message is at one place."""
        if hasattr(self, "lines"):
            assert max(Counter(message.id for message in self.in_memory()).values(), default=0) <= 1

    def teardown(self) -> None:
        """With time enough everything is handled, once; what no other message was let pass, in order."""
        if not hasattr(self, "lines"):
            return
        for _ in range(40 * (self.names + 5)):
            self.let_everything_happen()
            if not self.mailbox and not self.by_key and not self.pages and not self.readings:
                break
        assert not self.mailbox, f"forgotten: {self.mailbox}"
        assert not self.asked, f"never answered: {self.asked}"
        assert sorted(name for _, name in self.handled) == list(range(1, self.names + 1))
        for key in KEYS:
            in_order = [name for its, name in self.handled if its == key and name not in self.skipped]
            assert in_order == sorted(in_order)

    def let_everything_happen(self) -> None:
        """One round in which nothing goes wrong."""
        self.read(3)
        for key in list(self.readings):
            self.read_key(key, 1000)
        while self.pages:
            self.take_page()
        for key, line in list(self.by_key.items()):
            if line.state is State.HELD:
                self.mark(self.lines.release(line))
                self.go_on(line)
            assert key == line.key
        for id_ in list(self.working):
            message, lineage = self.working.pop(id_)
            line = self.by_key[str(message.key)]
            self.lines.handed_over(line)
            self.units.append(Unit(message, "done", lineage))
            self.go_on(line)
        while self.units:
            self.commit()
        self.give_room()


PLAYED = settings(
    max_examples=200,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestKeyLines = pytest.mark.filterwarnings("default")(World.TestCase)
TestKeyLines.settings = PLAYED


def test_what_was_released_before_it_fell_begins_once() -> None:
    """Its time comes before it is heard that its retry was not stored: that makes it no two messages."""
    lines, line = KeyLines(10, 10, 1000), Line("a")
    message, later = (message_of(Stored(number, number, "a")) for number in (1, 2))
    page = Page([message, later])
    assert lines.arrived(line, message, page)
    assert not lines.arrived(line, later, page)
    lines.noted(line)
    assert lines.hold(line, message)
    assert message is lines.release(line)
    for _ in range(2):
        assert not lines.withdraw(line, message)
        lines.begin_again(line, message)
    lines.settled(line)
    assert [message, later] == list(line.waiting)
