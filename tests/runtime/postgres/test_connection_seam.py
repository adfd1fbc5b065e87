"""The parts of psycopg that are not public and that the driver stands on."""

import importlib
import inspect
import re
import tomllib
from pathlib import Path

import psycopg
import pytest
from psycopg import _conninfo_utils, _encodings, conninfo, generators
from psycopg.adapt import AdaptersMap

ATTRIBUTES = [
    "_adapters", "_autocommit", "_closed", "_notifies_backlog", "_num_transactions", "_pipeline", "_prepared",
    "lock", "server_cursor_factory",
]  # fmt: skip
METHODS = [
    "_check_connection_ok", "_check_intrans_gen", "_get_connection_params", "_pipeline_nolock",
    "_should_cancel", "_tpc_begin_gen", "_try_cancel", "wait",
]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_exist(name: str) -> None:
    """A psycopg that renames a method the driver overrides or calls fails here first."""
    assert callable(getattr(psycopg.AsyncConnection, name))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_are_set_by_the_constructors(name: str) -> None:
    """A psycopg that renames an attribute the driver sets fails here first."""
    modules = ("connection_async", "_connection_base")
    source = "".join(inspect.getsource(importlib.import_module(f"psycopg.{module}")) for module in modules)
    assert re.search(rf"self\.{name}(: [^=\n]+)? = ", source)


def test_functions_exist() -> None:
    """So do the functions behind connecting, waiting and draining."""
    for module, names in {
        _conninfo_utils: ["get_param", "get_param_def", "is_ip_address", "split_attempts"],
        conninfo: ["conninfo_to_dict", "make_conninfo", "timeout_from_conninfo"],
        generators: ["cancel", "execute", "fetch", "fetch_many", "send"],
        _encodings: ["conninfo_encoding"],
        psycopg.errors: ["finish_pgconn"],
    }.items():
        assert [name for name in names if not callable(getattr(module, name, None))] == []
    for cls, methods in {
        psycopg.AsyncPipeline: ["_exit", "_exit_gen"],
        psycopg.AsyncTransaction: ["_check_enter", "_enter_gen", "_exit_gen"],
        psycopg.AsyncCursor: ["_close", "_fetch_pipeline"],
    }.items():
        assert [name for name in methods if not callable(getattr(cls, name, None))] == []
    assert issubclass(psycopg.errors.__dict__["_WaitTimeout"], psycopg.OperationalError)
    assert callable(AdaptersMap)


def test_every_fetch_goes_through_one_method() -> None:
    """The cursors give way to other tasks in it."""
    for name in ("fetchone", "fetchmany", "fetchall", "__anext__", "scroll"):
        assert "await self._fetch_pipeline()" in inspect.getsource(getattr(psycopg.AsyncCursor, name))


def test_waits_are_asked_through_the_connection() -> None:
    """Cursors, transactions and pipelines wait through the connection only, never on their own."""
    for part in ("cursor_async", "_server_cursor_async", "_pipeline_async", "transaction"):
        source = inspect.getsource(importlib.import_module(f"psycopg.{part}"))
        assert "waiting." not in source
        assert "asyncio." not in source


def test_psycopg_is_pinned_to_minor_versions_that_were_tried() -> None:
    """The dependency names an upper bound: the seam may move in any minor release."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    (requirement,) = [line for line in project["dependencies"] if line.startswith("psycopg")]
    assert "<3.4" in requirement
