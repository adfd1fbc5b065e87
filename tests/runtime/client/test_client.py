"""What only talks to actors needs no more than a client."""

import pytest

import rolebook as rb
from rolebook.runtime.contract import Store
from tests.runtime.apps import Account, Deposit


async def pay_in(client: rb.Client, key: str, amount: int) -> int:
    """A function that is written for a client."""
    await client.tell(Account, key, Deposit(amount))
    await client.ask(Account, key, Deposit(amount))
    return (await client.read(Account, key)).balance


async def test_a_runtime_is_a_client(store: Store) -> None:
    """Whatever is written for a client can be given a runtime."""
    async with rb.open_runtime(rb.App("bank", actors=[Account]), database=store) as runtime:
        assert await pay_in(runtime, "a", 3) == 6


async def test_a_client_that_is_not_open_says_so(store: Store) -> None:
    """Before it is opened, and after it was closed, every use is an error that says what to do."""
    app = rb.App("bank", actors=[Account])
    runtime = rb.Runtime(app, database=store)
    for client in (rb.Client(app, rb.Settings(), "one"), runtime):
        with pytest.raises(rb.NotRunning, match="is not open: use it inside"):
            await pay_in(client, "a", 1)
    async with runtime.opened():
        assert await pay_in(runtime, "a", 1) == 2
    with pytest.raises(rb.NotRunning):
        await runtime.depths()
