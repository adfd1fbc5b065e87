"""A schema that stops to fit while a runtime is at work: dropped, changed, or a right taken away."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from ._faults import Fault, fault_of
from ._migrating import SchemaError


@contextmanager
def explaining_misfits(schema: str) -> Generator[None]:
    """Turn what the server says of missing rights and missing things into a `SchemaError` with the remedy.

    It has the server's words and no cause, so that the log of it is a line.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            f"{error.diag.message_primary}: a right in schema {schema!r} was taken away."
            " Grant it again, and the work goes on."
        ) from None
    except psycopg.Error as error:
        if error.sqlstate is None or fault_of(error) is not Fault.PROGRAM:
            raise
        raise SchemaError(
            f"{error.diag.message_primary}: schema {schema!r} is not as this version made it."
            " Restore what was dropped or changed, and the work goes on; or stop and run `rolebook migrate`"
        ) from None
