"""The running tree as a value."""

import logging
from typing import TYPE_CHECKING, Literal, final

import attrs
import trio

from ._cell import Cell, State
from ._mailbox import MailboxStatistics, read_gauge
from ._spec import Child, Spec, Supervisor

if TYPE_CHECKING:
    from ._supervisor import RunningSupervisor

log = logging.getLogger("rolebook.supervision")


@final
@attrs.frozen
class Snapshot:
    """A child or a supervisor at one moment, with all that is below it.

    Args:
        name: Its name.
        path: Its path from the root on.
        kind: The strategy of a supervisor, `dynamic`, or `child`.
        state: What it does; see the reference.
        incarnation: How often it was started.
        restarts: How often it was started because its supervisor decided so.
        uptime: Seconds since it became ready; None while it is not.
        last_error: The last failure, as text.
        mailbox: How full its mailbox is, if it shows one.
        note: What it has in hand, in a few words, if it says so.
        children: What is below it, in the order of start.
    """

    name: str
    path: str
    kind: Literal["child", "one_for_one", "one_for_all", "rest_for_one", "dynamic"]
    state: State
    incarnation: int
    restarts: int
    uptime: float | None = None
    last_error: str | None = None
    mailbox: MailboxStatistics | None = None
    note: str | None = None
    children: "tuple[Snapshot, ...]" = ()

    def __getitem__(self, path: str) -> "Snapshot":
        """Return what is below at that path, such as `session/listener`."""
        name, _, rest = path.partition("/")
        for child in self.children:
            if child.name == name:
                return child[rest] if rest else child
        raise KeyError(path)


def root_snapshot(root: "RunningSupervisor") -> Snapshot:
    """Return the snapshot of a whole tree."""
    began = root.began_at if root.state == "running" else None
    uptime = None if began is None else trio.current_time() - began
    return Snapshot(
        root.spec.name, root.path, _kind(root.spec), root.state, 1, 0, uptime, children=_children(root)
    )


def _children(supervisor: "RunningSupervisor") -> tuple[Snapshot, ...]:
    return tuple(_of_cell(cell) for cell in supervisor.cells.values())


def _of_cell(cell: Cell) -> Snapshot:
    return Snapshot(
        cell.name,
        cell.path,
        _kind(cell.spec),
        cell.state,
        cell.incarnation,
        cell.restarts,
        None if cell.ready_at is None else trio.current_time() - cell.ready_at,
        None if cell.failure is None else error_line(cell.failure.exceptions[0]),
        _mailbox(cell),
        _note(cell),
        _below(cell),
    )


def _below(cell: Cell) -> tuple[Snapshot, ...]:
    if isinstance(cell.spec, Child):
        return ()
    if cell.inner is not None:
        return _children(cell.inner)
    state: State = "waiting" if cell.is_pending else "stopped"
    return tuple(_of_spec(child, f"{cell.path}/{child.name}", state) for child in cell.spec.children)


def _of_spec(spec: Spec, path: str, state: State) -> Snapshot:
    below = spec.children if isinstance(spec, Supervisor) else ()
    children = tuple(_of_spec(child, f"{path}/{child.name}", state) for child in below)
    return Snapshot(spec.name, path, _kind(spec), state, 0, 0, children=children)


def _kind(spec: Spec) -> Literal["child", "one_for_one", "one_for_all", "rest_for_one", "dynamic"]:
    if isinstance(spec, Child):
        return "child"
    return spec.strategy if spec.template is None else "dynamic"


def _mailbox(cell: Cell) -> MailboxStatistics | None:
    if not isinstance(cell.spec, Child) or cell.spec.mailbox is None:
        return None
    try:
        read = read_gauge(cell.spec.mailbox, cell.mailbox_peak)
    except Exception:  # a snapshot must not fail for the sake of one gauge
        log.exception("the mailbox of child %s cannot be read", cell.path)
        return None
    cell.mailbox_peak = read.peak
    return read


def _note(cell: Cell) -> str | None:
    if not isinstance(cell.spec, Child) or cell.spec.note is None:
        return None
    try:
        return cell.spec.note() or None
    except Exception:  # as above
        log.exception("the note of child %s cannot be read", cell.path)
        return None


def error_line(error: BaseException) -> str:
    """Return an error in one line; of a nursery's group of one, the error in it."""
    if type(error) is ExceptionGroup and len(error.exceptions) == 1:
        return error_line(error.exceptions[0])
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
