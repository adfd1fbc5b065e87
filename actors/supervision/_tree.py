"""The handle of a running tree, and how to get one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import attrs
import trio

from ._cell import Cell
from ._errors import NotSupervising, UnknownChild
from ._events import EventHub, EventStream
from ._snapshot import Snapshot, root_snapshot
from ._spec import Supervisor
from ._stopping import Stopping
from ._supervisor import RunningSupervisor


@attrs.define(eq=False)
class Tree:
    """A running tree of supervisors.

    A child is named by its path below the root, such as `session/listener`; the name of the root may come
    first.
    Commands work at any time while the tree runs; when a command is cancelled, what it began goes on.
    """

    _root: RunningSupervisor
    _started_at: float

    @property
    def spec(self) -> Supervisor:
        """The value the tree was made from."""
        return self._root.spec

    def snapshot(self) -> Snapshot:
        """Return the tree as it is now: names, states, incarnations, restarts, errors, uptimes, mailboxes."""
        return root_snapshot(self._root, self._started_at)

    def events(self, capacity: int = 1000) -> EventStream:
        """Return a stream of what happens from now on; see `EventStream`."""
        return self._root.hub.open(capacity)

    async def restart(self, path: str) -> None:
        """Stop a child, and what its supervisor's strategy restarts with it, and start them again.

        It does not count as a restart for the intensity, and there is no wait.
        Returns when the child is ready.

        Raises:
            UnknownChild: There is no such child.
            ChildDown: It did not become ready.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        supervisor.begin_restart(cell)
        await supervisor.wait_settled(cell)

    async def stop(self, path: str) -> None:
        """Stop one child, which then stays down until `start` or `restart`; its siblings are not touched.

        Returns when it has ended.

        Raises:
            UnknownChild: There is no such child.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        await supervisor.stop_child(cell)
        await trio.lowlevel.checkpoint()

    async def start(self, path: str) -> None:
        """Start a child that is down; wait for one that is on its way up. Returns when it is ready.

        Raises:
            UnknownChild: There is no such child.
            ChildDown: It did not become ready.
            NotSupervising: Its supervisor is on its way down.
        """
        supervisor, cell = self._find(path)
        supervisor.begin_start(cell)
        await supervisor.wait_settled(cell)
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
            supervisor.begin_resume(cell)
            await supervisor.wait_settled(cell)
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
        supervisor, cell = self._add(path, name, args)
        await supervisor.wait_settled(cell)

    def add_nowait(self, path: str, name: str, *args: object) -> None:
        """Add a child to a dynamic supervisor without waiting for it; as `add` otherwise."""
        self._add(path, name, args)

    async def remove(self, path: str) -> None:
        """Stop a child of a dynamic supervisor and forget it. Returns when it has ended."""
        supervisor, cell = self._find(path)
        if supervisor.spec.template is None:
            raise ValueError(f"{supervisor.path!r} is not dynamic; use stop")
        await supervisor.stop_child(cell)
        supervisor.cells.pop(cell.name, None)
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
        return supervisor, supervisor.add(name, args)

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
        if here.over.is_set():
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
        stopping: Set it to ask the tree to stop politely.
        task_status: Given the `Tree` once all children are ready, or known to stay down.

    Raises:
        GaveUp: The root has used up its restarts; it holds the history of failures.
        BaseExceptionGroup: With a KeyboardInterrupt or SystemExit out of a child.

    Example:
        >>> async with trio.open_nursery() as nursery:
        ...     tree = await nursery.start(supervise, Supervisor("app", (Child("clock", tick),)))
    """
    hub = EventHub()
    root = RunningSupervisor(spec, spec.name, hub, random or Random())  # noqa: S311  # jitter is no secret
    tree = Tree(root, trio.current_time())
    try:
        await root.run(_Handing(task_status, tree), stopping)
    finally:
        hub.close()


@asynccontextmanager
async def open_supervisor(spec: Supervisor, *, random: Random | None = None) -> AsyncIterator[Tree]:
    """Run a tree around the body of an `async with`.

    The body begins when all children are ready, or known to stay down.
    When it ends, the tree stops politely; when it fails or is cancelled, the tree is cancelled in order.
    When the tree gives up, the body is cancelled.

    Args:
        spec: The tree.
        random: Where the jitter of the backoff comes from.

    Raises:
        ExceptionGroup: With the `GaveUp` of the root, as from any nursery.

    Example:
        >>> async with open_supervisor(Supervisor("app", (Child("clock", tick),))) as tree:
        ...     print(tree.snapshot())
    """
    async with trio.open_nursery() as nursery:
        tree: Tree = await nursery.start(_supervise, spec, random)
        yield tree
        tree.request_stop()


async def _supervise(
    spec: Supervisor, random: Random | None, task_status: "trio.TaskStatus[Tree]" = trio.TASK_STATUS_IGNORED
) -> None:
    await supervise(spec, random=random, task_status=task_status)


@attrs.define(eq=False)
class _Handing(trio.TaskStatus[object]):
    """Hands out the tree when the root is ready."""

    _task_status: "trio.TaskStatus[Tree]"
    _tree: Tree

    def started(self, value: object = None) -> None:
        self._task_status.started(self._tree)
