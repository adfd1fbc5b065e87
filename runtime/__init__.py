"""The machinery that runs actors: sessions, mailboxes and the journal, over PostgreSQL."""

from ._actor_handler import ActorStatistics as ActorStatistics
from ._actor_handler import ActorUnavailable as ActorUnavailable
from ._depths import QueueFull as QueueFull
from ._drift import ClassDrift as ClassDrift
from ._open import open_runtime as open_runtime
from ._posting import NotRunning as NotRunning
from ._posting import UnknownQueue as UnknownQueue
from ._reading import Recorded as Recorded
from ._replying import AskFailed as AskFailed
from ._runtime import Runtime as Runtime
from ._runtime import RuntimeStatistics as RuntimeStatistics
from ._settings import Settings as Settings
from ._store import Parked as Parked
from .memory import MemoryStore as MemoryStore
