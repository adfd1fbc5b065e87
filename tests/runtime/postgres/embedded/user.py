"""A process that uses an embedded server: opened at a line from its parent, given back at the next one."""

import os
import sys
from pathlib import Path

from rolebook.runtime.postgres.embedded import PostgresServer, find_binaries


def main(folder: str) -> None:
    """Say `up`, open the server when told to, say its process id, and give it back when told to."""
    server = PostgresServer(Path(folder), find_binaries(os.environ.get("ROLEBOOK_TEST_PG_BIN")))
    _say("up")
    sys.stdin.readline()
    server.start()
    _say(str(server.pid))
    sys.stdin.readline()
    server.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
