"""Migrated databases that go from test to test.

To make a database takes longer than most tests that use one. So a database is lent. It comes back, is
emptied, its counters are set back, and it is lent again if its schema is as it was. If a test has changed
that, the database is dropped, and the next test gets a new one.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, final

import psycopg
from attrs import define, field

from tests.databases import drop_database
from tests.stores import create_migrated

_EMPTY: Final = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid();
alter table rolebook.events disable trigger append_only;
truncate rolebook.messages, rolebook.scheduled, rolebook.events, rolebook.snapshots, rolebook.partitions,
    rolebook.members, rolebook.trials, rolebook.suspects,
    rolebook.dead_letters, rolebook.checkpoints, rolebook.outcomes, rolebook.shapes, rolebook.commits;
select setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
from pg_sequences where schemaname = 'rolebook';
alter table rolebook.events enable trigger append_only;
"""

_PRINT: Final = """
select md5(concat_ws('|',
    (select string_agg(nspname || coalesce(nspacl::text, ''), ',' order by nspname) from pg_namespace
     where nspname not like 'pg\\_temp\\_%%' and nspname not like 'pg\\_toast%%'),
    (select string_agg(pg_get_functiondef(p.oid), ',' order by p.oid) from pg_proc p
     join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('rolebook', 'public')),
    (select string_agg(concat_ws(' ', c.oid, c.relname, c.relacl, c.reloptions), ',' order by c.oid)
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('rolebook', 'public')),
    (select string_agg(concat_ws(' ', a.attrelid, a.attname, a.atttypid, a.attnotnull, a.atthasdef), ','
                       order by a.attrelid, a.attnum)
     from pg_attribute a join pg_class c on c.oid = a.attrelid
     join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('rolebook', 'public')),
    (select string_agg(concat_ws(' ', conname, pg_get_constraintdef(oid)), ',' order by oid)
     from pg_constraint where connamespace = 'rolebook'::regnamespace),
    (select string_agg(concat_ws(' ', tgname, tgenabled, tgrelid), ',' order by oid) from pg_trigger),
    (select string_agg(setconfig::text, ',') from pg_db_role_setting s
     join pg_database d on d.oid = s.setdatabase where d.datname = current_database()),
    (select string_agg(m::text, ',') from rolebook.meta m),
    (select string_agg(m::text, ',' order by version) from rolebook.migrations m)))
"""


@final
@define(eq=False)
class Lender:
    """Lends the databases of one server.

    Attributes:
        admin_url: Connects to the server as a role that may create databases.
        partitions: How many partitions each queue has in them.
        made: How many databases were made.
    """

    admin_url: str
    partitions: int
    made: int = 0
    _free: list[str] = field(factory=list[str])
    _prints: dict[str, str] = field(factory=dict[str, str])

    @contextmanager
    def lend(self) -> Generator[str]:
        """Give the URL of a database with the runtime's schema, and nothing in it."""
        url = self._free.pop() if self._free else self._make()
        yield url
        empty(url)
        with psycopg.connect(url, autocommit=True) as connection:
            same = _print_of(connection) == self._prints[url]
        if same:
            self._free.append(url)
        else:
            del self._prints[url]
            drop_database(self.admin_url, url)

    def close(self) -> None:
        """Drop them all."""
        while self._free:
            drop_database(self.admin_url, self._free.pop())

    def _make(self) -> str:
        self.made += 1
        url = create_migrated(self.admin_url, self.partitions)
        with psycopg.connect(url, autocommit=True) as connection:
            self._prints[url] = _print_of(connection)
        return url


def empty(url: str) -> None:
    """End every session in a migrated database, and delete every row that a test can have left."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_EMPTY)


def _print_of(connection: psycopg.Connection) -> str:
    row = connection.execute(_PRINT.encode()).fetchone()
    assert row is not None
    return str(row[0])
