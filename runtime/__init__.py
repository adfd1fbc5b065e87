"""The machinery that runs actors: sessions, mailboxes and the journal, over PostgreSQL."""

from ._drift import ClassDrift as ClassDrift
from ._open import open_runtime as open_runtime
from ._runtime import Runtime as Runtime
from ._runtime import RuntimeStatistics as RuntimeStatistics
from ._settings import Settings as Settings
from .client import Client as Client
from .client import NotRunning as NotRunning
from .client import QueueFull as QueueFull
from .client import Recorded as Recorded
from .client import UnknownQueue as UnknownQueue
from .contract import AskFailed as AskFailed
from .contract import StoppedKey as StoppedKey
from .handlers import ActorStatistics as ActorStatistics
from .handlers import ActorUnavailable as ActorUnavailable
from .memory import MemoryStore as MemoryStore
