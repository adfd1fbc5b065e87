"""Writing TOML: the standard library only reads it.

Only what a tree needs: tables, lists of tables, numbers, texts and truth values.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import attrs


@attrs.frozen
class Tables:
    """A list of tables, written as `[[sections]]`."""

    tables: tuple[Mapping[str, Any], ...]


def write_toml(table: Mapping[str, Any]) -> str:
    """Return a table as TOML, with lists of tables after everything else."""
    return "\n".join(_table(table, ())) + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    for key, value in table.items():
        if not _is_section(value, path):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        if _is_section(value, path):
            yield from _section(value, (*path, key))


def _is_section(value: Any, path: tuple[str, ...]) -> bool:
    if isinstance(value, Tables):
        return True
    # Below the top, a table such as the backoff reads well in one line.
    return isinstance(value, Mapping) and (not path or "start" in value)


def _section(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    name = ".".join(_key(each) for each in path)
    if isinstance(value, Tables):
        for each in value.tables:
            yield from ("", f"[[{name}]]", *_table(each, path))
    else:
        yield from ("", f"[{name}]", *_table(value, path))


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _text(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int() | float():
            return repr(value)
        case Mapping():
            table = cast("Mapping[str, Any]", value)
            return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in table.items()) + " }"
        case _:
            return "[" + ", ".join(_value(each) for each in value) + "]"


def _text(text: str) -> str:
    # JSON and TOML agree on texts, save for the one character that JSON does not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
