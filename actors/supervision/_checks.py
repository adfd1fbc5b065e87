"""The rules of a tree that can work; each refusal names the place and the remedy."""

import inspect
from typing import TYPE_CHECKING, Any

from .._invalid import InvalidSetting, choice, flag, number

if TYPE_CHECKING:
    from ._spec import Child, Spec, Supervisor

_RESTART = ("permanent", "transient", "temporary")
_STRATEGY = ("one_for_one", "one_for_all", "rest_for_one")
_ON_EXHAUSTED = ("escalate", "park")
_AUTO_SHUTDOWN = ("never", "any_significant", "all_significant")


def check_child(child: "Child") -> None:
    """Refuse a child that cannot work.

    Raises:
        InvalidSetting: With the path of the setting within the child.
    """
    _check_name(child.name)
    _check_start(child.start)
    _check_as_child(child)
    for name, given in (("mailbox", child.mailbox), ("note", child.note)):
        if given is not None and not callable(given):
            raise InvalidSetting(name, f"{given!r} cannot be called", "give a function, or None")
    number("reserve", child.reserve)
    if child.teller is not None and not all(hasattr(child.teller, name) for name in ("failed", "recovered")):
        raise InvalidSetting("teller", f"{child.teller!r} is no Teller", "give it the methods of `Teller`")


def check_supervisor(spec: "Supervisor") -> None:
    """Refuse a supervisor that cannot work.

    Raises:
        InvalidSetting: With the path of the setting within the supervisor.
    """
    _check_name(spec.name)
    _check_as_child(spec)
    choice("strategy", spec.strategy, _STRATEGY)
    choice("on_exhausted", spec.on_exhausted, _ON_EXHAUSTED)
    choice("auto_shutdown", spec.auto_shutdown, _AUTO_SHUTDOWN)
    number("within", spec.within, above=0)
    check_names(spec.children)
    _check_template(spec)
    _check_intensity(spec)
    _check_significance(spec)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name or "/" in name or not name.isprintable() or name != name.strip():
        raise InvalidSetting("name", f"{name!r} is not a name", "give a printable text without '/'")


def _check_start(start: Any) -> None:
    remedy = "give an async function; functools.partial fixes its arguments"
    if not callable(start) or inspect.isclass(start) or inspect.isasyncgenfunction(start):
        raise InvalidSetting("start", f"{start!r} is not an async callable", remedy)
    if inspect.isgeneratorfunction(start):
        raise InvalidSetting("start", f"{start!r} is a generator function", remedy)


def _check_as_child(spec: "Spec") -> None:
    choice("restart", spec.restart, _RESTART)
    flag("significant", spec.significant)
    _check_shutdown(spec.shutdown)
    if spec.start_timeout is not None:
        number("start_timeout", spec.start_timeout, above=0)
    if spec.significant and spec.restart == "permanent":
        problem = "a permanent child never ends by itself"
        raise InvalidSetting("significant", problem, 'use restart="transient" or "temporary" with it')


def check_names(children: "tuple[Spec, ...]") -> None:
    """Refuse siblings of the same name.

    Raises:
        InvalidSetting: With the path of the second.
    """
    seen: dict[str, int] = {}
    for index, child in enumerate(children):
        if child.name in seen:
            problem = f"{child.name!r} is also the name of children[{seen[child.name]}]"
            raise InvalidSetting(f"children[{index}].name", problem, "give each sibling a name of its own")
        seen[child.name] = index


def _check_shutdown(shutdown: Any) -> None:
    if isinstance(shutdown, str):
        if shutdown not in ("forever", "brutal"):
            remedy = 'give a number of seconds above 0, "forever" or "brutal"'
            raise InvalidSetting("shutdown", f"{shutdown!r} is neither seconds nor a word for them", remedy)
    elif shutdown in (0, 0.0) and shutdown is not False:
        raise InvalidSetting("shutdown", "0 seconds is no time at all", 'give seconds above 0, or "brutal"')
    else:
        number("shutdown", shutdown, above=0)


def check_call(child: "Child", path: str) -> None:
    """Refuse a start function that needs arguments nobody gives it.

    Raises:
        InvalidSetting: With the path of the child.
    """
    given = {
        name: None
        for name, takes in (("task_status", child.reports_ready), ("stopping", child.takes_stopping))
        if takes
    }
    try:
        signature = inspect.signature(child.start)
    except ValueError:  # a built-in without a signature: nothing can be said
        return
    try:
        signature.bind(**given)
    except TypeError as error:
        remedy = "fix its arguments with functools.partial"
        raise InvalidSetting(f"{path}.start", f"it cannot be called: {error}", remedy) from None


def _check_template(spec: "Supervisor") -> None:
    if spec.template is None:
        return
    if spec.children:
        problem = "a dynamic supervisor has no fixed children"
        raise InvalidSetting("children", problem, "leave them out, or leave the template out")
    if spec.strategy != "one_for_one":
        problem = f"{spec.strategy!r} needs an order, and dynamic children have none"
        raise InvalidSetting("strategy", problem, 'use "one_for_one" with a template')


def _check_intensity(spec: "Supervisor") -> None:
    limit = _limit(spec.max_restarts)
    if limit is None:
        if spec.on_exhausted == "park":
            problem = "without max_restarts it is never exhausted, so nothing is ever parked"
            raise InvalidSetting("on_exhausted", problem, 'set max_restarts, or use "escalate"')
        return
    most = most_failures(spec)
    if most is not None and most <= limit:
        problem = (
            f"{limit} restarts within {spec.within:g} s can never be exceeded: with this backoff there are "
            f"at most {most} failures in that time"
        )
        raise InvalidSetting("max_restarts", problem, "lower it, widen within, or shorten the backoff")


def _limit(given: Any) -> int | None:
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 0):
        return given
    raise InvalidSetting(
        "max_restarts",
        f"{given!r} is not a count",
        'give 0 or more, or None (in a file "unlimited") for no limit',
    )


def most_failures(spec: "Supervisor") -> int | None:
    """Return how many failures can be counted in one window at most, or None if there is no bound.

    Only the part of the backoff that is not random counts: full jitter may be no wait at all.
    """
    gap = spec.backoff.least(1)
    if spec.template is not None or gap <= 0:
        return None
    # Under one_for_all nobody is left to fail during the wait; a child that may be parked is counted alone.
    together = spec.strategy == "one_for_all"
    alone = spec.strategy == "one_for_one" and spec.on_exhausted == "park"
    # A count that can be reset inside the window may always wait the shortest time.
    resets = spec.backoff.healthy_after < spec.within
    count, elapsed = 1, gap
    while elapsed <= spec.within and count <= (spec.max_restarts or 0):
        count += 1
        elapsed += gap if resets else spec.backoff.least(count)
    return count * (1 if alone or together else max(1, len(spec.children)))


def _check_significance(spec: "Supervisor") -> None:
    significant = [index for index, child in enumerate(spec.children) if child.significant]
    if spec.template is not None and spec.template.significant:
        raise InvalidSetting(
            "template.significant",
            "dynamic children come and go",
            "leave it out; stop the supervisor instead",
        )
    if spec.auto_shutdown == "never" and significant:
        problem = "its end means nothing while the supervisor's auto_shutdown is never"
        remedy = "set auto_shutdown, or leave significant out"
        raise InvalidSetting(f"children[{significant[0]}].significant", problem, remedy)
    if spec.auto_shutdown != "never" and not significant:
        problem = f"{spec.auto_shutdown!r} never comes about: no child is significant"
        raise InvalidSetting("auto_shutdown", problem, "mark a child significant=True, or leave it out")
