"""A million actors, one after the other, in the memory of ten thousand.

    python benchmarks/memory.py [KEYS [RESIDENTS]]

Tells each key one command, on the in-memory store and without events, so that what grows would be the
runtime's own. Prints the memory of the process every tenth of the way, and what one more actor in memory
costs.
"""

import sys
import time
from pathlib import Path

import trio
from attrs import define, frozen

import rolebook as rb
from rolebook.runtime import ActorStatistics, MemoryStore, Runtime

BATCH = 5_000


@rb.command("visitor.greet")
@frozen
class Greet(rb.Command[None]):
    number: int


@rb.actor("visitor")
@define
class Visitor:
    text: str = ""

    @rb.decide
    def greet(self, command: Greet) -> None:
        """Say nothing."""


APP = rb.App("memory", actors=[Visitor])


def megabytes() -> float:
    """Return the resident memory of this process, in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this benchmark reads /proc/self/status, which only Linux has")


async def greet(runtime: Runtime, start: int, count: int) -> ActorStatistics:
    """Greet so many visitors that were never seen before."""
    for first in range(start, start + count, BATCH):
        numbers = range(first, min(first + BATCH, start + count))
        await runtime.send(*(rb.Tell(Visitor, f"visitor-{number}", Greet(number)) for number in numbers))
        while await runtime.depths() != {"visitor": 0}:
            await runtime.wait_idle()
    return runtime.statistics().actors["visitor"]


async def main(keys: int, residents: int) -> None:
    """Greet all, and report."""
    settings = rb.Settings(residents=residents)
    async with rb.open_runtime(APP, database=MemoryStore(), settings=settings) as runtime:
        print(f"{'keys':>10} {'in memory':>10} {'MB':>8} {'keys/s':>8}")
        for tenth in range(10):
            since = time.perf_counter()
            found = await greet(runtime, tenth * keys // 10, keys // 10)
            rate = keys / 10 / (time.perf_counter() - since)
            print(f"{(tenth + 1) * keys // 10:>10,} {found.residents:>10,} {megabytes():>8.1f} {rate:>8,.0f}")
        found = runtime.statistics().actors["visitor"]
        print(f"loads {found.recovered:,}, hits {found.hits:,}, evictions {found.evictions:,}")
    more = 50_000
    async with rb.open_runtime(APP, database=MemoryStore(), settings=rb.Settings(residents=10**9)) as runtime:
        await greet(runtime, 0, BATCH)
        before = megabytes()
        await greet(runtime, BATCH, more)
        each = (megabytes() - before) * 1024 * 1024 / more
        print(f"one more actor in memory, with an empty state and a key of 12 characters: {each:,.0f} bytes")


if __name__ == "__main__":
    chosen = [int(argument.replace("_", "")) for argument in sys.argv[1:]]
    keys, residents = (*chosen, *(1_000_000, 10_000)[len(chosen) :])
    trio.run(main, keys, residents)
