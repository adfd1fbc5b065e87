"""eventsourcing on its PostgreSQL module: aggregates cached and not copied, or loaded for each turn."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict

from benchmarks._bench import Figures, Stopwatch

SPACE = UUID(int=1)


class Counter(Aggregate):
    """Adds numbers, one event for each."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.total = 0

    @staticmethod
    def create_id(number: int) -> UUID:
        return uuid5(SPACE, str(number))

    @event("Added")
    def add(self, amount: int) -> None:
        self.total += amount


class Counters(Application[UUID]):
    """The turn: load or find, add, save."""

    snapshotting_intervals = None

    def add(self, number: int) -> int:
        found: Any = self.repository.get(Counter.create_id(number))
        found.add(1)
        self.save(found)
        return int(found.total)


def _open(url: str, *, cached: int = 0, threads: int = 1, **options: str) -> Counters:
    parts = conninfo_to_dict(url)
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(parts["dbname"]),
        "POSTGRES_HOST": str(parts.get("host", "")),
        "POSTGRES_PORT": str(parts.get("port", "5432")),
        "POSTGRES_USER": str(parts.get("user", "postgres")),
        "POSTGRES_PASSWORD": str(parts.get("password", "none")),
        "POSTGRES_POOL_SIZE": str(threads),
        "POSTGRES_MAX_OVERFLOW": "2",
    }
    if cached:
        environment |= {
            "AGGREGATE_CACHE_MAXSIZE": str(cached),
            "AGGREGATE_CACHE_FASTFORWARD": "n",
            "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
        }
    return Counters(env={**environment, **options})


def _in_threads(work: Callable[[int], None], threads: int) -> None:
    running = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()


def turns(url: str, *, count: int, actors: int, threads: int = 1, cached: bool = True) -> Figures:
    app = _open(url, cached=actors if cached else 0, threads=threads)
    for start in range(0, actors, 1000):
        app.save(*[Counter(number) for number in range(start, min(start + 1000, actors))])
    if cached:
        for number in range(actors):
            app.repository.get(Counter.create_id(number))

    def work(place: int) -> None:
        for number in range(place, count, threads):
            app.add(number % actors)

    watch = Stopwatch()
    _in_threads(work, threads)
    figures = watch.figures(count)
    app.close()
    kind = "cached" if cached else "cold"
    return {kind: figures["rate"], f"{kind}_cpu": figures["cpu"]}


def replay(url: str, *, count: int) -> Figures:
    app = _open(url)
    found = Counter(0)
    for number in range(count):
        found.add(1)
        if number % 1000 == 0:
            app.save(found)
    app.save(found)
    app.repository.get(found.id)
    watch = Stopwatch()
    for _ in range(3):
        assert app.repository.get(found.id).version == count + 1
    figures = watch.figures(3 * count)
    app.close()
    return figures
