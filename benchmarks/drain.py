"""Drain a queue with a handler that does nothing: Rolebook, its peers, and the bare SQL, in one run.

    python -m benchmarks.drain [--count 20000] [--rounds 3] [--database-url URL]

The worker is up and idle; one transaction sends everything. Timed is from there until the last
acknowledgement is committed. The turns of actors beside it each decide and store an event. The peers that
are slow drain less, so that a run stays short.

The second table holds a transaction open that keeps the rows of messages drained before from being removed.
"""

from benchmarks._bench import Column, Contender, Report, main, parser

COLUMNS = [Column("messages/s", "rate"), Column("CPU of the worker, µs each", "cpu", "{:,.1f}")]
OURS, SQL = "benchmarks._ours", "benchmarks.peers.sql"


def contenders(count: int) -> list[Contender]:
    all_of_it, few = {"count": count}, {"count": max(200, count // 40)}
    outbox = "benchmarks.peers.faststream_outbox"
    return [
        Contender("Rolebook", OURS, "drain", all_of_it),
        Contender("Rolebook, turns of 1,000 actors", OURS, "cached", all_of_it),
        Contender("pgqueuer, batches of 500", "benchmarks.peers.pgqueuer", "drain", all_of_it, "pgqueuer"),
        Contender("faststream-outbox, acks of 500", outbox, "drain", all_of_it, "faststream_outbox"),
        Contender(
            "faststream-outbox, ack for each",
            outbox,
            "drain",
            {**few, "ack": 1, "fetch": 100},
            "faststream_outbox",
        ),
        Contender("procrastinate", "benchmarks.peers.procrastinate", "drain", few, "procrastinate"),
        Contender("SQL, one at a time, 16 connections", SQL, "drain_each", {"count": max(1000, count // 10)}),
        Contender("SQL, batches of 500, at most once", SQL, "drain_batches", all_of_it),
    ]


def beside_dead_rows(count: int, dead: int) -> list[Contender]:
    some = dead // 10  # or it takes longer than a round may
    pgqueuer = "benchmarks.peers.pgqueuer"
    return [
        Contender("Rolebook, fresh", OURS, "drain", {"count": count}),
        Contender(f"Rolebook, {dead:,} dead rows", OURS, "drain", {"count": count, "dead": dead}),
        Contender("pgqueuer, fresh", pgqueuer, "drain", {"count": some}, "pgqueuer"),
        Contender(
            f"pgqueuer, {some:,} dead rows", pgqueuer, "drain", {"count": some, "dead": some}, "pgqueuer"
        ),
    ]


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--count", type=int, default=20_000, help="messages")
    arguments.add_argument("--dead", type=int, default=300_000, help="dead rows that cannot be removed")
    given = arguments.parse_args()

    def measure(report: Report) -> None:
        report.compare("drain, a handler that does nothing", contenders(given.count), COLUMNS, ratio="rate")
        title = "drain beside dead rows that a long transaction keeps"
        report.compare(title, beside_dead_rows(given.count, given.dead), COLUMNS, ratio="rate")

    main("drain", given, measure)
