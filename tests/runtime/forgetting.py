"""A server that forgets the end of what it had acknowledged, played on one that does not."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import LiteralString

from tests.runtime.looking import Looking

END_ALL: LiteralString = """
select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like 'rolebook %'
"""


@asynccontextmanager
async def forgetting(looking: Looking) -> AsyncGenerator[None]:
    """End every session; what the block deletes was never there for those that come next.

    All markers go, as all of them are younger than what the block deletes.
    """
    await looking.do("begin")
    await looking.do("lock table rolebook.commits in access exclusive mode")
    await looking.rows(END_ALL)
    await looking.do("set local session_replication_role = replica")  # the journal refuses deletes otherwise
    await looking.do("delete from rolebook.commits")
    yield
    await looking.do("commit")
