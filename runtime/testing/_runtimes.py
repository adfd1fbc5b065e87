"""What the fixtures give a test: a way to open runtimes that share one store."""

from contextlib import AbstractAsyncContextManager
from typing import final

from attrs import field, frozen

from rolebook.actors import App

from .._open import open_runtime
from .._runtime import Runtime
from .._settings import Settings
from ..memory import MemoryStore


@final
@frozen
class OpenRuntime:
    """Opens runtimes on the store of one test.

    Open another one while one is open, and they are two processes on one database; after it, and it is a
    restart: all that was committed is there.

    Attributes:
        database: The URL of the test's database, or its store in memory.
        settings: How its runtimes behave, unless told otherwise.

    Example:
        ```python
        async def test_deposit(memory_runtime: OpenRuntime) -> None:
            async with memory_runtime(app) as runtime:
                assert await runtime.ask(Account, "alice", Deposit(10)) == 10
        ```
    """

    database: str | MemoryStore
    settings: Settings = field(factory=Settings)

    def __call__(
        self, app: App, *, settings: Settings | None = None, process: str | None = None
    ) -> AbstractAsyncContextManager[Runtime]:
        """Open a runtime for the length of an `async with` block.

        Args:
            app: What to run.
            settings: How it behaves; None for those of this opener.
            process: The name it has in the store; must differ between runtimes that are open at once.
        """
        return open_runtime(app, database=self.database, settings=settings or self.settings, process=process)
