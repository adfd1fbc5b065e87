"""The same tree as a value and as TOML, both ways."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from rolebook.actors import (
    Backoff,
    Child,
    InvalidFile,
    InvalidSetting,
    Stopping,
    Supervisor,
    dump_tree,
    load_configuration,
    load_tree,
)
from rolebook.actors.supervision import Start


async def sense() -> None:
    """Do nothing."""


async def serve(*, stopping: Stopping, task_status: "trio.TaskStatus[None]") -> None:
    """Do nothing."""


async def connect(address: str) -> None:
    """Do nothing."""


CALLABLES: Mapping[str, Start | Child] = {"sense": sense, "serve": serve, "connect": connect}

TREE = Supervisor(
    "plant",
    (
        Child("sensor", sense, "transient", shutdown="brutal", start_timeout=None),
        Supervisor(
            "session",
            (Child("server", serve, "transient", shutdown=1.5, significant=True),),
            strategy="one_for_all",
            max_restarts=None,
            backoff=Backoff(first=1, cap=60),
            auto_shutdown="any_significant",
        ),
        Supervisor("connections", template=Child("connection", connect, "temporary"), on_exhausted="park"),
    ),
    within=7.5,
)


def test_a_tree_is_written_as_one_would_write_it() -> None:
    """What has its default is left out."""
    assert """\
name = "plant"
within = 7.5

[[children]]
name = "sensor"
start = "sense"
restart = "transient"
shutdown = "brutal"
start_timeout = "unlimited"

[[children]]
name = "session"
strategy = "one_for_all"
max_restarts = "unlimited"
backoff = { first = 1, cap = 60 }
auto_shutdown = "any_significant"

[[children.children]]
name = "server"
start = "serve"
restart = "transient"
shutdown = 1.5
significant = true

[[children]]
name = "connections"
on_exhausted = "park"

[children.template]
name = "connection"
start = "connect"
restart = "temporary"
""" == dump_tree(TREE, CALLABLES)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """From a text or from a file, as an equal value."""
    text = dump_tree(TREE, CALLABLES)
    file = tmp_path / "tree.toml"
    file.write_text(text, "utf-8")
    assert TREE == load_tree(text, CALLABLES) == load_tree(file, CALLABLES)


names = st.text(min_size=1).filter(
    lambda text: "/" not in text and text.isprintable() and text == text.strip()
)
seconds = st.floats(0.001, 1e6)
children = st.builds(
    Child,
    names,
    st.sampled_from([sense, serve]),
    st.sampled_from(["permanent", "transient", "temporary"]),
    st.one_of(seconds, st.integers(1, 100), st.sampled_from(["forever", "brutal"])),
    st.one_of(st.none(), seconds),
)


def families(below: "st.SearchStrategy[Child | Supervisor]") -> "st.SearchStrategy[Supervisor]":
    """Supervisors of such children."""
    return st.builds(
        Supervisor,
        names,
        st.lists(below, max_size=4, unique_by=lambda child: child.name),
        strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        max_restarts=st.one_of(st.none(), st.integers(0, 1000)),
        within=seconds,
        backoff=st.builds(Backoff, first=st.floats(0, 10), factor=st.floats(1, 9), cap=st.floats(10, 99)),
        shutdown=st.one_of(seconds, st.just("forever")),
    )


@given(families(st.recursive(children, families, max_leaves=8)))
def test_every_tree_survives_the_way_through_toml(tree: Supervisor) -> None:
    """Whatever its names and numbers."""
    assert tree == load_tree(dump_tree(tree, CALLABLES), CALLABLES)


@pytest.mark.parametrize(
    ("toml", "problems"),
    [
        ('name = "a"\nstrategy = "one_for_two"', {"strategy": "'one_for_two' is not a choice"}),
        ('name = "a"\nstratgy = 1', {"stratgy": "unknown key; did you mean 'strategy'?"}),
        ("within = 1", {"name": "it is missing"}),
        ("", {"name": "it is missing"}),
        ("name = ", {"toml": "Invalid value"}),
        ('name = "a"\nchildren = 3', {"children": "3 is not a list"}),
        ('name = "a"\nchildren = [3]', {"children[0]": "3 is not a table"}),
        ('name = "a"\nbackoff = 3', {"backoff": "3 is not a table"}),
        ('name = "a"\nbackoff = { first = "1" }', {"backoff.first": "'1' is not a number"}),
        ('name = "a"\ntemplate = "sense"', {"template": "'sense' is not a table"}),
        ('name = "a"\nmax_restarts = "many"', {"max_restarts": "'many' is not a count"}),
        (
            'name = "a"\ntemplate = { name = "b", start = "sense", shutdown = "5" }',
            {"template.shutdown": "'5' is neither seconds nor a word for them"},
        ),
        ('name = "a"\n[runtime]\nx = 1', {"runtime.x": "unknown key"}),
        ('name = "a"\n[[children]]\nname = "b"', {"children[0].start": "it is missing"}),
        (
            'name = "a"\n[[children]]\nname = "b"\nstart = "os:abort"',
            {"children[0].start": "'os:abort' would be imported"},
        ),
        (
            'name = "a"\n[[children]]\nname = "b"\nstart = "connect"',
            {"children[0].start": "it cannot be called: missing a required argument: 'address'"},
        ),
        (
            """
