"""The carrier: parcels on their way."""

from attrs import define, frozen

import rolebook as rb


@rb.event("parcel.accepted")
@frozen
class Accepted:
    pass


@rb.event("parcel.handed-over")
@frozen
class HandedOver:
    pass


@rb.event("parcel.recalled")
@frozen
class Recalled:
    pass


@rb.command("parcel.ship")
@frozen
class Ship(rb.Command[None]):
    seconds: float


@rb.command("parcel.hand-over")
@frozen
class HandOver(rb.Command[None]):
    pass


@rb.command("parcel.recall")
@frozen
class Recall(rb.Command[None]):
    pass


@rb.actor("parcel")
@define
class Parcel:
    """A parcel at the carrier's, with its order's key: on its way until handed over or recalled."""

    state: str = "none"

    @rb.decide
    def ship(self, command: Ship, turn: rb.DecideTurn) -> rb.Effects[None]:
        yield Accepted()
        yield rb.Tell(Parcel, turn.key, HandOver(), delay=command.seconds)

    @rb.decide
    def hand_over(self, command: HandOver) -> rb.Effects[None]:
        if self.state == "accepted":
            yield HandedOver()

    @rb.decide
    def recall(self, command: Recall) -> rb.Effects[None]:
        if self.state == "accepted":
            yield Recalled()

    @rb.apply
    def accepted(self, event: Accepted) -> None:
        self.state = "accepted"

    @rb.apply
    def handed_over(self, event: HandedOver) -> None:
        self.state = "handed over"

    @rb.apply
    def recalled(self, event: Recalled) -> None:
        self.state = "recalled"
