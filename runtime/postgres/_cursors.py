"""psycopg's cursors, made to keep the rules of this driver, whatever class they were made of."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import trio
from psycopg.abc import Params, Query
from psycopg.rows import Row

from ._settling import Settler, is_cancelled, settler_of
from ._waiting import breath

_C = TypeVar("_C", bound="psycopg.AsyncCursor[Any]")

if TYPE_CHECKING:
    _AnyCursor = psycopg.AsyncCursor[Any]
    _AnyServerCursor = psycopg.AsyncServerCursor[Any]
else:  # what has no base of its own can be put before any class without a change of its instances' layout
    _AnyCursor = _AnyServerCursor = object


class _Rules(_AnyCursor):
    """Other tasks get a turn while rows are fetched, and a cancellation stops `executemany`."""

    __slots__ = ()

    async def executemany(
        self, query: Query, params_seq: Iterable[Params], *, returning: bool = False
    ) -> None:
        """As psycopg; cancelled, it takes no more parameters."""
        rows = _until_stopped(params_seq, settler_of(self._conn))
        await super().executemany(query, rows, returning=returning)

    async def _fetch_pipeline(self) -> None:
        """Come before every fetch: a cancellation loses no row."""
        if breath.is_due():
            await breath.take()
        if self._conn._pipeline:  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            await super()._fetch_pipeline()


class _ServerRules(_AnyServerCursor):
    """It is closed even if its task has been cancelled."""

    __slots__ = ()

    async def close(self) -> None:
        """As psycopg; a cancelled task closes it all the same, and is cancelled at the next checkpoint."""
        try:
            if not is_cancelled():
                await super().close()
        finally:
            if not self.closed:
                with settler_of(self._conn).shielded():
                    await super().close()
            self._close()  # in any case on this side

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        with suppress(trio.Cancelled) if exc_val is not None else nullcontext():
            await super().__aexit__(exc_type, exc_val, exc_tb)


class Cursor(_Rules, psycopg.AsyncCursor[Row]):
    """psycopg's cursor, by the rules of this driver."""

    __slots__ = ()


class ServerCursor(_ServerRules, psycopg.AsyncServerCursor[Row]):
    """psycopg's server-side cursor, by the rules of this driver."""

    __slots__ = ()


def adopt(cursor: _C) -> _C:
    """Let a cursor of psycopg's or the user's class keep the rules.

    Factories make cursors of any class, and the rules belong to the connection. So an instance gets a class
    that is its own with ours before it.
    """
    if not isinstance(cursor, _RULED):
        cls: Any = type(cursor)
        cursor.__class__ = _with_rules(cls)
    return cursor


_RULED = (_Rules, _ServerRules)  # a union would be made anew for each cursor


@lru_cache
def _with_rules(cls: Any) -> Any:
    rules: Any = _ServerRules if psycopg.AsyncServerCursor in cls.__mro__ else _Rules
    names = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (rules, cls), names)


def _until_stopped(rows: Iterable[Params], settler: Settler) -> Iterator[Params]:
    for row in rows:
        if settler.stopping:
            raise psycopg.errors.QueryCanceled("cancelled before all rows were sent")
        yield row
