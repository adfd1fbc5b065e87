"""What the type checkers know of a runtime; mypy and pyright check it, and fail `make check`."""

from typing import assert_type

import rolebook as rb
from rolebook.runtime import Recorded
from tests.actors.bank import Account, Deposit, Deposited, Transfer


async def never_run(runtime: rb.Runtime) -> None:
    """Hold what the type checkers look at."""
    assert_type(await runtime.ask(Account, "alice", Deposit(1)), int)
    assert_type(await runtime.ask("account", "alice", Deposit(1), idempotency_key="one"), int)
    assert_type(await runtime.ask(Account, "alice", Transfer(1, "bob")), None)
    await runtime.ask(Account, "alice", Deposited(1))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    assert_type(await runtime.read(Account, "alice"), Account)
    assert_type(await runtime.read_many(Account, ["alice"]), dict[str, Account])
    assert_type([each async for each in runtime.events(Account, "alice")], list[Recorded])


async def test_an_ask_gives_what_its_type_says() -> None:
    """The type that the checkers infer is that of the value."""
    async with rb.open_runtime(rb.App("bank", actors=[Account]), database="memory:") as runtime:
        assert type(await runtime.ask(Account, "alice", Deposit(1))) is int
        assert type(await runtime.read(Account, "alice")) is Account
