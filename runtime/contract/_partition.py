"""Which partition a key belongs to: computed alike here and in SQL."""

from __future__ import annotations

import random
from functools import lru_cache
from hashlib import sha256


@lru_cache(maxsize=8192)  # a fifth of a kilobyte each, and a microsecond to make anew
def partition_of_key(key: str, partitions: int) -> int:
    """Return the partition of a key, as the SQL function `partition_of` does."""
    return int.from_bytes(sha256(key.encode()).digest()[:3], "big") % partitions


def partition_of(key: str | None, partitions: int) -> int:
    """Return the partition of a key, or a random one for a message without a key."""
    if key is None:
        # A third of the time of `randrange`.
        return int(random.random() * partitions)  # noqa: S311 - spreads load, hides nothing
    return partition_of_key(key, partitions)
