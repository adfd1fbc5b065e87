"""The store's clock, read without a round trip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import final

import trio
from attrs import define

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@final
@define(eq=False)
class StoreClock:
    """The store's time as of its last word, plus what Trio's clock has counted since."""

    _offset: float | None = None

    def set(self, server_time: float) -> None:
        """Take the store's word: seconds since the epoch, now."""
        self._offset = server_time - trio.current_time()

    def now(self) -> datetime:
        """Return the time, in UTC."""
        if self._offset is None:
            return datetime.now(UTC)
        return _EPOCH + timedelta(seconds=self._offset + trio.current_time())

    def when(self, server_time: float) -> float:
        """Return when it is that time of the store's, on Trio's clock; now, if nothing is known of it."""
        return trio.current_time() if self._offset is None else server_time - self._offset
