"""The store room: the pieces of each article."""

from attrs import define, field, frozen

import understudy as us


@us.event("stock.delivered")
@frozen
class Stocked:
    pieces: int


@us.event("stock.reserved")
@frozen
class Reserved:
    order: str
    pieces: int


@us.event("stock.sold-out")
@frozen
class SoldOut:
    order: str


@us.event("stock.released")
@frozen
class Released:
    order: str


@us.event("stock.taken")
@frozen
class Taken:
    order: str


@us.command("stock.fill")
@frozen
class FillShelf(us.Command[None]):
    pieces: int


@us.command("stock.reserve")
@frozen
class Reserve(us.Command[None]):
    order: str
    pieces: int


@us.command("stock.release")
@frozen
class Release(us.Command[None]):
    order: str


@us.command("stock.take")
@frozen
class Take(us.Command[None]):
    order: str


@us.actor("stock")
@define
class Stock:
    """The pieces of one article: on the shelf, reserved, or gone."""

    delivered: int = 0
    on_shelf: int = 0
    reserved: dict[str, int] = field(factory=dict[str, int])
    taken: int = 0

    @us.decide
    def fill(self, command: FillShelf) -> us.Effects[None]:
        if self.delivered:
            raise us.Rejected("filled already")
        yield Stocked(command.pieces)

    @us.decide
    def reserve(self, command: Reserve) -> us.Effects[None]:
        if command.pieces > self.on_shelf:
            yield SoldOut(command.order)
        else:
            yield Reserved(command.order, command.pieces)

    @us.decide
    def release(self, command: Release) -> us.Effects[None]:
        yield Released(command.order)

    @us.decide
    def take(self, command: Take) -> us.Effects[None]:
        yield Taken(command.order)

    @us.apply
    def came_in(self, event: Stocked) -> None:
        self.delivered += event.pieces
        self.on_shelf += event.pieces

    @us.apply
    def was_reserved(self, event: Reserved) -> None:
        self.on_shelf -= event.pieces
        self.reserved[event.order] = event.pieces

    @us.apply
    def was_released(self, event: Released) -> None:
        self.on_shelf += self.reserved.pop(event.order)

    @us.apply
    def was_taken(self, event: Taken) -> None:
        self.taken += self.reserved.pop(event.order)

    @us.apply
    def was_short(self, event: SoldOut) -> None:
        """Nothing moved."""
