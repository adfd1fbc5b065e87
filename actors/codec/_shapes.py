"""From a type to its shape, or a refusal with the remedy."""

import collections
import enum
import types
import typing
from collections import abc
from typing import Annotated, Any, ForwardRef, Literal, NewType, TypeVar, get_args, get_origin

import attrs

from .._errors import DefinitionError
from .._message import spec_of
from ._anything import ANYTHING
from ._classes import Mode, class_shape
from ._containers import dict_shape, fixed_tuple_shape, list_shape, set_shape, tuple_shape
from ._enums import enum_shape, literal_shape
from ._generics import argument_map, field_types, substitute
from ._mismatch import Mismatch
from ._scalars import SCALARS
from ._shape import Field, Shape
from ._unions import union_shape

_REMEDIES: dict[Any, str] = {
    abc.Sequence: "say list or tuple",
    abc.Iterable: "say list or tuple",
    abc.Collection: "say list or tuple",
    abc.MutableSequence: "say list",
    abc.Set: "say frozenset or set",
    abc.MutableSet: "say set",
    abc.MutableMapping: "say dict",
    bytearray: "say bytes",
    memoryview: "say bytes",
    collections.deque: "say list",
    collections.OrderedDict: "say dict; it keeps its order",
    collections.defaultdict: "say dict",
    collections.Counter: "say dict[..., int]",
    object: "say Any for what JSON can hold, or name the types",
    list: "say of what, such as list[int]",
    tuple: "say of what, such as tuple[int, ...]",
    set: "say of what, such as set[int]",
    frozenset: "say of what, such as frozenset[int]",
    dict: "say of what, such as dict[str, int]",
    complex: "say tuple[float, float]",
}

_BUILTINS: tuple[type, ...] = (dict, list, set, frozenset, tuple, str, bytes, bytearray, int, float, complex)


class Shapes:
    """The shapes of types, made once each.

    Args:
        mode: How classes are read.
        located: Whether an error says where it is; slower.
    """

    def __init__(self, mode: Mode, *, located: bool = False) -> None:
        self._mode: Mode = mode
        self._located = located
        self._made: dict[Any, Shape] = {}

    def located(self) -> "Shapes":
        """Return the same shapes with errors that say where."""
        return Shapes(self._mode, located=True)

    def of(self, hint: Any, where: str) -> Shape:
        """Return the shape of a type.

        Args:
            hint: The type, as in an annotation.
            where: What has it, for the error.

        Raises:
            DefinitionError: It cannot be stored so that it comes back as it was.
        """
        try:
            return self._of(hint)
        except Mismatch as error:
            path = f"{where}{''.join(error.path)}"
            raise DefinitionError(f"{path} cannot be stored: {error.problem}") from None

    def _of(self, hint: Any) -> Shape:
        hint = _unwrap(hint)
        if hint is Any:
            return ANYTHING
        try:
            made = SCALARS.get(hint) or self._made.get(hint)
        except TypeError:
            raise _refused(hint) from None
        if made is None:
            made = self._make(hint)
            self._made[hint] = made
        return made

    def _make(self, hint: Any) -> Shape:
        origin, args = get_origin(hint), get_args(hint)
        if origin is Literal:
            return literal_shape(hint)
        if origin in (typing.Union, types.UnionType):
            return union_shape([self._of(each) for each in args])
        cls = origin or hint
        if isinstance(cls, type) and attrs.has(cls):
            return self._class(hint, cls)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return enum_shape(hint)
        return self._container(hint, origin, args)

    def _container(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> Shape:
        if origin is list:
            return list_shape(self._of(args[0]), located=self._located)
        if origin is tuple:
            return self._tuple(args)
        if origin in (set, frozenset):
            return set_shape(origin, self._of(args[0]), located=self._located)
        if origin in (dict, abc.Mapping):
            return dict_shape(self._of(args[0]), self._of(args[1]), located=self._located)
        raise _refused(hint)

    def _tuple(self, args: tuple[Any, ...]) -> Shape:
        if len(args) == 2 and args[1] is ...:  # noqa: PLR2004  # tuple[X, ...]
            return tuple_shape(self._of(args[0]), located=self._located)
        return fixed_tuple_shape(tuple(self._of(each) for each in args if each != ()))

    def _class(self, hint: Any, cls: type) -> Shape:
        builtin = next((each for each in _BUILTINS if issubclass(cls, each)), None)
        if builtin is not None:
            name = builtin.__name__
            raise Mismatch(
                f"{cls.__name__} is a {name} too, and what it has as one is lost; hold it in a field"
            )
        # A class may contain itself: until it is made, what refers to it goes through this promise.
        made: list[Shape] = []
        self._made[hint] = _promise(cls, made)
        try:
            made.append(class_shape(hint, self._fields(hint, cls), self._mode, located=self._located))
        except BaseException:
            del self._made[hint]
            raise
        return made[0]

    def _fields(self, hint: Any, cls: type) -> list[Field]:
        arguments = argument_map(hint, cls)
        hints = field_types(cls)
        fields: list[Field] = []
        for each in attrs.fields(cls):
            try:
                shape = self._of(substitute(hints[each.name], arguments))
            except Mismatch as error:
                if not each.init:
                    error.problem += ", or make it a property, which is computed when it is asked for"
                raise error.inside(f".{each.name}") from None
            required = self._mode == "complete" or (each.init and each.default is attrs.NOTHING)
            fields.append(Field(each.name, shape, required))
        return fields


def _promise(cls: type, made: list[Shape]) -> Shape:
    def encode(value: Any) -> Any:
        return made[0].encode(value)

    def decode(raw: Any, _: object = None) -> Any:
        return made[0].decode(raw)

    def describe(seen: dict[object, int]) -> str:
        return made[0].describe(seen)

    spec = spec_of(cls)
    return Shape(
        encode,
        decode,
        describe,
        runtime=(cls,),
        tag=spec.name if spec else cls.__name__,
        also=spec.aliases if spec else (),
    )


def _unwrap(hint: Any) -> Any:
    """Take off what only a type checker sees: NewType, Annotated, Final and named aliases."""
    while True:
        if isinstance(hint, NewType):
            hint = hint.__supertype__
        elif get_origin(hint) in (Annotated, typing.Final):
            hint = get_args(hint)[0]
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def _refused(hint: Any) -> Mismatch:
    if isinstance(hint, TypeVar):
        return Mismatch(f"the type variable {hint} is open; give it an argument, such as Box[int]")
    if isinstance(hint, str | ForwardRef):
        hint = hint if isinstance(hint, str) else hint.__forward_arg__
        return Mismatch(f"the annotation {hint!r} cannot be resolved; define its class at module level")
    cls = get_origin(hint) or hint
    name = getattr(hint, "__qualname__", None) or repr(hint)
    remedy = _REMEDIES.get(cls) if isinstance(cls, abc.Hashable) else None
    if remedy is None and isinstance(cls, type) and _record_like(cls):
        remedy = "make it an attrs class"
    return Mismatch(f"{name} would not come back as it was; {remedy or 'use an attrs class of plain fields'}")


def _record_like(cls: type) -> bool:
    return hasattr(cls, "__dataclass_fields__") or hasattr(cls, "_fields") or hasattr(cls, "__total__")