name = "a"
[[children]]
name = "b"
start = "sense"
[[children]]
name = "b"
start = "sense"
""",
            {"children[1].name": "'b' is also the name of children[0]"},
        ),
        (
            """
name = "a"
[[children]]
name = "b"
start = "sens"
[[children]]
name = "c"
start = "sense"
shutdown = -1
[[children]]
name = "d"
mailbox = 1
start = "sense"
[[children]]
name = "e"
[[children.children]]
name = "f"
start = "sense"
restart = "never"
""",
            {
                "children[0].start": "'sens' is not registered",
                "children[1].shutdown": "-1 is out of bounds",
                "children[2].mailbox": "unknown key",
                "children[3].children[0].restart": "'never' is not a choice",
            },
        ),
    ],
)
def test_a_bad_file_is_refused_with_every_path(toml: str, problems: dict[str, str]) -> None:
    """All that is wrong is told at once, each with its place."""
    with pytest.raises(InvalidFile) as caught:
        load_tree(toml, CALLABLES)
    assert list(problems) == [problem.path for problem in caught.value.problems]
    for problem in caught.value.problems:
        assert f"{problem.path}: {problems[problem.path]}" in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a mistake in the file like any other, and the file is named."""
    file = tmp_path / "tree.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidFile, match=r"tree\.toml is refused:\n.*UTF-8"):
        load_tree(file, CALLABLES)


def test_imports_happen_only_if_allowed() -> None:
    """And what cannot be imported is refused."""
    toml = 'name = "a"\n[[children]]\nname = "b"\nstart = "trio:sleep_forever"'
    assert load_tree(toml, {}, allow_imports=True).children == (Child("b", trio.sleep_forever),)
    for wrong in ("trio:sleep_for", "no_such_module:main"):
        with pytest.raises(InvalidFile, match="cannot be imported"):
            load_tree(toml.replace("trio:sleep_forever", wrong), {}, allow_imports=True)


def test_a_registered_child_lends_its_mailbox_and_its_note() -> None:
    """The functions cannot be written in a file; the rest comes from the file."""
    send, _receive = trio.open_memory_channel[int](1)
    known = Child("known", sense, shutdown=9, mailbox=send.statistics, note=str)
    tree = load_tree('name = "a"\n[[children]]\nname = "b"\nstart = "sense"', {"sense": known})
    child = tree.children[0]
    assert isinstance(child, Child)
    assert send.statistics == child.mailbox
    assert str is child.note
    assert 5.0 == child.shutdown
    assert 'start = "sense"' in dump_tree(tree, {"sense": known})


def test_a_function_without_a_name_cannot_be_written() -> None:
    """It would not be found again."""
    with pytest.raises(InvalidSetting, match=r"^start: .* has no name"):
        dump_tree(TREE, {})


@attrs.frozen
class Session:
    """A nested table."""

    retry: float = 1.0


@attrs.frozen
class Overrides:
    """What a runtime might let a file override."""

    health_interval: float = 10.0
    concurrency: int = 8
    verbose: bool = False
    limit: int | None = 5
    mode: Literal["fast", "safe"] = "safe"
    session: Session = attrs.field(factory=Session)


def test_a_file_can_override_the_runtime() -> None:
    """Into whatever class the caller names; the tree may be missing."""
    toml = (
        "[runtime]\nhealth_interval = 5\nlimit = 'unlimited'\nmode = 'fast'\n[runtime.session]\nretry = 2.5"
    )
    found = load_configuration(toml, {}, Overrides)
    assert found.tree is None
    assert Overrides(health_interval=5.0, limit=None, mode="fast", session=Session(2.5)) == found.runtime
    assert Overrides() == load_configuration("", {}, Overrides).runtime


def test_a_runtime_that_is_no_table_is_refused() -> None:
    """As any other value of the wrong kind."""
    with pytest.raises(InvalidFile, match="runtime: 3 is not a table; give the keys of Overrides"):
        load_configuration("runtime = 3", {}, Overrides)


def test_overrides_are_written_too() -> None:
    """Beside the tree."""
    overrides = Overrides(health_interval=5.0, session=Session(2.5))
    text = dump_tree(TREE, CALLABLES, runtime=overrides)
    found = load_configuration(text, CALLABLES, Overrides)
    assert (TREE, overrides) == (found.tree, found.runtime)


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("concurrency = 1.9", "runtime.concurrency: 1.9 is not a whole number"),
        ("session = 3", "runtime.session: 3 is not a table; give the keys of Session"),
        ("concurrency = true", "runtime.concurrency: True is not a whole number"),
        ("verbose = 'false'", "runtime.verbose: 'false' is not true or false"),
        ("health_interval = '5'", "runtime.health_interval: '5' is not a number"),
        ("mode = 'slow'", "runtime.mode: 'slow' is not a choice; choose one of 'fast', 'safe'"),
        ("session = { retri = 1 }", "runtime.session.retri: unknown key; did you mean 'retry'?"),
    ],
)
def test_overrides_are_strict(toml: str, problem: str) -> None:
    """Nothing is coerced, nothing is dropped."""
    with pytest.raises(InvalidFile) as caught:
        load_configuration(f"[runtime]\n{toml}", {}, Overrides)
    assert problem in str(caught.value)
