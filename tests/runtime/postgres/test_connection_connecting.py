"""Connecting: hosts, names, timeouts, and which server will do."""

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from rolebook.runtime.postgres import Connection
from tests.proxy import Proxy

from .connections import connected, value


def at(proxy: Proxy, **params: str) -> str:
    """The proxy's URL with some parameters changed."""
    return make_conninfo("", **{**conninfo_to_dict(proxy.url), **params})


def port_of(proxy: Proxy) -> str:
    return str(conninfo_to_dict(proxy.url)["port"])


async def test_keywords_beat_the_connection_string(database_url: str) -> None:
    """Parameters may be given in the string, as keywords, or both."""
    async with connected(database_url, application_name="keyword") as connection:
        assert await value(connection, "SHOW application_name") == "keyword"


async def test_a_name_is_resolved(proxy: Proxy) -> None:
    """A host name is looked up without blocking; every address of it is tried."""
    async with connected(at(proxy, host="localhost")) as connection:
        assert connection.info.host == "localhost"
        assert connection.info.hostaddr == "127.0.0.1"


@pytest.mark.parametrize("name", ["nowhere.invalid", "two..dots", "x" * 64, "ü" * 64])
async def test_a_name_that_does_not_exist(proxy: Proxy, name: str) -> None:
    """An unknown host, and one that cannot be, is an `OperationalError` that names it."""
    with pytest.raises(psycopg.OperationalError, match=name):
        await Connection.connect(at(proxy, host=name))


async def test_the_next_host_is_tried(proxy: Proxy) -> None:
    """Of several hosts, the first that answers is taken; one port may do for all."""
    async with connected(at(proxy, host="nowhere.invalid,127.0.0.1")) as connection:
        assert await value(connection, "SELECT 1") == 1
    async with connected(at(proxy, host="127.0.0.1,127.0.0.1", port=f"1,{port_of(proxy)}")) as connection:
        assert await value(connection, "SELECT 1") == 1


async def test_each_host_has_its_own_time(proxy: Proxy) -> None:
    """A dark host costs `connect_timeout`, then the next one is tried."""
    silent = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with silent[0]:
        dark = silent[0].socket.getsockname()[1]
        url = at(proxy, host="127.0.0.1,127.0.0.1", port=f"{dark},{port_of(proxy)}", connect_timeout="2")
        start = trio.current_time()
        with trio.fail_after(60):
            async with connected(url) as connection:
                assert await value(connection, "SELECT 1") == 1
        assert trio.current_time() - start >= 2


async def test_an_attempt_that_is_given_up_holds_no_socket(proxy: Proxy) -> None:
    """It is closed when the task is cancelled, not when the collector comes by: servers count connections."""
    proxy.freeze()
    with pytest.raises(trio.TooSlowError) as caught, trio.fail_after(0.2):
        await Connection.connect(proxy.url)
    await proxy.heal()
    with trio.fail_after(5):
        await proxy.wait_links(0)
    assert caught.tb is not None  # which is what kept it open


async def test_every_failure_is_told(proxy: Proxy) -> None:
    """When all attempts fail, the error lists each of them."""
    with pytest.raises(psycopg.OperationalError) as caught:
        await Connection.connect(at(proxy, host="127.0.0.1,127.0.0.2", port="1,2"))
    assert "All failures were" in str(caught.value)
    assert "'127.0.0.1', port: '1'" in str(caught.value)
    assert "'127.0.0.2', port: '2'" in str(caught.value)


@pytest.mark.parametrize("wanted", ["any", "read-write", "primary", "prefer-standby"])
async def test_the_session_that_is_wanted(proxy: Proxy, wanted: str) -> None:
    """`target_session_attrs` accepts this server where it fits; a standby is only preferred."""
    async with connected(at(proxy, target_session_attrs=wanted)) as connection:
        assert await value(connection, "SELECT pg_is_in_recovery()") is False


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [("read-only", "session is not read-only"), ("standby", r"not in (hot )?standby mode")],
)
async def test_a_server_that_is_not_wanted(proxy: Proxy, wanted: str, reason: str) -> None:
    """A server that cannot be what is asked for is refused, with the reason."""
    with pytest.raises(psycopg.OperationalError, match=reason):
        await Connection.connect(at(proxy, target_session_attrs=wanted))


async def test_hosts_and_addresses_must_match(proxy: Proxy) -> None:
    """Lists of different lengths are an error, as in libpq."""
    with pytest.raises(psycopg.OperationalError, match="could not match"):
        await Connection.connect(at(proxy, host="a,b", hostaddr="127.0.0.1"))


async def test_a_string_that_is_wrong() -> None:
    """A connection string that libpq cannot parse is a `ProgrammingError`."""
    with pytest.raises(psycopg.ProgrammingError):
        await Connection.connect("postgresql://[half")


async def test_hosts_in_random_order(proxy: Proxy) -> None:
    """`load_balance_hosts=random` still reaches whichever host works."""
    spread = {"load_balance_hosts": "random"} if psycopg.pq.version() >= 160000 else {}  # libpq 16 knows it
    url = at(proxy, host="127.0.0.1,127.0.0.1", port=f"1,{port_of(proxy)}", **spread)
    async with connected(url) as connection:
        assert await value(connection, "SELECT 1") == 1
