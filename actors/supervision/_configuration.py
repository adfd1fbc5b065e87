"""A tree as a TOML file, both ways.

| TOML                          | value                                              |
|-------------------------------|----------------------------------------------------|
| a table with `start`          | `Child`                                            |
| a table without               | `Supervisor`                                       |
| `start = "sensor"`            | what the app registered under that name            |
| `max_restarts = "unlimited"`  | None                                               |
| `start_timeout = "unlimited"` | None                                               |
| `[runtime]`                   | an attrs class of the caller                       |

A data file never decides what is imported, unless the app allows it.
"""

import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, final

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .._backoff import Backoff
from .._invalid import InvalidSetting
from ._configuration_errors import InvalidFile, problems_in
from ._spec import Child, Spec, Start, Supervisor
from ._strict import strict_converter
from ._toml import Tables, write_toml

R = TypeVar("R")

_UNLIMITED = "unlimited"
_GAUGES = ("mailbox", "note", "teller", "reserve")  # what a file cannot hold

_OF_SUPERVISORS = {field.name for field in attrs.fields(Supervisor)} - {
    field.name for field in attrs.fields(Child)
}


@final
@attrs.frozen
class Configuration(Generic[R]):
    """What a file says.

    Args:
        tree: The tree, if the file has one.
        runtime: Its `[runtime]` table, structured into the class that was asked for.
        given: The keys of that table; the other attributes of `runtime` have their defaults.
    """

    tree: Supervisor | None
    runtime: R
    given: frozenset[str] = frozenset()


@final
@attrs.frozen
class NoOverrides:
    """The runtime table of those who have none: any key in it is refused."""


def load_tree(
    source: str | Path, callables: Mapping[str, Start | Child], *, allow_imports: bool = False
) -> Supervisor:
    """Read a tree from TOML.

    Args:
        source: The text, or the path of a file.
        callables: What `start` may name: start functions, or a `Child` whose `start`, `mailbox`,
            `note`, `teller` and `reserve` are taken.
        allow_imports: Whether `start = "module:function"` may import. Only for files you trust like code.

    Raises:
        InvalidFile: With every problem found, each with its path and remedy.
        OSError: The file cannot be read.

    Example:
        >>> load_tree(Path("tree.toml"), {"tick": tick})
    """
    found = load_configuration(source, callables, NoOverrides, allow_imports=allow_imports)
    if found.tree is None:
        missing = InvalidSetting("name", "it is missing", "name the root of the tree")
        raise InvalidFile(_name_of(source), [missing])
    return found.tree


def load_configuration(
    source: str | Path,
    callables: Mapping[str, Start | Child],
    runtime: type[R],
    *,
    allow_imports: bool = False,
) -> Configuration[R]:
    """Read a tree and a `[runtime]` table from TOML; either may be missing.

    Args:
        source: The text, or the path of a file.
        callables: As in `load_tree`.
        runtime: The attrs class of the table; all of its attributes need defaults. Nothing is coerced, and
            unknown keys are refused.
        allow_imports: As in `load_tree`.

    Raises:
        InvalidFile: With every problem found, each with its path and remedy.
        OSError: The file cannot be read.
    """
    table = _parse(source)
    overrides = table.pop("runtime", {})
    problems: list[InvalidSetting] = []
    tree = _structure(_loader(callables, allow_imports=allow_imports), table, Supervisor, "", problems)
    found = _structure(strict_converter(), overrides, runtime, "runtime", problems)
    if problems or found is None:
        raise InvalidFile(_name_of(source), problems)
    return Configuration(tree, found, frozenset(overrides))


def dump_tree(tree: Supervisor, callables: Mapping[str, Start | Child], *, runtime: object = None) -> str:
    """Write a tree as TOML; what has its default is left out. `load_tree` reads it back as an equal tree.

    Args:
        tree: The tree.
        callables: The names of the start functions, as in `load_tree`.
        runtime: An attrs value for the `[runtime]` table.

    Raises:
        InvalidSetting: A start function has no name.
    """
    table: dict[str, Any] = _dumper(callables).unstructure(tree)
    if runtime is not None:
        table["runtime"] = cattrs.Converter(omit_if_default=True).unstructure(runtime)
    return write_toml(table)


def _name_of(source: str | Path) -> str:
    return str(source) if isinstance(source, Path) else "tree"


