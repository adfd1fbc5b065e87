"""The handle of a running tree, and how to get one."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from random import Random
from typing import final

import attrs
import trio

from ._cell import Cell
from ._commands import (
    begin_add,
    begin_restart,
    begin_resume,
    begin_start,
    remove_child,
    stop_child,
    wait_ready,
)
from ._errors import NotSupervising, UnknownChild
from ._events import EventHub, EventStream
from ._snapshot import Snapshot, root_snapshot
from ._spec import Supervisor
from ._stopping import Stopping
from ._supervisor import RunningSupervisor


@final
@attrs.define(eq=False)
class Tree:
    """A running tree of supervisors.

    Made from its value; it runs while `run` runs, and can be looked at, and listened to, before and after.
    A child is named by its path below the root, such as `session/listener`; the name of the root may come
    first.
    Commands work at any time while the tree runs; when a command is cancelled, what it began goes on.
    """

    spec: Supervisor
    _random: Random = attrs.field(factory=Random, kw_only=True, alias="random")
    _hub: EventHub = attrs.field(factory=EventHub, init=False)
    _root: RunningSupervisor = attrs.field(init=False)
    _was_run: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._root = RunningSupervisor(self.spec, self.spec.name, self._hub, self._random)

    async def run(
        self,
        *,
        stopping: Stopping | None = None,
        task_status: "trio.TaskStatus[Tree]" = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the tree, once; see `supervise`.

        Raises:
            GaveUp: The root has used up its restarts; it holds the history of failures.
            BaseExceptionGroup: With a KeyboardInterrupt out of a child.
            RuntimeError: It was run before.
        """
        if self._was_run:
            raise RuntimeError(f"the tree {self.spec.name!r} was run before; make a new one")
        self._was_run = True
        self._root.announce_by(stopping)
        handing = _Handing(task_status, self)
        try:
            await self._root.run(handing, stopping)
        finally:
            self._hub.close()
        handing.started()  # it may have stopped in peace before it was ready

    def snapshot(self) -> Snapshot:
        """Return the tree as it is now: names, states, incarnations, restarts, errors, uptimes, mailboxes.

        To be called in Trio's thread; from another, `trio.from_thread.run_sync(tree.snapshot)`.
        """
        return root_snapshot(self._root)

    def events(self, capacity: int = 1000) -> EventStream:
        """Return a stream of what happens from now on; see `EventStream`."""
        return self._hub.open(capacity)

    async def restart(self, path: str) -> None:
        """Stop a child, and what its supervisor's strategy restarts with it, and start them again.

        It does not count as a restart for the intensity, and there is no wait.
        Returns when the child is ready, and those restarted with it are ready or down.

        Raises:
            UnknownChild: There is no such child.
            ChildDown: It did not become ready.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        await wait_ready(cell, *begin_restart(supervisor, cell))

    async def stop(self, path: str) -> None:
        """Stop one child, which then stays down until `start` or `restart`; its siblings are not touched.

        Returns when it has ended.

        Raises:
            UnknownChild: There is no such child.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        await stop_child(supervisor, cell)
        await trio.lowlevel.checkpoint()

    async def start(self, path: str) -> None:
        """Start a child that is down, or is being stopped; wait for one that is on its way up.

        Returns when it is ready.
        If its group is on the way up, it comes up with it, in its place.
        A child that was ready for a moment and has ended since did start.

        Raises:
            UnknownChild: There is no such child.
            ChildDown: It did not become ready.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        begin_start(supervisor, cell)
        await wait_ready(cell)
        await trio.lowlevel.checkpoint()

    async def resume(self, path: str) -> None:
        """Start a parked child, and what was parked with it, with a clean record. Returns when it is ready.

        A child that is not parked is left as it is.

        Raises:
            UnknownChild: There is no such child.
            ChildDown: It did not become ready.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        if cell.state == "parked":
            await wait_ready(cell, *begin_resume(supervisor, cell))
        await trio.lowlevel.checkpoint()

    async def add(self, path: str, name: str, *args: object) -> None:
        """Add a child to a dynamic supervisor, and wait until it is ready.

        Args:
            path: The supervisor; empty for the root.
            name: The child's name.
            args: What its start function is called with.

        Raises:
            ChildDown: It did not become ready.
            UnknownChild: There is no such supervisor.
            ValueError: The supervisor is not dynamic, or the name is taken.
        """
        _, cell = self._add(path, name, args)
        await wait_ready(cell)

    def add_nowait(self, path: str, name: str, *args: object) -> None:
        """Add a child to a dynamic supervisor without waiting for it; as `add` otherwise."""
        self._add(path, name, args)

    async def remove(self, path: str) -> None:
        """Stop a child of a dynamic supervisor and forget it. Returns when it has ended.

        A child that somebody starts again meanwhile stays.

        Raises:
            UnknownChild: There is no such child.
            NotSupervising: Its supervisor is on its way down.
            ValueError: The supervisor is not dynamic.
        """
        supervisor, cell = self._find(path)
        if supervisor.spec.template is None:
            raise ValueError(f"{supervisor.path!r} is not dynamic; use stop")
        await remove_child(supervisor, cell)
        await trio.lowlevel.checkpoint()

    def request_stop(self) -> None:
        """Begin to stop the whole tree: politely, in the reverse order of the start."""
        self._root.finish("stop")

    async def wait_stopped(self) -> None:
        """Wait until the whole tree has stopped, for whatever reason."""
        await self._root.ended.wait()

    def _add(self, path: str, name: str, args: tuple[object, ...]) -> tuple[RunningSupervisor, Cell]:
        supervisor = self._supervisor(path)
        if supervisor.spec.template is None:
            raise ValueError(f"{supervisor.path!r} is not dynamic; give it a template")
        if name in supervisor.cells or not name or "/" in name:
            raise ValueError(f"{name!r} is taken, or no name, in {supervisor.path!r}; choose another")
        return supervisor, begin_add(supervisor, name, args)

    def _find(self, path: str) -> tuple[RunningSupervisor, Cell]:
        above, _, name = path.rpartition("/")
        supervisor = self._supervisor(above, path)
        if name not in supervisor.cells:
            raise UnknownChild(path, tuple(supervisor.cells))
        return supervisor, supervisor.cells[name]

    def _supervisor(self, path: str, wanted: str | None = None) -> RunningSupervisor:
        here = self._root
        names = path.split("/") if path else []
        if names and names[0] == here.spec.name and names[0] not in here.cells:
            del names[0]
        for name in names:
            cell = here.cells.get(name)
            if cell is None or not isinstance(cell.spec, Supervisor):
                raise UnknownChild(wanted or path, tuple(here.cells))
            if cell.inner is None:
                raise NotSupervising(f"supervisor {cell.path!r} is not running: it is {cell.state}")
            here = cell.inner
        if not here.has_begun:
            raise NotSupervising(f"supervisor {here.path!r} is not running yet")
        if here.is_over:
            raise NotSupervising(f"supervisor {here.path!r} is stopping, or has stopped")
        return here


