"""What takes minutes runs under `make servers` only."""

from .scene import SECONDS

collect_ignore = [] if SECONDS else ["test_longer.py", "test_controls.py"]
