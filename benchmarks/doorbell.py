"""What it costs to wake whoever owns a message: the rule, waking always, and never, in one run.

    python -m benchmarks.doorbell [--seconds 2] [--open 5] [--rounds 3] [--database-url URL]

Senders are connections that send one message in each transaction, in a loop on the server, so that nothing
but the server bounds them; a process that does nothing with a message owns them all. Who is never woken
polls every two milliseconds, or it would have nothing to do.

Then one sender sends while the owner is awake, and keeps its transaction open; another sends now and then.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import trio
from attrs import frozen

import rolebook as rb
from benchmarks._bench import Column, Contender, Figures, Report, main, on_trio, parser, percentiles
from rolebook.runtime import Settings

SENDERS = (1, 16, 32)
SLEEPING = "where case when"
"""Where `ring_owners` begins to ask who is asleep."""

EDITS = {
    "the rule": SLEEPING,
    "always": "where true or case when",
    "never": "where false and case when",
}
"""What stands there instead."""

SEND = """
do $$ declare until timestamptz := clock_timestamp() + interval '{} seconds';
begin
    while clock_timestamp() < until loop
        perform rolebook.enqueue('jobs', 'bench.sent', '{{"at":0}}');
        commit;
    end loop;
end $$
"""


@rb.command("bench.sent")
@frozen
class Sent(rb.Command[None]):
    at: float


def _edit(connection: psycopg.Connection[Any], new: str) -> None:
    row = connection.execute("select pg_get_functiondef('rolebook.ring_owners'::regproc)").fetchone()
    assert row is not None
    text: str = row[0]
    if text.count(SLEEPING) != 1:
        raise RuntimeError(f"ring_owners no longer says {SLEEPING!r}")
    connection.execute(text.replace(SLEEPING, new).encode())


def send(url: str, seconds: float) -> None:
    """Send as fast as it goes, on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SEND.format(seconds).encode())


def _settings(rule: str) -> Settings:
    return Settings(poll_interval=0.002 if rule == "never" else 5.0)


@on_trio
async def commits(url: str, *, rule: str, senders: int, seconds: float) -> Figures:
    """Send as fast as the server can commit; the rate of commits, and the reads for each."""
    app = rb.App("bench", actors=[])

    @app.handler("jobs")
    async def job(_: Sent) -> None:
        pass

    async with rb.open_runtime(app, database=url, settings=_settings(rule)) as runtime:
        with psycopg.connect(url, autocommit=True) as connection:
            _edit(connection, EDITS[rule])
        await runtime.wait_idle()
        before = runtime.statistics().mailbox
        async with trio.open_nursery() as nursery:
            for _ in range(senders):
                nursery.start_soon(trio.to_thread.run_sync, send, url, seconds)
        after = runtime.statistics().mailbox
        with psycopg.connect(url) as connection:
            row = connection.execute("select last_value from rolebook.message_ids").fetchone()
        assert row is not None
        reads = after.reads - before.reads
        return {"rate": row[0] / seconds, "reads": reads / seconds, "handled": after.messages / seconds}


@on_trio
async def beside_a_long_one(url: str, *, rule: str, seconds: float, messages: int) -> Figures:
    """How late messages are while a sender keeps its transaction open, and how late its own is then."""
    app, late = rb.App("bench", actors=[]), dict[float, float]()

    @app.handler("jobs")
    async def job(sent: Sent) -> None:
        late[sent.at] = time.time() - sent.at

    def enqueue(connection: psycopg.Connection[Any], at: float) -> None:
        query = "select rolebook.enqueue('jobs', 'bench.sent', json_build_object('at', %s::float8))"
        connection.execute(query, [at])

    def run() -> tuple[float, float, int]:
        with (
            psycopg.connect(url, autocommit=True) as connection,
            psycopg.connect(url) as long,
            ThreadPoolExecutor() as pool,
        ):
            for sending in [pool.submit(send, url, 1.0) for _ in range(8)]:
                sending.result()  # now it is awake, where there is such a thing
            enqueue(long, 1.0)
            began, before = time.monotonic(), runtime.statistics().mailbox.reads
            for _ in range(messages):
                time.sleep(seconds / messages)
                enqueue(connection, time.time())
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            reads = runtime.statistics().mailbox.reads - before
            ended = time.time()
            long.commit()
            while 1.0 not in late:
                time.sleep(0.001)
        return ended, late[1.0] + 1.0, reads

    async with rb.open_runtime(app, database=url, settings=_settings(rule)) as runtime:
        with psycopg.connect(url, autocommit=True) as connection:
            _edit(connection, EDITS[rule])
        await runtime.wait_idle()
        ended, arrived, reads = await trio.to_thread.run_sync(run)
    figures = percentiles([seconds for at, seconds in late.items() if at > 1.0])
    return {**figures, "reads": float(reads), "own": (arrived - ended) * 1e3}


def measure(report: Report, seconds: float, open_for: float, messages: int) -> None:
    """Measure each rule with each number of senders, and beside a long transaction."""
    for senders in SENDERS:
        report.compare(
            f"commits, {senders} sender{'s' * (senders > 1)}",
            [
                Contender(
                    rule,
                    "benchmarks.doorbell",
                    "commits",
                    {"rule": rule, "senders": senders, "seconds": seconds},
                )
                for rule in EDITS
            ],
            [
                Column("commits/s", "rate"),
                Column("handled/s", "handled"),
                Column("reads of the owner/s", "reads"),
            ],
            ratio="rate",
        )
    given = {"seconds": open_for, "messages": messages}
    report.compare(
        f"{messages} messages while another transaction that sent is open for {open_for:g} s",
        [
            Contender(rule, "benchmarks.doorbell", "beside_a_long_one", {"rule": rule, **given})
            for rule in EDITS
        ],
        [
            Column("p50, ms", "p50", "{:.2f}"),
            Column("p99, ms", "p99", "{:.2f}"),
            Column("reads", "reads"),
            Column("its own message after its commit, ms", "own"),
        ],
    )


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--seconds", type=float, default=2.0, help="of sending")
    arguments.add_argument("--open", type=float, default=5.0, help="seconds that a transaction is open")
    arguments.add_argument("--messages", type=int, default=50, help="sent meanwhile")
    given = arguments.parse_args()
    main("doorbell", given, lambda report: measure(report, given.seconds, given.open, given.messages))
