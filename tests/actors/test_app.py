"""Apps: what they know, and what they refuse."""

from typing import Any

import pytest
from attrs import define, frozen

import rolebook as rb
from rolebook.actors import Limits

from .bank import Account, Deposit, Deposited, SendReceipt


def test_app_knows_its_queues_and_its_codec() -> None:
    """An actor's name is its queue; commands of handlers can be read as soon as they are registered."""
    app = rb.App("bank", actors=[Account])

    @app.handler("mail", concurrency=3, retry=rb.Retry(attempts=2))
    async def mail(command: SendReceipt, turn: rb.Turn) -> None: ...

    assert app.queues == ("account", "mail")
    assert app.actors["account"].cls is Account
    handler = app.handlers["mail"]
    assert (handler.concurrency, handler.retry.attempts, handler.takes_turn) == (3, 2, True)
    encoded = app.codec.encode_command(SendReceipt(5))
    assert app.codec.decode_command(*encoded) == SendReceipt(5)
    app.check()


def test_handler_takes_a_union() -> None:
    """One queue may carry several commands."""
    app = rb.App("bank")

    @app.handler("mixed")
    async def mixed(command: SendReceipt | Deposit) -> None: ...

    assert app.handlers["mixed"].commands == (SendReceipt, Deposit)


def test_two_actors_of_one_name_are_refused() -> None:
    """A name has one owner."""

    @rb.actor("account")
    @define
    class Other:
        pass

    with pytest.raises(
        rb.DefinitionError, match=r"'account' is the name of actor Account and of .*Other; rename"
    ):
        rb.App("bank", actors=[Account, Other])


def test_queue_and_actor_of_one_name_are_refused() -> None:
    """A queue has one handler, and an actor handles its own."""
    app = rb.App("bank", actors=[Account])

    async def handle(command: SendReceipt) -> None: ...

    with pytest.raises(rb.DefinitionError, match="'account' is the name of actor Account"):
        app.handler("account")(handle)
    app.handler("mail")(handle)
    with pytest.raises(
        rb.DefinitionError, match=r"queue 'mail' is handled by .*handle and .*handle; keep one"
    ):
        app.handler("mail")(handle)


def test_stored_name_belongs_to_one_class() -> None:
    """Two classes under one stored name could not be told apart when read."""

    @rb.event("account.deposited")
    @frozen
    class Other:
        pass

    with pytest.raises(
        rb.DefinitionError, match=r"'account\.deposited' is the name of both .*Deposited and .*Other"
    ):
        rb.App("bank", actors=[Account], messages=[Other])


def test_messages_without_a_name_are_refused() -> None:
    """Whatever is to be read has a stored name."""

    @frozen
    class Nameless:
        pass

    with pytest.raises(rb.DefinitionError, match=r"Nameless has no stored name; write @event"):
        rb.App("bank", messages=[Nameless])


def test_bad_handlers_are_refused() -> None:
    """A handler is async, takes a command and perhaps a turn."""
    app = rb.App("bank")

    def plain(command: SendReceipt) -> None: ...

    async def bare() -> None: ...

    async def unknown(command: Deposited) -> None: ...

    async def fine(command: SendReceipt) -> None: ...

    bad: Any = plain
    with pytest.raises(rb.DefinitionError, match="is not async"):
        app.handler("mail")(bad)
    with pytest.raises(rb.DefinitionError, match="a handler takes"):
        app.handler("mail")(bare)
    with pytest.raises(rb.DefinitionError, match="takes Deposited, which is no command"):
        app.handler("mail")(unknown)
    with pytest.raises(rb.DefinitionError, match="concurrency=0"):
        app.handler("mail", concurrency=0)(fine)
    with pytest.raises(rb.DefinitionError, match="is no name for a queue"):
        app.handler("mail box")(fine)
    with pytest.raises(rb.DefinitionError, match="on_failure"):
        app.handler("mail", on_failure=bad)(fine)
    assert app.queues == ()


def test_app_with_nothing_to_run_is_refused() -> None:
    """An app without actors, handlers and children does nothing."""
    with pytest.raises(rb.DefinitionError, match="nothing to run"):
        rb.App("empty").check()
    rb.App("child", children=(object(),)).check()


@pytest.mark.parametrize("bad", [{"payload": 0}, {"depth": 0}, {"turn_seconds": 0.0}])
def test_bad_limits_are_refused(bad: dict[str, Any]) -> None:
    """Limits leave room for at least one of what they bound."""
    with pytest.raises(rb.DefinitionError, match="Limits"):
        Limits(**bad)


def test_views_of_an_app_cannot_be_changed() -> None:
    """What an app runs is only changed through its methods."""
    app: Any = rb.App("bank", actors=[Account])
    with pytest.raises(TypeError):
        app.actors["other"] = None
