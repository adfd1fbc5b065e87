"""The errors of the actor model: one base, then by fault and by remedy.

Every error carries what it is about as attributes, survives pickling, and its text names the thing and what
to do about it.
"""

from typing import Any, Literal, final

Kind = Literal["event", "command", "rejection", "state", "reply"]

_EXCERPT = 200


class RolebookError(Exception):
    """The base of every error that Rolebook raises on purpose."""


@final
class DefinitionError(RolebookError):
    """An actor, event, command, handler or app is defined wrongly: fix the program."""


@final
class InvalidKey(RolebookError, ValueError):
    """A key that cannot be stored: not a text, empty, over 512 bytes, or with a NUL in it."""


class Rejected(RolebookError):
    """A business refusal.

    Raised by a decider: the turn is void, the asker gets this error, the message is acknowledged, and nothing
    is retried. A subclass with `@rejection` carries data of its own.

    Args:
        reason: Why, in the words of the domain.

    Example:
        >>> raise Rejected("amount must be positive")
        Traceback (most recent call last):
        rolebook.actors._errors.Rejected: amount must be positive
    """

    def __init__(self, reason: str = "rejected") -> None:
        super().__init__(str(reason))  # an error given as the reason is its text, wherever it is stored

    @property
    def reason(self) -> str:
        """Why: its text."""
        return str(self)


@final
class EffectError(RolebookError):
    """A decider did what a decider cannot do: it awaited, or yielded what is no event and no effect."""


@final
class PayloadTooLarge(RolebookError):
    """A message or an event is larger, once encoded, than the app allows.

    Args:
        name: The stored name of the message or event.
        size: Its size, in bytes.
        limit: The most the app allows, in bytes.
    """

    def __init__(self, name: str, size: int, limit: int) -> None:
        super().__init__(name, size, limit)
        self.name = name
        self.size = size
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.name!r} is {self.size:,} bytes, over the limit of {self.limit:,}; "
            "store the bulk elsewhere and send a reference, or raise App(limits=Limits(payload=...))"
        )


@final
class OutcomeUnknown(RolebookError):
    """The link broke while a commit was under way, and its outcome could not be found out in time.

    The turn may or may not have been committed.
    Repeat the request with the same idempotency key to learn its outcome.
    """


@final
class ProcessEnded(RolebookError):
    """A message was given up because processes ended while it, and nothing else, was in work.

    It stands in the dead letter, or at the parked message.
    """

    def __init__(self) -> None:
        super().__init__(
            "its process ended, or stood still until its session was ended, while this message was handled"
            " and nothing else was; it happened again, and so it is not tried any more"
        )


@final
class Unencodable(RolebookError):
    """A value that cannot be stored so that it comes back as it was.

    Args:
        name: The stored name of the event, command, state or reply.
        where: The path to the value within it, such as `lines[2].price`; empty for the whole.
        problem: What is wrong with the value.
    """

    def __init__(self, kind: Kind, name: str, where: str, problem: str) -> None:
        super().__init__(kind, name, where, problem)
        self.kind = kind
        self.name = name
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} cannot be stored: {_at(self.where)}{self.problem}"


class DecodeError(RolebookError):
    """Something stored that this app cannot read.

    Attributes:
        kind: "event", "command", "state" or "reply".
        name: The stored name.
        version: The stored version.
        payload: The first 200 characters of the stored text.
        row: Where it is stored, once `at` was called; empty before.
    """

    def __init__(  # noqa: PLR0917  # all positional, so that it can be pickled
        self, kind: Kind, name: str, version: int, payload: str, problem: str, row: str = ""
    ) -> None:
        super().__init__(kind, name, version, payload[:_EXCERPT], problem, row)
        self.kind = kind
        self.name = name
        self.version = version
        self.payload: str = payload[:_EXCERPT]
        self.problem = problem
        self.row: str = row

    def at(self, row: str) -> "DecodeError":
        """Name the row that holds it, and return the same error, to be raised again.

        Args:
            row: Such as `events 1042 (account/alice #7)`.
        """
        self.row = row
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.kind, self.name, self.version, self.payload, self.problem, self.row))

    def __str__(self) -> str:
        row = f" in {self.row}" if self.row else ""
        return f"{self.kind} {self.name!r} version {self.version}{row}: {self.problem}"


class UnknownName(DecodeError):
    """No class of this app goes by that stored name and version.

    The app is older than the message, or a class was renamed without an alias.
    """


@final
class NewerVersion(UnknownName):
    """The name is known, and the version is newer than any that this app reads: a newer app wrote it."""


@final
class Undecodable(DecodeError):
    """The name is known, but the payload is not what its class says."""


def _at(where: str) -> str:
    return f"at {where}: " if where else ""
