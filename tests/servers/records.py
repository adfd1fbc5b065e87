"""What was acknowledged, and whether what a server still knows of it is as promised.

A server that forgets may lose what it acknowledged, but only the last of it: for each sender a suffix of what
was acknowledged before the fault. What it still knows happened whole, once and in order.
"""

from collections import Counter as Tally
from collections.abc import Collection

from attrs import define, field, frozen

from tests.chaos.books import SOME, Books
from tests.runtime.looking import Looking

from .office import COUNTERS


@define(eq=False)
class Stream:
    """Acknowledgements of one kind, in order.

    Attributes:
        accepted: Ids such as "s0-17": who, and which of its.
        unknown: Ids whose sender cannot know.
        safe: How many had been acknowledged when the last fault was over: none after them may be lost.
    """

    accepted: list[str] = field(factory=list[str])
    unknown: set[str] = field(factory=set[str])
    safe: int = 0

    def lost(self, happened: Collection[str]) -> list[str]:
        """Return what was acknowledged and has not happened."""
        return [id_ for id_ in self.accepted if id_ not in happened]

    def wrongly_lost(self, lost: Collection[str], faults: int) -> list[str]:
        """Say which losses are no suffix of what was acknowledged before one of so many faults."""
        found = [f"{id_} was lost, though accepted after the fault" for id_ in self.accepted[self.safe :]
                 if id_ in lost]  # fmt: skip
        runs = Tally[str]()
        last: dict[str, bool] = {}
        for id_ in self.accepted:
            sender = id_.partition("-")[0]
            if id_ in lost and not last.get(sender):
                runs[sender] += 1
            last[sender] = id_ in lost
        found += [
            f"{sender} lost {n} stretches in {faults} faults" for sender, n in runs.items() if n > faults
        ]
        return found


@frozen
class Answer:
    """What an ask was answered."""

    key: str
    number: int


@define(eq=False)
class Records:
    """Everything that one test was told.

    Attributes:
        transfers: Of the ledger; see `Books`.
        passes: Through relays into notebooks.
        asks: Of counters.
        answers: By id of the ask.
        errors: What an ask raised that no ask should.
        faults: How often a server may have forgotten something.
    """

    transfers: Books = field(factory=Books)
    passes: Stream = field(factory=Stream)
    asks: Stream = field(factory=Stream)
    answers: dict[str, Answer] = field(factory=dict[str, Answer])
    errors: list[str] = field(factory=list[str])
    faults: int = 0
    _transfers_safe: int = 0

    def fault_is_over(self) -> None:
        """From now on nothing that is acknowledged may be lost."""
        self.faults += 1
        self._transfers_safe = len(self.transfers.accepted)
        for stream in (self.passes, self.asks):
            stream.safe = len(stream.accepted)

    async def violations(self, looking: Looking, *, may_forget: bool) -> list[str]:
        """Return what is not as promised; nothing, if all is well.

        Args:
            looking: At the server that is the right one now.
            may_forget: Whether what was acknowledged before a fault may be lost, a suffix of it.
        """
        faults = self.faults if may_forget else 0
        found = await self._of_transfers(looking, faults)
        found += (await self._of_passes(looking, faults))[:SOME]
        found += (await self._of_asks(looking, faults))[:SOME]
        return [*self.errors[:SOME], *found]

    async def _of_transfers(self, looking: Looking, faults: int) -> list[str]:
        rows = await looking.rows(
            "select distinct payload ->> 'id' from rolebook.events where actor = 'account'"
            " union select id from public.audits"
        )
        books = self.transfers
        stream = Stream(books.accepted, books.unknown, self._transfers_safe)
        lost = set(stream.lost({id_ for (id_,) in rows}))
        forgiven = lost if faults else set[str]()
        # What may be lost counts as what nobody knows of: it happened whole, or not at all.
        kept = [id_ for id_ in books.accepted if id_ not in forgiven]
        rest = Books(kept, books.unknown | forgiven)
        return [*stream.wrongly_lost(lost, faults)[:SOME], *await rest.violations(looking)]

    async def _of_passes(self, looking: Looking, faults: int) -> list[str]:
        rows = await looking.rows("select sender, number from public.notes order by at")
        happened = Tally(f"{sender}-{number}" for sender, number in rows)
        found = self.passes.wrongly_lost(self.passes.lost(happened), faults)
        found += [f"{id_} was noted {n} times" for id_, n in happened.items() if n > 1]
        last: dict[str, int] = {}
        for sender, number in rows:
            if number < last.get(sender, -1) and f"{sender}-{number}" not in self.passes.unknown:
                found.append(f"{sender}-{number} was noted after {last[sender]}")
            last[sender] = number
        return found

    async def _of_asks(self, looking: Looking, faults: int) -> list[str]:
        rows = await looking.rows(
            "select payload ->> 'id', key, seq from rolebook.events where actor = 'counter' order by position"
        )
        happened = Tally(id_ for id_, _, _ in rows)
        found = self.asks.wrongly_lost(self.asks.lost(happened), faults)
        found += [f"{id_} was signed {n} times" for id_, n in happened.items() if n > 1]
        for id_, key, seq in rows:
            answer = self.answers.get(id_)
            if answer is not None and answer != Answer(key, seq):
                found.append(f"{id_} is #{seq} of {key}, but was answered {answer.number}")
        return found


def counter_of(asker: int) -> str:
    """The counter that an asker asks: several ask each."""
    return f"c{asker % COUNTERS}"
