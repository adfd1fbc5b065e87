"""What a server may turn out to be: not the one that was spoken to, or one that forgot."""

from __future__ import annotations

from typing import final

from rolebook.actors import RolebookError


@final
class Elsewhere(RolebookError):
    """A commit or a load ran on a server that does not know the session it stands on; nothing was done."""


@final
class ServerForgot(RolebookError):
    """The server has forgotten commits that it had acknowledged; what this process held is void with them.

    That happens when a standby takes over that had not received them, and when a server crashes that was run
    with `synchronous_commit=off`. What is lost is the end of what was committed, and nothing in the middle.
    What raised this was not done: do it again, after a look at what is still there.

    Attributes:
        commits: How many acknowledged commits of this process are gone, at least.
        turns: How many turns and sends were in them.
        events: How many events.
    """

    def __init__(self, commits: int, turns: int, events: int) -> None:
        super().__init__(commits, turns, events)
        self.commits = commits
        self.turns = turns
        self.events = events

    def __str__(self) -> str:
        return (
            "the server has forgotten what it had acknowledged: of this process"
            f" {_counted(self.commits, 'commit')} with {_counted(self.turns, 'turn')}"
            f" and {_counted(self.events, 'event')}; this was not done, and everything begins anew from"
            " what is there"
        )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
