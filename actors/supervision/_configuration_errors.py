"""What is wrong with a file, all of it, each with its path."""

import difflib
from collections.abc import Iterator, Sequence
from typing import final

import cattrs
from cattrs.errors import ForbiddenExtraKeysError

from .._errors import RolebookError
from .._invalid import InvalidSetting


@final
class InvalidFile(RolebookError, ValueError):
    """A file was refused.

    Args:
        source: Its name.
        problems: All that is wrong with it.
    """

    def __init__(self, source: str, problems: Sequence[InvalidSetting]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems: tuple[InvalidSetting, ...] = tuple(problems)

    def __str__(self) -> str:
        return "\n".join((f"{self.source} is refused:", *(f"  {problem}" for problem in self.problems)))


def problems_in(error: BaseException, path: str) -> list[InvalidSetting]:
    """Return what cattrs found, each with its path.

    Args:
        error: What `structure` raised.
        path: Where the structured value is in the file.
    """
    return list(_walk(error, path))


def _walk(error: BaseException, path: str) -> Iterator[InvalidSetting]:
    match error:
        case cattrs.ClassValidationError():
            for inner, note in error.group_exceptions()[0]:
                yield from _walk(inner, _join(path, note.name))
            for inner in error.group_exceptions()[1]:
                yield from _walk(inner, path)
        case cattrs.IterableValidationError():
            for inner, place in error.group_exceptions()[0]:
                yield from _walk(inner, f"{path}[{place.index}]")
            for inner in error.group_exceptions()[1]:
                yield from _walk(inner, path)
        case ForbiddenExtraKeysError():
            yield from (_unknown(error, key, path) for key in sorted(error.extra_fields))
        case InvalidSetting():
            yield InvalidSetting(_join(path, error.path), error.problem, error.remedy)
        case KeyError():
            yield InvalidSetting(path, "it is missing", "give it a value")
        case _:
            yield InvalidSetting(path, str(error), "correct the value")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _unknown(error: ForbiddenExtraKeysError, key: str, path: str) -> InvalidSetting:
    known = [name for name in _keys_of(error.cl) if name != "mailbox"]
    close = difflib.get_close_matches(key, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"use one of: {', '.join(known) or 'none'}"
    return InvalidSetting(_join(path, key), "unknown key", remedy)


def _keys_of(kind: type) -> list[str]:
    fields = getattr(kind, "__attrs_attrs__", ())
    return [field.alias for field in fields if field.init]
