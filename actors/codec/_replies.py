"""Replies: which type a command is answered with, the `R` of its `Command[R]`, and how it is stored."""

from contextlib import suppress
from typing import Any, TypeVar, get_args, get_origin

from .._command import Command
from .._message import spec_of
from ._compiled import Decoder, Encoder, Label, decoder, encoder
from ._generics import argument_map, resolved, substitute
from ._shapes import Shapes


def reply_type(command: type) -> Any:
    """Return what a command is answered with; Any where its class does not say.

    Example:
        >>> class Deposit(Command[int]): ...
        >>> reply_type(Deposit)
        <class 'int'>
    """
    for cls in command.__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            if get_origin(base) is Command:
                found = substitute(get_args(base)[0], argument_map(command, command))
                with suppress(NameError):  # a class that is not there is refused by its name
                    found = resolved(cls.__module__, {"reply": found})["reply"]
                return Any if isinstance(found, TypeVar) else found
    return Any


class Replies:
    """The reply codecs of an app, made when first asked for."""

    __slots__ = ("_made", "_shapes")

    def __init__(self) -> None:
        self._shapes = Shapes("strict")
        self._made: dict[type, tuple[Encoder, Decoder]] = {}

    def of(self, command: type) -> tuple[Encoder, Decoder]:
        """Return how the reply to a command is written and read.

        Raises:
            DefinitionError: Its type cannot be stored.
        """
        made = self._made.get(command)
        if made is None:
            made = self._made[command] = self._make(command)
        return made

    def _make(self, command: type) -> tuple[Encoder, Decoder]:
        spec = spec_of(command)
        name, version = (spec.name, spec.version) if spec else (command.__qualname__, 1)
        hint, where = reply_type(command), f"command {name!r}: the reply to {command.__qualname__}"
        label, shape = Label("reply", name, version), self._shapes.of(hint, where)

        def located() -> Any:
            return self._shapes.located().of(hint, where)

        return encoder(label, shape, located), decoder(label, shape, located)
