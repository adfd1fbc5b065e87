"""Which PostgreSQL the tests run on, and databases on it.

`ROLEBOOK_TEST_PG` chooses: `auto` (the default), `docker`, `url` or `embedded`. Auto takes the first that
works of: a Docker engine, `TEST_DATABASE_URL`, the embedded server. An explicit choice that fails is an
error, and so is having none: database tests are never skipped. `ROLEBOOK_TEST_PG_BIN` names the folder of
another PostgreSQL's programs for the embedded choice.
"""

import atexit
import functools
import gc
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, final

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict

from rolebook.runtime.postgres.embedded import (
    BinariesNotFoundError,
    PostgresServer,
    find_binaries,
    stop_embedded,
)
from rolebook.runtime.testing import create_database as create_database
from rolebook.runtime.testing import drop_database as drop_database
from rolebook.runtime.testing import temporary_database as temporary_database

CHOICES = ("auto", "docker", "url", "embedded")

IMAGE = "postgres:18-alpine"

REMEDIES = """\
No PostgreSQL for the tests. Any one of these helps:
  make setup                      or install PostgreSQL 14 or newer
  start a Docker engine
  set TEST_DATABASE_URL to a server on which the tests may create and drop databases"""


class ChoiceError(Exception):
    """The tests have no database; the message names the remedies."""


@final
@attrs.frozen
class TestServer:
    """A running server for the whole session.

    Args:
        url: connects to it as a role that may create databases.
        embedded: the server itself if it is ours. Do not stop it, other tests use it: `private_server` is for
            that.
    """

    __test__ = False

    url: str
    embedded: PostgresServer | None = None


class Choice(Protocol):
    """Where the tests' server comes from."""

    def describe(self) -> str:
        """Say for the report's header what it is, and its version."""
        ...

    @contextmanager
    def serve(self) -> Generator[TestServer]:
        """Run it."""
        ...


@final
@attrs.frozen
class Embedded:
    """A server of our own in a throw-away folder."""

    def describe(self) -> str:
        """Say what it is; raises `BinariesNotFoundError` if there is none."""
        binaries = find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN"))
        return f"embedded PostgreSQL {binaries.version} from {binaries.source}"

    @contextmanager
    def serve(self) -> Generator[TestServer]:
        """Start it, and remove all of it at the end."""
        # No test of this server survives a loss of power: those that need its disk take a private one.
        with private_server({"fsync": "off", "full_page_writes": "off"}) as server:
            yield TestServer(server.url, server)


@final
@attrs.frozen
class Url:
    """A server that somebody runs for the tests."""

    url: str
    variable: str

    def describe(self) -> str:
        """Say what it is; raises `psycopg.OperationalError` if it cannot be reached."""
        with psycopg.connect(self.url) as connection:
            version = connection.info.parameter_status("server_version")
        return f"PostgreSQL {version} at {self.variable}"

    @contextmanager
    def serve(self) -> Generator[TestServer]:
        """Use it as it is."""
        yield TestServer(self.url)


@final
@attrs.frozen
class Docker:
    """A container; the engine answered already."""

    def describe(self) -> str:
        """Say what it is."""
        return f"PostgreSQL in Docker, image {IMAGE}"

    @contextmanager
    def serve(self) -> Generator[TestServer]:
        """Start the container, and remove it at the end."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from testcontainers.community.postgres import PostgresContainer

            container = PostgresContainer(IMAGE, driver=None)
            container.start()
        try:
            yield TestServer(str(container.get_connection_url()))
        finally:
            container.stop()


def choose(environment: Mapping[str, str]) -> tuple[Choice, str]:
    """Choose the tests' server, and say in a line what it is.

    Raises:
        ChoiceError: an explicit choice does not work, or nothing does.
    """
    wish = environment.get("ROLEBOOK_TEST_PG") or "auto"
    if wish not in CHOICES:
        raise ChoiceError(f"ROLEBOOK_TEST_PG={wish!r} is none of {', '.join(CHOICES)}")
    try:
        choice = _auto(environment) if wish == "auto" else _explicit(wish, environment)
        return choice, choice.describe()
    except BinariesNotFoundError as error:
        raise ChoiceError(f"{REMEDIES}\n\n{error}") from error
    except psycopg.OperationalError as error:
        raise ChoiceError(f"The database of the tests cannot be reached: {error}") from error


def _explicit(wish: str, environment: Mapping[str, str]) -> Choice:
    if wish == "embedded":
        return Embedded()
    if wish == "docker":
        if (reason := _docker_trouble()) is not None:
            raise ChoiceError(f"ROLEBOOK_TEST_PG=docker, but {reason}")
        return Docker()
    for variable in ("TEST_DATABASE_URL", "DATABASE_URL"):
        if url := environment.get(variable):
            return Url(url, variable)
    raise ChoiceError("ROLEBOOK_TEST_PG=url, but neither TEST_DATABASE_URL nor DATABASE_URL is set")


def _auto(environment: Mapping[str, str]) -> Choice:
    """A plain DATABASE_URL does not count here: the tests create and drop databases."""
    if _docker_trouble() is None:
        return Docker()
    if url := environment.get("TEST_DATABASE_URL"):
        return Url(url, "TEST_DATABASE_URL")
    return Embedded()


def _docker_trouble() -> str | None:
    """Why Docker cannot be used, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # the client leaks its socket if the engine is not there
        trouble = _ask_docker()
        gc.collect()
    return trouble


def _ask_docker() -> str | None:
    """Ask the engine; one that hangs costs three seconds."""
    try:
        import docker
        import docker.errors
        import requests
    except ImportError as error:
        return f"a package is missing: {error}"
    try:
        client = docker.DockerClient.from_env(timeout=3)
        try:
            client.ping()  # pyright: ignore[reportUnknownMemberType] -- the package has no types here
            system = str(client.info().get("OSType"))  # pyright: ignore[reportUnknownMemberType] -- as above
        finally:
            client.close()  # pyright: ignore[reportUnknownMemberType] -- as above
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        return f"the engine does not answer: {error}"
    return None if system == "linux" else f"the engine runs {system} containers"


@contextmanager
def private_server(settings: Mapping[str, str] | None = None) -> Generator[PostgresServer]:
    """A started embedded server of one's own, to stop, kill and start at will; removed at the end."""
    binaries = find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN"))
    with prepared_folder() as folder:
        server = PostgresServer(folder, binaries, settings or {})
        server.start()
        try:
            yield server
        finally:
            server.close()


@contextmanager
def temporary_folder() -> Generator[Path]:
    """A folder that every account may enter; pytest's own are closed to all but us."""
    folder = _make_folder()
    try:
        yield folder
    finally:
        stop_embedded(folder)
        shutil.rmtree(folder)


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rolebook-", dir="/tmp"))  # short, for the socket's path
    folder.chmod(0o755)
    return folder


@contextmanager
def prepared_folder() -> Generator[Path]:
    """A folder in which a cluster lies ready: copying one takes a third of the time of making one."""
    with temporary_folder() as folder:
        subprocess.run(["cp", "-a", f"{_cluster()}/.", folder], check=True)
        yield folder


@functools.cache
def _cluster() -> Path:
    """A folder with a fresh and stopped server, to copy; removed when the tests end."""
    folder = _make_folder()
    atexit.register(shutil.rmtree, folder)
    server = PostgresServer(folder, find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN")))
    server.start()
    server.stop()
    server.close()
    return folder


def database_name(url: str) -> str:
    """The name of the database that a URL points to."""
    return str(conninfo_to_dict(url)["dbname"])
