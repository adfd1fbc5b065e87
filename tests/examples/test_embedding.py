"""The example of a Trio program with actors in it."""

from tests.programs import run


def test_the_program_runs_and_ends_by_itself(database_url: str) -> None:
    """Its tasks and the runtime work side by side, and it goes on from where it was."""
    for times in (20, 40):
        ended = run("examples.embedding", env={"DATABASE_URL": database_url})
        assert (ended.code, ended.err) == (0, "")
        assert sorted(ended.out.splitlines()) == [
            "60 visits were noted",
            *(f"guest-{number} was told {times}" for number in (1, 2, 3)),
        ]
