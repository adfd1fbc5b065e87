"""A real PostgreSQL for the user who has none: found, started, shared, and stopped after its last user.

The life cycle rests on locks that the kernel releases, so a killed process leaves nothing behind:

- `lease`: every user of the server holds a shared lock on it, for as long as it lives;
- `start.lock`: held exclusively by whoever starts or stops the server;
- `reaper.lock`: held by the one small detached process that waits until the lease is free, gives a newcomer
  one more second, and then shuts the server down cleanly.
"""

from ._binaries import Binaries as Binaries
from ._binaries import find_binaries as find_binaries
from ._errors import BinariesNotFoundError as BinariesNotFoundError
from ._errors import EmbeddedError as EmbeddedError
from ._folders import default_folder as default_folder
from ._open import open_embedded as open_embedded
from ._server import PostgresServer as PostgresServer
from ._server import stop_embedded as stop_embedded
