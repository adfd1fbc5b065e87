"""Errors as they are stored, and what a list shows of them."""

import psycopg
import pytest

from rolebook.actors import BaseExceptionRaised
from rolebook.runtime.contract import StoppedKey, headline, line_of, report_of


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Raise an error, from another, and catch it: so it has a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_an_error_of_sql_is_named_and_not_its_caret() -> None:
    """The first line says what is wrong; the statement and the caret below it follow."""
    text = 'relation "orders" does not exist\nLINE 1: select * from orders\n                      ^'
    report = report_of(raised(psycopg.errors.UndefinedTable(text)))
    assert report.startswith(f"UndefinedTable: {text}\n\nTraceback")
    assert headline(report) == 'UndefinedTable: relation "orders" does not exist'


def test_a_chain_shows_its_cause() -> None:
    """The error itself, and what began it all."""
    deepest = raised(KeyError("price"))
    report = report_of(raised(RuntimeError("no total"), raised(ValueError("odd\nrow"), deepest)))
    assert report.startswith(
        "RuntimeError: no total\ncaused by: ValueError: odd\ncaused by: KeyError: 'price'\n"
    )
    assert headline(report) == "RuntimeError: no total; caused by: KeyError: 'price'"


def test_what_was_being_handled_counts_as_the_cause() -> None:
    """Unless it was said not to, by `from None`."""
    with pytest.raises(RuntimeError) as caught:
        _fall_back()
    assert headline(report_of(caught.value)) == "RuntimeError: b; caused by: KeyError: 'a'"
    caught.value.__suppress_context__ = True
    assert headline(report_of(caught.value)) == "RuntimeError: b"


def _fall_back() -> None:
    table: dict[str, str] = {}
    try:
        table["a"]
    except KeyError:
        raise RuntimeError("b")  # noqa: B904 - this is the case


def test_a_group_shows_what_it_holds() -> None:
    """A nursery's says nothing by itself."""
    group = ExceptionGroup("Exceptions from Trio nursery", [ValueError("no paper"), KeyError("x")])
    expected = (
        "ExceptionGroup: Exceptions from Trio nursery (2 sub-exceptions); caused by: ValueError: no paper"
    )
    assert headline(report_of(raised(group))) == expected


def test_a_cause_that_was_told_is_not_told_twice() -> None:
    """Some errors have the text of their cause in their own."""
    error = BaseExceptionRaised(SystemError("it fell"))
    assert headline(report_of(raised(error, error.error))) == "BaseExceptionRaised: SystemError: it fell"


def test_long_texts_are_cut_at_their_ends() -> None:
    """The cause is shown all the same, in the list and in what is stored."""
    report = report_of(raised(RuntimeError("x" * 9000), raised(ValueError("y" * 9000))))
    assert len(report) <= 4000
    assert "\nTraceback (most recent call last)" in report
    shown = headline(report)
    assert shown.startswith("RuntimeError: xxx")
    assert "…; caused by: ValueError: yyy" in shown
    assert len(shown) < 410


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Two errors may be each other's cause."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert headline(report_of(one)) == "ValueError: one; caused by: ValueError: other"


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("", ""),
        ("ValueError: \n\n  odd\nmore", "ValueError: odd"),
        ("ValueError: a\n\nTraceback (most recent call last):\n  caused by: nobody", "ValueError: a"),
    ],
)
def test_odd_reports(report: str, expected: str) -> None:
    """Whatever is stored has a headline, if it has a line at all."""
    assert headline(report) == expected


def test_a_stopped_key_has_the_headline_of_its_reason() -> None:
    """Parked or broken, without the word that the mailbox puts in front."""
    report = report_of(raised(RuntimeError("out of paper\nand ink"), raised(OSError("no driver"))))
    for state, stored in (("parked", report), ("broken", f"broken: {report}")):
        stopped = StoppedKey.of_row("mail", "a", 1, stored)
        assert stopped.state == state
        assert stopped.headline == "RuntimeError: out of paper; caused by: OSError: no driver"


def test_a_line_for_the_log_is_one_line() -> None:
    """Nothing but what is endless is cut off."""
    assert line_of(ValueError("a\n  b\tc")) == "ValueError: a b c"
    assert line_of(ValueError("a" * 5000)).endswith("a…")
