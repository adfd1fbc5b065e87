"""One commit: all of a batch or nothing, with the checks that make it safe."""

from typing import Any

import pytest
from attrs import evolve

from rolebook.runtime.contract import (
    BadData,
    Bury,
    Committed,
    CommitUnit,
    Conflict,
    CopyOutcome,
    MessagePart,
    Outdated,
    RetryAsNew,
    RetryInPlace,
    SendLater,
    StoreFirstOutcome,
    StoreOutcome,
)
from tests.stores import (
    QUEUE,
    Bench,
    Reader,
    event_row,
    finished,
    hear,
    numbers,
    open_process,
    retry_part,
    send_row,
    snapshot_part,
    take_all,
)


async def test_a_turn_commits_whole(bench: Bench) -> None:
    """Events, sends, snapshot and acknowledgement of one turn are there together."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1, "a"))
        (message,) = await one.messages()
        turn = finished(
            fence=message.fence,
            consumed=message,
            events=[event_row(1), event_row(2)],
            sends=[send_row(2, queue="other"), send_row(3, "b")],
            parts=[snapshot_part(2)],
        )
        assert Committed() == await one.commit(turn)
        assert [int(left.payload) for left in await one.messages()] == [3]
        assert [int(sent.payload) for sent in await one.messages("other")] == [2]
        stream = (await bench.store.load("account", 1, {"a": None}, 10))["a"]
        assert stream.newest == 2
        assert stream.snapshot is not None


async def test_a_batch_keeps_its_order(bench: Bench) -> None:
    """What earlier turns send comes before what later ones send."""
    async with open_process(bench.store) as one:
        await one.commit(finished(sends=[send_row(1), send_row(2)]), finished(sends=[send_row(3)]))
        assert [int(message.payload) for message in await one.messages()] == [1, 2, 3]


async def test_an_empty_batch_commits(bench: Bench) -> None:
    """A turn that decided nothing, of an ask that has no row, is no special case."""
    async with open_process(bench.store) as one:
        assert Committed() == await one.commit(finished(fence=one.fences[0]))


async def test_a_handled_message_cannot_be_handled_again(bench: Bench) -> None:
    """The second commit of one message changes nothing and names it."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1), send_row(2))
        first, second = await one.messages()
        assert Committed() == await one.commit(finished(fence=first.fence, consumed=first))
        again = finished(fence=first.fence, consumed=first, events=[event_row(1)], sends=[send_row(9)])
        other = finished(fence=second.fence, consumed=second)
        assert Conflict(missing=frozenset({first.id})) == await one.commit(again, other)
        assert [int(message.payload) for message in await one.messages()] == [2]
        assert (await bench.store.read_events("account", "a", 0, 10)).events == []


@pytest.mark.parametrize("kind", [RetryInPlace, RetryAsNew, Bury])
async def test_a_failure_of_a_handled_message_is_void(bench: Bench, kind: type[MessagePart]) -> None:
    """Retry, later and dead letter expect their message in the mailbox as an acknowledgement does."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        await one.commit(finished(fence=message.fence, consumed=message))
        more: dict[str, Any] = {} if kind is Bury else {"delay": 0.0}
        answer = await one.commit(finished(sends=[send_row(2)], parts=[retry_part(kind, message, **more)]))
        assert Conflict(missing=frozenset({message.id})) == answer
        assert await one.messages() == []
        assert await bench.store.dead_letters(None, 10) == []


async def test_an_unknown_epoch_is_stale(bench: Bench) -> None:
    """A fence of the future or of a partition that nobody ever took is as void as an old one."""
    async with open_process(bench.store) as one:
        ahead = one.fences[1]._replace(epoch=7)
        unknown = one.fences[1]._replace(queue="nowhere")
        answer = await one.commit(
            finished(fence=ahead), finished(fence=unknown), finished(fence=one.fences[0])
        )
        assert Conflict(stale=frozenset({(QUEUE, 1), ("nowhere", 1)})) == answer


async def test_fences_are_checked_before_messages(bench: Bench) -> None:
    """Who has no right hears that, and not which messages are gone."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1))
        (message,) = await one.messages()
        await one.commit(finished(fence=message.fence, consumed=message))
        stale = finished(fence=message.fence._replace(epoch=0), consumed=message)
        assert Conflict(stale=frozenset({(QUEUE, message.partition)})) == await one.commit(stale)


