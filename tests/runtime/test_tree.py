"""The tree of a runtime: the default one, and what a user may make of it."""

from pathlib import Path

import attrs
import pytest
import trio
from attrs import frozen

import rolebook as rb
from rolebook.actors import Child, InvalidSetting, Supervisor
from rolebook.actors.supervision import InvalidFile, draw
from rolebook.runtime import open_runtime
from rolebook.runtime._tree import configured_tree, settings_of
from rolebook.runtime.memory import MemoryStore


@rb.command("post.letter")
@frozen
class Letter(rb.Command[None]):
    text: str


async def _idle() -> None:
    await trio.sleep_forever()


def post_office() -> tuple[rb.App, list[str]]:
    """An app with one queue and one child of its own."""
    app = rb.App("office", children=[Child("clock", _idle)])
    read: list[str] = []

    @app.handler("post")
    async def post(letter: Letter) -> None:
        read.append(letter.text)

    return app, read


def _names(tree: Supervisor) -> list[str]:
    return [child.name for child in tree.children]


TREE = """
name = "office"
max_restarts = 5

[runtime]
health_interval = 2.5
backoff = { first = 0.01, cap = 1 }
concurrency = { post = 3 }

[[children]]
name = "writer"
start = "writer"

[[children]]
name = "connections"
strategy = "one_for_all"
max_restarts = "unlimited"

[[children.children]]
name = "listener"
start = "listener"

[[children.children]]
name = "fetcher"
start = "fetcher"

[[children.children]]
name = "post"
start = "queue.post"

[[children]]
name = "scheduler"
start = "scheduler"

[[children]]
name = "clock"
start = "clock"
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "tree.toml"
    path.write_text(text)
    return path


def test_the_default_tree_has_every_part_and_the_apps_own_children() -> None:
    """The writer comes first, the app's children last; the tree can be drawn with nothing running."""
    app, _ = post_office()
    tree = configured_tree(app)
    assert ["writer", "session", "schedules", "clock"] == _names(tree)
    drawn = draw(tree)
    for part in ("listener", "fetcher", "queues", "post", "scheduler"):
        assert part in drawn


def test_a_file_puts_its_settings_over_the_programs(tmp_path: Path) -> None:
    """What the file says wins; what it does not say stays as the program had it."""
    app, _ = post_office()
    settings = settings_of(app, rb.Settings(pool_size=2, health_interval=9.0), _file(tmp_path, TREE))
    assert (2, 2.5, 0.01) == (settings.pool_size, settings.health_interval, settings.backoff.first)
    assert {"post": 3} == dict(settings.concurrency)
    usual = rb.Settings().shutdown
    file = _file(tmp_path, f"[runtime]\nshutdown = {usual}")
    assert usual == settings_of(app, rb.Settings(shutdown=usual + 1), file).shutdown


async def test_a_runtime_runs_in_a_tree_from_a_file(tmp_path: Path) -> None:
    """The arrangement of a file is the one that is started."""
    app, read = post_office()
    path = _file(tmp_path, TREE)
    async with open_runtime(app, database=MemoryStore(), tree=path) as runtime:
        await runtime.enqueue("post", Letter("hello"))
        await runtime.wait_idle()
        snapshot = runtime.tree.snapshot()
    assert ["hello"] == read
    post = snapshot["connections/post"]
    assert post.mailbox is not None
    assert ("running", 1, 2000) == (post.state, post.mailbox.peak, post.mailbox.capacity)


async def test_a_runtime_runs_in_a_tree_that_a_function_changed() -> None:
    """A function gets the default tree and gives the wanted one."""
    app, read = post_office()

    def patient(tree: Supervisor) -> Supervisor:
        return attrs.evolve(tree, max_restarts=50)

    async with open_runtime(app, database=MemoryStore(), tree=patient) as runtime:
        await runtime.enqueue("post", Letter("hello"))
        await runtime.wait_idle()
        assert 50 == runtime.tree.spec.max_restarts
    assert ["hello"] == read


def _without(text: str, name: str) -> str:
    blocks = text.split("\n\n")
    return "\n\n".join(block for block in blocks if f'name = "{name}"' not in block)


@pytest.mark.parametrize("name", ["writer", "listener", "fetcher", "post", "scheduler"])
def test_a_tree_without_a_part_is_refused(tmp_path: Path, name: str) -> None:
    """The error names the part and how to give it a place."""
    app, _ = post_office()
    with pytest.raises(InvalidSetting, match=f"{name}' is there 0 times"):
        configured_tree(app, arrangement=_file(tmp_path, _without(TREE, name)))


def test_a_tree_with_a_part_twice_is_refused(tmp_path: Path) -> None:
    """Two fetchers would fight for the same partitions."""
    app, _ = post_office()
    twice = TREE + '\n[[children]]\nname = "second"\nstart = "fetcher"\n'
    with pytest.raises(InvalidSetting, match="'fetcher' is there 2 times"):
        configured_tree(app, arrangement=_file(tmp_path, twice))


def test_a_session_that_does_not_fall_together_is_refused(tmp_path: Path) -> None:
    """A handler that outlives its connection would handle what is somebody else's."""
    app, _ = post_office()
    loose = TREE.replace('strategy = "one_for_all"', 'strategy = "one_for_one"')
    with pytest.raises(InvalidSetting, match="one_for_all"):
        configured_tree(app, arrangement=_file(tmp_path, loose))


def test_a_writer_that_stops_too_early_is_refused() -> None:
    """What starts last stops first, and the writer has to commit what the session finished."""
    app, _ = post_office()

    def backwards(tree: Supervisor) -> Supervisor:
        return attrs.evolve(tree, children=tuple(reversed(tree.children)))

    with pytest.raises(InvalidSetting, match="stop first"):
        configured_tree(app, arrangement=backwards)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("health_interval = 2.5", "health_interval = -1", "runtime.health_interval"),
        ("health_interval = 2.5", "helth_interval = 1", "helth_interval"),
        ("post = 3", "post = 0", "concurrency"),
        ('start = "queue.post"', 'start = "os:system"', "children[1].children[2].start"),
        ("max_restarts = 5", 'max_restarts = "5"', "max_restarts"),
    ],
)
def test_mistakes_in_a_file_are_named_with_their_path(tmp_path: Path, old: str, new: str, path: str) -> None:
    """A wrong value, an unknown key, an import: refused before anything is started."""
    app, _ = post_office()
    with pytest.raises(InvalidFile) as caught:
        configured_tree(app, arrangement=_file(tmp_path, TREE.replace(old, new)))
    assert path in str(caught.value)


def test_concurrency_of_an_unknown_queue_is_refused() -> None:
    """The error lists the queues there are."""
    app, _ = post_office()
    with pytest.raises(InvalidSetting, match=r"concurrency\.mail: no queue of that name; the app has: post"):
        configured_tree(app, rb.Settings(concurrency={"mail": 2}))
