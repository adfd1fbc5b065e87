"""PostgreSQL: psycopg on Trio, the pool, the store, the embedded server."""

from ._connection import SETTLE_SECONDS as SETTLE_SECONDS
from ._connection import Connection as Connection