async def test_the_journal_has_one_event_for_each_place(bench: Bench) -> None:
    """A second event with the same sequence number is refused, and its whole batch with it."""
    async with open_process(bench.store) as one:
        assert Committed() == await one.commit(finished(events=[event_row(1), event_row(2)]))
        answer = await one.commit(finished(events=[event_row(2), event_row(3)], sends=[send_row(1)]))
        assert Outdated() == answer
        assert [event.seq for event in (await bench.store.read_events("account", "a", 0, 10)).events] == [
            1,
            2,
        ]
        assert await one.messages() == []


async def test_one_batch_cannot_hold_a_place_twice(bench: Bench) -> None:
    """Two turns of a batch that append at one place fall together."""
    async with open_process(bench.store) as one:
        twice = finished(events=[event_row(1)]), finished(events=[event_row(1)])
        assert Outdated() == await one.commit(*twice)
        assert (await bench.store.read_events("account", "a", 0, 10)).events == []


def _bad_turns() -> dict[str, CommitUnit]:
    return {
        "a payload that is not JSON": finished(sends=[send_row(1)._replace(payload="{")]),
        "headers that are not JSON": finished(sends=[send_row(1, headers="nope")]),
        "an event that is not JSON": finished(events=[event_row(1, payload="'")]),
        "a priority out of range": finished(sends=[send_row(1)._replace(priority=2)]),
        "a key with NUL": finished(sends=[send_row(1, "a\0b")]),
        "a key with half a character": finished(sends=[send_row(1, None)._replace(key="\ud800")]),
        "an event's key with NUL": finished(events=[event_row(1, "a\0b")]),
        "an outcome that is not JSON": finished(parts=[StoreOutcome("1", "two", "'", 60.0)]),
        "a snapshot that is not JSON": finished(parts=[snapshot_part(1, state="}")]),
        "a later payload that is not JSON": finished(parts=[_later(payload="{")]),
        "a later key with NUL": finished(parts=[_later(key="a\0b")]),
        "a later key with half a character": finished(parts=[_later(key="\ud800")]),
        "a later priority out of range": finished(parts=[_later(priority=-2)]),
    }


def _later(**changes: Any) -> SendLater:
    """A message for later."""
    return SendLater(send_row(1)._replace(**changes), 0.0, None)


@pytest.mark.parametrize("what", _bad_turns())
async def test_what_cannot_be_stored_is_refused_with_its_batch(bench: Bench, what: str) -> None:
    """The answer is `BadData` with the reason, nothing is stored, and the session goes on."""
    async with open_process(bench.store) as one:
        answer = await one.commit(finished(sends=[send_row(5)]), _bad_turns()[what])
        assert isinstance(answer, BadData)
        assert str(answer.error)
        assert await one.messages() == []
        assert Committed() == await one.commit(finished(sends=[send_row(5)]))


async def test_any_text_comes_back_as_it_was(bench: Bench) -> None:
    """Quotes, backslashes, braces, commas, NULL and other alphabets survive every column."""
    awkward = ['"', "\\", "{a,b}", "NULL", "", " ", "'", "ключ 🔑", "a\nb\t", "\\N", "%s", "$1"]
    async with open_process(bench.store) as one:
        for text in awkward:
            json = (
                '{"v": "'
                + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
                + '"}'
            )
            row = send_row(0, text)._replace(type=text or "t", payload=json, headers=json)
            event = event_row(1, text)._replace(payload=json, metadata=json)
            assert Committed() == await one.commit(finished(sends=[row], events=[event]))
            message = (await one.messages())[-1]
            assert (text, text or "t", json, json) == (
                message.key,
                message.type,
                message.payload,
                message.headers,
            )
            (recorded,) = (await bench.store.read_events("account", text, 0, 10)).events
            assert (json, json) == (recorded.payload, recorded.metadata)


