"""A program of somebody who installed the package: it must run, and satisfy a strict type checker."""

from importlib.metadata import version

from attrs import define, frozen

import understudy as us
from understudy.runtime.postgres import choose_database


@us.event("consumer.counted")
@frozen
class Counted:
    """An event."""

    amount: int


@us.command("consumer.count")
@frozen
class Count(us.Command[int]):
    """A command that is answered with an int."""

    amount: int


@us.actor("consumer")
@define
class Counter:
    """An actor."""

    total: int = 0

    @us.decide
    def count(self, command: Count) -> us.Effects[int]:
        """Decide."""
        yield Counted(command.amount)
        return self.total

    @us.apply
    def counted(self, event: Counted) -> None:
        """Fold."""
        self.total += event.amount


app = us.App("consumer", actors=[Counter])

if __name__ == "__main__":
    print(version("understudy"), us.__file__, choose_database("embedded"))
