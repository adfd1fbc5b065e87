"""A year of real flights: 336,776 departures from New York's airports in 2013.

Each aircraft is an event-sourced actor that takes part in every flight it flew, and
tells its airline, an actor too. Long delays go to a queue, whose handler writes them
into a table of its own.

    python -m examples.flights                  January, on the embedded server
    python -m examples.flights --months all     the year
    rolebook run examples.flights:app         only the handlers, in a further process

Interrupt it in any way and start it again: it goes on where it was. At the end every
total of every aircraft and airline is compared with sums made straight from the file.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._app import app as app


def __getattr__(name: str) -> Any:
    """Import the app when it is asked for: Ctrl-C half a second after the start is then met by `__main__`."""
    if name == "app":
        from ._app import app  # noqa: PLC0415 - that is the point

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