async def supervise(
    spec: Supervisor,
    *,
    random: Random | None = None,
    stopping: Stopping | None = None,
    task_status: "trio.TaskStatus[Tree]" = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a tree until it stops by itself, fails, is asked to stop, or is cancelled.

    All children stop in the reverse order of their start, each with its own deadline, whatever the reason.
    Cancellation skips the polite request: each child is cancelled in its turn.

    Args:
        spec: The tree.
        random: Where the jitter of the backoff comes from.
        stopping: Set it to ask the tree to stop politely, by its deadline if it has one. The tree sets it
            itself when it begins to stop for another reason: so whoever has it hears of every end at once.
            With `Stopping(seconds)` every end has a deadline, which cuts short what the children have.
        task_status: Given the `Tree` once all children are ready, or known to stay down.

    Raises:
        GaveUp: The root has used up its restarts; it holds the history of failures.
        BaseExceptionGroup: With a KeyboardInterrupt out of a child.

    Example:
        >>> async with trio.open_nursery() as nursery:
        ...     tree = await nursery.start(supervise, Supervisor("app", (Child("clock", tick),)))
    """
    await _make(spec, random).run(stopping=stopping, task_status=task_status)


def _make(spec: Supervisor, random: Random | None) -> Tree:
    return Tree(spec) if random is None else Tree(spec, random=random)


@asynccontextmanager
async def open_supervisor(
    spec: Supervisor, *, random: Random | None = None, stopping: Stopping | None = None
) -> AsyncGenerator[Tree, None]:
    """Run a tree around the body of an `async with`.

    The body begins when all children are ready, or known to stay down.
    When it ends, the tree stops politely; when it fails or is cancelled, the tree is cancelled in order.
    When the tree gives up, the body is cancelled.
    When it shuts itself down (`auto_shutdown`), the body goes on; `tree.wait_stopped()` tells.

    Args:
        spec: The tree.
        random: Where the jitter of the backoff comes from.
        stopping: As of `supervise`.

    Raises:
        ExceptionGroup: With the `GaveUp` of the root, as from any nursery.

    Example:
        >>> async with open_supervisor(Supervisor("app", (Child("clock", tick),))) as tree:
        ...     print(tree.snapshot())
    """
    async with trio.open_nursery() as nursery:
        tree = _make(spec, random)
        await nursery.start(_run, tree, stopping)
        yield tree
        tree.request_stop()


async def _run(
    tree: Tree, stopping: Stopping | None, task_status: "trio.TaskStatus[Tree]" = trio.TASK_STATUS_IGNORED
) -> None:
    await tree.run(stopping=stopping, task_status=task_status)


@attrs.define(eq=False)
class _Handing(trio.TaskStatus[object]):
    """Hands out the tree when the root is ready."""

    _task_status: "trio.TaskStatus[Tree]"
    _tree: Tree
    _done: bool = False

    def started(self, value: object = None) -> None:
        if not self._done:
            self._done = True
            self._task_status.started(self._tree)
