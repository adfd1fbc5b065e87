"""Marks for scenarios that the runtime does not stand yet.

They are strict: once it stands one, the suite fails until the mark is removed.
"""

import pytest


def not_yet(reason: str) -> pytest.MarkDecorator:
    """Mark a scenario as failing, and say how."""
    return pytest.mark.xfail(strict=True, reason=reason)


HOLES = not_yet("a batch that was under way is committed again on a server that forgot the ones before it")
READ_ONLY = not_yet("a session that reached a standby stays there")
TIMELINE = not_yet("a new session takes the first of the hosts that answers, whatever its timeline")
CANCELLED = not_yet("a commit that waits for a standby is cancelled at its deadline, and counts as committed")
ORDER = not_yet("the retry of a turn with a transaction of its own may commit before the mark of its failure")
RAW = not_yet("a start on a standby ends with psycopg's error about the first statement that writes")