async def test_any_json_comes_back_as_it_was(bench: Bench) -> None:
    """A document with every awkward character, NUL too, survives wherever JSON is stored, in its spelling."""
    json = '{"nul": "\\u0000", "same": 1, "same": 1.0, "": " \\"\\\\\\"\\n\\ud83d\\udd11🔑%s$1\'"}'
    async with open_process(bench.store) as one:
        row = send_row(1)._replace(payload=json, headers=json)
        event = event_row(1)._replace(payload=json, metadata=json)
        parts = [
            _later(payload=json, headers=json),
            snapshot_part(1, state=json),
            StoreOutcome("ask", "two", json, 60.0),
            StoreFirstOutcome("once", json, 60.0),
        ]
        assert Committed() == await one.commit(finished(sends=[row], events=[event], parts=parts))
        await bench.store.promote_due(10)
        stored = [(message.payload, message.headers) for message in await one.messages()]
        assert stored == [(json, json)] * 2
        (recorded,) = (await bench.store.read_events("account", "a", 0, 10)).events
        assert (recorded.payload, recorded.metadata) == (json, json)
        stream = (await bench.store.load("account", 1, {"a": None}, 10))["a"]
        assert stream.snapshot is not None
        assert stream.snapshot.state == json
        assert [await bench.store.outcome(name) for name in ("ask", "once")] == [json, json]


async def test_several_queues_and_priorities_are_acknowledged_in_one_batch(bench: Bench) -> None:
    """A batch mixes what the handlers of different queues finished."""
    async with open_process(bench.store) as one:
        await one.session.prepare(["other"])
        await one.send(send_row(1), send_row(2, queue="other"))
        fences = {fence.partition: fence for fence in await take_all(one.session, "other")}
        two = evolve(one, fences=fences)
        (here,), (there,) = await one.messages(), await two.messages("other")
        turns = [finished(fence=m.fence, consumed=m) for m in (here, there)]
        assert Committed() == await one.commit(*turns)
        assert [*await one.messages(), *await two.messages("other")] == []


async def test_a_commit_appears_at_once(bench: Bench) -> None:
    """A reader that looks all the time never sees part of a batch."""
    async with open_process(bench.store) as one:
        reader = Reader(one.session)
        for start in range(0, 30, 3):
            await one.commit(*(finished(sends=[send_row(number)]) for number in range(start, start + 3)))
            assert [start, start + 1, start + 2] == numbers(await reader.read())


async def test_an_outcome_is_kept_for_the_one_who_asked(bench: Bench) -> None:
    """A reply that travels through the store is stored with the turn; the asker is told; the first counts."""
    async with open_process(bench.store) as one:
        first = StoreOutcome("x/1", "two", '{"reply":5}', 60.0)
        assert await bench.store.outcome("x/1") is None
        async with bench.store.open_listen_session(1) as ear:
            await ear.retry()
            assert Committed() == await one.commit(finished(parts=[first]))
            assert await hear(ear, "!two") == ["!two"]
        assert await bench.store.outcome("x/1") == '{"reply":5}'
        again = evolve(first, outcome='{"reply":6}')
        assert await one.commit(finished(parts=[again, again])) == Committed()
        assert await bench.store.outcome("x/1") == '{"reply":5}'


async def test_a_question_is_in_the_mailbox_until_it_is_answered(bench: Bench) -> None:
    """It is found by its queue, its key and its number; others with the same two are not it."""
    async with open_process(bench.store) as one:
        await one.send(send_row(1, "a", headers='{"ask":"x/1","asker":"two"}'), send_row(2, "a"))
        assert await bench.store.has_question(QUEUE, "a", "x/1")
        for other in ((QUEUE, "a", "x/2"), (QUEUE, "b", "x/1"), ("other", "a", "x/1")):
            assert not await bench.store.has_question(*other)
        question, _ = await one.messages()
        answer = StoreOutcome("x/1", "two", '{"reply":5}', 60.0)
        await one.commit(finished(fence=question.fence, consumed=question, parts=[answer]))
        assert not await bench.store.has_question(QUEUE, "a", "x/1")


