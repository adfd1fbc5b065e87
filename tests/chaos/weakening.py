"""The schema without one of its checks: what the controls run on.

A function is fetched from the test's database, such as the one that commits; one check is cut out of its
text, and it is put back. A text that is no longer there is an error: a control that weakens nothing proves
nothing. What no statement checks is taken out of the program itself.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pytest

from rolebook.runtime.handlers import KeyLines, Line, Work
from tests.runtime.looking import Looking

_MARKER = 'insert into "rolebook".commits (writer, batch) values (commit_batch.writer, commit_batch.batch);'
CHECKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "epoch": ("if held <> cardinality(fence_queue) then", "if false then"),
        "session": ("if pg_try_advisory_xact_lock_shared(commit_batch.nonce) then", "if false then"),
        "number": ("where p.nonce = commit_batch.nonce", ""),
        "rows": ("if cardinality(deleted) is distinct from cardinality(gone_id) then", "if false then"),
        "marker": (_MARKER, ""),
    }
)
"""epoch: whoever lost a partition commits nothing. session: whose session does not live here commits nothing.
number: the partition is that session's. rows: what was handled already is not handled again.
marker: a commit whose answer was lost can be looked up."""

SLOW = (
    "if event_actor is not null then",
    "perform pg_sleep((select seconds from public.slowness)); if event_actor is not null then",
)


async def weaken(looking: Looking, *checks: str) -> None:
    """Take checks out of the commit, for this database only."""
    await edit(looking, "commit_batch", *(CHECKS[check] for check in checks))


async def slow_down(looking: Looking, seconds: float) -> None:
    """Let every commit take a while, so that what can happen during a commit does; 0 ends that."""
    if await looking.value("select to_regclass('public.slowness') is null"):
        if not seconds:
            return
        await looking.do("create table public.slowness as select 0.0::float8 as seconds")
        await edit(looking, "commit_batch", SLOW)
    await looking.do("update public.slowness set seconds = %s", seconds)


async def mute(looking: Looking) -> None:
    """Let no notification out."""
    for function in ("ring(queue text)", "ring_owners(queues text[], partitions smallint[])"):
        await looking.do(
            f"create or replace function rolebook.{function} returns void language sql as 'select'"
        )


async def note_trespasses(looking: Looking) -> None:
    """Note every event of an actor whose partition another process owns when it is committed."""
    await looking.do("create table public.trespasses (process text, actor text, key text, seq bigint)")
    await looking.do("""
        create function public.note_trespass() returns trigger language plpgsql as $$
        declare process text := split_part(current_setting('application_name'), ' ', 2);
        begin
            insert into public.trespasses
            select process, new.actor, new.key, new.seq from rolebook.partitions p
            where p.queue = new.actor and p.partition = rolebook.partition_of(new.key) and p.owner <> process;
            return null;
        end $$
    """)
    await looking.do(
        "create trigger note_trespass after insert on rolebook.events"
        " for each row execute function public.note_trespass()"
    )


async def edit(looking: Looking, function: str, *edits: tuple[str, str]) -> None:
    """Change the text of a function of the schema, for this database only."""
    text = await looking.value(
        "select pg_get_functiondef(oid) from pg_proc where proname = %s"
        " and pronamespace = 'rolebook'::regnamespace",
        function,
    )
    for old, new in edits:
        assert text.count(old) == 1, f"{function} no longer says {old!r}"
        text = text.replace(old, new)
    await looking.connection.execute(text.encode())


def crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what waits behind a blocked actor take up room in memory like anything else."""

    def make_no_room(lines: KeyLines, line: Line, newly: Sequence[Work]) -> None:
        """It stays, and counts."""

    monkeypatch.setattr(KeyLines, "_make_room", make_no_room)
