"""Databases that go from test to test: the next test finds nothing of the last."""

import psycopg
import pytest

from tests.databases import TestServer
from tests.lending import Lender

ROW = """
insert into rolebook.messages (queue, partition, priority, key, type, version, payload)
values ('q', 0, 0, 'k', 't', 1, '1') returning id
"""


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run a statement in a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_what_comes_back_is_lent_again_as_it_was(postgres: TestServer) -> None:
    """Emptied, with its counters set back; two at once are two databases."""
    lender = Lender(postgres.url, 4)
    with lender.lend() as url, lender.lend() as other:
        assert url != other
        first = execute(url, ROW)
    with lender.lend() as again, lender.lend():
        assert execute(url, "select count(*) from rolebook.messages") == [(0,)]
        assert execute(again, ROW) == first
    assert lender.made == 2
    lender.close()


@pytest.mark.parametrize(
    "change",
    [
        "create or replace function rolebook.ring(queue text) returns void language sql as 'select'",
        "alter table rolebook.messages alter column last_error set not null",
        "create table public.left_behind (id int)",
        "update rolebook.meta set partitions = 5",
        "drop index rolebook.scheduled_due",
    ],
)
def test_what_was_changed_is_not_lent_again(postgres: TestServer, change: str) -> None:
    """A function, a column, a table, an index or the meta row that differs: the next test gets another."""
    lender = Lender(postgres.url, 4)
    with lender.lend() as url:
        execute(url, change)
    with lender.lend() as other:
        assert other != url
    lender.close()
