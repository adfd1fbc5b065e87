"""The machinery that runs actors: sessions, mailboxes and the journal, over PostgreSQL."""

from ._runtime import NotRunning as NotRunning
from ._runtime import Recorded as Recorded
from ._runtime import Runtime as Runtime
from ._runtime import RuntimeStatistics as RuntimeStatistics
from ._runtime import open_runtime as open_runtime
from ._settings import Settings as Settings
from ._store import Parked as Parked
from .memory import MemoryStore as MemoryStore
