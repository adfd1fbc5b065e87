"""The machinery that runs actors: sessions, mailboxes and the journal, over PostgreSQL.

The rooms below (`client`, `contract`, `handlers`, `system`) are for each other: what users need is here.
"""

from ._drift import ClassDrift as ClassDrift
from ._open import open_runtime as open_runtime
from ._open_client import open_client as open_client
from ._resources import ResourceFailed as ResourceFailed
from ._runtime import Runtime as Runtime
from ._runtime import RuntimeStatistics as RuntimeStatistics
from ._settings import Settings as Settings
from .client import Client as Client
from .client import NotRunning as NotRunning
from .client import QueueFull as QueueFull
from .client import Recorded as Recorded
from .client import UnknownQueue as UnknownQueue
from .contract import ActorUnavailable as ActorUnavailable
from .contract import AskFailed as AskFailed
from .contract import BrokenStream as BrokenStream
from .contract import DeadLetter as DeadLetter
from .contract import ServerForgot as ServerForgot
from .contract import StoppedKey as StoppedKey
from .handlers import ActorStatistics as ActorStatistics
from .handlers import TurnTooLong as TurnTooLong
from .memory import MemoryStore as MemoryStore
from .memory import SessionEnded as SessionEnded
from .memory import TransactionOver as TransactionOver
from .memory import Unstorable as Unstorable
from .postgres import BinariesNotFoundError as BinariesNotFoundError
from .postgres import BudgetExceeded as BudgetExceeded
from .postgres import DatabaseError as DatabaseError
from .postgres import DatabaseRefused as DatabaseRefused
from .postgres import DatabaseUnreachable as DatabaseUnreachable
from .postgres import DatabaseUrlError as DatabaseUrlError
from .postgres import EmbeddedError as EmbeddedError
from .postgres import InvalidDatabaseUrl as InvalidDatabaseUrl
from .postgres import PoolClosed as PoolClosed
from .postgres import PoolExhausted as PoolExhausted
from .postgres import SchemaError as SchemaError
from .postgres import UnfitSession as UnfitSession
from .system import FetcherStatistics as FetcherStatistics
