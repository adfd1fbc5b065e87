"""Print the requirements of a dependency group of pyproject.toml: not every pip can read groups."""

import sys
import tomllib
from pathlib import Path


def main(group: str) -> None:
    """Print them, one a line."""
    project = tomllib.loads(Path("pyproject.toml").read_text())
    print("\n".join(project["dependency-groups"][group]))


if __name__ == "__main__":
    main(sys.argv[1])
