"""Run one work of one contender: MODULE FUNCTION URL, and its arguments as JSON on standard input.

The figures come as JSON, in the last line of standard output.
"""

import importlib
import json
import sys


def main() -> None:
    module, work, url = sys.argv[1:]
    arguments = json.load(sys.stdin)
    print(json.dumps(getattr(importlib.import_module(module), work)(url, **arguments)))


if __name__ == "__main__":
    main()
