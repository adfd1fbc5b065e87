"""Whose fault an error of the database is: the one place that judges.

PostgreSQL says it with a code of five characters, the first two of which name a class. The tables below give
each class its fault, and single codes that are otherwise than their class. A code that is in neither comes
from a server newer than this version, or from something that only speaks like one: what it did is unknown.

The codes are those of appendix A of PostgreSQL's manual.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

import psycopg
import trio

from ._errors import DatabaseError, InvalidDatabaseUrl, PoolExhausted

CONFLICT: Final = "US001"
"""The code of the checks in `commit_batch`."""


class Fault(Enum):
    """Whose fault an error is, and with it what helps."""

    DATA = "data"
    """The statement's, for what it says: it will be refused again, and others will not."""
    CONTENTION = "contention"
    """Of two that were in each other's way: the same again may succeed."""
    SESSION = "session"
    """The session's: another one, perhaps on another server, may succeed."""
    SERVER = "server"
    """The server's, which lacks something or is not there: to wait helps, and no message is to blame."""
    PROGRAM = "program"
    """The program's, or of a schema that does not fit it: nothing helps but to mend that."""
    CONFLICT = "conflict"
    """Nobody's: one of the checks of a commit said no."""
    UNKNOWN = "unknown"
    """There was no answer that tells: what was asked may have happened, or not."""


_D, _C, _S, _V, _P, _U = (
    Fault.DATA,
    Fault.CONTENTION,
    Fault.SESSION,
    Fault.SERVER,
    Fault.PROGRAM,
    Fault.UNKNOWN,
)

CLASSES: Final[Mapping[str, Fault]] = {
    "02": _D,  # no data
    "03": _P,  # statement not complete
    "08": _U,  # the connection
    "09": _D,  # a trigger's action
    "0A": _P,  # a feature that is not there
    "0B": _P,  # how a transaction was begun
    "0F": _D,  # locators
    "0L": _P,  # grantors
    "0P": _P,  # roles
    "0Z": _P,  # diagnostics
    "10": _D,  # XQuery
    "20": _D,  # a CASE without a case
    "21": _D,  # more rows than one
    "22": _D,  # values
    "23": _D,  # constraints
    "24": _S,  # a cursor's state
    "25": _S,  # a transaction's state: read-only, aborted, ended by a time limit
    "26": _S,  # a prepared statement that is not there
    "27": _D,  # data that a trigger changed
    "28": _V,  # users and passwords
    "2B": _P,  # privileges
    "2D": _P,  # how a transaction was ended
    "2F": _D,  # routines in SQL
    "34": _S,  # a cursor's name
    "38": _D,  # routines of other languages
    "39": _D,  # how they were called
    "3B": _P,  # savepoints
    "3D": _V,  # a database that is not there
    "3F": _P,  # a schema that is not there
    "40": _C,  # rolled back for the sake of another
    "42": _P,  # syntax, names and rights
    "44": _D,  # the check of a view
    "53": _V,  # disk, memory, connections
    "54": _D,  # what is too large
    "55": _C,  # not now
    "57": _S,  # an operator's hand
    "58": _V,  # the machine
    "72": _C,  # a snapshot that is too old
    "F0": _V,  # the server's files of settings
    "HV": _D,  # foreign data
    "P0": _D,  # what PL/pgSQL raises, in somebody's trigger
    "XX": _V,  # inside the server
}

CODES: Final[Mapping[str, Fault]] = {
    CONFLICT: Fault.CONFLICT,
    "08004": _V,  # the server takes no connections
    "0A000": _S,  # "cached plan must not change result type" has this code; and what is really missing
    "40003": _U,  # says so itself
    "42P03": _S,  # a cursor of that name is there
    "42P05": _S,  # a prepared statement of that name is there
    "55P02": _P,  # a parameter that cannot be changed now
    "55P04": _P,  # a value of an enum before its commit
    "57000": _V,
    "57014": _V,  # a time limit of the server's, or its operator
    "57P03": _V,  # it starts, or stops
    "57P04": _V,  # the database was dropped
    "25001": _P,  # not inside a transaction
    "25P02": _P,  # a statement failed before, and its error was passed over
}


def fault_of(error: BaseException) -> Fault:
    """Say whose fault an error is that came up while the database was used."""
    if isinstance(error, PoolExhausted | DatabaseError):
        return Fault.PROGRAM if isinstance(error, InvalidDatabaseUrl) else Fault.SERVER
    if isinstance(error, UnicodeError):
        return Fault.DATA  # the driver cannot even send it
    if isinstance(error, psycopg.Error):
        return _fault_of_code(error) if error.sqlstate else _fault_of_driver(error)
    if isinstance(error, OSError | trio.TooSlowError):
        return Fault.UNKNOWN
    return Fault.PROGRAM


def _fault_of_code(error: psycopg.Error) -> Fault:
    code = error.sqlstate or ""
    if code == "54000" and error.diag.source_file == "async.c":
        return (
            Fault.SERVER
        )  # the queue of notifications is full; its code is that of an index entry too large
    return CODES.get(code) or CLASSES.get(code[:2], Fault.UNKNOWN)


def _fault_of_driver(error: psycopg.Error) -> Fault:
    """Say whose fault an error is that the server has not named."""
    if isinstance(error, psycopg.DataError):
        return Fault.DATA
    if isinstance(error, psycopg.ProgrammingError | psycopg.NotSupportedError):
        return Fault.PROGRAM  # the driver cannot send what this program made
    return Fault.UNKNOWN


def did_nothing(error: BaseException) -> bool:
    """Whether the server said that a statement of a transaction of its own, or a commit, did nothing.

    An ERROR comes before the commit, or in its place. A FATAL ends the session, and may come behind a commit
    that waited for a standby.
    """
    if isinstance(error, DatabaseError | PoolExhausted):
        return True  # it was not even sent
    if not isinstance(error, psycopg.Error):
        return isinstance(error, UnicodeError)
    if error.sqlstate is None:
        return fault_of(error) in {Fault.DATA, Fault.PROGRAM}
    return error.diag.severity_nonlocalized == "ERROR" and fault_of(error) is not Fault.UNKNOWN


def ends_session(error: BaseException) -> bool:
    """Whether the connection on which an error came up is not to be used again."""
    return fault_of(error) in {Fault.SESSION, Fault.UNKNOWN}


_SHORTAGES: Final = frozenset(
    {"25006", "57000", "57P01", "57P02", "57P03", "57P05", "58000", "58030"},
)
"""Codes besides classes 08 and 53 that a turn meets for no reason of its own."""


def is_shortage(error: BaseException) -> bool:
    """Whether a turn failed for what the database lacked: no fault of its message's nor of its code's.

    Contention is not among it: whoever writes SQL of their own has a part in that, and their policy of
    retries is made for it. Neither is a statement that took too long, nor an error inside the server.
    """
    if isinstance(error, PoolExhausted | DatabaseError):
        return fault_of(error) is Fault.SERVER
    if not isinstance(error, psycopg.Error) or error.sqlstate is None:
        return False
    code = error.sqlstate
    if code == "54000":
        return fault_of(error) is Fault.SERVER
    return code in _SHORTAGES or code[:2] in {"08", "53"}
