"""The partition of a key: Python and SQL must agree, or messages of one key would land in two places."""

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from rolebook.runtime.contract import partition_of, partition_of_key

KEYS = ["", "a", "alice", "N10156", "ключ", "鍵", "🔑", "a b", "x" * 1000, "'\"\\", "\t\n", "\u0301e"]


def test_python_and_sql_agree(migrated_url: str) -> None:
    """For any text PostgreSQL can hold, both sides compute the same partition."""
    with psycopg.connect(migrated_url) as connection:
        partitions = connection.execute("select partitions from rolebook.meta").fetchone()
        assert partitions is not None
        keys = KEYS + [f"key-{number}" for number in range(200)]
        answer = connection.execute(
            "select key, rolebook.partition_of(key) from unnest(%s::text[]) as k (key)", (keys,)
        )
        assert dict(answer.fetchall()) == {key: partition_of_key(key, partitions[0]) for key in keys}


@given(st.text(), st.integers(1, 1024))
def test_a_partition_is_in_range_and_stays(key: str, partitions: int) -> None:
    """Always the same one, below the number of partitions; surrogates excepted, which no key may hold."""
    if key.isascii() or not any("\ud800" <= char <= "\udfff" for char in key):
        assert 0 <= partition_of_key(key, partitions) < partitions
        assert partition_of_key(key, partitions) == partition_of(key, partitions)


def test_a_message_without_a_key_goes_anywhere() -> None:
    """Random partitions, all of them in the end."""
    assert set(range(4)) == {partition_of(None, 4) for _ in range(400)}


def test_keys_spread(migrated_url: str) -> None:
    """A thousand keys fill 32 partitions without a hole, and SQL spreads messages without a key."""
    assert len({partition_of_key(f"key-{number}", 32) for number in range(1000)}) == 32
    with psycopg.connect(migrated_url) as connection:
        answer = connection.execute(
            "select count(distinct rolebook.partition_of(null)) from generate_series(1, 200)"
        )
        assert answer.fetchone() == (4,)
