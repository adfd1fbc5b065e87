"""The order of a URL's servers: the one that was taken last comes first."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from rolebook.runtime.postgres._addresses import Address, put_first

A, B, C = ("a", "5432"), ("b", "5432"), ("c", "5433")


@pytest.mark.parametrize(
    ("url", "taken", "hosts", "ports"),
    [
        ("postgresql://a,b/x", [B], "b,a", None),
        ("postgresql://a,b/x", [A], "a,b", None),
        ("postgresql://a,b/x", [C, B], "b,a", None),
        ("postgresql://a,b,c:5433/x", [C], "c,a,b", "5433,,"),
        ("postgresql://a:5432,b:5432/x", [B], "b,a", "5432,5432"),
        ("host=b,b port=1,2 dbname=x", [("b", "2")], "b,b", "2,1"),
        ("postgresql://a,b/x?target_session_attrs=primary", [B], "b,a", None),
    ],
)
def test_the_one_taken_last_comes_first(
    url: str, taken: list[Address], hosts: str, ports: str | None
) -> None:
    """With its port, and with the others behind it in their order."""
    found = conninfo_to_dict(put_first(url, taken))
    assert (hosts, "x") == (found["host"], found["dbname"])
    assert (ports or "").strip(",") == str(found.get("port") or "").strip(",")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://b/x",
        "postgresql://a,c/x",
        "postgresql://a,b/x?target_session_attrs=any",
        "postgresql://a,b/x?target_session_attrs=prefer-standby",
        "nonsense",
    ],
)
def test_else_the_url_stays_as_it_is(url: str) -> None:
    """One host, none of those taken, several that would do, or no URL at all."""
    assert url == put_first(url, [B])
