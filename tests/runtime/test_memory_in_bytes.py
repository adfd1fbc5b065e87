"""Memory is bounded in bytes: what a process holds of large payloads does not grow with how many there are.

Each test drives a process through some 100 MB and looks how far its resident memory grew at most. Its control
lifts the bound by the settings: then it holds a good part of them, and the test would fail.
"""

from __future__ import annotations

import sys

import pytest

from benchmarks._bench import Contender, execute
from tests.lending import Lender

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc/self")

MIB = 1024 * 1024
MB = 1_000_000
TIGHT, LIFTED = 4 * MIB, 1024 * MIB
MOST = 45 * MB
"""The writer holds a batch, as much again waits for it, and psycopg has both as text and in its buffers."""
LEAST = 80 * MB

WORKS = {
    "a queue of large messages": ("drain", {"count": 200, "size": 512_000}),
    "a journal of large events": ("replay", {"count": 400, "size": 250_000}),
    "recovery of many actors": ("replay", {"count": 400, "size": 250_000, "actors": 200}),
    "turns that store large events": ("write", {"count": 500, "size": 250_000}),
}


def growth(url: str, work: str, bound: int) -> float:
    """How far the memory of a process grew, in bytes."""
    function, arguments = WORKS[work]
    contender = Contender(work, "benchmarks._heavy", function, {**arguments, "bound": bound})
    return execute(contender, url)["growth"] * MB


@pytest.mark.parametrize("work", WORKS)
def test_memory_is_bounded_in_bytes(database_url: str, work: str) -> None:
    """With 100 MB and more to go through, it grows by a small multiple of the bound."""
    assert growth(database_url, work, TIGHT) < MOST


@pytest.mark.parametrize("work", WORKS)
def test_memory_is_bounded_in_bytes_control(database_url: str, work: str) -> None:
    """With the bound lifted it grows beyond that: what the test looks at is what the bound bounds."""
    assert growth(database_url, work, LIFTED) > LEAST


@pytest.mark.parametrize("size", [512_000, 100])
def test_memory_does_not_grow_with_the_backlog(size: int, lend_usual: Lender) -> None:
    """Four times as many messages, large or small, take no more."""
    grew: list[float] = []
    counts = (100, 400) if size > TIGHT // 100 else (10_000, 40_000)
    for count in counts:
        with lend_usual.lend() as url:
            arguments = {"count": count, "size": size, "bound": TIGHT}
            grew.append(execute(Contender("drain", "benchmarks._heavy", "drain", arguments), url)["growth"])
    assert grew[1] < grew[0] + 10
