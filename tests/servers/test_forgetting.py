"""A server that forgets what it acknowledged, and stays the same. What it still knows is as promised."""

from .forgetting import a_server_forgets
from .known import HOLES


@HOLES
async def test_a_backend_is_killed() -> None:
    """SIGKILL of one backend makes its server forget; what it still knows happens once, whole, in order."""
    assert await a_server_forgets(whole=False) == []


@HOLES
async def test_a_server_is_killed() -> None:
    """A server that is killed whole forgets; what it still knows happens once, whole, in order."""
    assert await a_server_forgets(whole=True) == []
