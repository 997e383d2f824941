"""Which schema version a database file is at, and whether this library may work with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from peewee import PostgresqlDatabase, SqliteDatabase

from waiaas.ddl.connection import plain_rows
from waiaas.ddl.sql import fold
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.translation import translate_errors
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.paths import file_of
from waiaas.report import Report

if TYPE_CHECKING:
    from peewee import Database

# The tables that every version has; version 3 renamed `agents` to `wallets`.
_CORE_TABLES = frozenset(
    {"agents", "wallets", "sessions", "transactions", "policies", "pending_approvals", "audit_log", "key_value_store"}
)
_MIN_CORE_TABLES = 3


@dataclass(frozen=True)
class Status(Report):
    """The answer of :func:`status`.

    `action` is `"ok"` (the file is at the latest version), `"migrate"` (it is older, or empty: version 0) or
    `"refuse"`. `version` is the file's, or None if it is unknown; `latest_version` is the one that this library works
    with. `reason` is the reason in one word, and `error` is the refusal, None unless refused.
    """

    action: Literal["ok", "migrate", "refuse"]
    version: int | None
    latest_version: int
    reason: str
    error: WAIaaSError | None = None


def status(database: Database) -> Status:
    """Return the status of an open database, as documented in `waiaas.status`."""
    try:
        version = schema_version(database)
    except WAIaaSError as error:
        return refused(error)
    if version == LATEST_SCHEMA_VERSION:
        return Status("ok", version, LATEST_SCHEMA_VERSION, "latest_version")
    reason = "older_version" if version else "empty_database"
    return Status("migrate", version, LATEST_SCHEMA_VERSION, reason)


def refused(error: WAIaaSError) -> Status:
    """Return the status of a database that this library cannot work with."""
    known = (error.details or {}).get("version")
    version = known if isinstance(known, int) else None
    return Status("refuse", version, LATEST_SCHEMA_VERSION, str(error.reason), error)


def schema_version(database: Database) -> int:
    """Return the schema version of a WAIaaS database: the highest in its table `schema_version`, 0 if it is empty.

    :raises WAIaaSError: if this library cannot work with it: ``not_sqlite``, ``not_a_database``, ``other_program``,
        ``schema_version_missing``, ``schema_version_empty``, ``code_too_old``, or a reason why it cannot be read.
    """
    if isinstance(database, PostgresqlDatabase):
        # A program that has only files does not load the driver's module.
        from waiaas.migrations.postgresql import read_version

        return read_version(database)
    if not isinstance(database, SqliteDatabase):
        raise refusal("not_sqlite", backend=type(database).__name__)
    with translate_errors(database), plain_rows(database.connection()):
        version = _read(database)
    if version > LATEST_SCHEMA_VERSION:
        raise refusal("code_too_old", path=file_of(database), version=version, latest=LATEST_SCHEMA_VERSION)
    return version


def existing_version(database: Database) -> int:
    """Return the schema version of a database; refuse (`empty_database`) one without tables."""
    version = schema_version(database)
    if version == 0:
        raise refusal("empty_database", path=file_of(database))
    return version


def _read(database: SqliteDatabase) -> int:
    """Read the version, and nothing that SQLite would compute by an expression in the file."""
    names = database.execute_sql("SELECT type, CAST(name AS BLOB) FROM main.sqlite_master").fetchall()
    if not names:
        return 0
    path = file_of(database)
    encoding = str(database.pragma("encoding"))
    # A name can have any bytes; those of our tables are ASCII.
    tables = {fold(bytes(name or b"").decode(encoding, "replace")) for type_, name in names if type_ == "table"}
    if len(tables & _CORE_TABLES) < _MIN_CORE_TABLES:
        raise refusal("other_program", path=path, tables=sorted({"wallets", "sessions", "transactions"} - tables))
    if "schema_version" not in tables:
        raise refusal("schema_version_missing", path=path)
    _refuse_expression(database)
    # NOT INDEXED: the value comes from the row itself.
    (version,) = database.execute_sql(
        "SELECT max(version) FROM main.schema_version NOT INDEXED WHERE typeof(version) = 'integer' AND version > 0"
    ).fetchone()
    if version is None:
        raise refusal("schema_version_empty", path=path)
    return int(version)


def _refuse_expression(database: SqliteDatabase) -> None:
    """Refuse a column `version` that is missing or generated, and a table that a module keeps.

    A generated column is an expression of the file, and a virtual table runs the code of its module.
    """
    stored = database.execute_sql(
        "SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND lower(name) = 'schema_version' AND rootpage <> 0"
    ).fetchone()
    columns = database.execute_sql("PRAGMA main.table_xinfo(schema_version)").fetchall() if stored else []
    if not any(fold(name) == "version" and hidden == 0 for _, name, *_, hidden in columns):
        problem = "it has no plain column version"
        raise refusal("unexpected_schema", table="schema_version", problem=problem)
