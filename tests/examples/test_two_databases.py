"""The example of two databases: each message has its effect once, though its handler runs twice."""

import os
from pathlib import Path

from tests.databases import temporary_folder
from tests.programs import run


def test_each_invoice_is_billed_once() -> None:
    """On an embedded server of its own, with a database for each app."""
    with temporary_folder() as folder:
        ended = run("examples.two_databases", env={"ROLEBOOK_DATA": os.fspath(Path(folder))})
    assert ended.code == 0, ended.text
    assert ended.out == "50 orders, 50 invoices, billed 1000 of 1000\n"
