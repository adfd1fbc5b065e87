"""The bank, as an example and as it stands in the README."""

import re
from pathlib import Path

from tests.programs import ROOT, run


def test_the_sum_stays_the_same(database_url: str) -> None:
    """Transfers move money, refusals move none; run twice, the second run has accounts of its own."""
    for _ in range(2):
        ended = run("examples.bank", env={"DATABASE_URL": database_url})
        assert ended.code == 0, ended.text
        assert "refused: 1000 wanted, 100 there" in ended.out
        assert "receipt for" in ended.out
        assert "the sum is 2000, and was 2000" in ended.out


def test_the_program_in_the_readme_runs(database_url: str, tmp_path: Path) -> None:
    """What the README shows is a whole program."""
    programs = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "bank.py").write_text(programs[0])
    ended = run("bank", env={"DATABASE_URL": database_url}, cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "10\nAccount(balance=5)\n"), ended.text
