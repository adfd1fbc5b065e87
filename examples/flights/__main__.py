"""`python -m examples.flights`."""

import sys

try:
    from examples.flights._command import main

    code = main()
except KeyboardInterrupt:  # while it was still importing; later, `main` meets it
    sys.stdout.write("Interrupted by SIGINT: start it again to go on from here.\n")
    code = 130
sys.exit(code)
