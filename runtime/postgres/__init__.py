"""PostgreSQL: psycopg on Trio, the pool, the store, the embedded server."""

from ._budget import BudgetExceeded as BudgetExceeded
from ._choice import DatabaseChoice as DatabaseChoice
from ._choice import DatabaseUrlError as DatabaseUrlError
from ._choice import choose_database as choose_database
from ._choice import open_database as open_database
from ._connection import Connection as Connection
from ._errors import DatabaseAddress as DatabaseAddress
from ._errors import DatabaseError as DatabaseError
from ._errors import DatabaseRefused as DatabaseRefused
from ._errors import DatabaseUnreachable as DatabaseUnreachable
from ._errors import Holder as Holder
from ._errors import InvalidDatabaseUrl as InvalidDatabaseUrl
from ._errors import PoolClosed as PoolClosed
from ._errors import PoolExhausted as PoolExhausted
from ._migrating import SchemaError as SchemaError
from ._migrating import migrate as migrate
from ._patience import SETTLE_SECONDS as SETTLE_SECONDS
from ._patience import Patience as Patience
from ._pool import Pool as Pool
from ._pool import PoolStatistics as PoolStatistics
from ._pool import open_pool as open_pool
from ._session import application_name as application_name
from ._session import connect_session as connect_session
from ._store import PostgresStore as PostgresStore
from ._store import open_store as open_store
