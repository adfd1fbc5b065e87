"""The errors a user of this library may see."""


class UnderstudyError(Exception):
    """The base of every error that Understudy raises on purpose."""
