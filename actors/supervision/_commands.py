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
    _recover(supervisor, cells, cell)
    return cells


def begin_start(supervisor: RunningSupervisor, cell: Cell) -> None:
    """Start a child that is down, or is being stopped for good."""
    if _is_going(cell) or not (cell.is_alive or cell.is_pending):
        _recover(supervisor, [cell], cell)


def begin_resume(supervisor: RunningSupervisor, cell: Cell) -> list[Cell]:
    """Start a child and what is parked with it, with a clean record."""
    alone = supervisor.spec.strategy == "one_for_one"
    cells = [cell] if alone else [each for each in supervisor.cells.values() if each.state == "parked"]
    supervisor.records.forget(cells)
    _recover(supervisor, cells, cell)
    return cells


def _recover(supervisor: RunningSupervisor, cells: list[Cell], cell: Cell) -> None:
    """Bring these up; if all are down and their group is on the way up, with it, each in its place."""
    latest = supervisor.latest
    are_down = all(_is_going(each) or not (each.is_alive or each.is_pending) for each in cells)
    if latest is not None and latest.can_be_joined and are_down:
        for each in cells:
            latest.join(each)
    else:
        supervisor.recover(Recovery(cells, forced={cell}))


def _is_going(cell: Cell) -> bool:
    return cell.state == "stopping" and cell.recovery is None


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
    elif cell.state != "failed":
        cell.become("stopped")  # one that had finished too: else it came back with its group


async def remove_child(supervisor: RunningSupervisor, cell: Cell) -> None:
    """Stop a child of a dynamic supervisor, which is then forgotten, unless somebody starts it again."""
    cell.is_leaving = True
    await stop_child(supervisor, cell)
    supervisor.forget_if_leaving(cell)


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
