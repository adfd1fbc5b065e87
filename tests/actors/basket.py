"""An actor whose state is a list, which its events, commands and replies have too: for tests of sharing."""

from attrs import define, field, frozen

import rolebook as rb


@rb.event("basket.filled")
@frozen
class Filled:
    things: list[str]


@rb.event("basket.added")
@frozen
class Added:
    thing: str


@rb.command("basket.fill")
@frozen
class Fill(rb.Command[list[str]]):
    things: list[str]


@rb.command("basket.add")
@frozen
class Add(rb.Command[list[str]]):
    thing: str


@rb.command("basket.build")
@frozen
class Build(rb.Command[None]):
    pass


@rb.command("basket.show")
@frozen
class Show(rb.Command[None]):
    pass


@rb.command("told")
@frozen
class Told(rb.Command[None]):
    things: list[str]


@rb.actor("basket")
@define
class Basket:
    """It keeps the list of its event, and replies with it."""

    things: list[str] = field(factory=list[str])

    @rb.decide
    def fill(self, command: Fill) -> rb.Effects[list[str]]:
        yield Filled(command.things)
        yield Added("ribbon")
        return self.things

    @rb.decide
    def add(self, command: Add) -> rb.Effects[list[str]]:
        yield Added(command.thing)
        return self.things

    @rb.decide
    def build(self, _: Build) -> rb.Effects[None]:
        things = ["a"]
        yield Filled(things)
        things.append("b")
        yield Filled(things)

    @rb.decide
    def show(self, _: Show) -> rb.Effects[None]:
        yield rb.Enqueue("ears", Told(self.things))
        yield Added("bow")
        yield rb.Enqueue("ears", Told(self.things), delay=0.01)

    @rb.apply
    def filled(self, event: Filled) -> None:
        self.things = event.things

    @rb.apply
    def added(self, event: Added) -> None:
        self.things.append(event.thing)
