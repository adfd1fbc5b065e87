"""A tree that cannot work is refused when it is built, with the path and the remedy."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

from rolebook.actors import Backoff, Child, InvalidSetting, Stopping, Supervisor
from rolebook.actors.supervision import most_failures


async def work() -> None:
    """Do nothing."""


async def needs(address: str) -> None:
    """Need an argument."""


def child(**changes: Any) -> Child:
    """A child with these changes."""
    return Child(**_with({"name": "c", "start": work}, changes))


def supervisor(**changes: Any) -> Supervisor:
    """A supervisor with these changes."""
    return Supervisor(**_with({"name": "s", "children": (Child("a", work), Child("b", work))}, changes))


def _with(usual: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {**usual, **changes}


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("name", lambda: child(name="")),
    ("name", lambda: child(name="a/b")),
    ("name", lambda: child(name=" a")),
    ("name", lambda: child(name="a\n")),
    ("name", lambda: child(name=3)),
    ("start", lambda: child(start="work")),
    ("start", lambda: child(start=Child)),
    ("restart", lambda: child(restart="always")),
    ("restart", lambda: child(restart=["permanent"])),
    ("shutdown", lambda: child(shutdown=0)),
    ("shutdown", lambda: child(shutdown=-1)),
    ("shutdown", lambda: child(shutdown=True)),
    ("shutdown", lambda: child(shutdown="soon")),
    ("shutdown", lambda: child(shutdown=float("inf"))),
    ("shutdown", lambda: child(shutdown=10**400)),
    ("start_timeout", lambda: child(start_timeout=0)),
    ("start_timeout", lambda: child(start_timeout=10**400)),
    ("start_timeout", lambda: child(start_timeout="unlimited")),
    ("significant", lambda: child(significant=True)),
    ("significant", lambda: child(significant=1)),
    ("mailbox", lambda: child(mailbox=3)),
    ("note", lambda: child(note="busy")),
    ("strategy", lambda: supervisor(strategy="one_for_two")),
    ("max_restarts", lambda: supervisor(max_restarts=-1)),
    ("max_restarts", lambda: supervisor(max_restarts=1.5)),
    ("max_restarts", lambda: supervisor(max_restarts=True)),
    ("within", lambda: supervisor(within=0)),
    ("backoff", lambda: supervisor(backoff=3)),
    ("on_exhausted", lambda: supervisor(on_exhausted="ignore")),
    ("on_exhausted", lambda: supervisor(on_exhausted="park", max_restarts=None)),
    ("auto_shutdown", lambda: supervisor(auto_shutdown="sometimes")),
    ("auto_shutdown", lambda: supervisor(auto_shutdown="any_significant")),
    ("children", lambda: supervisor(children=3)),
    ("children[1]", lambda: supervisor(children=(Child("a", work), work))),
    ("children[1].name", lambda: supervisor(children=(Child("a", work), Child("a", work)))),
    ("children[0].start", lambda: supervisor(children=(Child("a", needs),))),
    (
        "children[0].significant",
        lambda: supervisor(children=(Child("a", work, "transient", significant=True),)),
    ),
    ("children", lambda: supervisor(template=Child("t", work))),
    ("template", lambda: supervisor(children=(), template=work)),
    ("strategy", lambda: supervisor(children=(), template=Child("t", work), strategy="one_for_all")),
    (
        "template.significant",
        lambda: supervisor(children=(), template=Child("t", work, "transient", significant=True)),
    ),
    (
        "max_restarts",
        lambda: supervisor(
            strategy="one_for_all", max_restarts=5, within=5, backoff=Backoff(first=2, jitter=0)
        ),
    ),
    ("max_restarts", lambda: supervisor(max_restarts=6, within=5, backoff=Backoff(first=2, jitter=0.0))),
]


@pytest.mark.parametrize(("path", "build"), REFUSED)
def test_what_cannot_work_is_refused(path: str, build: Callable[[], object]) -> None:
    """The error names the setting and what to write instead."""
    with pytest.raises(InvalidSetting) as caught:
        build()
    assert path == caught.value.path
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.remedy


def test_arguments_can_be_fixed() -> None:
    """A start function that needs arguments takes them from functools.partial."""
    assert supervisor(children=[Child("a", partial(needs, "here"))]).children[0].name == "a"


def test_what_a_start_function_takes_is_read_from_its_parameters() -> None:
    """By the names `task_status` and `stopping`; a function that takes anything is given nothing."""

    async def both(
        *, stopping: Stopping, task_status: "trio.TaskStatus[None]" = trio.TASK_STATUS_IGNORED
    ) -> None: ...

    async def anything(**given: object) -> None: ...

    assert (True, True) == (Child("a", both).reports_ready, Child("a", both).takes_stopping)
    assert (False, False) == (Child("a", anything).reports_ready, Child("a", anything).takes_stopping)
    fixed = Child("a", partial(both, stopping=Stopping()))
    assert (True, False) == (fixed.reports_ready, fixed.takes_stopping)


@pytest.mark.parametrize(
    ("changes", "most"),
    [
        ({"backoff": Backoff(first=1)}, None),  # full jitter may be no wait at all
        ({"backoff": Backoff(first=2, factor=2, jitter=0), "strategy": "one_for_all", "max_restarts": 1}, 2),
        ({"backoff": Backoff(first=2, factor=2, jitter=0), "max_restarts": 3}, 4),  # two each
    ],
)
def test_how_many_failures_fit_in_a_window(changes: dict[str, Any], most: int | None) -> None:
    """Only the part of the backoff that is not random keeps them apart."""
    assert most == most_failures(supervisor(**changes))
