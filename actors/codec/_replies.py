"""Which type a command is answered with: the `R` of its `Command[R]`."""

from typing import Any, TypeVar, get_args, get_origin

from .._command import Command
from ._generics import argument_map, substitute


def reply_type(command: type) -> Any:
    """Return what a command is answered with; Any where its class does not say.

    Example:
        >>> class Deposit(Command[int]): ...
        >>> reply_type(Deposit)
        <class 'int'>
    """
    for cls in command.__mro__:
        for base in getattr(cls, "__orig_bases__", ()) if "__orig_bases__" in cls.__dict__ else ():
            if get_origin(base) is Command:
                found = substitute(get_args(base)[0], argument_map(command, command))
                return Any if isinstance(found, TypeVar) else found
    return Any
