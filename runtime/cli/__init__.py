"""The command line: `rolebook`. It needs the extra `cli` (click and rich)."""

from ._entry import main as main
