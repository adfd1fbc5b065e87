"""The ledger of the turns of one kind of actor: what each comes to, and what becomes of it.

A turn may be computed on state that is not committed yet; the line's `uncommitted` counts how much of an
actor is in that state, and nothing is loaded for it before that is settled. What can become of a turn, and
what it does to its actor:

    succeeded           LOADED stays LOADED; the writer gets it
    refused             acknowledged; COLD if it had changed the state
    failed, to retry    held until its time (`block`), or moved away and the others go on (`skip`),
                        or held until it is resumed (`park`)
    failed for good     a dead letter; COLD if it had changed the state
    verdict VOID        begins again before what waits; COLD
    verdict LOST        forgotten: another process has it; COLD
    verdict REPEATED    acknowledged: its idempotency key has its outcome already; COLD
    verdict FAILED      begins again, and the database's error counts as the turn's; COLD

An ask is never retried: who asks gets the error.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import final

import trio
from attrs import define, field

from rolebook.actors import ActorDefinition, Codec, ProcessEnded, RolebookError, judge

from ..contract import (
    ActorUnavailable,
    CommitPart,
    CommitUnit,
    Message,
    NotOwner,
    Repeated,
    RetryInPlace,
    SendEncoder,
    Settled,
    Verdict,
    told,
)
from ..system import HandlerSignal, LocalAsk, Page
from ._context import HandlerContext
from ._failing import after_failure, bury, mark_broken, refuse, wait_of
from ._key_lines import KeyLines, Work
from ._line_states import ASIDE, FREE
from ._outbox import Outbox, keeps_its_row, once_ids
from ._replying import copy_part, error_part, first_error_part, once_of, remote_of
from ._resident import COLD, LOADED, Resident
from ._residents import Residents
from ._turn_computer import Computed, TurnComputer

_log = logging.getLogger("rolebook.handler")


@final
@define(eq=False)
class TurnLedger:
    """Has turns computed, notes their outcome for the writer, and takes the writer's verdicts.

    Attributes:
        marking: Keys whose mark that they are broken is not committed yet.
        count: Turns computed.
        out: What waits to be handed to the writer and the fetcher.
        paused: Loaded actors that have more to do, once what there is for the writer was handed over.
    """

    definition: ActorDefinition
    context: HandlerContext
    residents: Residents
    origin: trio.MemorySendChannel[HandlerSignal]
    marking: set[str | None] = field(factory=set[str | None])
    count: int = 0
    out: Outbox = field(init=False)
    lines: KeyLines = field(init=False)
    paused: dict[str, Resident] = field(factory=dict[str, Resident])
    _codec: Codec = field(init=False)
    _encoder: SendEncoder = field(init=False)
    _most: int = field(init=False)
    _computer: TurnComputer = field(init=False)

    def __attrs_post_init__(self) -> None:
        context, settings = self.context, self.context.settings
        self._codec, self._encoder, self._most = context.app.codec, context.encoder, settings.batch_bytes // 4
        self.lines = KeyLines(settings.blocked_capacity, settings.mailbox_capacity, settings.mailbox_bytes)
        self.out = Outbox(self.definition.name, context, self.lines, self.origin)
        self._computer = TurnComputer(self.definition, context.app, context.encoder, context.clock, settings)

    # ---- computing ----

    def take_message(self, resident: Resident, message: Message, page: Page) -> None:
        """Compute a message's turn now if it is next and its actor is loaded; otherwise it waits in line."""
        ready = (loaded := resident.phase is LOADED) and self._encoder.size <= self._most
        if self.lines.arrived(resident.line, message, page, ready=ready):
            self._turn(resident, message)
        elif loaded:
            self.paused[resident.key] = resident
        elif resident.phase is COLD:
            self._want_loading(resident)

    def take_ask(self, resident: Resident, ask: LocalAsk) -> None:
        """Compute an ask's turn now if it is next and its actor is loaded; otherwise it waits in line."""
        if self.lines.asked(resident.line, ask, ready=resident.phase is LOADED):
            self._turn(resident, ask)
        elif resident.phase is COLD:
            self._want_loading(resident)

    def go_on(self, resident: Resident) -> None:
        """Compute the turns that wait for a loaded actor, up to one that stops it."""
        while resident.phase is LOADED:
            if self._encoder.size > self._most:
                self.paused[resident.key] = resident
                return
            if (work := self.lines.begin_next(resident.line)) is None:
                break
            self._turn(resident, work)
        self._line_up(resident)

    def resume(self, *, asked_only: bool) -> None:
        """Go on with those that were paused."""
        paused, self.paused = self.paused, {}
        for resident in paused.values():
            if resident.line.is_asked or not asked_only:
                self.go_on(resident)

    def release(self, resident: Resident) -> None:
        """Let a blocked or parked actor go on."""
        self.lines.release(resident.line)
        self._want_loading(resident)
        self._read_again(resident)

    def reopen(self, resident: Resident) -> None:
        """Give a broken actor another chance: its messages were left in the mailbox."""
        resident.discard()
        self.lines.reopen(resident.line)
        self._line_up(resident)

    def _turn(self, resident: Resident, work: Work) -> None:
        """Compute the turn of what was begun."""
        if isinstance(work, LocalAsk):
            if work.promise.given_up:
                self.lines.ended(resident.line)
                return
        elif work.wait is not None:
            self._hold(resident, work, work.wait)
            return
        elif work.trial is not None and work.trial.is_lost:
            self._failed(resident, work, ProcessEnded(), spoilt=True)
            return
        elif (refusal := work.refusal) is not None:
            work.refusal = None
            self._failed(resident, work, refusal, spoilt=True)
            return
        else:
            work.refusals = 0
        # Both computed at once would both commit, or fail together; to look the outcome up in the database
        # would find nothing, because the first is not committed yet.
        if resident.once and once_of(self.definition.name, resident.key, work) in resident.once:
            # The first turn of its idempotency key waits for its commit, and with it this one.
            self.lines.put_off(resident.line, work)
            resident.discard()
            self._want_loading(resident)
            return
        hand = self.context.hand
        hand.turn = work
        computed = self._computer.compute(resident, work)
        hand.turn = None
        self.count += 1
        if computed.error is None:
            self._succeeded(resident, work, computed)
        else:
            self._failed(resident, work, computed.error, spoilt=computed.spoilt)

    def _succeeded(self, resident: Resident, work: Work, computed: Computed) -> None:
        self.lines.handed_over(resident.line)
        unit = self.out.add(resident, work, computed.parts)
        unit.events = computed.events
        unit.sends = computed.sends
        unit.reply = computed.reply
        if computed.stop:
            resident.discard()

    def _want_loading(self, resident: Resident) -> None:
        if resident.line.state is FREE and resident.line.waiting:
            self.residents.cold[resident.key] = resident

    def _line_up(self, resident: Resident) -> None:
        """Load the actor if it has work; read its key again if messages were dropped and it has none."""
        if resident.phase is COLD:
            self._want_loading(resident)
        self._read_again(resident)

    def _read_again(self, resident: Resident) -> None:
        if resident.line.spill is ASIDE and (number := self.lines.reread(resident.line)) is not None:
            self.out.read_again(resident, number)

    # ---- failing ----

    def _failed(self, resident: Resident, work: Work, error: Exception, *, spoilt: bool) -> None:
        """Note the outcome of a turn that raised."""
        once = self._first_error(resident, work, error)
        if isinstance(work, LocalAsk):
            self._hand_over(resident, work, once).error = told(self._codec, error)
        elif (remote := remote_of(work)) is not None:
            self._hand_over(resident, work, (error_part(self._codec, *remote, error), *once))
        else:
            outcome = judge(error, work.attempts + 1, self.definition.retry, self.context.random)
            part = after_failure(work, outcome, self.definition.on_failure)
            parts = once if part is None else (part, *once)
            if isinstance(part, RetryInPlace):
                self._note(resident, work, parts).consumed = None
                work.attempts += 1
                work.wait = wait_of(part)
                self._hold(resident, work, work.wait)
                return
            unit = self._hand_over(resident, work, parts)
            if part is not None:
                unit.consumed = None  # the part names its message itself
        if spoilt:
            resident.discard()

    def _hold(self, resident: Resident, work: Message, wait: float) -> None:
        if self.lines.hold(resident.line, work):
            self.residents.block(resident, wait)
        else:
            resident.discard()

    def bury_keyless(self, message: Message) -> None:
        """A message to an actor needs a key: one without becomes a dead letter."""
        name = self.definition.name
        error = RolebookError(f"a message to actor {name!r} has no key; send it with tell(actor, key, …)")
        self.out.add_alone(message, bury(message, error))

    # ---- broken actors ----

    def unavailable(self, resident: Resident) -> ActorUnavailable:
        """Return what is said to who asks a broken actor."""
        name = f"{self.definition.name}/{resident.key}"
        return ActorUnavailable(f"actor {name} is broken: {resident.problem}")

    def break_down(self, resident: Resident, problem: Exception) -> None:
        """Leave an actor alone whose journal cannot be replayed; its messages stay in the mailbox.

        Why is stored at the first of them, so that every process can say it. Who asks is told; an ask is not
        marked, for it is answered, and gone.
        """
        _log.error("actor %s/%s is broken: %s", self.definition.name, resident.key, problem)
        resident.break_down(problem)
        self.residents.stopped.add(resident.key)
        marked = False
        for work in self.lines.close(resident.line):
            if isinstance(work, LocalAsk):
                work.promise.fail(self.unavailable(resident))
            elif marked or remote_of(work) is not None:
                self.refuse(resident, work)
            else:
                marked = True
                self._mark_broken(work, problem)

    def refuse(self, resident: Resident, message: Message) -> None:
        """A broken actor handles nothing: its messages stay in the mailbox, but who asks is told."""
        if (remote := remote_of(message)) is not None:
            refusal = error_part(self._codec, *remote, self.unavailable(resident))
            # It builds on no state, so it falls with no other turn.
            self._note(resident, message, (refusal,)).lineage = None
        else:
            self.lines.done_with(message)

    def _mark_broken(self, message: Message, problem: Exception) -> None:
        if message.wait == float("inf"):
            self.lines.done_with(message)  # it is stored already
            return
        self.marking.add(message.key)
        self.out.add_alone(message, mark_broken(message, problem))

    # ---- units of commit ----

    def _hand_over(self, resident: Resident, work: Work, parts: Sequence[CommitPart]) -> CommitUnit:
        """Note a turn for the writer; its message is deleted with it, and the next may begin."""
        self.lines.handed_over(resident.line)
        return self.out.add(resident, work, parts)

    def _note(self, resident: Resident, work: Work, parts: Sequence[CommitPart]) -> CommitUnit:
        """Note something for the writer that is no turn of what is in work."""
        self.lines.noted(resident.line)
        return self.out.add(resident, work, parts)

    def _first_error(self, resident: Resident, work: Work, error: Exception) -> Sequence[CommitPart]:
        if (once := once_of(self.definition.name, resident.key, work)) is None:
            return ()
        return (first_error_part(self._codec, once, error, self.context.settings.idempotency_retention),)

    # ---- verdicts ----

    def settle(self, settled: Settled) -> None:
        """Take the writer's verdict on some units."""
        verdict = settled.verdict
        committed = verdict is Verdict.COMMITTED
        for unit in settled.units:
            resident, work = unit.subject
            if resident is None:
                self.marking.discard(work.key)
                self.out.alone_settled(work, settled)
                continue
            if resident.once:
                resident.once -= once_ids(unit.parts)
            if verdict is Verdict.REPEATED:
                self._repeated(resident, work, unit)
            elif resident.partition not in self.out.fences:
                self._left(unit, work, committed=committed)
            elif committed:
                if isinstance(work, Message) and not keeps_its_row(unit):
                    self.lines.done_with(work)
            elif verdict is Verdict.LOST:
                self._lost(resident, work, unit)
            else:
                self._again(resident, work, unit, settled.error if verdict is Verdict.FAILED else None)
            self.lines.settled(resident.line)
            if not resident.line.uncommitted:
                self._line_up(resident)

    # ---- leaving ----

    def give_back(self, partitions: Collection[int]) -> dict[int, set[Resident]]:
        """Some partitions go to another process: forget what has not begun.

        Returns:
            For each of them the actors of which something is with the writer; the others have left memory.
        """
        busy: dict[int, set[Resident]] = {partition: set() for partition in partitions}
        for resident in [each for each in self.residents if each.partition in busy]:
            for work in self.lines.leave(resident.line):
                if not isinstance(work, Message):
                    work.promise.fail(NotOwner("the partition went to another process"))
            if resident.line.uncommitted:
                busy[resident.partition].add(resident)
            else:
                self.residents.forget(resident)
        return busy

    def _left(self, unit: CommitUnit, work: Work, *, committed: bool) -> None:
        """A verdict on what had begun when its partition was given back: nothing begins again here."""
        if isinstance(work, Message):
            if not keeps_its_row(unit):  # else it was held, and was forgotten with its line
                self.lines.done_with(work)
        elif not committed:
            work.promise.fail(NotOwner("the partition went to another process"))

    def _lost(self, resident: Resident, work: Work, unit: CommitUnit) -> None:
        self._withdraw(resident, work, unit)
        if isinstance(work, Message):
            self.lines.done_with(work)
        else:
            work.promise.fail(NotOwner("the partition went to another process"))
        if not resident.is_broken:
            resident.discard()

    def _again(self, resident: Resident, work: Work, unit: CommitUnit, error: Exception | None) -> None:
        """A turn that did not commit is computed anew, on what is committed."""
        if resident.is_broken:
            self._refuse_again(resident, work, error)
            return
        self._withdraw(resident, work, unit)
        resident.discard()
        if error is None:
            self.lines.begin_again(resident.line, work)
        elif isinstance(work, Message):
            refuse(work, error, self.context.settings.backoff, self.context.random)
            self.lines.begin_again(resident.line, work)
        else:
            work.promise.fail(told(self._codec, error))

    def _refuse_again(self, resident: Resident, work: Work, error: Exception | None) -> None:
        """Of a broken actor nothing is computed: what did not commit is the answer to an ask."""
        assert isinstance(work, Message)  # a local ask is answered without a commit
        if error is None:
            self.refuse(resident, work)
        else:
            self.lines.done_with(work)

    def _repeated(self, resident: Resident, work: Work, unit: CommitUnit) -> None:
        """Its first outcome is stored: this turn comes to nothing else."""
        once = once_of(self.definition.name, resident.key, work)
        assert once is not None
        self._withdraw(resident, work, unit)
        resident.discard()
        if isinstance(work, LocalAsk):
            work.promise.fail(Repeated(once))
            return
        remote = remote_of(work)
        self._note(resident, work, () if remote is None else (copy_part(*remote, once),))

    def _withdraw(self, resident: Resident, work: Work, unit: CommitUnit) -> None:
        """A retry that was not stored did not happen: it is not counted, nor is its message held for it."""
        if self.lines.withdraw(resident.line, work) and isinstance(work, Message):
            work.wait = None
        if isinstance(work, Message) and keeps_its_row(unit):
            work.attempts -= 1
