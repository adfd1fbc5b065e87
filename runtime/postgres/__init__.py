"""PostgreSQL: psycopg on Trio, the pool, the store, the embedded server."""
