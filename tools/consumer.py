"""A program of somebody who installed the package: it must run, and satisfy a strict type checker."""

from importlib.metadata import version

from attrs import define, frozen

import rolebook as rb
from rolebook.runtime.postgres import choose_database


@rb.event("consumer.counted")
@frozen
class Counted:
    """An event."""

    amount: int


@rb.command("consumer.count")
@frozen
class Count(rb.Command[int]):
    """A command that is answered with an int."""

    amount: int


@rb.actor("consumer")
@define
class Counter:
    """An actor."""

    total: int = 0

    @rb.decide
    def count(self, command: Count) -> rb.Effects[int]:
        """Decide."""
        yield Counted(command.amount)
        return self.total

    @rb.apply
    def counted(self, event: Counted) -> None:
        """Fold."""
        self.total += event.amount


app = rb.App("consumer", actors=[Counter])

if __name__ == "__main__":
    print(version("rolebook"), rb.__file__, choose_database("embedded"))
