"""From connection parameters to the attempts to make: one for every address of every host, in some order."""

import random
import socket
from collections.abc import Sequence
from typing import Any, TypeAlias

import psycopg
import trio
from psycopg._conninfo_utils import get_param, get_param_def, is_ip_address, split_attempts
from psycopg.abc import ConnDict
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Address: TypeAlias = tuple[str, str]
"""Host and port of a server, as a URL has them."""


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


def address_of(connection: psycopg.AsyncConnection[Any]) -> Address:
    """Return where a connection leads to."""
    return connection.info.host, str(connection.info.port)


def put_first(url: str, addresses: Sequence[Address]) -> str:
    """Return a URL that has the first of some addresses that it names before its others.

    Only where the one that takes writes is wanted: of several that would do, the order of the URL says which.
    A URL that cannot be read is returned as it is; who connects with it is told.
    """
    try:
        params = conninfo_to_dict(url)
        hosts = split_attempts(params)
    except psycopg.Error:
        return url
    if (get_param(params, "target_session_attrs") or "read-write") not in {"read-write", "primary"}:
        return url
    places = [(str(host.get("host") or host.get("hostaddr")), _port(host)) for host in hosts]
    first = next((places.index(address) for address in addresses if address in places), 0)
    if first == 0:
        return url
    ordered = [hosts[first], *hosts[:first], *hosts[first + 1 :]]
    lists = {name: _joined(ordered, name) for name in ("host", "hostaddr", "port")}
    return make_conninfo("", **{**params, **lists})


def _joined(hosts: Sequence[ConnDict], name: str) -> str | None:
    values = [str(host.get(name) or "") for host in hosts]
    return ",".join(values) if any(values) else None
