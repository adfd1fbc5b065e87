"""The listener: what it says of itself, and how soon it notices that it has gone deaf."""

import trio

import understudy as us
from tests.proxy import open_proxy
from tests.runtime.apps import Account, Deposit
from tests.runtime.looking import Looking
from tests.waiting import eventually

LONG = 3600.0


async def go_deaf(url: str, settings: us.Settings) -> bool:
    """Let the wire of the listening session go dark; say whether the runtime has noticed. Then heal it."""
    app = us.App("app", actors=[Account])
    async with (
        open_proxy(url) as proxy,
        us.open_runtime(app, database=url, direct_url=proxy.url, settings=settings) as runtime,
    ):
        await eventually(lambda: runtime.listening == "listening")
        proxy.freeze()
        with trio.move_on_after(2) as noticed:
            await eventually(lambda: runtime.listening == "degraded")
        proxy.cut()
        await proxy.heal()
        await eventually(lambda: runtime.listening == "listening")
        assert await runtime.ask(Account, "a", Deposit(1)) == 1
    return not noticed.cancelled_caught


async def test_a_deaf_listener_is_noticed(database_url: str) -> None:
    """A link that swallows everything and reports nothing is noticed by the health check, and replaced."""
    backoff = us.Backoff(first=0.01, cap=0.05)
    chosen = us.Settings(health_interval=0.3, health_deadline=0.3, backoff=backoff)
    assert await go_deaf(database_url, chosen)


async def test_a_deaf_listener_is_noticed_control(database_url: str) -> None:
    """Without the health check nobody notices: silence is what a healthy listener hears, too."""
    assert not await go_deaf(database_url, us.Settings(health_interval=LONG))


async def test_a_new_listener_looks_at_everything(database_url: str, looking: Looking) -> None:
    """What was sent while nobody listened is found as soon as somebody does, without a poll."""
    app = us.App("app", actors=[Account])
    settings = us.Settings(poll_interval=25, backoff=us.Backoff(first=0.01, cap=0.05))
    async with us.open_runtime(app, database=database_url, settings=settings):
        await looking.owned()
        for amount in range(1, 4):
            await looking.terminate("listener")
            await looking.do(
                "select understudy.tell('account', 'a', 'account.deposit',"
                " json_build_object('amount', %s::int))",
                amount,
            )
            await looking.until("select count(*) = %s from understudy.events", amount)
