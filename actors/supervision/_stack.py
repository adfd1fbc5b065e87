"""Where a child stands that does not end."""

import traceback
from collections.abc import Iterator

import trio


def stack_of(task: trio.lowlevel.Task) -> str:
    """Return the stack of a task and of the tasks below it, as text.

    Args:
        task: A task that is not the one that asks.
    """
    return "".join(_lines(task, 0))


def _lines(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    indent = "  " * depth
    yield f"{indent}task {task.name}\n"
    for block in traceback.StackSummary.extract(task.iter_await_frames()).format():
        yield "".join(f"{indent}{line}\n" for line in block.splitlines())
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _lines(child, depth + 1)
