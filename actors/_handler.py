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

_COMMAND: Final = 1
_COMMAND_AND_TURN: Final = 2


@final
@attrs.frozen(eq=False)
class HandlerDefinition:
    """Everything that is known about the handler of a queue.

    Attributes:
        queue: The name of the queue.
        name: The qualified name of the function, for errors.
        function: `async function(command)` or `async function(command, turn)`.
        takes_turn: Whether it has the second parameter.
        commands: The classes of commands it takes.
        concurrency: How many messages are handled at once, by one process.
        retry: The policy for messages that fail.
        on_failure: What a failing message does to later ones of its key.
    """

    queue: str
    name: str
    function: Callable[..., Awaitable[object]]
    takes_turn: bool
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
        DefinitionError: It is not async, its parameters are not `(command)` or `(command, turn)`, or what it
            takes is no command.
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
    if len(given) not in (_COMMAND, _COMMAND_AND_TURN):
        raise DefinitionError(f"{what}: a handler takes (command) or (command, turn)")
    return HandlerDefinition(
        queue=queue,
        name=name,
        function=function,
        takes_turn=len(given) == _COMMAND_AND_TURN,
        commands=_commands(function, given[0], what),
        concurrency=concurrency,
        retry=retry,
        on_failure=on_failure,
    )


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
