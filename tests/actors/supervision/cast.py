"""Children for tests: they write down what happens to them, and when."""

import attrs
import trio

from rolebook.actors import Backoff, Child, Stopping
from rolebook.actors.supervision import Start

AT_ONCE = Backoff(first=0)


class Boom(Exception):
    """What children fail with."""


@attrs.define(eq=False)
class Diary:
    """What happened: when, to whom."""

    began: float = attrs.field(factory=trio.current_time)
    lines: list[tuple[float, str]] = attrs.field(factory=list[tuple[float, str]])

    def write(self, text: str) -> None:
        """Write a line."""
        self.lines.append((trio.current_time() - self.began, text))

    def runs(self, name: str, *crashes_after: float) -> Start:
        """A start function that crashes so long after each start, and then runs for ever."""
        left = iter(crashes_after)

        async def run() -> None:
            self.write(f"{name} starts")
            try:
                await trio.sleep(next(left, float("inf")))
                raise Boom(name)
            finally:
                self.write(f"{name} ends")

        return run

    def readies(self, name: str, seconds: float, cleanup: float = 0) -> Start:
        """A start function that needs so many seconds to become ready, and to clean up."""

        async def run(task_status: "trio.TaskStatus[None]") -> None:
            self.write(f"{name} starts")
            try:
                await trio.sleep(seconds)
                task_status.started()
                self.write(f"{name} is ready")
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(cleanup)
                self.write(f"{name} ends")

        return run

    def drains(self, name: str, seconds: float) -> Start:
        """A start function that goes on for so many seconds after it was asked to stop."""

        async def run(stopping: Stopping) -> None:
            await stopping.wait()
            self.write(f"{name} is asked")
            try:
                await trio.sleep(seconds)
                self.write(f"{name} is done")
            finally:
                self.write(f"{name} ends")

        return run

    def child(self, name: str, *crashes_after: float) -> Child:
        """A permanent child that crashes so long after each start, and then runs for ever."""
        return Child(name, self.runs(name, *crashes_after))


def raises(error: BaseException) -> Start:
    """A start function that raises."""

    async def run() -> None:
        await trio.lowlevel.checkpoint()
        raise error

    return run


def returns(after: float = 0) -> Start:
    """A start function that returns."""

    async def run() -> None:
        await trio.sleep(after)

    return run


async def forever() -> None:
    """Run for ever."""
    await trio.sleep_forever()
