"""The example of flights: real processes, real signals, every total checked."""

import random
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from examples.flights._file import open_lines
from tests.databases import temporary_folder
from tests.programs import Ended, Program, Signal, run, started, wait_until

DEMO = "examples.flights"
FLIGHTS = 3000
LOADING = ("--months", "1,2", "--limit", str(FLIGHTS // 2))


def demo(url: str, *arguments: str) -> Ended:
    return run(DEMO, "--database-url", url, *arguments)


def sent(at_least: int) -> str:
    return f"select sum(sent) >= {at_least} from flights.progress"


def sample(path: Path, flights: int) -> list[str]:
    """Write the first flights of January into a file of their own, and return its lines."""
    with open_lines() as lines:
        chosen = [next(lines) for _ in range(flights + 1)]
    path.write_text("".join(chosen), encoding="utf-8")
    return chosen


def test_loads_checks_and_says_when_it_is_finished(database_url: str) -> None:
    """A run loads and checks; a second one only checks; a fresh one loads again."""
    first = demo(database_url, *LOADING)
    assert (first.code, first.err) == (0, "")
    assert "3,000 flights in" in first.out
    assert "The busiest aircraft" in first.out
    assert "United Air Lines" in first.out
    assert "Checked" in first.out
    second = demo(database_url, *LOADING)
    assert second.code == 0
    assert "All 3,000 flights were handled before" in second.out
    assert "Checked" in second.out
    fresh = demo(database_url, "--fresh", "--limit", "700")
    assert fresh.code == 0
    assert "700 flights in" in fresh.out
    assert "over 700 flights" in fresh.out


def test_more_months_are_added_to_those_that_are_loaded(database_url: str) -> None:
    """What one run loaded stays, and is checked with what the next one adds."""
    assert demo(database_url, "--months", "3", "--limit", "600").code == 0
    more = demo(database_url, "--months", "2", "--limit", "600")
    assert more.code == 0
    assert "600 flights in" in more.out
    assert "over 1,200 flights" in more.out


@pytest.mark.parametrize("number", [Signal.SIGINT, Signal.SIGTERM])
def test_a_signal_ends_it_with_one_line_and_it_goes_on_later(database_url: str, number: Signal) -> None:
    """It ends within seconds, without a traceback, and the next run finishes what it began."""
    with started(DEMO, "--database-url", database_url, *LOADING) as program:
        wait_until(database_url, sent(1000), program)
        program.send(number)
        ended = program.wait(timeout=8)
    assert 128 + number == ended.code
    assert ended.err == ""
    assert f"Interrupted by {number.name}: start it again" in ended.out
    again = demo(database_url, *LOADING)
    assert again.code == 0, again.text
    assert "over 3,000 flights" in again.out


def test_killed_at_random_it_goes_on_where_it_was(database_url: str) -> None:
    """SIGKILL while it loads and while it handles: no flight is lost, and none counts twice."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    points = sorted(dice.randrange(1, FLIGHTS) for _ in range(2))
    codes: list[int] = []
    for point in (*points, FLIGHTS):
        with started(DEMO, "--database-url", database_url, *LOADING) as program:
            wait_until(database_url, sent(point), program)
            program.send(Signal.SIGKILL)
            codes.append(program.wait().code)
    assert codes[0] == -Signal.SIGKILL, f"seed {seed}: it ended before it was killed"
    assert {*codes} <= {0, -Signal.SIGKILL}, f"seed {seed}"  # 0: it had just finished
    last = demo(database_url, *LOADING)
    assert last.code == 0, f"seed {seed}: {last.text}"
    assert "over 3,000 flights" in last.out


def test_a_total_that_the_file_does_not_confirm_is_an_error(database_url: str, tmp_path: Path) -> None:
    """Against a file with one figure changed, the check names the aircraft and the airline and fails."""
    file = tmp_path / "flights.csv"
    lines = sample(file, 300)
    assert demo(database_url, "--file", str(file)).code == 0
    fields = lines[1].split(",")
    place = lines[0].split(",").index("distance")
    fields[place] = str(int(fields[place]) + 1)
    file.write_text("".join([lines[0], ",".join(fields), *lines[2:]]), encoding="utf-8")
    ended = demo(database_url, "--file", str(file))
    assert ended.code == 1
    assert "wrong aircraft N14228: distance is" in ended.out
    assert "wrong airline UA: distance is" in ended.out
    assert "2 totals are not what the file says" in ended.out


def test_a_file_with_fewer_flights_is_an_error(database_url: str, tmp_path: Path) -> None:
    """It says that another file was loaded, and how to start over."""
    file = tmp_path / "flights.csv"
    sample(file, 300)
    assert demo(database_url, "--file", str(file)).code == 0
    sample(file, 200)
    ended = demo(database_url, "--file", str(file))
    assert ended.code == 1
    assert "error: 100 flights more were loaded than the file has" in ended.out
    assert "--fresh" in ended.out
    assert "Traceback" not in ended.text


def test_a_stray_event_is_found(database_url: str, tmp_path: Path) -> None:
    """The check asks the journal for every aircraft there is: one that the file does not know is an error."""
    file = tmp_path / "flights.csv"
    sample(file, 300)
    assert demo(database_url, "--file", str(file)).code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "insert into rolebook.events (actor, key, seq, type, version, payload)"
            " values ('aircraft', 'N00000', 1, 'flight.cancelled', 1, '{}')"
        )
    ended = demo(database_url, "--file", str(file))
    assert ended.code == 1
    assert "wrong aircraft N00000: cancelled is 1, the file says 0" in ended.out


def test_fresh_leaves_other_apps_alone(database_url: str, tmp_path: Path) -> None:
    """With queues of another app in the database, --fresh refuses and deletes nothing."""
    file = tmp_path / "flights.csv"
    sample(file, 300)
    assert demo(database_url, "--file", str(file)).code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("insert into rolebook.partitions (queue, partition) values ('shop', 0)")
    refused = demo(database_url, "--file", str(file), "--fresh")
    assert refused.code == 1
    assert "the queues shop of another app" in refused.out
    assert "All 300 flights were handled before" in demo(database_url, "--file", str(file)).out


def test_on_the_embedded_server_ctrl_c_leaves_it_in_order() -> None:
    """Ctrl-C reaches the whole process group; the server takes no harm, and the next run goes on."""
    with temporary_folder() as folder:
        arguments = (DEMO, *LOADING, "--data-folder", str(folder))
        with started(*arguments) as program:
            url = f"postgresql://postgres@/flights?host={_socket_folder(folder, program)}&port=5432"
            wait_until(url, sent(500), program)
            program.press_ctrl_c()
            ended = program.wait(timeout=8)
        assert ended.code == 128 + Signal.SIGINT, ended.text
        assert "Traceback" not in ended.text
        again = run(*arguments)
        assert again.code == 0, again.text
        assert "Going on" in again.out


def _socket_folder(folder: Path, program: Program) -> Path:
    """Wait until the database of the demo is there; returns the folder of the server's socket."""
    while program.process.poll() is None:
        for socket in folder.glob("*/server/.s.PGSQL.5432"):
            url = f"postgresql://postgres@/flights?host={socket.parent}&port=5432"
            with suppress(psycopg.OperationalError), psycopg.connect(url):
                return socket.parent
    raise AssertionError(program.wait().text)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--months", "13"), 2, "give months like 1,2,3, or all"),
        (("--database-url", "postgresql://nobody@127.0.0.1:1/x"), 1, "error: cannot reach the database"),
        (("--file", "/does/not/exist.csv", "--database-url", "{url}"), 1, "cannot read the flights"),
    ],
)
def test_what_cannot_work_is_said_in_a_sentence(
    database_url: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """A mistake ends the program with a sentence, not with a traceback."""
    ended = run(DEMO, *(argument.format(url=database_url) for argument in arguments))
    assert code == ended.code
    assert words in ended.text
    assert "Traceback" not in ended.text
