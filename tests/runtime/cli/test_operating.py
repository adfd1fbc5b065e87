"""The commands that look after a database."""

import json

import psycopg
import pytest

from tests.programs import Signal, run, started, wait_until
from tests.runtime.cli.conftest import CLI, SHOP, Database

COMMANDS = (
    ("run",),
    ("status",),
    ("check",),
    ("tree",),
    ("migrate",),
    ("rebase",),
    ("dead",),
    ("parked",),
    ("rename-actor",),
    ("repartition",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_with_examples(command: tuple[str, ...]) -> None:
    """Every command shows how it is used."""
    ended = run(CLI, *command, "--help")
    assert ended.code == 0
    assert "Example" in ended.out
    assert f"rolebook {command[0]}" in ended.out


def test_a_terminal_may_lack_characters() -> None:
    """What it cannot show is shown as question marks."""
    ended = run(CLI, "tree", SHOP, env={"PYTHONIOENCODING": "latin-1"})
    assert ended.code == 0
    assert "??? writer" in ended.out


def test_migrate_is_idempotent(database: Database) -> None:
    """A second time there is nothing left to apply."""
    again = database.rolebook("migrate")
    assert (again.code, again.out) == (0, "schema 'rolebook' is up to date\n")


def test_a_database_without_the_schema_is_a_sentence(database_url: str) -> None:
    """It names the command that helps."""
    ended = run(CLI, "status", "--database-url", database_url)
    assert ended.code == 1
    assert "Run `rolebook migrate`" in ended.err


def test_without_a_database_it_asks_for_one() -> None:
    """The embedded server has a database for each app: one has to say which."""
    ended = run(CLI, "status")
    assert ended.code == 2
    assert "which database?" in ended.err


@pytest.mark.parametrize("name", ['we"ird', "x" * 64, "1st", ""])
def test_a_schema_with_no_plain_name_is_refused(name: str) -> None:
    """PostgreSQL would cut a long name silently: it is refused before anything is connected to."""
    ended = run(CLI, "status", "--database-url", "postgresql://127.0.0.1:1/x", "--schema", name)
    assert ended.code == 2
    assert "is no name for a schema" in ended.err


def test_rebase_without_a_schema_is_a_sentence(database_url: str) -> None:
    """There is nothing to rebase, and it says so."""
    ended = run(CLI, "rebase", "--database-url", database_url)
    assert ended.code == 1
    assert "error: there is no schema 'rolebook'" in ended.err


def test_tree_draws_the_configured_tree() -> None:
    """No database is needed for it."""
    ended = run(CLI, "tree", SHOP)
    assert ended.code == 0
    assert ended.out.startswith("shop (one_for_one")
    assert "wrapping" in ended.out


def test_status_counts_what_waits_and_names_the_owners(database: Database) -> None:
    """As a table for people and as JSON for programs."""
    database.sell("a", 1)
    database.sell("b", 1)
    database.ask("select rolebook.enqueue('wrapping', 'shop.wrap', '{}', delay => '1 hour')")
    idle = database.rolebook("status")
    assert idle.code == 0
    assert "shop" in idle.out
    queues = {
        queue["queue"]: queue for queue in json.loads(database.rolebook("status", "--json").out)["queues"]
    }
    assert (queues["shop"]["depth"], queues["shop"]["owned"]) == (2, 0)
    assert (queues["wrapping"]["depth"], queues["wrapping"]["scheduled"]) == (0, 1)
    with started(CLI, "run", SHOP, env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, "select count(*) = 2 from rolebook.events", program)
        working = json.loads(database.rolebook("status", "--json").out)["queues"]
        table = database.rolebook("status").out
        program.send(Signal.SIGTERM)
        program.wait()
    shop = next(queue for queue in working if queue["queue"] == "shop")
    assert (shop["depth"], shop["owned"]) == (0, shop["partitions"])
    assert [name.startswith("shop@") for name in shop["owners"]] == [True]
    assert "shop@" in table


def test_status_names_the_oldest_snapshot(database: Database) -> None:
    """A transaction left open holds the server's clean-up back: it is named with its process."""
    with psycopg.connect(database.url, application_name="forgotten") as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select count(*) from rolebook.messages")
        status = database.rolebook("status").out
    assert "oldest snapshot: session" in status
    assert "of forgotten, idle in transaction" in status


def test_dead_letters_are_listed_shown_and_redriven(database: Database) -> None:
    """A redriven letter is a message again, and fails again if nothing has changed."""
    assert database.rolebook("dead", "list").out == "no dead letters\n"
    database.wrap(1)
    with started(CLI, "run", SHOP, env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, "select exists (select from rolebook.dead_letters)", program)
        program.send(Signal.SIGTERM)
        program.wait()
    letter = str(database.ask("select id from rolebook.dead_letters"))
    listed = database.rolebook("dead", "list", "--queue", "wrapping").out
    assert "ValueError: no paper left\n" in listed
    assert "shop.wrap v1" in listed
    with psycopg.connect(database.url) as connection:
        error = (
            'SyntaxError: at "selct"\nLINE 1: selct\n        ^\ncaused by: OSError: no\n\nTraceback (most…'
        )
        connection.execute("update rolebook.dead_letters set error = %s", (error,))
    listed = database.rolebook("dead", "list").out
    assert 'SyntaxError: at "selct"; caused by: OSError: no\n' in listed
    with psycopg.connect(database.url) as connection:
        connection.execute("update rolebook.dead_letters set error = 'ValueError: no paper left'")
    shown = database.rolebook("dead", "show", letter).out
    assert "no paper left" in shown
    assert '"seconds"' in shown
    missing = database.rolebook("dead", "show", "999")
    assert (missing.code, missing.err) == (
        1,
        "error: there is no dead letter 999: see `rolebook dead list`\n",
    )
    assert database.rolebook("dead", "redrive").code == 2
    assert database.rolebook("dead", "redrive", letter).out == "1 back in their mailboxes\n"
    assert database.ask("select count(*) from rolebook.dead_letters") == 0
    assert database.ask("select attempts from rolebook.messages where queue = 'wrapping'") == 0


def test_check_names_what_cannot_be_read(database: Database) -> None:
    """An app that can read everything passes; a version that it does not know fails, and is named."""
    database.sell("a", 1)
    fine = database.rolebook("check", SHOP)
    assert (fine.code, fine.out) == (0, "1 of 1 stored names can be read, over 1 rows\n")
    database.ask("select rolebook.tell('shop', 'a', 'shop.sell', '{}', version => 9)")
    database.ask(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " values ('shop', 'a', 1, 'shop.closed', 1, '{}')"
    )
    broken = database.rolebook("check", SHOP)
    assert broken.code == 1
    assert "messages of shop: 1 of shop.sell version 9: cannot be read" in broken.out
    assert "events of shop: 1 of shop.closed version 1: cannot be read" in broken.out


def test_check_tells_other_apps_apart(database: Database) -> None:
    """What belongs to no actor or queue of the app is named; it fails only if that is asked for."""
    database.ask("select rolebook.enqueue('mail', 'mail.send', '{}')")
    ended = database.rolebook("check", SHOP)
    assert ended.code == 0
    assert "messages of mail: 1 of mail.send version 1: this app has no such actor or queue" in ended.out
    assert database.rolebook("check", SHOP, "--strict").code == 1


def test_rebase_makes_a_restored_dump_usable(database: Database) -> None:
    """An app refuses a database of another cluster; after the rebase it goes on, in the order there was."""
    nothing = database.rolebook("rebase")
    assert nothing.out == "schema 'rolebook' belongs to this cluster: nothing to do\n"
    for seq, tx in ((1, 2**40 + 7), (2, 2**40 + 5), (3, 2**40 + 9)):
        database.ask(
            "insert into rolebook.events (actor, key, seq, type, version, payload, tx)"
            " values ('shop', %s, 1, 'shop.sold', 1, '{\"amount\": 5}', %s::text::xid8)",
            f"key{seq}",
            str(tx),
        )
    database.ask(
        "insert into rolebook.checkpoints"
        " select 'sales', tx, position from rolebook.events where key = 'key1'"
    )
    database.sell("key1", 1)
    # As after logical replication: rows come over, and what gave out their numbers stays where it was.
    database.ask("update rolebook.messages set id = 1000")
    database.ask("select setval('rolebook.message_ids', 1, false)")
    database.ask("select setval(pg_get_serial_sequence('rolebook.events', 'position'), 1, false)")
    database.ask("update rolebook.messages set tx = (2^40)::bigint::text::xid8")
    database.ask("update rolebook.meta set system_identifier = '1'")
    refused = run(CLI, "run", SHOP, "--database-url", database.url)
    assert refused.code == 1
    assert "Run `rolebook rebase` once" in refused.err
    done = database.rolebook("rebase")
    assert (done.code, done.out) == (0, "rebased 3 events, 1 messages and 1 checkpoints\n"), done.text
    keys = "select array_agg(key order by tx, position) from rolebook.events"
    assert database.ask(keys) == ["key2", "key1", "key3"]
    behind = "select array_agg(key) from rolebook.events e, rolebook.checkpoints c"
    behind += " where (e.tx, e.position) > (c.tx, c.position)"
    assert database.ask(behind) == ["key3"]
    with pytest.raises(Exception, match="append-only"):
        database.ask("delete from rolebook.events")
    assert database.ask("select nextval('rolebook.message_ids')") == 1001
    assert database.ask("select nextval(pg_get_serial_sequence('rolebook.events', 'position'))") == 4
    with started(CLI, "run", SHOP, env={"DATABASE_URL": database.url}) as program:
        wait_until(database.url, "select count(*) = 4 from rolebook.events", program)
        program.send(Signal.SIGTERM)
        assert program.wait().code == 0
    assert database.ask("select seq from rolebook.events order by tx desc, position desc limit 1") == 2


def test_rebase_refuses_company(database: Database) -> None:
    """While a process of an app is at work, nothing is rewritten."""
    with started(CLI, "run", SHOP, env={"DATABASE_URL": database.url}) as program:
        program.line("shop runs")
        database.ask("update rolebook.meta set system_identifier = '1'")
        ended = database.rolebook("rebase")
        program.send(Signal.SIGTERM)
        program.wait()
    assert ended.code == 1
    assert "a process is at work in this database" in ended.err


def test_a_parked_key_is_listed_and_goes_on(database: Database) -> None:
    """The list says why it stopped; resuming what is not parked is an error."""
    assert database.rolebook("parked", "list").out == "nothing is parked\n"
    database.sell("tulips", 1)
    database.ask(
        "update rolebook.messages set not_before = 'infinity', attempts = 1, last_error = 'Boom: no tulips'"
    )
    listed = database.rolebook("parked", "list")
    assert "tulips" in listed.out
    assert "Boom: no tulips" in listed.out
    assert "tulips goes on: 1 parked" in database.rolebook("parked", "resume", "shop", "tulips").out
    again = database.rolebook("parked", "resume", "shop", "tulips")
    assert (again.code, "is not parked" in again.err) == (1, True)


def test_a_broken_actor_is_no_parked_key(database: Database) -> None:
    """It has a list of its own, which says what is wrong with its journal, and is resumed from there."""
    assert database.rolebook("broken", "list").out == "nothing is broken\n"
    database.sell("tulips", 1)
    database.ask(
        "update rolebook.messages set not_before = 'infinity', last_error = 'broken: BrokenStream: no event'"
    )
    listed = database.rolebook("broken", "list")
    assert "tulips" in listed.out
    assert " BrokenStream: no event" in listed.out
    assert database.rolebook("parked", "list").out == "nothing is parked\n"
    wrong = database.rolebook("parked", "resume", "shop", "tulips")
    assert (wrong.code, "shop/tulips is not parked" in wrong.err) == (1, True)
    assert "tulips goes on: 1 broken" in database.rolebook("broken", "resume", "shop", "tulips").out
    assert database.rolebook("broken", "list").out == "nothing is broken\n"


@pytest.mark.parametrize("columns", ["80", "200"])
def test_what_is_piped_is_not_cut(database: Database, columns: str) -> None:
    """However narrow the terminal would be: a line for each key, with its whole name to copy."""
    key = "a-key-that-is-long/" + "x" * 60 + "@example.com"
    database.sell(key, 1)
    database.ask("update rolebook.messages set not_before = 'infinity', attempts = 1, last_error = 'no'")
    environment = {"DATABASE_URL": database.url, "COLUMNS": columns}
    listed = run(CLI, "parked", "list", env=environment)
    assert listed.out.splitlines()[1].split() == ["shop", key, "1", "no"]


def test_an_actor_gets_another_name(database: Database) -> None:
    """Its events and its messages go by the new name."""
    database.ask(
        "insert into rolebook.events (actor, key, seq, type, version, payload)"
        " values ('shop', 'tulips', 1, 'shop.sold', 1, '{}')"
    )
    renamed = database.rolebook("rename-actor", "shop", "store")
    assert renamed.out == "shop is now store: 1 events\n"
    assert database.ask("select actor from rolebook.events") == "store"


def test_a_database_gets_more_partitions(database: Database) -> None:
    """Each waiting message is where its key belongs; nothing is lost, and no process may be at work."""
    for number in range(50):
        database.sell(f"k{number}", 1)
    done = database.rolebook("repartition", "64")
    assert done.out == "every queue has 64 partitions now; 50 waiting messages were placed anew\n", done.text
    assert database.ask("select partitions from rolebook.meta") == 64
    misplaced = "select count(*) from rolebook.messages where partition <> rolebook.partition_of(key)"
    assert database.ask(misplaced) == 0
    assert database.ask("select count(distinct partition) from rolebook.messages") > 20


def test_partitions_are_not_changed_under_a_process(database: Database) -> None:
    """Not under one that only sends either: it computes where each message goes."""
    database.sell("corner", 1)
    with psycopg.connect(database.url, application_name="rolebook front@web:1 writer"):
        refused = database.rolebook("repartition", "64")
    assert refused.code == 1
    assert "processes work on this database: front@web:1" in refused.err
    wrong = database.rolebook("repartition", "0")
    assert wrong.code == 2


def test_all_parked_keys_of_a_reason_go_on(database: Database) -> None:
    """A preview says how many; the others stay parked."""
    for number in range(5):
        database.sell(f"k{number}", 1)
    database.ask(
        "update rolebook.messages set not_before = 'infinity', attempts = 1,"
        " last_error = case when key = 'k0' then 'ValueError: no' else 'ConnectionError: gone' end"
    )
    parked = "select count(*) from rolebook.messages where not_before = 'infinity'"
    preview = database.rolebook("parked", "resume", "--all", "--reason", "ConnectionError", "--dry-run")
    assert preview.out == "4 of 5 parked keys would go on\n", preview.text
    assert database.ask(parked) == 5
    done = database.rolebook("parked", "resume", "shop", "--all", "--reason", "ConnectionError")
    assert done.out == "4 of 5 parked keys go on\n", done.text
    assert database.ask(parked) == 1
    assert database.rolebook("parked", "resume", "--all").out == "1 of 1 parked keys go on\n"
    assert database.rolebook("parked", "resume", "shop").code == 2
