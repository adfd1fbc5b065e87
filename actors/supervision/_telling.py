"""Who tells of a child's failures, if not its supervisor."""

from typing import Protocol

from ._errors import ChildFailed


class Teller(Protocol):
    """Tells of the failures of children in words of its own.

    A supervisor knows one child and one failure at a time. Who knows why children fail can tell of several
    at once, and of the end: give the same teller to all of them.

    Both methods are called in the task that noticed, and must neither wait nor raise.
    """

    def failed(self, failure: ChildFailed, delay: float | None) -> bool:
        """Tell of a failure, or pass it over.

        Args:
            failure: Which child, with its error and the number of failures in a row.
            delay: Seconds until it is started again; None if it is not, or not because of this failure.

        Returns:
            Whether that was all there is to tell; otherwise the supervisor logs it as it does without a
            teller.
        """
        ...

    def recovered(self, path: str) -> None:
        """Take note that a child runs, with all that its supervisor's strategy started together with it."""
        ...
