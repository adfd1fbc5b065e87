"""The in-memory store: the contract of PostgreSQL's, in one process, on Trio's clock."""

from ._sessions import SessionEnded as SessionEnded
from ._store import MemoryStore as MemoryStore
from ._transaction import MemoryTransaction as MemoryTransaction
from ._transaction import TransactionOver as TransactionOver
from ._transaction import Unstorable as Unstorable
