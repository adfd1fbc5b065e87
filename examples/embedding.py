"""A Trio program with actors in it: its own tasks beside the runtime, and one of them within its tree.

    python -m examples.embedding

The program has a nursery of its own. The runtime is one task in it, by `nursery.start`; a porter at
a TCP port is a child of the runtime's supervision tree, so it is started last, restarted when it fails, and
stopped first; and three guests are ordinary tasks that know nothing of all that.
"""

import sys
from functools import partial

import trio
from attrs import define, field, frozen

import rolebook as rb

GUESTS = 3
VISITS = 20


@rb.event("door.passed")
@frozen
class Passed:
    guest: str


@rb.command("door.pass")
@frozen
class Pass(rb.Command[int]):
    """Answered with how often the guest has been here."""

    guest: str


@rb.actor("door")
@define
class Door:
    guests: dict[str, int] = field(factory=dict[str, int])

    @rb.decide
    def let_in(self, command: Pass) -> rb.Effects[int]:
        yield Passed(command.guest)
        return self.guests[command.guest]

    @rb.apply
    def passed(self, event: Passed) -> None:
        self.guests[event.guest] = self.guests.get(event.guest, 0) + 1


@define(eq=False)
class Porter:
    """Answers guests at a port of this machine: a line with a name, and a line with a number back."""

    runtime: rb.Runtime | None = None
    address: tuple[str, int] = ("127.0.0.1", 0)

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled; a child of the tree."""
        (listener,) = await trio.open_tcp_listeners(self.address[1], host=self.address[0])
        self.address = listener.socket.getsockname()
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_listeners, self.answer, [listener]))
            task_status.started()

    async def answer(self, stream: trio.SocketStream) -> None:
        """Answer one guest until the connection ends."""
        assert self.runtime is not None
        async with stream:
            async for line in stream:  # a guest sends one short line and waits: it comes in one piece
                visits = await self.runtime.ask(Door, "main", Pass(line.decode().strip()))
                await stream.send_all(f"{visits}\n".encode())


async def visit(name: str, porter: Porter) -> None:
    """Come again and again."""
    answer = b""
    stream = await trio.open_tcp_stream(*porter.address)
    async with stream:
        for _ in range(VISITS):
            await stream.send_all(f"{name}\n".encode())
            answer = bytes(await stream.receive_some())
        print(f"{name} was told {answer.decode().strip()}")


async def main() -> int:
    """Run everything; returns the exit code."""
    porter = Porter()
    app = rb.App("doors", actors=[Door], children=[rb.Child("porter", porter.serve)])
    runtime = porter.runtime = rb.Runtime(app)
    async with trio.open_nursery() as nursery:
        await nursery.start(runtime.run)  # returns when the whole tree is up, the porter included
        before = dict((await runtime.read(Door, "main")).guests)
        async with trio.open_nursery() as guests:
            for number in range(GUESTS):
                guests.start_soon(visit, f"guest-{number + 1}", porter)
        after = (await runtime.read(Door, "main")).guests
        runtime.tree.request_stop()  # what has begun is finished and committed, and `run` returns
    visits = sum(after.values()) - sum(before.values())
    print(f"{visits} visits were noted")
    return 0 if visits == GUESTS * VISITS else 1


if __name__ == "__main__":
    sys.exit(trio.run(main))
