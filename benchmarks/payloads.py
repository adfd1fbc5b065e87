"""Memory under large payloads and long backlogs, with the bounds as they are and with the bounds lifted.

    python -m benchmarks.payloads [--rounds 1] [--database-url URL]

Each line is a process of its own: how far its resident memory grows at most beyond what it takes at rest.
With the bounds lifted it is bounded in rows only. Beside each load stands one of four times as much.
"""

from typing import Any

from benchmarks._bench import Column, Contender, Report, main, parser

COLUMNS = [Column("growth at most, MB", "growth", "{:,.1f}"), Column("seconds", "seconds", "{:,.2f}")]
LIFTED = 1 << 40


def contenders(work: str, what: str, **arguments: Any) -> list[Contender]:
    """The same with bounds, without them, and with bounds and four times as much."""
    four_times = {**arguments, "count": 4 * arguments["count"]}
    return [
        Contender(what, "benchmarks._heavy", work, arguments),
        Contender("  bounds lifted", "benchmarks._heavy", work, {**arguments, "bound": LIFTED}),
        Contender("  four times as many", "benchmarks._heavy", work, four_times),
    ]


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--large", type=int, default=500, help="messages of 512 kB")
    arguments.add_argument("--events", type=int, default=400, help="events of 250 kB")
    arguments.add_argument("--backlog", type=int, default=100_000, help="small messages")
    given = arguments.parse_args()

    def measure(report: Report) -> None:
        events = given.events
        loads = [
            contenders("drain", f"{given.large:,} messages of 512 kB", count=given.large, size=512_000),
            contenders("replay", f"one actor, {events:,} events of 250 kB", count=events, size=250_000),
            contenders("replay", "200 actors with as many", count=events, size=250_000, actors=200),
            contenders("write", f"{events:,} turns that store 250 kB", count=events, size=250_000),
            contenders("stand", f"a backlog of {given.backlog:,}", count=given.backlog, handle=20_000),
        ]
        for load in loads:
            report.compare(load[0].name, load, COLUMNS)

    main("payloads", given, measure)
