"""An actor whose state is a list, which its events, commands and replies have too: for tests of sharing."""

from attrs import define, field, frozen

import understudy as us


@us.event("basket.filled")
@frozen
class Filled:
    things: list[str]


@us.event("basket.added")
@frozen
class Added:
    thing: str


@us.command("basket.fill")
@frozen
class Fill(us.Command[list[str]]):
    things: list[str]


@us.command("basket.add")
@frozen
class Add(us.Command[list[str]]):
    thing: str


@us.command("basket.build")
@frozen
class Build(us.Command[None]):
    pass


@us.command("basket.show")
@frozen
class Show(us.Command[None]):
    pass


@us.command("told")
@frozen
class Told(us.Command[None]):
    things: list[str]


@us.actor("basket")
@define
class Basket:
    """It keeps the list of its event, and replies with it."""

    things: list[str] = field(factory=list[str])

    @us.decide
    def fill(self, command: Fill) -> us.Effects[list[str]]:
        yield Filled(command.things)
        yield Added("ribbon")
        return self.things

    @us.decide
    def add(self, command: Add) -> us.Effects[list[str]]:
        yield Added(command.thing)
        return self.things

    @us.decide
    def build(self, _: Build) -> us.Effects[None]:
        things = ["a"]
        yield Filled(things)
        things.append("b")
        yield Filled(things)

    @us.decide
    def show(self, _: Show) -> us.Effects[None]:
        yield us.Enqueue("ears", Told(self.things))
        yield Added("bow")
        yield us.Enqueue("ears", Told(self.things), delay=0.01)

    @us.apply
    def filled(self, event: Filled) -> None:
        self.things = event.things

    @us.apply
    def added(self, event: Added) -> None:
        self.things.append(event.thing)
