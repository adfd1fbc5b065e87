"""`python -m examples.flights`."""

import sys

from examples.flights._command import main

sys.exit(main())
