"""What was sent, and whether the database says that it happened exactly once."""

from collections import Counter
from typing import Any

from attrs import define, field

from tests.runtime.looking import Looking

SOME = 10
"""How many violations of a kind are shown."""


@define(eq=False)
class Books:
    """The transfers of one test.

    Attributes:
        accepted: Ids of those whose sending was confirmed, in the order of each sender.
        unknown: Ids of those whose sender cannot know whether they were sent.
    """

    accepted: list[str] = field(factory=list[str])
    unknown: set[str] = field(factory=set[str])

    async def violations(self, looking: Looking) -> list[str]:
        """Return what is not as promised, the first few of each kind; nothing, if all is well."""
        found = await self._of_the_transfers(looking)
        order = await self._of_the_order(looking)
        journal = await _of_the_journal(looking)
        left = await _of_what_is_left(looking)
        return [*found[:SOME], *order[:SOME], *journal[:SOME], *left]

    async def _of_the_transfers(self, looking: Looking) -> list[str]:
        found: list[str] = []
        effects = {
            "withdrawal": await _ids(looking, "ledger.withdrawn"),
            "credit": await _ids(looking, "ledger.credited"),
            "audit": Counter(id_ for (id_,) in await looking.rows("select id from public.audits")),
        }
        known = self.unknown.union(self.accepted)
        for name, counted in effects.items():
            found += [f"{id_} has no {name}" for id_ in self.accepted if not counted[id_]]
            found += [f"{id_} has {n} times {name}" for id_, n in counted.items() if n > 1]
            found += [f"{id_} has a {name}, but is nobody's" for id_ in counted if id_ not in known]
        found += [
            f"{id_} happened in part"
            for id_ in self.unknown
            if len({bool(counted[id_]) for counted in effects.values()}) > 1
        ]
        return found

    async def _of_the_order(self, looking: Looking) -> list[str]:
        """One sender's transfers happen to one account in the order they were sent."""
        rows = await looking.rows(
            "select key, payload ->> 'id' from rolebook.events"
            " where type = 'ledger.withdrawn' order by key, seq"
        )
        last: dict[tuple[str, str], int] = {}
        found: list[str] = []
        for key, id_ in rows:
            if id_ in self.unknown:
                continue
            sender, _, number = id_.partition("-")
            if int(number) < last.get((key, sender), -1):
                found.append(f"{id_} came to {key} after {last[key, sender]}")
            last[key, sender] = int(number)
        return found


async def _ids(looking: Looking, event: str) -> Counter[str]:
    rows = await looking.rows("select payload ->> 'id' from rolebook.events where type = %s", event)
    return Counter(id_ for (id_,) in rows)


async def _of_the_journal(looking: Looking) -> list[str]:
    """Journals have no gap, and what was taken from one account was given to another."""
    rows = await looking.rows(
        "select actor, key, count(*), max(seq) from rolebook.events group by actor, key"
        " having count(*) <> max(seq)"
    )
    found = [f"the journal of {actor}/{key} has {n} events up to {seq}" for actor, key, n, seq in rows]
    total = await looking.value(
        "select coalesce(sum(case type when 'ledger.credited' then 1 else -1 end"
        " * (payload ->> 'amount')::int), 0) from rolebook.events where actor = 'account'"
    )
    return [*found, f"the balances add up to {total}"] if total else found


async def _of_what_is_left(looking: Looking) -> list[str]:
    """Nothing is left in a mailbox, and nothing died."""
    found: list[str] = []
    tables: list[tuple[str, Any]] = [
        ("messages", await looking.value("select count(*) from rolebook.messages")),
        ("scheduled", await looking.value("select count(*) from rolebook.scheduled")),
        ("dead letters", await looking.value("select count(*) from rolebook.dead_letters")),
    ]
    found += [f"{count} {name} are left" for name, count in tables if count]
    return found