def _parse(source: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(source.read_text("utf-8") if isinstance(source, Path) else source)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = InvalidSetting("toml", str(error), "correct the syntax; TOML is text in UTF-8")
        raise InvalidFile(_name_of(source), [problem]) from None


def _structure(
    converter: cattrs.Converter, table: Any, kind: type[R], path: str, problems: list[InvalidSetting]
) -> R | None:
    if kind is Supervisor and not table:
        return None
    try:
        return converter.structure(table, kind)
    except Exception as error:  # noqa: BLE001  # cattrs wraps whatever went wrong
        problems += problems_in(error, path)
        return None


# Reading: cattrs builds the values, and their own checks refuse what cannot work.


def _loader(callables: Mapping[str, Start | Child], *, allow_imports: bool) -> cattrs.Converter:
    converter = strict_converter()
    find = _Finder(callables, allow_imports)
    converter.register_structure_hook(Child, _child_hook(converter, find))
    converter.register_structure_hook(Supervisor, _supervisor_hook(converter))
    converter.register_structure_hook_func(
        lambda kind: kind == Spec, lambda table, _: converter.structure(table, _kind_of(table))
    )
    converter.register_structure_hook(Backoff, _raw_hook(converter, Backoff, {}))
    return converter


def _kind_of(table: Any) -> type[Child | Supervisor]:
    if not isinstance(table, dict):
        raise InvalidSetting("", f"{table!r} is not a table", "give a table for each child")
    keys = set(cast("dict[str, Any]", table))
    if "start" in keys:
        return Child
    if keys & _OF_SUPERVISORS:
        return Supervisor
    raise InvalidSetting("start", "it is missing", "name a start function, or give it children of its own")


def _child_hook(converter: cattrs.Converter, find: "_Finder") -> Callable[[Any, Any], Child]:
    hooks = {"start": find.start, "start_timeout": _none_if_unlimited}
    structure = _raw_hook(converter, Child, hooks)
    return lambda table, kind: find.with_gauges(structure(table, kind), table)


def _supervisor_hook(converter: cattrs.Converter) -> Callable[[Any, Any], Supervisor]:
    def children(value: Any, _: Any) -> tuple[Spec, ...]:
        if not isinstance(value, list):
            raise InvalidSetting("", f"{value!r} is not a list", "write [[children]] before each child")
        return tuple(converter.structure(value, list[Spec]))

    def template(value: Any, _: Any) -> Child:
        return converter.structure(value, Child)

    def backoff(value: Any, _: Any) -> Backoff:
        return converter.structure(value, Backoff)

    hooks: dict[str, Callable[[Any, Any], Any]] = {
        "children": children,
        "template": template,
        "backoff": backoff,
        "max_restarts": _none_if_unlimited,
        "start_timeout": _none_if_unlimited,
    }
    return _raw_hook(converter, Supervisor, hooks)


def _raw_hook(
    converter: cattrs.Converter, kind: type[R], hooks: Mapping[str, Any]
) -> Callable[[Any, Any], R]:
    """Structure a class whose own checks see the raw values, save for what the hooks convert."""
    overrides = {
        field.name: override(omit=True)
        if field.name in _GAUGES or not field.init
        else override(struct_hook=hooks.get(field.name, _as_it_is))
        for field in attrs.fields(kind)  # type: ignore[arg-type]
    }
    make: Any = make_dict_structure_fn
    structure: Callable[[Any, Any], R] = make(kind, converter, _cattrs_forbid_extra_keys=True, **overrides)

    def hook(table: Any, asked: Any) -> R:
        if not isinstance(table, dict):
            raise InvalidSetting("", f"{table!r} is not a table", f"give the keys of {kind.__name__}")
        return structure(table, asked)

    return hook


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _none_if_unlimited(value: Any, _: Any) -> Any:
    return None if value == _UNLIMITED else value


@attrs.frozen
class _Finder:
    """Finds start functions by name."""

    callables: Mapping[str, Start | Child]
    allow_imports: bool

    def start(self, name: Any, _: Any) -> Start:
        if isinstance(name, str) and name in self.callables:
            found = self.callables[name]
            return found.start if isinstance(found, Child) else found
        if isinstance(name, str) and ":" in name:
            return self._import(name)
        known = ", ".join(repr(each) for each in sorted(self.callables)) or "none"
        raise InvalidSetting("", f"{name!r} is not registered", f"register it, or use one of: {known}")

    def _import(self, name: str) -> Start:
        if not self.allow_imports:
            raise InvalidSetting("", f"{name!r} would be imported", "register it, or set allow_imports=True")
        module, _, attribute = name.partition(":")
        try:
            found: Start = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise InvalidSetting("", f"{name!r} cannot be imported: {error}", "correct the name") from None
        return found

    def with_gauges(self, child: Child, table: Mapping[str, Any]) -> Child:
        found = self.callables.get(table["start"])
        if not isinstance(found, Child):
            return child
        return attrs.evolve(child, **{name: getattr(found, name) for name in _GAUGES})


# Writing


def _dumper(callables: Mapping[str, Start | Child]) -> cattrs.Converter:
    converter = cattrs.Converter(omit_if_default=True)
    names = {_function(each): name for name, each in callables.items()}

    def name_of(start: Start) -> str:
        try:
            return names[start]
        except KeyError:
            raise InvalidSetting("start", f"{start!r} has no name", "register it in the callables") from None

    words = override(unstruct_hook=lambda value: _UNLIMITED if value is None else value)
    child: Any = make_dict_unstructure_fn(
        Child,
        converter,
        _cattrs_omit_if_default=True,
        mailbox=override(omit=True),
        note=override(omit=True),
        teller=override(omit=True),
        reserve=override(omit=True),
        start=override(unstruct_hook=name_of),
        start_timeout=words,
    )
    converter.register_unstructure_hook(Child, child)
    supervisor: Any = make_dict_unstructure_fn(
        Supervisor,
        converter,
        _cattrs_omit_if_default=True,
        children=override(unstruct_hook=lambda value: Tables(tuple(map(converter.unstructure, value)))),
        template=override(unstruct_hook=lambda value: value and converter.unstructure(value)),
        max_restarts=words,
        start_timeout=words,
    )
    converter.register_unstructure_hook(
        Supervisor, lambda spec: _recognisable(supervisor(spec), spec.strategy)
    )
    return converter


def _recognisable(table: dict[str, Any], strategy: str) -> dict[str, Any]:
    """Tell a supervisor from a child without a start function, even if all it has are defaults."""
    if _OF_SUPERVISORS.isdisjoint(table):
        return {"name": table["name"], "strategy": strategy, **table}
    return table


def _function(each: Start | Child) -> Start:
    return each.start if isinstance(each, Child) else each
