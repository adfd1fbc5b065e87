"""What people may ask of a running supervisor; each begins without a checkpoint."""

from ._cell import Cell
from ._errors import ChildDown
from ._policy import affected_by
from ._recovery import Recovery
from ._supervisor import RunningSupervisor


def begin_restart(supervisor: RunningSupervisor, cell: Cell) -> list[Cell]:
    """Restart a child and what its strategy restarts with it; not counted, and without a wait."""
    names = affected_by(cell.name, supervisor.spec)
    others = supervisor.startable(names)
    cells = [each for each in map(supervisor.cells.__getitem__, names) if each is cell or each in others]
    supervisor.recover(Recovery(cells, forced={cell}))
    return cells


def begin_start(supervisor: RunningSupervisor, cell: Cell) -> None:
    """Start a child that is down; if its group is on the way up, with the group."""
    if cell.is_alive or cell.is_pending:
        return
    if supervisor.latest is not None and supervisor.latest.can_be_joined:
        supervisor.latest.join(cell)
    else:
        supervisor.recover(Recovery([cell], forced={cell}))


def begin_resume(supervisor: RunningSupervisor, cell: Cell) -> list[Cell]:
    """Start a child and what is parked with it, with a clean record."""
    alone = supervisor.spec.strategy == "one_for_one"
    cells = [cell] if alone else [each for each in supervisor.cells.values() if each.state == "parked"]
    supervisor.records.forget(cells)
    supervisor.recover(Recovery(cells, forced={cell}))
    return cells


def begin_add(supervisor: RunningSupervisor, name: str, args: tuple[object, ...]) -> Cell:
    """Start one more child of a dynamic supervisor."""
    template = supervisor.spec.template
    assert template is not None
    cell = supervisor.cells[name] = supervisor.new_cell(template, name, args)
    if template.reports_ready:
        supervisor.recover(Recovery([cell]))  # somebody has to watch its start
    else:
        supervisor.spawn(cell)
    return cell


async def stop_child(supervisor: RunningSupervisor, cell: Cell) -> None:
    """Stop a child, which then stays down; its siblings are not touched."""
    if cell.recovery is not None:
        cell.recovery.release(cell)
    if cell.is_alive:
        await supervisor.stop(cell)
    elif cell.is_pending or cell.state == "parked":
        cell.become("stopped")


async def wait_ready(cell: Cell, *others: Cell) -> None:
    """Wait until a child became ready, and each of the others did or is down for good.

    What counts is that it came up: it may be over already when the waiting task runs again.

    Raises:
        ChildDown: The child did not become ready and will not by itself.
    """
    cells = (*others, cell)
    before = {each.path: each.times_ready for each in cells}
    for each in cells:
        await each.wait(lambda each: each.is_settled or each.times_ready > before[each.path])
    if cell.state != "running" and cell.times_ready == before[cell.path]:
        raise ChildDown(cell.path, cell.state)
