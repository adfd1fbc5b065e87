"""A tree as text, for a terminal or a log."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from ._snapshot import Snapshot
from ._spec import Child, Spec, Supervisor

_USUAL_SHUTDOWN = 5.0

_Node = TypeVar("_Node", Spec, Snapshot)


def draw(tree: Supervisor | Snapshot) -> str:
    """Draw a tree: the configured one from its value, the live one from a snapshot.

    Args:
        tree: A `Supervisor`, or what `Tree.snapshot()` returned.

    Returns:
        Lines without a newline at the end.

    Example:
        >>> print(draw(Supervisor("app", (Child("clock", tick),))))
        app (one_for_one, at most 3 restarts in 5 s)
        └── clock (permanent)
    """
    if isinstance(tree, Snapshot):
        return "\n".join(_lines(tree, describe_snapshot, lambda node: node.children))
    return "\n".join(_lines(tree, describe_spec, _below))


def _lines(
    node: _Node, describe: Callable[[_Node], str], below: Callable[[_Node], Sequence[_Node]]
) -> Iterator[str]:
    yield describe(node)
    children = below(node)
    for index, child in enumerate(children):
        is_last = index == len(children) - 1
        first, *rest = _lines(child, describe, below)
        yield ("└── " if is_last else "├── ") + first
        yield from (("    " if is_last else "│   ") + line for line in rest)


def _below(spec: Spec) -> Sequence[Spec]:
    if isinstance(spec, Child):
        return ()
    return spec.children if spec.template is None else (spec.template,)


def describe_spec(spec: Spec) -> str:
    """Return one line about a child or a supervisor as configured; what is usual is left out."""
    said: list[str] = _about_supervisor(spec) if isinstance(spec, Supervisor) else [spec.restart]
    if isinstance(spec, Supervisor) and spec.restart != "permanent":
        said.append(spec.restart)
    if spec.shutdown != ("forever" if isinstance(spec, Supervisor) else _USUAL_SHUTDOWN):
        said.append(
            f"stops in {spec.shutdown:g} s" if isinstance(spec.shutdown, int | float) else spec.shutdown
        )
    if spec.significant:
        said.append("significant")
    return f"{spec.name} ({', '.join(said)})"


def _about_supervisor(spec: Supervisor) -> list[str]:
    said: list[str] = [spec.strategy if spec.template is None else "dynamic"]
    if spec.max_restarts is None:
        said.append("restarts without end")
    else:
        said.append(f"at most {spec.max_restarts} restarts in {spec.within:g} s")
    if spec.on_exhausted == "park":
        said.append("then parks")
    if spec.auto_shutdown != "never":
        said.append(f"auto_shutdown {spec.auto_shutdown}")
    return said


def describe_snapshot(node: Snapshot) -> str:
    """Return one line about a child or a supervisor as it is."""
    kind = "" if node.kind == "child" else f" ({node.kind})"
    said = [node.state if node.uptime is None else f"{node.state} {duration(node.uptime)}"]
    if node.restarts:
        said.append(f"{node.restarts} restart{'s' if node.restarts > 1 else ''}")
    if node.mailbox is not None:
        said.append(f"mailbox {node.mailbox.depth} (peak {node.mailbox.peak})")
    if node.note is not None:
        said.append(node.note)
    if node.last_error is not None:
        said.append(f"last error {node.last_error}")
    return f"{node.name}{kind}: {', '.join(said)}"


def duration(seconds: float) -> str:
    """Return a span of time, coarsely: `12 s`, `3 min`, `5 h`, `2 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
