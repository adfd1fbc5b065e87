"""The errors of the actor model."""


class UnderstudyError(Exception):
    """The base of every error that Understudy raises on purpose."""
