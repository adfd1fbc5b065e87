"""What a turn came to, and the assertions about it."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, NoReturn, TypeVar, final, overload

import attrs

from .._command import Command
from .._decision import Decision
from .._definition import ActorDefinition
from .._effects import Enqueue, Tell, actor_name
from .._errors import Rejected
from ._diff import report

R = TypeVar("R")
N = TypeVar("N")


@final
@attrs.define(eq=False)
class Case(Generic[R]):
    """What a turn came to. Each method asserts one thing about it and returns the case.

    Attributes:
        state: The actor after the turn; after a refusal or a failure, the actor before it.
    """

    state: Any
    _definition: ActorDefinition
    _history: Sequence[object]
    _decision: Decision
    _error: Exception | None
    _next: Callable[..., "Case[Any]"]

    @property
    def events(self) -> list[object]:
        """The events that were decided."""
        return [] if self._error else list(self._decision.events)

    @property
    def sent(self) -> list[Tell | Enqueue]:
        """The messages that were sent."""
        return [] if self._error else list(self._decision.sends)

    @property
    def reply(self) -> Any:
        """The reply."""
        return None if self._error else self._decision.reply

    @property
    def error(self) -> Exception | None:
        """What the decider raised."""
        return self._error

    def then(self, *events: object) -> "Case[R]":
        """Assert that exactly these events were decided, in this order; none, if none are given."""
        __tracebackhide__ = True
        self._succeeded()
        self._equal("other events were decided:", list(events), self._decision.events, "events")
        return self

    def replies(self, reply: R) -> "Case[R]":
        """Assert that this was the reply."""
        __tracebackhide__ = True
        self._succeeded()
        self._equal("the reply is another:", reply, self._decision.reply, "reply")
        return self

    def sends(self, *effects: Tell | Enqueue) -> "Case[R]":
        """Assert that exactly these messages were sent, in this order; none, if none are given.

        An actor may be given by class or by name, a delay in seconds or as a timedelta: it is the same.
        What routes send is among them if the case knows the app: `given(..., app=app)`.
        """
        __tracebackhide__ = True
        self._succeeded()
        sent = [shown(each) for each in self._decision.sends]
        self._equal("other messages were sent:", [shown(each) for each in effects], sent, "sends")
        return self

    def stops(self) -> "Case[R]":
        """Assert that the actor asked to be passivated."""
        __tracebackhide__ = True
        self._succeeded()
        if not self._decision.stop:
            raise AssertionError("the actor did not yield Stop()")
        return self

    def leaves(self, state: object) -> "Case[R]":
        """Assert that this is the state after the turn."""
        __tracebackhide__ = True
        self._succeeded()
        self._equal("the state is another:", state, self.state, type(self.state).__name__)
        return self

    def rejected(self, reason: str | None = None) -> "Case[R]":
        """Assert that the decider refused, for this reason if one is given."""
        __tracebackhide__ = True
        if not isinstance(self._error, Rejected):
            self._wrong("Rejected")
        if reason is not None:
            self._equal("refused for another reason:", reason, self._error.reason, "reason")
        return self

    def fails(self, error: type[BaseException], match: str | None = None) -> "Case[R]":
        """Assert that the decider raised such an error.

        Args:
            error: Its class.
            match: A regular expression that is found in its text.
        """
        __tracebackhide__ = True
        if not isinstance(self._error, error):
            self._wrong(error.__name__)
        if match is not None and not re.search(match, str(self._error)):
            raise AssertionError(f"{match!r} is not found in {str(self._error)!r}") from self._error
        return self

    @overload
    def when(self, command: Command[N], **turn: Any) -> "Case[N]": ...
    @overload
    def when(self, command: object, **turn: Any) -> "Case[Any]": ...
    def when(self, command: object, **turn: Any) -> "Case[Any]":
        """Go on: let the actor decide another command, after the events of this turn.

        Args:
            command: What it is told next.
            turn: As for `Given.when`.
        """
        return self._next([*self._history, *self.events], command, **turn)

    def _succeeded(self) -> None:
        if self._error is not None:
            name = type(self._error).__name__
            raise AssertionError(f"the decider raised {name}: {self._error}") from self._error

    def _wrong(self, wanted: str) -> NoReturn:
        if self._error is None:
            raise AssertionError(
                f"expected {wanted}, but the decider decided {self._decision.events} and replied "
                f"{self._decision.reply!r}"
            )
        got = f"{type(self._error).__name__}: {self._error}"
        raise AssertionError(f"expected {wanted}, but the decider raised {got}") from self._error

    def _equal(self, title: str, expected: object, actual: object, where: str) -> None:
        __tracebackhide__ = True
        difference = report(title, expected, actual, where)
        if difference:
            raise AssertionError(difference)


def shown(effect: Tell | Enqueue) -> dict[str, Any]:
    """Show a message so that different ways of writing the same are the same."""
    plain = {each.name: getattr(effect, each.name) for each in attrs.fields(type(effect))}
    plain |= {"kind": type(effect).__name__, "delay": effect.delay_seconds, "headers": dict(effect.headers)}
    if isinstance(effect, Tell):
        plain["actor"] = actor_name(effect.actor)
    return plain
