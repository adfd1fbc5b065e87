"""What a message costs the database: what does not wobble with the machine, counted and not timed.

    python -m benchmarks.costs [--count 4000] [--database-url URL]

Each contender drains a queue of N messages and one of 2 N; the difference, for each message, is free of what
setting up costs. Counted is the whole life of a message, its sending in a batch included. Where the server
has pg_stat_statements, the statements are counted too.
"""

import time
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks._bench import (
    Column,
    Contender,
    Figures,
    Report,
    database,
    drop,
    execute,
    installed,
    main,
    medians,
    parser,
)

OURS, SQL = "benchmarks._ours", "benchmarks.peers.sql"
COUNTED = """
select xact_commit, tup_inserted, tup_updated, tup_deleted,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')
from pg_stat_database where datname = %s
"""
NAMES: tuple[str, ...] = ("commits", "inserted", "updated", "deleted", "wal")
LEFT = "select exists (select from pg_stat_activity where datname = %s)"
STATEMENTS = """
select sum(calls) from pg_stat_statements join pg_database on pg_database.oid = dbid where datname = %s
"""


def contenders(count: int) -> list[Contender]:
    outbox = "benchmarks.peers.faststream_outbox"
    return [
        Contender("Rolebook, handler", OURS, "drain", {"count": count}),
        Contender("Rolebook, actors, one event", OURS, "hot", {"count": count}),
        Contender(
            "pgqueuer, batches of 500", "benchmarks.peers.pgqueuer", "drain", {"count": count}, "pgqueuer"
        ),
        Contender("faststream-outbox, acks of 500", outbox, "drain", {"count": count}, "faststream_outbox"),
        Contender(
            "procrastinate",
            "benchmarks.peers.procrastinate",
            "drain",
            {"count": count // 10},
            "procrastinate",
        ),
        Contender("SQL, batches of 500", SQL, "drain_batches", {"count": count}),
        Contender("SQL, one at a time", SQL, "drain_each", {"count": count}),
    ]


def counted(contender: Contender, admin_url: str) -> Figures:
    """Run a contender, wait until its sessions have reported and gone, and read the counters."""
    url = database(admin_url)
    name = str(conninfo_to_dict(url)["dbname"])
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute("checkpoint")
            before = _wal(connection)
            execute(contender, url)
            while (connection.execute(LEFT, (name,)).fetchone() or (True,))[0]:
                time.sleep(0.05)
            row = connection.execute(COUNTED, (name,)).fetchone()
            assert row is not None
            figures: Figures = dict(zip(NAMES, map(float, row), strict=True))
            figures["wal"] -= before
            if (calls := _statements(connection, name)) is not None:
                figures["statements"] = calls
            return figures
    finally:
        drop(admin_url, url)


def _wal(connection: psycopg.Connection[Any]) -> float:
    row = connection.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
    assert row is not None
    return float(row[0])


def _statements(connection: psycopg.Connection[Any], name: str) -> float | None:
    try:
        row = connection.execute(STATEMENTS, (name,)).fetchone()
    except psycopg.Error:
        return None
    return None if row is None or row[0] is None else float(row[0])


def cost(contender: Contender, admin_url: str) -> Figures:
    """Return what one message more costs."""
    count = int(contender.arguments["count"])
    twice = Contender(
        contender.name, contender.module, contender.work, {**contender.arguments, "count": 2 * count}
    )
    less, more = counted(contender, admin_url), counted(twice, admin_url)
    each = {name: (more[name] - less[name]) / count for name in less}
    return {**each, "commits": each["commits"] * 1000}


def measure(report: Report, count: int) -> None:
    taken = {
        each.name: [cost(each, report.url) for _ in range(report.rounds)]
        for each in installed(contenders(count))
    }
    results = {name: medians(found) for name, found in taken.items()}
    columns = [
        Column("commits per 1,000", "commits", "{:,.1f}"),
        Column("rows inserted", "inserted", "{:.2f}"),
        Column("updated", "updated", "{:.2f}"),
        Column("deleted", "deleted", "{:.2f}"),
        Column("WAL, bytes", "wal"),
    ]
    if any("statements" in figures for figures in results.values()):
        columns.append(Column("statements", "statements", "{:.3f}"))
    report.note("what one message costs", results, taken, columns)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.set_defaults(rounds=1)
    arguments.add_argument("--count", type=int, default=4000, help="messages")
    given = arguments.parse_args()
    main("costs", given, lambda report: measure(report, given.count))
