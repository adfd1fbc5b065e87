"""Migrations: numbered SQL files, applied once, under a lock, and never changed afterwards."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Any, Final, final

import psycopg
from attrs import frozen
from psycopg import sql

from rolebook.actors import RolebookError

from ._connection import Connection
from ._owner_settings import name_settings

OLDEST_SERVER: Final = 140000
_LOCK: Final = 7_411_000_001
_ENCODINGS: Final = frozenset({"UTF8", "SQL_ASCII"})
"""SQL_ASCII holds the bytes of any text."""


@final
class SchemaError(RolebookError):
    """The database's schema and this version of the program do not fit together."""


@frozen
class Migration:
    """One step of the schema."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The fingerprint under which it is recorded."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return every migration this version knows, in order."""
    found: list[Migration] = []
    for path in (files("rolebook.runtime.postgres") / "migrations").iterdir():
        number, _, name = path.name.removesuffix(".sql").partition("_")
        if path.name.endswith(".sql"):
            found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.version)


async def migrate(connection: Connection[Any], *, schema: str, partitions: int) -> list[Migration]:
    """Bring a database to this version's schema; returns what was applied.

    All of it happens in one transaction under an advisory lock: processes that
    start at the same time apply each migration once, and a failure changes nothing.

    Args:
        connection: An autocommit connection of a role that may create the schema.
        schema: The name of the schema.
        partitions: How many partitions each queue gets, if the database is new.

    Raises:
        SchemaError: If the server is too old, the database is not in UTF-8, the role may not create the
            schema, the schema is newer than this version, or a recorded migration was changed.
    """
    check_server(connection.info.server_version)
    _check_encoding(connection)
    await name_settings(connection)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
            applied = await _applied(connection, schema)
            wanted = _unapplied(applied, schema)
            for migration in wanted:
                await _apply(connection, migration, schema, partitions)
            await _check_cluster(connection, schema)
    except psycopg.errors.InsufficientPrivilege as error:
        info = connection.info
        raise SchemaError(
            f"role {info.user!r} may not create schema {schema!r} in database {info.dbname!r}"
            f" ({str(error).strip()}). Grant it: grant create on database {info.dbname} to {info.user};"
            " or let a role that may run `rolebook migrate` once."
        ) from error
    return wanted


async def check_schema(connection: Connection[Any], *, schema: str) -> None:
    """Refuse a database whose schema is not exactly this version's.

    Raises:
        SchemaError: Naming the difference and the remedy.
    """
    check_server(connection.info.server_version)
    _check_encoding(connection)
    await name_settings(connection)
    missing = _unapplied(await _applied(connection, schema), schema)
    if missing:
        names = ", ".join(f"{m.version:04d}_{m.name}" for m in missing)
        raise SchemaError(f"schema {schema!r} lacks {names}. Run `rolebook migrate`.")
    await _check_cluster(connection, schema)


def check_server(version: int) -> None:
    """Refuse a server that lacks what the statements need.

    Args:
        version: As libpq gives it: 150018 is 15.18.

    Raises:
        SchemaError: It is too old.
    """
    if version < OLDEST_SERVER:
        raise SchemaError(
            f"PostgreSQL {version // 10000}.{version % 10000} is too old: 14 or newer is needed."
        )


def _check_encoding(connection: Connection[Any]) -> None:
    """Keys and texts may have any character: a database must be able to hold each, or fail at the start."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in _ENCODINGS:
        raise SchemaError(
            f"database {connection.info.dbname!r} has the encoding {encoding}, which lacks most characters."
            " Create another with: createdb --encoding UTF8 --template template0 NAME"
        )


async def _applied(connection: Connection[Any], schema: str) -> dict[int, tuple[str, str]]:
    try:
        if not await _exists(connection, "to_regclass", f"{_quoted(schema)}.migrations"):
            return {}
        rows = await connection.execute(
            sql.SQL("select version, name, checksum from {}.migrations").format(sql.Identifier(schema))
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise SchemaError(
            f"role {connection.info.user!r} may not use schema {schema!r} in database"
            f" {connection.info.dbname!r} ({str(error).strip()}). Connect as the schema's owner, or let it"
            " grant usage on the schema and all on its tables, sequences and functions."
        ) from error
    return {version: (name, checksum) for version, name, checksum in await rows.fetchall()}


def _unapplied(applied: dict[int, tuple[str, str]], schema: str) -> list[Migration]:
    known = {migration.version: migration for migration in migrations()}
    for version, (name, checksum) in sorted(applied.items()):
        migration = known.get(version)
        if migration is None:
            raise SchemaError(
                f"schema {schema!r} has migration {version:04d}_{name}, which this version does not"
                " know: it belongs to a newer version. Upgrade rolebook."
            )
        if migration.checksum != checksum:
            raise SchemaError(
                f"migration {version:04d}_{name} was changed after it was applied to schema {schema!r}."
                " Install the version that applied it, or restore its file."
            )
    return [migration for version, migration in known.items() if version not in applied]


async def _apply(connection: Connection[Any], migration: Migration, schema: str, partitions: int) -> None:
    name = sql.Identifier(schema)
    if migration.version == 1:
        # "if not exists" would ask for the right to create one, of a role that was given a schema of its own.
        if not await _exists(connection, "to_regnamespace", _quoted(schema)):
            await connection.execute(sql.SQL("create schema {}").format(name))
        await connection.execute(
            sql.SQL(
                "create table {}.migrations (version integer primary key, name text not null,"
                " checksum text not null, applied_at timestamptz not null default now())"
            ).format(name)
        )
    # The file is this package's own; psycopg wants a literal, which a file cannot be.
    text = sql.SQL(migration.text)  # pyright: ignore[reportArgumentType]
    await connection.execute(
        text.format(schema=name, channel=sql.Literal(schema), partitions=sql.Literal(partitions))
    )
    await connection.execute(
        sql.SQL("insert into {}.migrations (version, name, checksum) values (%s, %s, %s)").format(name),
        (migration.version, migration.name, migration.checksum),
    )


async def _exists(connection: Connection[Any], look_up: str, name: str) -> bool:
    query = sql.SQL("select {}(%s) is not null").format(sql.Identifier(look_up))
    return await (await connection.execute(query, (name,))).fetchone() == (True,)


async def _check_cluster(connection: Connection[Any], schema: str) -> None:
    """A dump restored into another cluster meets transaction ids that start over."""
    answer = await connection.execute(
        sql.SQL(
            "select m.system_identifier, c.system_identifier::text from {}.meta m, pg_control_system() c"
        ).format(sql.Identifier(schema))
    )
    row = await answer.fetchone()
    if row is not None and row[0] != row[1]:
        raise SchemaError(
            f"schema {schema!r} was restored from another cluster (system identifier {row[0]},"
            f" here {row[1]}): its stored transaction ids mean nothing here. Run `rolebook rebase` once,"
            " with no process of the app running."
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def read_partitions(connection: Connection[Any], *, schema: str) -> int:
    """Return how many partitions each queue has."""
    answer = await connection.execute(
        sql.SQL("select partitions from {}.meta").format(sql.Identifier(schema))
    )
    row = await answer.fetchone()
    assert row is not None
    return int(row[0])
