"""Finds the obstacles to an upgrade by running its steps on a copy of the schema without rows.

The file is only read: running the steps in it and rolling them back would write to its log or its pages. If an object
of the user stops a step, it is dropped in the copy and the step is repeated, so that all such objects are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from peewee import PeeweeException, SqliteDatabase

from waiaas.ddl.rebuild import REBUILD_NAME
from waiaas.ddl.schema import StoredObject, is_virtual, stored_objects
from waiaas.ddl.schema_copy import works
from waiaas.ddl.sql import fold, quote, tokens, unquote, without_argument
from waiaas.ddl.stubs import known_collations, known_functions, with_stubs
from waiaas.ddl.untrusted import INSPECTION_LIMITS, lower_limits
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import cause_of
from waiaas.migrations import LATEST_SCHEMA_VERSION, MIN_COMPATIBLE_SCHEMA_VERSION, history
from waiaas.migrations.differences import refuse_other_tables, tables_of
from waiaas.migrations.history import Migration
from waiaas.migrations.migrator import VersionMigrator
from waiaas.migrations.report import Options

_Create = Callable[["SqliteDatabase", sqlite3.Connection, Sequence[StoredObject]], None]
_DROPPED_AS = {"index": "INDEX", "trigger": "TRIGGER", "view": "VIEW", "virtual table": "TABLE"}


def obstacles_ahead(database: SqliteDatabase, pending: Sequence[Migration], options: Options) -> list[WAIaaSError]:
    """Return the refusals that the schema alone causes, in the order of the steps; rows are not read."""
    found: list[WAIaaSError] = []
    with copy_without_rows(database) as copy:
        migrator = VersionMigrator(copy, options)
        for migration in pending:
            while (obstacle := _obstacle(migrator, migration)) is not None:
                found.append(obstacle)
                if not _drop(copy, obstacle):
                    return found
        found += _leftovers(database, migrator.result.leftovers_used)
        try:
            refuse_other_tables(copy, LATEST_SCHEMA_VERSION)
        except WAIaaSError as error:
            found.append(error)
    return found


def _obstacle(migrator: VersionMigrator, migration: Migration) -> WAIaaSError | None:
    try:
        with migrator.migration_context():
            for obstacle in history.obstacles(migration, migrator):
                raise obstacle
            migration.up(migrator)
    except WAIaaSError as error:
        return error
    except PeeweeException as error:
        return refusal("migration_failed", version=migration.VERSION, cause=cause_of(error))
    return None


def _leftovers(database: SqliteDatabase, used: Sequence[str]) -> list[WAIaaSError]:
    """Refuse tables with rows which the steps, in the copy without rows, have used or removed as empty leftovers."""
    rows = {table: VersionMigrator(database).count(table) for table in used}
    return [refusal("leftover_table", table=table, rows=count) for table, count in rows.items() if count]


def _drop(copy: SqliteDatabase, obstacle: WAIaaSError) -> bool:
    """Drop the object of an obstacle from the copy; return False if it cannot be dropped."""
    details = obstacle.details or {}
    kind = _DROPPED_AS.get(str(details.get("kind")))
    if kind is None:
        return False
    try:
        for name in str(details["name"]).split(", "):
            copy.execute_sql(f"DROP {kind} main.{quote(name)}")
    except PeeweeException:
        return False
    return True


@contextmanager
def copy_without_rows(database: SqliteDatabase) -> Iterator[SqliteDatabase]:
    """Yield an in-memory database without rows, with the objects of a file that may affect an upgrade."""
    stored = _needed(stored_objects(database, "table", "index", "view", "trigger"))
    try:
        copy = _filled(database, stored, _create_together)
    except sqlite3.DatabaseError:
        # A single invalid definition, such as one that was edited, makes SQLite refuse all of them.
        copy = _filled(database, stored, _create_each)
    try:
        yield copy
    finally:
        copy.close()


def _filled(database: SqliteDatabase, stored: Sequence[StoredObject], create: _Create) -> SqliteDatabase:
    """Return a database in memory with these objects, and the collations and functions that the connection has."""
    copy = SqliteDatabase(":memory:")
    try:
        connection = copy.connection()
        lower_limits(connection, INSPECTION_LIMITS)
        for name in known_collations(database.connection()):
            connection.create_collation(name, lambda *_: 0)
        for name in known_functions(database.connection()) - known_functions(connection):
            connection.create_function(name, -1, lambda *_: None, deterministic=True)
        connection.execute("BEGIN")
        create(database, connection, stored)
        connection.execute("COMMIT")
    except BaseException:
        copy.close()
        raise
    return copy


def _create_each(database: SqliteDatabase, copy: sqlite3.Connection, stored: Sequence[StoredObject]) -> None:
    for each in stored:
        _create(database, copy, each)


def _create_together(database: SqliteDatabase, copy: sqlite3.Connection, stored: Sequence[StoredObject]) -> None:
    """Create all objects in a time that grows linearly with their number.

    SQLite reads all of sqlite_master after each CREATE statement. So the rows of tables and indexes are removed from
    it and restored at the end. Views and triggers have no pages, so their rows can be inserted directly. Virtual
    tables come last: they create their own tables.
    """
    virtual = {fold(each.name) for each in stored if _is_virtual(each)}
    their_own = tuple(f"{name}_" for name in virtual)
    rows: list[tuple[object, ...]] = []
    last: list[StoredObject] = []
    copy.execute("PRAGMA writable_schema = ON")
    for each in stored:
        if fold(each.table) in virtual or fold(each.table).startswith(their_own):
            last.append(each)
        elif each.kind in ("table", "index"):
            _create(database, copy, each)
            rows += copy.execute("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master").fetchall()
            copy.execute("DELETE FROM sqlite_master")
        else:
            rows.append((*each[:3], 0, each.sql))
    copy.executemany("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", rows)
    copy.execute("PRAGMA writable_schema = RESET")
    copy.execute("SELECT 1 FROM sqlite_master").fetchone()
    _create_each(database, copy, last)


def _needed(stored: Sequence[StoredObject]) -> list[StoredObject]:
    """Leave out tables without foreign keys that no view, trigger or virtual table names, with their indexes.

    A file may have thousands of such tables, and they do not affect any step.
    """
    ours = {*tables_of(MIN_COMPATIBLE_SCHEMA_VERSION), *tables_of(LATEST_SCHEMA_VERSION)}
    users = [each for each in stored if each.kind in ("view", "trigger") or _is_virtual(each)]
    named = {fold(unquote(token.text)) for each in users for token in tokens(each.sql)}

    def is_needed(table: StoredObject) -> bool:
        name = fold(table.name)
        is_known = name in ours or name in named or name.startswith(REBUILD_NAME.format(""))
        return is_known or _is_virtual(table) or any(t.is_word("references") for t in tokens(table.sql))

    left_out = {fold(each.name) for each in stored if each.kind == "table" and not is_needed(each)}
    return [each for each in stored if fold(each.table) not in left_out and not fold(each.name).startswith("sqlite_")]


def _is_virtual(stored: StoredObject) -> bool:
    return stored.kind == "table" and is_virtual(stored.sql)


def _create(database: SqliteDatabase, copy: sqlite3.Connection, stored: StoredObject) -> None:
    """Create an object in the copy; a virtual table that cannot be created is only added to the schema."""
    try:
        with_stubs(copy, lambda: copy.execute(stored.sql))
    except sqlite3.Error as error:
        if "already exists" in str(error) or not _is_virtual(stored):
            return
        if _can_be_read(database, stored.name):
            # The connection has its tokenizer; the copy works without it.
            works(copy, without_argument(stored.sql, "tokenize"))
        else:
            copy.execute("PRAGMA writable_schema = ON")
            copy.execute(
                "INSERT INTO sqlite_master VALUES ('table', ?, ?, 0, ?)", (stored.name, stored.name, stored.sql)
            )
            copy.execute("PRAGMA writable_schema = RESET")


def _can_be_read(database: SqliteDatabase, table: str) -> bool:
    try:
        database.execute_sql(f"SELECT * FROM main.{quote(table)} LIMIT 1").fetchone()
    except PeeweeException:
        return False
    return True
