"""An actor gets another name."""

import psycopg
import pytest

import rolebook as rb
from tests.runtime.apps import SLOW, Note, diary
from tests.runtime.looking import Looking


async def test_an_actor_is_renamed_with_all_that_is_stored(database_url: str, looking: Looking) -> None:
    """Its journal, snapshots, messages in order, scheduled messages and dead letters go by the new name."""
    old = rb.App("app", actors=[diary("diary", snapshot_every=2, retry=SLOW)])
    new = rb.App("app", actors=[diary("journal", snapshot_every=2)])
    async with rb.open_runtime(old, database=database_url) as runtime:
        for number in (1, 2, 3):
            await runtime.ask("diary", "a", Note(number))
        await runtime.tell("diary", "a", Note(9), delay=1000)
        with pytest.raises(psycopg.errors.ObjectInUse, match="a process runs actor diary or journal"):
            await looking.rows("select rolebook.rename_actor('diary', 'journal')")
    for number in (4, 5, 6):
        await looking.do(
            "select rolebook.tell('diary', 'a', 'diary.note', json_build_object('number', %s::int))", number
        )
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        await looking.rows("select rolebook.rename_actor('diary', 'no name')")
    assert await looking.value("select rolebook.rename_actor('diary', 'journal')") == 3
    async with rb.open_runtime(new, database=database_url) as runtime:
        await runtime.wait_idle()
    assert await looking.journal("journal", "a") == [1, 2, 3, 4, 5, 6]
    assert await looking.journal("diary", "a") == []
    assert await looking.value("select queue from rolebook.scheduled") == "journal"
    assert await looking.value("select count(*) from rolebook.snapshots where actor = 'diary'") == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        await looking.do("delete from rolebook.events")
    with pytest.raises(psycopg.errors.UniqueViolation, match="a journal of actor journal already"):
        await looking.rows("select rolebook.rename_actor('other', 'journal')")
