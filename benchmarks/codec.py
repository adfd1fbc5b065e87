"""The codec, and the JSON backends that cattrs has, in one run.

    python benchmarks/codec.py

First what each backend keeps exactly, then what each costs: medians of interleaved rounds, in µs per value.
The codec checks every value both ways; the converters of cattrs beside it coerce and do not check.
"""

import gc
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import cattrs.preconf.json
import cattrs.preconf.msgspec
import cattrs.preconf.orjson
import msgspec
import orjson
from attrs import define, frozen

import rolebook as rb
from rolebook.actors import Codec, DecideTurn, Decision, definition_of, run_decider

ROUNDS = 7
SECONDS = 0.08

Measured = Callable[[], object]


@rb.event("small")
@frozen
class Small:
    amount: int


@frozen
class Line:
    article: UUID
    price: Decimal
    count: int


@rb.event("large")
@frozen
class Large:
    ident: UUID
    moment: datetime
    customer: str
    note: str | None
    lines: tuple[Line, ...]


@rb.command("put")
@frozen
class Put(rb.Command[int]):
    amount: int


@rb.actor("counter")
@define
class Counter:
    total: int = 0

    @rb.decide
    def put(self, command: Put) -> rb.Effects[int]:
        yield Small(command.amount)
        return self.total

    @rb.apply
    def small(self, event: Small) -> None:
        self.total += event.amount


SMALL = Small(42)
LARGE = Large(
    UUID(int=1),
    datetime(2013, 1, 1, 5, 17, tzinfo=UTC),
    "Étienne",
    None,
    tuple(Line(UUID(int=each), Decimal("19.99"), each) for each in range(5)),
)
CODEC = Codec([definition_of(Counter)], [Large])
BACKENDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "json": (lambda raw: json.dumps(raw, separators=(",", ":")), json.loads),
    "orjson": (lambda raw: orjson.dumps(raw).decode(), orjson.loads),
    "msgspec": (lambda raw: msgspec.json.encode(raw).decode(), msgspec.json.decode),
}
HARD = {
    "int of 70 bits": 2**70,
    "int of 4,000 digits": 10**3_999,
    "float": 0.1 + 0.2,
    "-0.0": -0.0,
    "smallest float": 5e-324,
    "NUL": "\0",
    "astral text": "\U0001f600",
}
REFUSED = {"NaN": float("nan"), "lone surrogate": "\ud800"}


def exactness() -> None:
    print(f"{'comes back exactly?':24}" + "".join(f"{name:>12}" for name in BACKENDS))
    for what, value in HARD.items():
        print(f"{what:24}" + "".join(f"{_verdict(backend, value):>12}" for backend in BACKENDS))
    for what, value in REFUSED.items():
        print(f"{what + ' refused?':24}" + "".join(f"{_refusal(backend, value):>12}" for backend in BACKENDS))


def _verdict(backend: str, value: object) -> str:
    dumps, loads = BACKENDS[backend]
    try:
        back = loads(dumps(value))
    except (ValueError, TypeError):
        return "error"
    return "yes" if repr(back) == repr(value) else "ALTERED"


def _refusal(backend: str, value: object) -> str:
    try:
        written = BACKENDS[backend][0](value)
    except (ValueError, TypeError):
        return "yes"
    return written[:10]


def whole_turn() -> Measured:
    """From a stored command to stored events: decode, decide, apply, encode."""
    definition, state = definition_of(Counter), Counter()
    name, version, payload = CODEC.encode_command(Put(1))
    now = datetime.now(UTC)

    def turn() -> object:
        decision = Decision()
        command = CODEC.decode_command(name, version, payload)
        run_decider(definition, state, command, DecideTurn("counter", "a", "1", now), decision)
        return [CODEC.encode_event(event) for event in decision.events]

    return turn


def decide_only() -> Measured:
    definition, state, command = definition_of(Counter), Counter(), Put(1)
    turn = DecideTurn("counter", "a", "1", datetime.now(UTC))

    def decide() -> object:
        decision = Decision()
        run_decider(definition, state, command, turn, decision)
        return decision

    return decide


def candidates() -> dict[str, Measured]:
    found: dict[str, Measured] = {}
    for title, event in (("small", SMALL), ("large", LARGE)):
        encoded = CODEC.encode_event(event)
        raw = json.loads(encoded.payload)
        found[f"{title}: codec writes"] = partial(CODEC.encode_event, event)
        found[f"{title}: codec reads"] = partial(CODEC.decode_event, *encoded)
        for name, (dumps, loads) in BACKENDS.items():
            found[f"{title}: {name} alone writes"] = partial(dumps, raw)
            found[f"{title}: {name} alone reads"] = partial(loads, encoded.payload)
        for module in (cattrs.preconf.json, cattrs.preconf.orjson, cattrs.preconf.msgspec):
            converter = _converter(module)
            name = module.__name__.rpartition(".")[2]
            found[f"{title}: cattrs with {name} writes"] = partial(converter.dumps, event)
            found[f"{title}: cattrs with {name} reads"] = partial(
                converter.loads, converter.dumps(event), type(event)
            )
    found["turn: decide and apply one event"] = decide_only()
    found["turn: read, decide, apply, write"] = whole_turn()
    return found


def _from_text(text: Any, wanted: Any) -> Any:
    return wanted(text)


def _converter(module: Any) -> Any:
    """Return the converter that cattrs prepares for a backend, with what it lacks for this event."""
    converter: Any = module.make_converter(detailed_validation=False)
    for cls in (Decimal, UUID):
        converter.register_unstructure_hook(cls, str)
        converter.register_structure_hook(cls, _from_text)
    return converter


def measure(function: Measured) -> float:
    """Return µs per call."""
    calls, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < SECONDS:
        for _ in range(200):
            function()
        calls += 200
    return elapsed / calls * 1e6


def main() -> None:
    exactness()
    functions = candidates()
    gc.disable()
    rounds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            rounds[name].append(measure(function))
    print()
    for name, taken in rounds.items():
        median = statistics.median(taken)
        print(f"{name:42}{median:9.2f} µs{1e6 / median:14,.0f} /s")


if __name__ == "__main__":
    main()
