"""What supervision costs, beside a bare nursery.

    python -m benchmarks.supervision [--children 10000] [--rounds 5]

Each figure is the median of the rounds; the two are measured in turn, so that a noisy machine hurts both.
"""

import argparse
import gc
import logging
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable

import trio
import trio.testing

from rolebook.actors import Backoff, Child, Supervisor, open_supervisor

DYNAMIC = Supervisor("bench", template=Child("idle", trio.sleep_forever))


async def supervised(count: int) -> tuple[float, float, float]:
    """Start and stop children of a dynamic supervisor; returns both times in s, and the memory in bytes."""
    async with open_supervisor(DYNAMIC) as tree:
        memory, began = _memory(), time.perf_counter()
        for number in range(count):
            tree.add_nowait("", str(number))
        await trio.testing.wait_all_tasks_blocked()
        started = time.perf_counter() - began
        memory = _memory() - memory
        began = time.perf_counter()
    return started, time.perf_counter() - began, memory


async def bare(count: int) -> tuple[float, float, float]:
    """Start and cancel as many tasks in a nursery."""
    async with trio.open_nursery() as nursery:
        memory, began = _memory(), time.perf_counter()
        for _ in range(count):
            nursery.start_soon(trio.sleep_forever)
        await trio.testing.wait_all_tasks_blocked()
        started = time.perf_counter() - began
        memory = _memory() - memory
        began = time.perf_counter()
        nursery.cancel_scope.cancel()
    return started, time.perf_counter() - began, memory


def _memory() -> float:
    return tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else 0


async def restarts(count: int) -> float:
    """Return the seconds that so many restarts of a crashing child take, without a backoff."""
    left, done = count, trio.Event()

    async def crash() -> None:
        nonlocal left
        left -= 1
        if left > 0:
            raise ValueError
        done.set()
        await trio.sleep_forever()

    spec = Supervisor("bench", (Child("crash", crash),), max_restarts=None, backoff=Backoff(first=0))
    began = time.perf_counter()
    async with open_supervisor(spec):
        await done.wait()
        return time.perf_counter() - began


async def bare_restarts(count: int) -> float:
    """Return the seconds that so many failing tasks in nurseries of their own take."""

    async def crash() -> None:
        raise ValueError

    began = time.perf_counter()
    for _ in range(count):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crash)
        except* ValueError:
            pass
    return time.perf_counter() - began


async def restart_latency(count: int) -> float:
    """Return the median seconds from a command to a child that is ready again."""
    async with open_supervisor(Supervisor("bench", (Child("idle", trio.sleep_forever),))) as tree:
        taken: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            await tree.restart("idle")
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


Measure = Callable[[int], Awaitable[tuple[float, float, float]]]


def medians(count: int, rounds: int, *, traced: bool) -> list[list[float]]:
    """Return the medians of start, stop and memory, for both, measured in turn."""
    measures: tuple[Measure, ...] = (bare, supervised)
    samples: list[list[tuple[float, float, float]]] = [[], []]
    for _ in range(rounds):
        for index, measure in enumerate(measures):
            gc.collect()
            if traced:
                tracemalloc.start()
            samples[index].append(trio.run(measure, count))
            tracemalloc.stop()
    return [[statistics.median(column) for column in zip(*each, strict=True)] for each in samples]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    logging.getLogger("rolebook.supervision").setLevel(logging.CRITICAL)
    count = given.children
    (nursery_start, nursery_stop, _), (start, stop, _) = medians(count, given.rounds, traced=False)
    (_, _, nursery_memory), (_, _, memory) = medians(count, 1, traced=True)
    crash = statistics.median(trio.run(restarts, 1000) / 1000 for _ in range(given.rounds))
    bare_crash = statistics.median(trio.run(bare_restarts, 1000) / 1000 for _ in range(given.rounds))
    latency = trio.run(restart_latency, 2000)
    print(f"{'':36} {'nursery':>12} {'supervisor':>12}")
    print(f"{f'start {count:,} children':36} {nursery_start:>10.3f} s {start:>10.3f} s")
    print(f"{f'stop {count:,} children':36} {nursery_stop:>10.3f} s {stop:>10.3f} s")
    print(f"{'memory per child':36} {nursery_memory / count:>10.0f} B {memory / count:>10.0f} B")
    print(f"{'a crash and what follows':36} {bare_crash * 1e6:>9.0f} us {crash * 1e6:>9.0f} us")
    print(f"{'restart by command, until ready':36} {'':>12} {latency * 1e6:>9.0f} us")


if __name__ == "__main__":
    main()
