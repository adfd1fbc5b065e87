"""Send messages, and wake an idle handler: Rolebook, its peers, and the bare SQL, in one run.

    python -m benchmarks.send [--count 3200] [--rounds 3] [--database-url URL]

Sixteen senders with a commit for each message; one sender with a commit for each 1,000; and the time from
before a send, on a connection of its own, to the call of a handler that has nothing to do.
"""

from benchmarks._bench import Column, Contender, Report, main, parser

OURS, SQL = "benchmarks._ours", "benchmarks.peers.sql"
PEERS = {
    "pgqueuer": "benchmarks.peers.pgqueuer",
    "faststream-outbox": "benchmarks.peers.faststream_outbox",
    "procrastinate": "benchmarks.peers.procrastinate",
}
RATE = [Column("messages/s", "rate"), Column("CPU of the senders, µs each", "cpu", "{:,.1f}")]
SENDERS = 16
BATCH = 1000


def peers(work: str, **arguments: int) -> list[Contender]:
    return [
        Contender(name, module, work, arguments, name.replace("-", "_")) for name, module in PEERS.items()
    ]


def measure(report: Report, count: int, latencies: int) -> None:
    each = {"count": count, "senders": SENDERS}
    report.compare(
        f"{SENDERS} senders, a commit for each message",
        [
            Contender("Rolebook, by SQL on own connections", OURS, "send_by_sql", each),
            Contender("Rolebook, tasks of one runtime", OURS, "send_each", each),
            *peers("send_each", count=count // 2, senders=SENDERS),
            Contender("SQL, insert", SQL, "send_each", each),
            Contender("SQL, insert and notify", SQL, "send_each", {**each, "notify": True}),
        ],
        RATE,
        ratio="rate",
    )
    many = {"count": count * 10, "batch": BATCH}
    report.compare(
        f"one sender, a commit for each {BATCH:,} messages",
        [
            Contender("Rolebook", OURS, "send_many", many),
            *peers("send_many", **many),
            Contender("SQL, insert", SQL, "send_many", many),
        ],
        RATE,
        ratio="rate",
    )
    report.compare(
        "idle to handler",
        [
            Contender("Rolebook", OURS, "latency", {"count": latencies}),
            *peers("latency", count=latencies),
            Contender("SQL, insert, notify, delete", SQL, "latency", {"count": latencies}),
        ],
        [Column("p50, ms", "p50", "{:.2f}"), Column("p99, ms", "p99", "{:.2f}")],
        ratio="p50",
    )


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--count", type=int, default=3200, help="messages sent one by one")
    arguments.add_argument("--latencies", type=int, default=50, help="messages to an idle handler")
    given = arguments.parse_args()
    main("send", given, lambda report: measure(report, given.count, given.latencies))
