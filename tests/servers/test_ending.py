"""Sessions end and their server stays: nothing is lost, nothing happens twice, every order is kept."""

from .ending import sessions_end


async def test_sessions_of_handlers_end() -> None:
    """A handler whose transaction breaks begins again, before what waits behind it in its key."""
    assert await sessions_end("pool") == []


async def test_sessions_of_the_runtime_end() -> None:
    """The session that reads and the one that writes are opened anew: all goes on, once and in order."""
    assert await sessions_end("writer", "fetcher") == []
