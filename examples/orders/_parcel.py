"""The carrier: parcels on their way."""

from attrs import define, frozen

import understudy as us


@us.event("parcel.accepted")
@frozen
class Accepted:
    pass


@us.event("parcel.handed-over")
@frozen
class HandedOver:
    pass


@us.event("parcel.recalled")
@frozen
class Recalled:
    pass


@us.command("parcel.ship")
@frozen
class Ship(us.Command[None]):
    seconds: float


@us.command("parcel.hand-over")
@frozen
class HandOver(us.Command[None]):
    pass


@us.command("parcel.recall")
@frozen
class Recall(us.Command[None]):
    pass


@us.actor("parcel")
@define
class Parcel:
    """A parcel at the carrier's, with its order's key: on its way until handed over or recalled."""

    state: str = "none"

    @us.decide
    def ship(self, command: Ship, turn: us.DecideTurn) -> us.Effects[None]:
        yield Accepted()
        yield us.Tell(Parcel, turn.key, HandOver(), delay=command.seconds)

    @us.decide
    def hand_over(self, command: HandOver) -> us.Effects[None]:
        if self.state == "accepted":
            yield HandedOver()

    @us.decide
    def recall(self, command: Recall) -> us.Effects[None]:
        if self.state == "accepted":
            yield Recalled()

    @us.apply
    def accepted(self, event: Accepted) -> None:
        self.state = "accepted"

    @us.apply
    def handed_over(self, event: HandedOver) -> None:
        self.state = "handed over"

    @us.apply
    def recalled(self, event: Recalled) -> None:
        self.state = "recalled"
