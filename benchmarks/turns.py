"""Event-sourced turns, asks, replay and memory: Rolebook, eventsourcing, and the bare SQL, in one run.

    python -m benchmarks.turns [--actors 1000 100000] [--count 20000] [--rounds 3] [--database-url URL]

A turn decides one event; event, new state and acknowledgement commit together. "cold" actors are loaded from
a journal of three events first. eventsourcing appends within the caller: it has no mailbox to acknowledge.
"""

from benchmarks._bench import Column, Contender, Report, main, parser

OURS, SQL, PEER = "benchmarks._ours", "benchmarks.peers.sql", "benchmarks.peers.eventsourcing"
NAME = "eventsourcing"
RATE = Column("/s", "rate")
CPU = Column("CPU, µs each", "cpu", "{:,.1f}")


def turns(report: Report, actors: int, count: int) -> None:
    few = {"count": max(500, count // 20), "actors": actors}
    found = [
        Contender("Rolebook", OURS, "turns", {"count": max(count, actors), "actors": actors}),
        Contender("SQL, load and insert", SQL, "turns", {**few, "load": True}),
        Contender("SQL, insert", SQL, "turns", few),
        Contender("SQL, insert, 16 connections", SQL, "turns", {**few, "workers": 16}),
    ]
    if actors <= count:
        found += [
            Contender("eventsourcing, cached", PEER, "turns", few, NAME),
            Contender("eventsourcing, cached, 16 threads", PEER, "turns", {**few, "threads": 16}, NAME),
            Contender("eventsourcing, loaded each time", PEER, "turns", {**few, "cached": False}, NAME),
        ]
    columns = [
        Column("cached, /s", "cached"),
        Column("cold, /s", "cold"),
        Column("cached, CPU µs", "cached_cpu", "{:,.1f}"),
        Column("cold, CPU µs", "cold_cpu", "{:,.1f}"),
    ]
    report.compare(f"turns of {actors:,} actors", found, columns)


def others(report: Report, count: int) -> None:
    report.compare(
        "turns of one hot actor", [Contender("Rolebook", OURS, "hot", {"count": count})], [RATE, CPU]
    )
    report.compare(
        "asks, each caller waits for its reply",
        [
            Contender(f"{callers} callers", OURS, "asks", {"count": asks, "callers": callers})
            for callers, asks in ((1, count // 40), (16, count // 8), (256, count // 2))
        ],
        [RATE, Column("p50, ms", "p50", "{:.2f}"), Column("p99, ms", "p99", "{:.2f}"), CPU],
    )
    report.compare(
        f"replay of one actor with {count:,} events",
        [
            Contender("Rolebook", OURS, "replay", {"count": count}),
            Contender(
                "Rolebook, snapshot every 1,000", OURS, "replay", {"count": count, "snapshot_every": 1000}
            ),
            Contender("eventsourcing", PEER, "replay", {"count": count // 4}, NAME),
            Contender("SQL, read and not decoded", SQL, "replay", {"count": count}),
        ],
        [Column("events/s", "rate"), Column("CPU, µs each", "cpu", "{:,.2f}")],
        ratio="rate",
    )


def memory(report: Report, sizes: list[int]) -> None:
    found = [Contender(f"{actors:,} actors", OURS, "memory", {"actors": actors}) for actors in (1, *sizes)]
    found += [
        Contender(f"{actors:,} actors, traced", OURS, "memory", {"actors": actors, "traced": True})
        for actors in sizes
    ]
    columns = [Column("resident, MB", "mb", "{:.1f}"), Column("for each actor, bytes", "each")]
    report.compare("memory of a worker", found, columns)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.set_defaults(rounds=2)
    arguments.add_argument("--actors", type=int, nargs="+", default=[1000], help="how many in memory")
    arguments.add_argument("--count", type=int, default=20_000, help="turns")
    given = arguments.parse_args()

    def measure(report: Report) -> None:
        for actors in given.actors:
            turns(report, actors, given.count)
        others(report, given.count)
        memory(report, given.actors)

    main("turns", given, measure)
