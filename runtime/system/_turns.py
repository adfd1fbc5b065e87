"""Whose turn it is to be read first, where one read has not room for all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from attrs import define

from ..contract import Cursor, Fetched, Lane

Entry = tuple[Cursor, int]


@final
@define(eq=False)
class Turns:
    """Lets the lanes take turns: a lane of large messages keeps no other one from being read.

    What one read may bring in bytes is for all lanes, in their order. The one that got something and had more
    was the last to be served: the next read begins behind it.
    """

    _first: Lane | None = None

    def order(self, plan: list[Entry]) -> list[Entry]:
        """Put the lane first whose turn it is."""
        if self._first is None:
            return plan
        place = next((place for place, (cursor, _) in enumerate(plan) if cursor.lane == self._first), 0)
        return [*plan[place:], *plan[:place]]

    def took(self, plan: Sequence[Entry], look: Fetched) -> None:
        """Take note of what a read brought."""
        if not look.cut:
            self._first = None
            return
        last = min(look.cut)
        following = last + 1 if look.rows[last] else last
        self._first = plan[following % len(plan)][0].lane
