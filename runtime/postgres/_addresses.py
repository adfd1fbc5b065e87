"""From connection parameters to the attempts to make: one for every address of every host."""

import random
import socket

import psycopg
import trio
from psycopg._conninfo_utils import get_param, get_param_def, is_ip_address, split_attempts
from psycopg.abc import ConnDict


async def connection_attempts(params: ConnDict, *, lookup_seconds: float) -> list[ConnDict]:
    """List the attempts that `params` stand for, in the order to make them.

    libpq resolves names in a blocking call, so names are resolved here and handed to it as `hostaddr`.

    Args:
        params: connection parameters; `host`, `hostaddr` and `port` may be lists with commas.
        lookup_seconds: time for the lookup of each name.

    Raises:
        psycopg.OperationalError: no host could be resolved.
    """
    prefer_standby = get_param(params, "target_session_attrs") == "prefer-standby"
    if prefer_standby:
        params = {name: value for name, value in params.items() if name != "target_session_attrs"}
    attempts: list[ConnDict] = []
    failure: psycopg.OperationalError | None = None
    for attempt in split_attempts(params):
        try:
            attempts += await _resolve(attempt, lookup_seconds)
        except (OSError, UnicodeError, trio.TooSlowError) as error:
            reason = str(error) or f"no answer within {lookup_seconds:g} s"
            failure = psycopg.OperationalError(f"failed to resolve host {attempt.get('host')!r}: {reason}")
    if not attempts and failure is not None:
        raise failure
    if get_param(params, "load_balance_hosts") == "random":
        random.shuffle(attempts)
    if prefer_standby:
        # Every host is asked for a standby before any is taken as it comes.
        attempts = [{**attempt, "target_session_attrs": "standby"} for attempt in attempts] + attempts
    return attempts


async def _resolve(params: ConnDict, lookup_seconds: float) -> list[ConnDict]:
    """Make one attempt for each address of the one host in `params`."""
    host = get_param(params, "host")
    if not host or host.startswith(("/", "@")) or host[1:2] == ":" or get_param(params, "hostaddr"):
        return [params]  # a socket's folder, or nothing to look up
    if is_ip_address(host):
        return [{**params, "hostaddr": host}]
    with trio.fail_after(lookup_seconds):
        found = await trio.socket.getaddrinfo(
            host, _port(params), type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    return [{**params, "hostaddr": str(address[4][0])} for address in found]


def _port(params: ConnDict) -> str:
    if port := get_param(params, "port"):
        return port
    default = get_param_def("port")
    return (default.compiled if default else None) or "5432"
