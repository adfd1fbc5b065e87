"""Judging failures, and errors that travel."""

import pickle
from random import Random

import pytest

import rolebook as rb
from rolebook.actors import Dead, Refused, RetryAt, judge

RETRY = rb.Retry(attempts=3, backoff=rb.Backoff(first=1, factor=2, cap=10))

HOPELESS: list[Exception] = [
    rb.UnknownName("event", "a.b", 1, "{}", "unknown"),
    rb.Undecodable("command", "a.b", 1, "{}", "bad"),
    rb.Unencodable("reply", "a.b", "x", "bad"),
    rb.EffectError("yielded 7"),
    rb.PayloadTooLarge("a.b", 10, 5),
    rb.InvalidKey("a key is not empty"),
    rb.DefinitionError("a class has no stored name"),
]


def test_rejection_is_refused_whatever_the_attempt() -> None:
    """A refusal is an answer, not a failure."""
    rejection = rb.Rejected("no")
    assert judge(rejection, 1, RETRY, Random(1)) == Refused(rejection)
    assert judge(rejection, 9, RETRY, Random(1)) == Refused(rejection)


def test_failure_is_retried_until_attempts_are_used_up() -> None:
    """The wait is drawn for the attempt; after the last one the message is dead."""
    error = ValueError("boom")
    for attempt in (1, 2):
        outcome = judge(error, attempt, RETRY, Random(attempt))
        assert isinstance(outcome, RetryAt)
        assert outcome.delay_seconds == RETRY.backoff.delay(attempt, Random(attempt)) > 0
        assert outcome.error is error
    assert judge(error, 3, RETRY, Random(1)) == Dead(error)


@pytest.mark.parametrize("error", HOPELESS, ids=lambda error: type(error).__name__)
def test_hopeless_errors_are_dead_at_once(error: Exception) -> None:
    """What fails the same way every time only holds up its followers."""
    assert judge(error, 1, RETRY, Random(1)) == Dead(error)


@pytest.mark.parametrize("error", [*HOPELESS, rb.Rejected("no")], ids=lambda error: type(error).__name__)
def test_errors_survive_pickling(error: Exception) -> None:
    """Text and attributes are the same afterwards."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_decode_error_names_its_row() -> None:
    """Once told, it says where the bad thing is stored; and still does after pickling."""
    error = rb.Undecodable("event", "a.b", 2, "x" * 1000, "bad")
    assert error.row == ""
    assert len(error.payload) == 200
    assert error.at("events 1042 (account/alice #7)") is error
    assert str(error) == "event 'a.b' version 2 in events 1042 (account/alice #7): bad"
    assert pickle.loads(pickle.dumps(error)).row == error.row


def test_what_a_newer_app_wrote_is_put_back_for_a_while() -> None:
    """Whatever the policy: about ten minutes, then it is dead."""
    error = rb.NewerVersion("command", "a.b", 2, "{}", "this app reads version 1 of it")
    assert isinstance(error, rb.UnknownName)
    waits = 0.0
    for attempt in range(1, 8):
        outcome = judge(error, attempt, rb.Retry(attempts=1), Random(attempt))
        assert isinstance(outcome, RetryAt)
        waits += outcome.delay_seconds
    assert 400 < waits < 700
    assert judge(error, 8, RETRY, Random(1)) == Dead(error)
