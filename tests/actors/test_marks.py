"""Marked methods: none is lost on the way from the text of a class to its definition."""

from collections.abc import Callable
from functools import lru_cache, partial, wraps
from typing import Any

import pytest
from attrs import define

import rolebook as rb
from rolebook.actors import definition_of

from .bank import Deposit, Deposited, Look


@define
class Base:
    """What the classes below derive from."""

    seen: int = 0

    @rb.decide
    def look(self, command: Look) -> int:
        return self.seen

    @rb.apply
    def deposited(self, event: Deposited) -> None:
        self.seen += 1


def loud(method: Any) -> Any:
    """Put a function around another that does not say what is in it."""

    def around(self: Any, command: Look) -> object:
        return method(self, command)

    return around


def quiet(method: Any) -> Any:
    """Put a function around another as one should."""
    return wraps(method)(loud(method))


class Callee:
    """An object that can be called."""

    __slots__ = ()

    def __call__(self, state: Any, command: Look) -> int:
        return 1


def _same_name() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> int:  # pyright: ignore[reportRedeclaration]
            return 1

        @rb.decide  # type: ignore[no-redef]
        def one(self, command: Deposit) -> int:  # noqa: F811
            return 2

    return A


def _same_name_of_an_applier() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.apply
        def one(self, event: Deposited) -> None: ...  # pyright: ignore[reportRedeclaration]

        @rb.decide  # type: ignore[no-redef]
        def one(self, command: Deposit) -> int:  # noqa: F811
            return 2

    return A


def _same_name_unmarked() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> int:  # pyright: ignore[reportRedeclaration]
            return 1

        def one(self) -> int:  # type: ignore[no-redef] # noqa: F811
            return 2

    return A


def _same_name_in_a_base() -> type:
    @define
    class Twice:
        @rb.decide
        def one(self, command: Look) -> int:  # pyright: ignore[reportRedeclaration]
            return 1

        @rb.decide  # type: ignore[no-redef]
        def one(self, command: Deposit) -> int:  # noqa: F811
            return 2

    @rb.actor("a")
    @define
    class A(Twice):
        pass

    return A


def _hidden() -> type:
    @rb.actor("a")
    @define
    class A:
        @loud
        @rb.decide
        def one(self, command: Look) -> int:
            return 1

    return A


def _deleted() -> type:
    @rb.actor("a")
    @define
    class A:
        @rb.decide
        def one(self, command: Look) -> int:
            return 1

        del one

    return A


def _override() -> type:
    @rb.actor("a")
    @define
    class A(Base):
        def look(self, command: Look) -> int:
            return 2

    return A


def _override_of_an_applier() -> type:
    @rb.actor("a")
    @define
    class A(Base):
        def deposited(self, event: Deposited) -> None: ...

    return A


def _override_with_the_other_mark() -> type:
    @rb.actor("a")
    @define
    class A(Base):
        @rb.apply
        def look(self, event: Deposited) -> None:  # type: ignore[override] # pyright: ignore # noqa: PGH003
            ...

    return A


def _override_by_a_mixin() -> type:
    @define
    class Mixin:
        def look(self, command: Look) -> int:
            return 2

    @rb.actor("a")
    @define
    class A(Mixin, Base):
        pass

    return A


def _override_by_a_field() -> type:
    @rb.actor("a")
    @define
    class A(Base):
        look: int = 0  # type: ignore[assignment] # pyright: ignore # noqa: PGH003

    return A


def _override_for_another_command() -> type:
    @rb.actor("a")
    @define
    class A(Base):
        @rb.decide
        def look(self, command: Deposit) -> int:  # type: ignore[override] # pyright: ignore # noqa: PGH003
            return 2

    return A


def _wrapped(wrap: Callable[[Any], Any], *, outside: bool = False) -> Callable[[], type]:
    """Return what makes a class whose decider is wrapped, inside its mark or outside."""

    def make() -> type:
        def around(method: Any) -> Any:
            return wrap(rb.decide(method)) if outside else rb.decide(wrap(method))

        @rb.actor("a")
        @define
        class A:
            @around
            def one(self, command: Look) -> int:
                return 1

        return A

    return make


def _assigned(value: Any) -> Callable[[], type]:
    def make() -> type:
        @rb.actor("a")
        @define(slots=False)
        class A:
            one = rb.decide(value)

        return A

    return make


