"""Translate a failed connection into our errors: the only place that reads libpq's messages.

A failed start has no SQLSTATE in libpq, only text; servers may speak another language, and poolers speak in
their own name. So the phrases below choose the remedy, and a phrase that is not there costs the remedy its
precision, nothing else.
"""

import getpass
import re

import psycopg
from psycopg._conninfo_utils import get_param, get_param_def
from psycopg.abc import ConnDict
from psycopg.conninfo import timeout_from_conninfo

from ._connecting import TIMED_OUT
from ._errors import DatabaseAddress, DatabaseError, DatabaseRefused, DatabaseUnreachable
from ._whereabouts import LeftBehind

# The server is there, but not yet or no longer: FATAL like a refusal, cured by waiting.
_PASSING = ("starting up", "shutting down", "in recovery mode", "not yet accepting connections")

# A pooler answered, and its server does not.
_BEHIND = ("server login has been failing", "client_login_timeout", "cannot connect to server")

_REFUSALS = {
    "password authentication failed": "check the user and the password in the URL",
    "no password supplied": "put the password in the URL, in PGPASSWORD or in ~/.pgpass",
    "no pg_hba.conf entry": "allow this user, database and address in the server's pg_hba.conf",
    "authentication failed": "check the user in the URL and the server's pg_hba.conf",
    "too many": "use fewer connections, or raise max_connections (or the limit of the role or database)",
    "connection slots": "raise the server's max_connections, or use fewer connections",
    "permission denied": "grant the user CONNECT on the database",
    "startup parameter": "leave it out of the URL, or let the pooler ignore it (ignore_startup_parameters)",
    "query_wait_timeout": "let the pooler have more server connections (default_pool_size), or use fewer",
    "no more connections allowed": "let the pooler have more clients (max_client_conn), or use fewer",
    "no such user": "name the user in the pooler's auth_file, or correct it in the URL",
    "no such database": "name the database in the pooler's configuration, or correct it in the URL",
    'role "': "create the role, or correct the user in the URL",
    'database "': "create the database with createdb, or correct its name in the URL",
}
# libpq puts two spaces between the server's word for FATAL, in whatever language, and its message.
_SAID_BY_SERVER = re.compile(r"FATAL|\S: {2}\S")
_UNKNOWN_REFUSAL = "see the reason, and the server's log"
_UNREACHABLE = "start the server, or correct host and port in the URL; check firewalls and poolers in between"
_READ_ONLY = ("session is read-only", "hot standby mode", "session is not read-only")
_TAKES_NO_WRITES = (
    "name the primary in the URL, or all hosts of the cluster: host=one,two; if it is the primary, set its"
    " default_transaction_read_only to off"
)
_LEFT_BEHIND = "name the server that took over in the URL, or all hosts of the cluster: host=one,two"
_WAIT = "wait until the server accepts connections"
_WAIT_BEHIND = "start the server behind the pooler, which answered; see the pooler's log"
_STOPPING_CLASS = "57P"


def address_of(params: ConnDict) -> DatabaseAddress:
    """Say which database connection parameters mean; what they leave open is filled in as libpq does."""
    user = get_param(params, "user") or getpass.getuser()
    host = get_param(params, "host") or get_param(params, "hostaddr") or "the local socket"
    port = get_param(params, "port") or _default("port")
    return DatabaseAddress(host, port, user, get_param(params, "dbname") or user)


def translate(error: psycopg.Error, params: ConnDict) -> DatabaseError:
    """Turn a failure to connect into the error that names the database and the remedy."""
    address, reason = address_of(params), " ".join(str(error).split())
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        reason = reason.replace(TIMED_OUT, f"no answer within {timeout_from_conninfo(params)} s")
    state = error.sqlstate or ""  # of a statement after the start
    if state.startswith(_STOPPING_CLASS) or any(phrase in reason for phrase in _PASSING):
        return DatabaseUnreachable(address, reason, _WAIT)
    if isinstance(error, LeftBehind):
        return DatabaseUnreachable(address, reason, _LEFT_BEHIND)
    if any(phrase in reason for phrase in _READ_ONLY):
        return DatabaseUnreachable(address, reason, _TAKES_NO_WRITES)
    if any(phrase in reason for phrase in _BEHIND):
        return DatabaseUnreachable(address, reason, _WAIT_BEHIND)
    if (
        not state
        and not _SAID_BY_SERVER.search(str(error))
        and not any(word in reason for word in ("ERROR:", "password"))
    ):
        return DatabaseUnreachable(address, reason, _UNREACHABLE)
    said = reason.partition("FATAL:")[2] or reason
    remedies = (remedy for phrase, remedy in _REFUSALS.items() if phrase in said)
    return DatabaseRefused(address, reason, next(remedies, _UNKNOWN_REFUSAL))


def _default(name: str) -> str:
    definition = get_param_def(name)
    return (definition.compiled if definition else None) or "5432"
