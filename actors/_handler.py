"""Stateless queue handlers, as registered with `App.handler`."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias, final

import attrs

from ._errors import DefinitionError
from ._hints import classes_of, is_plain, parameters
from ._keys import check_name
from ._message import spec_of
from ._retry import Retry

OnFailure: TypeAlias = Literal["block", "skip", "park"]

_BY_NAME: Final = (inspect.Parameter.KEYWORD_ONLY,)
_OTHERS: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@final
@attrs.frozen(eq=False)
class HandlerDefinition:
    """Everything that is known about the handler of a queue.

    Attributes:
        queue: The name of the queue.
        name: The qualified name of the function, for errors.
        function: `async function(command)` or `async function(command, turn)`; resources come by name.
        takes_turn: Whether it has the second parameter.
        needs: The names of the resources it is given.
        commands: The classes of commands it takes.
        concurrency: How many messages are handled at once, by one process.
        retry: The policy for messages that fail.
        on_failure: What a failing message does to later ones of its key.
    """

    queue: str
    name: str
    function: Callable[..., Awaitable[object]]
    takes_turn: bool
    needs: tuple[str, ...]
    commands: tuple[type, ...]
    concurrency: int
    retry: Retry
    on_failure: OnFailure


def make_handler(
    function: Callable[..., Awaitable[object]],
    queue: str,
    *,
    concurrency: int,
    retry: Retry,
    on_failure: OnFailure,
) -> HandlerDefinition:
    """Check a function that is to handle a queue.

    Raises:
        DefinitionError: It is not async, it has no parameter, or what it takes is no command.
    """
    queue = check_name(queue, "queue")
    name = getattr(function, "__qualname__", repr(function))
    what = f"queue {queue!r}: {name}"
    if concurrency < 1:
        raise DefinitionError(f"{what}: concurrency={concurrency}: give 1 or more")
    if on_failure not in ("block", "skip", "park"):
        raise DefinitionError(f'{what}: on_failure is "block", "skip" or "park", not {on_failure!r}')
    if not is_plain(function):
        raise DefinitionError(f"{what} is no plain function; write `async def` with @app.handler above it")
    if not inspect.iscoroutinefunction(function):
        raise DefinitionError(f"{what} is not async; write `async def`")
    given = parameters(function)
    if not given:
        raise DefinitionError(f"{what}: a handler takes (command) or (command, turn)")
    takes_turn, needs = _further(function, given[0].name)
    return HandlerDefinition(
        queue=queue,
        name=name,
        function=function,
        takes_turn=takes_turn,
        needs=needs,
        commands=_commands(function, given[0], what),
        concurrency=concurrency,
        retry=retry,
        on_failure=on_failure,
    )


def _further(function: Callable[..., Any], command: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether a handler takes the turn, and the names of the resources it takes besides."""
    every = [each for each in inspect.signature(function).parameters.values() if each.name != command]
    takes_turn = bool(every) and every[0].kind not in _BY_NAME and _is_turn(every[0])
    rest = every[1:] if takes_turn else every
    return takes_turn, tuple(
        each.name for each in rest if each.default is inspect.Parameter.empty and each.kind not in _OTHERS
    )


def _is_turn(parameter: inspect.Parameter) -> bool:
    """The second parameter is the turn if it is called so, says so, or says nothing."""
    hint = parameter.annotation
    text = hint if isinstance(hint, str) else getattr(hint, "__name__", "")
    return parameter.name == "turn" or hint is inspect.Parameter.empty or text.rpartition(".")[2] == "Turn"


def _commands(function: Callable[..., Any], parameter: inspect.Parameter, what: str) -> tuple[type, ...]:
    # The scope where the handler stands may be a function: its closure knows the names there.
    names = inspect.getclosurevars(function).nonlocals
    commands = classes_of(function, parameter, names, what)
    for command in commands:
        spec = spec_of(command)
        if spec is None or spec.kind != "command":
            raise DefinitionError(
                f"{what} takes {command.__qualname__}, which is no command; write @command(...) above it"
            )
    return commands
