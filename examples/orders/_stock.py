"""The store room: the pieces of each article."""

from attrs import define, field, frozen

import rolebook as rb


@rb.event("stock.delivered")
@frozen
class Stocked:
    pieces: int


@rb.event("stock.reserved")
@frozen
class Reserved:
    order: str
    pieces: int


@rb.event("stock.sold-out")
@frozen
class SoldOut:
    order: str


@rb.event("stock.released")
@frozen
class Released:
    order: str


@rb.event("stock.taken")
@frozen
class Taken:
    order: str


@rb.command("stock.fill")
@frozen
class FillShelf(rb.Command[None]):
    pieces: int


@rb.command("stock.reserve")
@frozen
class Reserve(rb.Command[None]):
    order: str
    pieces: int


@rb.command("stock.release")
@frozen
class Release(rb.Command[None]):
    order: str


@rb.command("stock.take")
@frozen
class Take(rb.Command[None]):
    order: str


@rb.actor("stock")
@define
class Stock:
    """The pieces of one article: on the shelf, reserved, or gone."""

    delivered: int = 0
    on_shelf: int = 0
    reserved: dict[str, int] = field(factory=dict[str, int])
    taken: int = 0

    @rb.decide
    def fill(self, command: FillShelf) -> rb.Effects[None]:
        if self.delivered:
            raise rb.Rejected("filled already")
        yield Stocked(command.pieces)

    @rb.decide
    def reserve(self, command: Reserve) -> rb.Effects[None]:
        if command.pieces > self.on_shelf:
            yield SoldOut(command.order)
        else:
            yield Reserved(command.order, command.pieces)

    @rb.decide
    def release(self, command: Release) -> rb.Effects[None]:
        yield Released(command.order)

    @rb.decide
    def take(self, command: Take) -> rb.Effects[None]:
        yield Taken(command.order)

    @rb.apply
    def came_in(self, event: Stocked) -> None:
        self.delivered += event.pieces
        self.on_shelf += event.pieces

    @rb.apply
    def was_reserved(self, event: Reserved) -> None:
        self.on_shelf -= event.pieces
        self.reserved[event.order] = event.pieces

    @rb.apply
    def was_released(self, event: Released) -> None:
        self.on_shelf += self.reserved.pop(event.order)

    @rb.apply
    def was_taken(self, event: Taken) -> None:
        self.taken += self.reserved.pop(event.order)

    @rb.apply
    def was_short(self, event: SoldOut) -> None:
        """Nothing moved."""
