"""The example's own tables, beside those of the runtime: how far it is, and the long delays."""

from typing import Any

CREATE = """
create schema if not exists flights;
create table if not exists flights.progress (
    month smallint primary key,
    sent integer not null
);
create table if not exists flights.long_delays (
    aircraft text not null,
    carrier text not null,
    number integer not null,
    origin text not null,
    destination text not null,
    scheduled timestamp not null,
    minutes integer not null,
    primary key (carrier, number, origin, scheduled)
);
"""

NOTE_DELAY = """
insert into flights.long_delays (aircraft, carrier, number, origin, destination, scheduled, minutes)
values (%s, %s, %s, %s, %s, %s, %s)
"""

READ_PROGRESS = "select month, sent from flights.progress order by month"

ADVANCE = """
insert into flights.progress (month, sent) values (%s, %s)
on conflict (month) do update set sent = excluded.sent where flights.progress.sent = %s
"""


async def read_progress(connection: Any) -> dict[int, int]:
    """Return how many flights of each month have been sent."""
    return dict(await (await connection.execute(READ_PROGRESS)).fetchall())