async def test_an_outcome_expires(bench: Bench) -> None:
    """After its retention it is as if it had never been, and its id is free once the scheduler has passed."""
    async with open_process(bench.store) as one:
        outcome = StoreOutcome("x/1", "two", "1", 0.0)
        assert await one.commit(finished(parts=[outcome])) == Committed()
        assert await bench.store.outcome("x/1") is None
        await bench.store.promote_due(1)
        new = evolve(outcome, outcome="2", retention=60.0)
        assert await one.commit(finished(parts=[new])) == Committed()
        assert await bench.store.outcome("x/1") == "2"


async def test_a_first_outcome_is_stored_once(bench: Bench) -> None:
    """A second outcome under the same name is a conflict that names it, and voids the batch."""
    async with open_process(bench.store) as one:
        first = StoreFirstOutcome("once/1", '{"reply":5}', 60.0)
        second = finished(parts=[evolve(first, outcome='{"reply":6}')], events=[event_row(1)])
        looks = finished(parts=[evolve(first, outcome=None)], events=[event_row(1)])
        other = finished(parts=[evolve(first, id="once/2", outcome=None)])
        assert Committed() == await one.commit(finished(parts=[first]))
        assert Conflict(repeated=frozenset({"once/1"})) == await one.commit(second)
        assert Conflict(repeated=frozenset({"once/1"})) == await one.commit(other, looks)
        assert Committed() == await one.commit(other)
        assert await bench.store.outcome("once/1") == '{"reply":5}'
        assert await bench.store.outcome("once/2") is None
        assert (await bench.store.read_events("account", "a", 0, 10)).events == []


async def test_an_expired_first_outcome_gives_way(bench: Bench) -> None:
    """After its retention the next outcome takes its place, even before it was cleaned up."""
    async with open_process(bench.store) as one:
        first = StoreFirstOutcome("once/1", "1", 0.0)
        assert Committed() == await one.commit(finished(parts=[first]))
        assert Committed() == await one.commit(finished(parts=[evolve(first, outcome=None)]))
        new = evolve(first, outcome="2", retention=60.0)
        assert Committed() == await one.commit(finished(parts=[new]))
        assert await bench.store.outcome("once/1") == "2"


async def test_a_first_outcome_answers_a_repeated_ask(bench: Bench) -> None:
    """It is copied to the name under which another process waits, and that process is told."""
    async with open_process(bench.store) as one:
        first = StoreFirstOutcome("once/1", '{"reply":5}', 60.0)
        copy = CopyOutcome("x/7", "two", of="once/1", retention=60.0)
        await one.commit(finished(parts=[first]))
        async with bench.store.open_listen_session(1) as ear:
            await ear.retry()
            assert Committed() == await one.commit(finished(parts=[copy]))
            assert await hear(ear, "!two") == ["!two"]
        assert await bench.store.outcome("x/7") == '{"reply":5}'


async def test_only_the_newest_snapshots_are_kept(bench: Bench) -> None:
    """Storing a snapshot clears all but the newest `keep`; storing the same again replaces it."""
    async with open_process(bench.store) as one:
        await one.commit(finished(events=[event_row(seq) for seq in range(1, 10)]))
        for seq in (2, 4, 6):
            await one.commit(finished(parts=[snapshot_part(seq, keep=2)]))
        await one.commit(finished(parts=[snapshot_part(6, keep=2, version=2)]))
        newest = (await bench.store.load("account", 2, {"a": None}, 10))["a"].snapshot
        older = (await bench.store.load("account", 1, {"a": None}, 10))["a"].snapshot
        assert newest is not None
        assert older is not None
        assert [(kept.seq, kept.version) for kept in (newest, older)] == [(6, 2), (4, 1)]
        await one.commit(finished(parts=[snapshot_part(8, keep=1)]))
        assert _seq((await bench.store.load("account", 1, {"a": None}, 10))["a"].snapshot) == 8
        await one.commit(finished(parts=[snapshot_part(8, keep=1, version=5)]))
        assert (await bench.store.load("account", 1, {"a": None}, 10))["a"].snapshot is None


def _seq(snapshot: Any) -> int:
    return int(snapshot.seq)