PLAIN = r"A\.one has @decide on a {}, and not on a plain method; write `def one\(self, command"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_same_name, r"A\.one has @decide, .*another `one`.*give each method a name of its own"),
        (_same_name_of_an_applier, r"A\.one has @apply, .*another `one`"),
        (_same_name_unmarked, r"A\.one has @decide, .*another `one`"),
        (_same_name_in_a_base, r"Twice\.one has @decide, .*another `one`"),
        (_hidden, r"A\.one has @decide, .*write @decide above every other decorator"),
        (_deleted, r"A\.one has @decide, but the class has no `one`"),
        (_override, r"A\.look overrides Base\.look, which has @decide; write @decide above it too"),
        (_override_of_an_applier, r"A\.deposited overrides Base\.deposited, which has @apply; write @apply"),
        (_override_with_the_other_mark, r"A\.look overrides Base\.look, which has @decide; write @decide"),
        (_override_by_a_mixin, r"Mixin\.look overrides Base\.look, which has @decide"),
        (_override_by_a_field, r"A\.look overrides Base\.look, which has @decide"),
        (_override_for_another_command, r"A\.look overrides Base\.look, .*nothing takes Look any more"),
        (_wrapped(staticmethod), PLAIN.format("staticmethod")),
        (_wrapped(classmethod), PLAIN.format("classmethod")),
        (_wrapped(property), PLAIN.format("property")),
        (_wrapped(lru_cache), PLAIN.format("_lru_cache_wrapper")),
        (_wrapped(partial), PLAIN.format("partial")),
        (_wrapped(staticmethod, outside=True), PLAIN.format("staticmethod")),
        (_wrapped(classmethod, outside=True), PLAIN.format("classmethod")),
        (_wrapped(property, outside=True), PLAIN.format("property")),
        (_wrapped(lru_cache, outside=True), PLAIN.format("_lru_cache_wrapper")),
        (_wrapped(partial, outside=True), PLAIN.format("partial")),
        (_assigned(Callee()), PLAIN.format("Callee")),
    ],
)
def test_no_marked_method_is_lost(make: Callable[[], type], message: str) -> None:
    """The error names the class, the method and what to write."""
    with pytest.raises(rb.DefinitionError, match=message) as caught:
        definition_of(make())
    assert str(caught.value).startswith("actor 'a': ")


def test_usual_classes_are_no_mistake() -> None:
    """A choice between two definitions, a property with its setter, and a wrapper that says what is in it."""
    old = Base().seen > 0

    @rb.actor("a")
    @define
    class A(Base):
        if old:

            @rb.decide
            def deposit(self, command: Deposit) -> int:
                return 1
        else:

            @rb.decide
            def deposit(self, command: Deposit) -> int:
                return 2

        @property
        def twice(self) -> int:
            return 2 * self.seen

        @twice.setter
        def twice(self, value: int) -> None:
            self.seen = value // 2

        @quiet
        @rb.decide
        def look(self, command: Look) -> int:
            return 3

    definition = definition_of(A)
    assert set(definition.deciders) == {Look, Deposit}
    assert definition.deciders[Deposit].function(A(), Deposit(1)) == 2
    assert definition.deciders[Look].function(A(), Look()) == 3


def test_an_override_may_share_its_commands_out() -> None:
    """What the overridden method decided is decided still, by another one."""

    @define
    class Both:
        @rb.decide
        def both(self, command: Look | Deposit) -> int:
            return 1

    @rb.actor("a")
    @define
    class A(Both):
        @rb.decide
        def both(self, command: Look) -> int:  # type: ignore[override] # pyright: ignore # noqa: PGH003
            return 2

        @rb.decide
        def deposit(self, command: Deposit) -> int:
            return 3

    assert set(definition_of(A).deciders) == {Look, Deposit}


def test_what_is_no_function_handles_and_routes_nothing() -> None:
    """The same holds for the functions of an app, which have no class to be found in."""

    async def handle(command: Look) -> None: ...

    app = rb.App("app")
    for odd in (partial(handle), lru_cache(handle), staticmethod(handle), Callee()):
        with pytest.raises(
            rb.DefinitionError, match=r"queue 'mail': .* is no plain function; write `async def"
        ):
            app.handler("mail")(odd)  # type: ignore[type-var] # pyright: ignore # noqa: PGH003
    for odd in (partial(handle), lru_cache(handle), staticmethod(handle), Callee()):
        with pytest.raises(rb.DefinitionError, match=r"route .* is no plain function; write `def"):
            app.route(odd)


def test_a_method_of_an_object_may_handle() -> None:
    """It is a function with its first argument filled in."""

    class Mailer:
        async def handle(self, command: Look) -> None: ...

    app = rb.App("app")
    app.handler("mail")(Mailer().handle)
    assert app.handlers["mail"].commands == (Look,)
