"""The aircraft and the airlines."""

from typing import Literal, Self

from attrs import define, frozen

import rolebook as rb

LATE = 15
"""Minutes after which an arrival counts as late, as the airlines themselves count."""

VERY_LATE = 180
"""Minutes after which a departure is written down by itself."""

Ending = Literal["arrived", "diverted", "cancelled"]


@rb.command("aircraft.fly")
@frozen
class Fly:
    """One line of the file, for the aircraft that flew it."""

    carrier: str
    number: int
    origin: str
    destination: str
    scheduled: str
    departure_delay: int | None
    arrival_delay: int | None
    minutes: int | None
    distance: int


@rb.command("airline.count")
@frozen
class CountFlight:
    """How a flight of the airline ended. The delays and times are None as far as it did not come to them."""

    ending: Ending
    departure_delay: int | None = None
    arrival_delay: int | None = None
    minutes: int | None = None
    distance: int = 0
    aircraft: bool = True

    @classmethod
    def of(
        cls,
        departure_delay: int | None,
        arrival_delay: int | None,
        minutes: int | None,
        distance: int,
        *,
        aircraft: bool = True,
    ) -> Self:
        """Say how a flight ended, by what is known of it."""
        if departure_delay is None:
            return cls("cancelled", aircraft=aircraft)
        if arrival_delay is None or minutes is None:
            return cls("diverted", departure_delay, aircraft=aircraft)
        return cls("arrived", departure_delay, arrival_delay, minutes, distance, aircraft)


@rb.command("delays.note")
@frozen
class NoteDelay:
    """A departure so late that it is written down by itself."""

    aircraft: str
    carrier: str
    number: int
    origin: str
    destination: str
    scheduled: str
    minutes: int


@rb.event("flight.scheduled")
@frozen
class Scheduled:
    carrier: str
    number: int
    origin: str
    destination: str
    at: str


@rb.event("flight.departed")
@frozen
class Departed:
    delay: int


@rb.event("flight.arrived")
@frozen
class Arrived:
    delay: int
    minutes: int
    distance: int


@rb.event("flight.diverted")
@frozen
class Diverted:
    """It left, and the file has no arrival at its destination."""


@rb.event("flight.cancelled")
@frozen
class Cancelled:
    """It never left."""


@rb.event("airline.counted")
@frozen
class Counted:
    ending: Ending
    departure_delay: int | None
    arrival_delay: int | None
    minutes: int | None
    distance: int
    aircraft: bool


@rb.actor("airline", snapshot_every=2000)
@define
class Airline:
    """Totals of an airline, as its aircraft report them."""

    flights: int = 0
    arrived: int = 0
    diverted: int = 0
    cancelled: int = 0
    distance: int = 0
    minutes: int = 0
    departure_delay: int = 0
    arrival_delay: int = 0
    late: int = 0
    without_aircraft: int = 0

    @rb.decide
    def count(self, command: CountFlight) -> rb.Effects[None]:
        yield Counted(
            command.ending,
            command.departure_delay,
            command.arrival_delay,
            command.minutes,
            command.distance,
            command.aircraft,
        )

    @rb.apply
    def counted(self, event: Counted) -> None:
        self.flights += 1
        self.without_aircraft += not event.aircraft
        self.departure_delay += event.departure_delay or 0
        if event.ending == "arrived":
            delay = event.arrival_delay or 0
            self.arrived += 1
            self.arrival_delay += delay
            self.late += delay > LATE
            self.minutes += event.minutes or 0
            self.distance += event.distance
        elif event.ending == "diverted":
            self.diverted += 1
        else:
            self.cancelled += 1


@rb.actor("aircraft")
@define
class Aircraft:
    """An aircraft: everything that its flights were, told by its own journal."""

    flights: int = 0
    departed: int = 0
    arrived: int = 0
    diverted: int = 0
    cancelled: int = 0
    distance: int = 0
    minutes: int = 0
    departure_delay: int = 0
    arrival_delay: int = 0
    late: int = 0

    @rb.decide
    def fly(self, command: Fly, turn: rb.DecideTurn) -> rb.Effects[None]:
        yield Scheduled(
            command.carrier, command.number, command.origin, command.destination, command.scheduled
        )
        report = CountFlight.of(
            command.departure_delay, command.arrival_delay, command.minutes, command.distance
        )
        if report.departure_delay is None:
            yield Cancelled()
        else:
            yield from self._leave(report.departure_delay, report)
            if report.departure_delay > VERY_LATE:
                yield rb.Enqueue("delays", _note(turn.key, command, report.departure_delay))
        yield rb.Tell(Airline, command.carrier, report)

    def _leave(self, delay: int, report: CountFlight) -> rb.Effects[None]:
        yield Departed(delay)
        if report.arrival_delay is None or report.minutes is None:
            yield Diverted()
        else:
            yield Arrived(report.arrival_delay, report.minutes, report.distance)

    @rb.apply
    def scheduled(self, _event: Scheduled) -> None:
        self.flights += 1

    @rb.apply
    def left(self, event: Departed) -> None:
        self.departed += 1
        self.departure_delay += event.delay

    @rb.apply
    def landed(self, event: Arrived) -> None:
        self.arrived += 1
        self.arrival_delay += event.delay
        self.late += event.delay > LATE
        self.minutes += event.minutes
        self.distance += event.distance

    @rb.apply
    def landed_elsewhere(self, _event: Diverted) -> None:
        self.diverted += 1

    @rb.apply
    def stayed(self, _event: Cancelled) -> None:
        self.cancelled += 1


def _note(aircraft: str, flight: Fly, minutes: int) -> NoteDelay:
    return NoteDelay(
        aircraft,
        flight.carrier,
        flight.number,
        flight.origin,
        flight.destination,
        flight.scheduled,
        minutes,
    )
