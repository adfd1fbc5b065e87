"""PostgreSQL: psycopg on Trio, the pool, the store, the embedded server."""

from ._choice import DatabaseChoice as DatabaseChoice
from ._choice import DatabaseUrlError as DatabaseUrlError
from ._choice import choose_database as choose_database
from ._choice import open_database as open_database
