"""A standby and nobody else: the runtime says what is wrong, and goes on when there is a primary."""

import logging

import pytest
import trio

import rolebook as rb
from rolebook.runtime.postgres import DatabaseError
from tests.chaos.ledger import settings
from tests.waiting import eventually

from .cluster import aside, open_cluster
from .known import RAW
from .office import office
from .records import Records
from .scene import BACK, at_work, back_at_work, busy, furnish, judge


@RAW
async def test_a_start_on_a_standby() -> None:
    """A start on a standby fails soon, as an error of the database that says read-only."""
    async with open_cluster() as bed:
        await furnish(bed)
        await bed.caught_up(bed.b, bed.a)
        with trio.fail_after(BACK), pytest.raises(DatabaseError, match="read-only"):
            async with rb.open_runtime(office(), database=bed.b.url, settings=settings()):
                pass


async def test_a_runtime_is_left_with_a_standby(caplog: pytest.LogCaptureFixture) -> None:
    """Its primary dies: the log says read-only, until somebody is promoted and the work goes on."""
    async with open_cluster() as bed:
        await furnish(bed)
        records = Records()
        async with at_work(bed.url, records) as runtime:
            await busy(records)
            await bed.caught_up(bed.b, bed.a)
            with caplog.at_level(logging.WARNING, logger="rolebook"):
                await aside(bed.a.kill)
                await eventually(lambda: "read-only" in caplog.text, within=BACK)
            await bed.replace(bed.b)
            await back_at_work(runtime, records, bed.b)
            await busy(records)
        assert await judge(bed.b, records, may_forget=True) == []
