"""The model: what may be seen of a program, whatever happened on the way.

It knows nothing of the machinery. A command takes effect whole and once or not at all; which of the two is
known from the command, unless its sender gave up waiting.
"""

from collections.abc import Iterator
from itertools import groupby

from .cast import ATTEMPTS, Do, Done, Reply, Routed, digest_of
from .playing import Actor, History


def judge(history: History) -> list[str]:
    """Return what cannot be: nothing, if all is well."""
    return list(_Judge(history).wrong())


class _Judge:
    def __init__(self, history: History) -> None:
        self.history = history
        self.commands = dict(history.sent)
        for _, _, command in history.sent.values():
            for child in command.children:
                self.commands[child.number] = (child.kind, child.key, Do(child.number))
        self.repeated = {
            number for numbers in history.once.values() if len(numbers) > 1 for number in numbers
        }
        """Of several commands with one idempotency key, one has an effect."""
        self.seen: dict[int, tuple[str, str]] = {}
        self.ends: dict[int, Reply] = {}
        """The state after a command's last event."""
        self.prefixes: dict[tuple[str, str], set[Reply]] = {}

    def wrong(self) -> Iterator[str]:
        for name, actor in self.history.actors.items():
            yield from self._journal(name, actor)
        yield from self._effects()
        yield from self._answers()
        yield from self._order()
        yield from self._repetitions()
        yield from self._times()
        for queue, count in self.history.left.items():
            yield f"{count} messages are left in {queue!r}"

    # ---- state = fold(events), without a gap ----

    def _journal(self, name: tuple[str, str], actor: Actor) -> Iterator[str]:
        seqs = [each.seq for each in actor.events]
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"{name}: the journal's numbers are {seqs}"
        numbers = [each.event.number for each in actor.events]
        folded = [Reply(0, 0)]
        for number in numbers:
            folded.append(Reply(folded[-1].count + 1, digest_of(folded[-1].digest, number)))
        self.prefixes[name] = set(folded)
        state = actor.state
        if (Reply(state.count, state.digest), state.numbers) != (folded[-1], numbers):
            yield f"{name}: the state is {state}, its events make {folded[-1]} of {numbers}"
        if actor.snapshot is not None:
            cached, seq = actor.snapshot_state, actor.snapshot.seq
            if Reply(cached.count, cached.digest) != folded[seq] or cached.numbers != numbers[:seq]:
                yield f"{name}: the snapshot at {seq} is {cached}, its events make {folded[seq]}"
        place = 0
        for number, group in groupby(actor.events, key=lambda each: each.event.number):
            events = [each.event for each in group]
            place += len(events)
            if number in self.seen:
                yield f"command {number} has events at {self.seen[number]} and again at {name}"
            self.seen[number] = name
            self.ends[number] = folded[place]
            yield from self._turn(name, number, events)

    def _turn(self, name: tuple[str, str], number: int, events: list[Done | Routed]) -> Iterator[str]:
        known = self.commands.get(number)
        if known is None:
            yield f"{name} has events of command {number}, which nobody sent"
            return
        kind, key, command = known
        if (kind, key) != name:
            yield f"command {number} was sent to {(kind, key)} and handled by {name}"
        expected = [Done(number)] * command.events + [Routed(number, to) for to in command.routed]
        if events != expected:
            yield f"{name}: command {number} left {events}, not {expected}"

    # ---- every command takes effect once, or not at all ----

    def _effects(self) -> Iterator[str]:
        for number, (_, _, command) in self.history.sent.items():
            possible = self._possible(number, command)
            happened = self._happened(number, command)
            if happened is not None and happened not in possible:
                yield f"command {number} {'took effect' if happened else 'was lost'}: {command}"
            children = {child.number in self.seen for child in command.children}
            allowed = possible if happened is None else {happened}
            if len(children) > 1 or not children <= allowed:
                yield f"the messages of command {number} arrived as {children}: {command}"
        expected = {
            number for number, (_, _, command) in self.history.sent.items() if self._dies(number, command)
        }
        maybe = expected & (self.history.unknown | self.repeated)
        dead = self.history.dead
        if len(dead) != len(set(dead)) or not expected - maybe <= set(dead) <= expected:
            yield f"the dead letters are {sorted(dead)}, not {sorted(expected)}"

    def _happened(self, number: int, command: Do) -> bool | None:
        """Whether a command took effect; None if its journal cannot tell."""
        return number in self.seen if command.length else None

    def _possible(self, number: int, command: Do) -> set[bool]:
        if command.refuse or self._dies(number, command):
            return {False}
        if number in self.history.asked and command.failures:
            return {False}  # who asks is told; nothing is retried
        return {True, False} if number in self.history.unknown | self.repeated else {True}

    def _dies(self, number: int, command: Do) -> bool:
        if number in self.history.doomed:
            return True
        return number not in self.history.asked and command.failures >= ATTEMPTS

    def _repetitions(self) -> Iterator[str]:
        history = self.history
        for name, numbers in history.once.items():
            commands = [history.sent[number][2] for number in numbers]
            happened = [number for number in numbers if number in self.seen]
            replies = {history.replies[number] for number in numbers if number in history.replies}
            refused = [number for number in numbers if number in history.refused]
            if len(happened) > 1 or len(replies) > 1 or (refused and (happened or replies)):
                yield f"{name}: {happened} of {numbers} happened, {refused} were refused, replies: {replies}"
            if happened and not replies <= {self.ends[happened[0]]}:
                yield f"{name}: the replies were {replies}, and {happened[0]} made {self.ends[happened[0]]}"
            plain = all(each.length and not each.failures and not each.refuse for each in commands)
            if plain and not happened and not set(numbers) <= history.unknown:
                yield f"{name}: none of {numbers} happened"

    def _times(self) -> Iterator[str]:
        for (kind, key), actor in self.history.actors.items():
            for each in actor.events:
                due = self.history.due.get(each.event.number, 0.0)
                if each.recorded_at.timestamp() < due - 0.001:  # the clocks' grain
                    early = due - each.recorded_at.timestamp()
                    yield f"{(kind, key)} handled command {each.event.number} {early} s before its time"

    # ---- what askers are told ----

    def _answers(self) -> Iterator[str]:
        history = self.history
        for number in history.asked - history.unknown - self.repeated:
            kind, key, command = history.sent[number]
            if (number in history.failed) != (command.failures > 0):
                yield f"the asker of {command} was told of a failure: {number in history.failed}"
            elif (number in history.refused) != (command.refuse and not command.failures):
                yield f"the asker of {command} was told of a refusal: {number in history.refused}"
        for number, reply in history.replies.items():
            kind, key, command = history.sent[number]
            if number in self.repeated:
                continue
            if command.length and reply != self.ends.get(number):
                yield f"the reply to {number} was {reply}, its events make {self.ends.get(number)}"
            elif reply not in self.prefixes[kind, key]:
                yield f"the reply to {number} was {reply}, which {(kind, key)} never was"

    # ---- first in, first out ----

    def _order(self) -> Iterator[str]:
        for (way, kind, key), line in self.history.lines.items():
            actor = self.history.actors[kind, key]
            handled = list(dict.fromkeys(each.event.number for each in actor.events))
            wanted = [number for number in line if number in handled]
            found = [number for number in handled if number in set(wanted)]
            if found != wanted:
                yield f"{way} sent {wanted} to {(kind, key)}, which handled {found}"
