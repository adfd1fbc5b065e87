"""All commands, and what becomes of their errors."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper

import click

from ._check import check
from ._dead import dead
from ._failures import sentences
from ._migrate import migrate, rebase
from ._rename import rename_actor
from ._repartition import repartition
from ._run import run as run_app
from ._status import status
from ._stopped import broken, parked
from ._tree import tree


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  rolebook run shop.actors:app                  run an app on an embedded PostgreSQL
  rolebook run shop.actors:app --database-url postgresql://me@db.example/shop
  rolebook status --app shop.actors:app         what waits, who works
  rolebook check shop.actors:app                can this version read what is stored?

The database: --database-url, else DATABASE_URL, else an embedded PostgreSQL.
""",
)
@click.version_option(version("rolebook"), message="rolebook %(version)s")
def cli() -> None:
    """Run and operate apps of event-sourced actors on PostgreSQL."""


for _command in (
    run_app,
    status,
    check,
    tree,
    dead,
    parked,
    broken,
    rename_actor,
    repartition,
    migrate,
    rebase,
):
    cli.add_command(_command)


def run(arguments: Sequence[str] | None) -> int:
    """Run one command; returns the exit code. What goes wrong is a sentence on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal may lack a character: that is not worth a traceback.
            stream.reconfigure(errors="replace")
    try:
        result = cli.main(arguments, prog_name="rolebook", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("interrupted\n")
        return 128 + signal.SIGINT
    except Exception as error:
        texts = sentences(error)
        if texts is None:
            raise
        for text in texts:
            sys.stderr.write(f"error: {text}\n")
        return 1
