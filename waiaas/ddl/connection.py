"""Reads rows on the caller's connection, and overrides its unsafe settings while a table changes.

The overridden settings are restored afterwards. A connection on which a change could not be rolled back is refused
before anything is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from peewee import SqliteDatabase

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import cause_of
from waiaas.paths import file_of, real_path

# Settings that can be changed at any time, even inside a transaction. Ignored CHECKs would accept rows that violate
# them (https://www.sqlite.org/pragma.html#pragma_ignore_check_constraints), a writable schema hides errors in it, and
# with the legacy ALTER TABLE a rename would not update triggers and views.
_OVERRIDDEN = {"ignore_check_constraints": 0, "writable_schema": 0, "legacy_alter_table": 0}
# Without a journal on disk a change cannot be rolled back, or not after a crash
# (https://www.sqlite.org/pragma.html#pragma_journal_mode).
_UNSAFE_JOURNALS = {"file": ("off", "memory"), "memory": ("off",)}
_SAFE_JOURNAL = {"file": "delete", "memory": "memory"}
_PROBE = "waiaas_probe"


def read(database: SqliteDatabase, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query as tuples with `str`, regardless of the connection's row and text factories.

    Peewee's log and query hooks do not see the query: they are for statements that change the database.
    """
    connection = database.connection()
    rows: list[tuple[Any, ...]]
    if connection.row_factory is None and connection.text_factory is str:  # as in a migration, which reads often
        rows = connection.execute(sql, parameters).fetchall()
    else:
        with plain_rows(connection):
            rows = connection.execute(sql, parameters).fetchall()
    return rows


@contextmanager
def plain_rows(connection: sqlite3.Connection) -> Iterator[None]:
    """Read rows as tuples and text as `str`, regardless of the factories that the caller has set."""
    before = connection.row_factory, connection.text_factory
    connection.row_factory, connection.text_factory = None, str
    try:
        yield
    finally:
        connection.row_factory, connection.text_factory = before


@contextmanager
def safe_settings(database: SqliteDatabase) -> Iterator[None]:
    """Run a block with settings that are safe for a change, and restore the caller's settings.

    :raises WAIaaSError: ``connection_settings`` if a setting cannot be changed; ``unfinished_query`` if a query of
        this connection has unread rows.
    """
    _refuse_other_writers(database)
    _refuse_unfinished_queries(database.connection())
    if _pragma(database, "query_only"):
        raise refusal("connection_settings", problem="PRAGMA query_only is on, so it may not write")
    with plain_rows(database.connection()), _journal(database), pragmas(database, _OVERRIDDEN):
        yield


@contextmanager
def pragmas(
    database: SqliteDatabase, wanted: Mapping[str, int], warn: Callable[[WAIaaSError], None] | None = None
) -> Iterator[None]:
    """Set PRAGMAs that take a number, and restore them at the end.

    An error while restoring them never hides one of the block. If the block succeeded, its change may be committed:
    the error is then passed to `warn`, or raised without `warn`.
    """
    before = {name: _pragma(database, name) for name in wanted}
    try:
        for name, value in wanted.items():
            if before[name] != value:
                read(database, f"PRAGMA {name} = {value}")
        yield
    except BaseException:
        _restore(database, before, wanted)
        raise
    if failed := _restore(database, before, wanted):
        name, error = next(iter(failed.items()))
        if warn is None:
            raise error
        settings = ", ".join(f"{name} = {before[name]}" for name in failed)
        warn(refusal("settings_not_restored", path=file_of(database), settings=settings, cause=cause_of(error)))


def _restore(database: SqliteDatabase, before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, sqlite3.Error]:
    """Restore the values of PRAGMAs, and return the errors by PRAGMA."""
    failed: dict[str, sqlite3.Error] = {}
    for name, value in before.items():
        try:
            if now[name] != value:
                read(database, f"PRAGMA {name} = {value}")
        except sqlite3.Error as error:
            failed[name] = error
    return failed


def has_foreign_keys_on(database: SqliteDatabase) -> bool:
    """Return whether the connection enforces foreign keys."""
    return bool(_pragma(database, "foreign_keys"))


def _pragma(database: SqliteDatabase, name: str) -> Any:
    rows = read(database, f"PRAGMA {name}")
    # SQLite can be built without a setting, which is then off.
    return rows[0][0] if rows else 0


@contextmanager
def _journal(database: SqliteDatabase) -> Iterator[None]:
    mode = str(_pragma(database, "main.journal_mode"))
    place = "file" if real_path(database) else "memory"
    if mode not in _UNSAFE_JOURNALS[place]:
        yield
        return
    safe = _SAFE_JOURNAL[place]
    if database.connection().in_transaction or _pragma(database, f"main.journal_mode = {safe}") != safe:
        raise refusal(
            "connection_settings", problem=f"its journal_mode is {mode.upper()}, so nothing can be rolled back"
        )
    try:
        yield
    finally:
        read(database, f"PRAGMA main.journal_mode = {mode}")


def _refuse_other_writers(database: SqliteDatabase) -> None:
    """Refuse a database whose statements run on another connection."""
    queue = sys.modules.get("playhouse.sqliteq")
    if queue is not None and isinstance(database, queue.SqliteQueueDatabase):
        problem = "a SqliteQueueDatabase writes in another thread and has no transactions: use a SqliteDatabase"
        raise refusal("connection_settings", problem=problem)
    connection = database.connection()
    if not isinstance(connection, sqlite3.Connection):
        problem = f"it is of {type(connection).__module__}, not of sqlite3: use a SqliteDatabase"
        raise refusal("connection_settings", problem=problem)


def _refuse_unfinished_queries(connection: sqlite3.Connection) -> None:
    """Refuse while a query has unread rows: SQLite then drops no table, and a rollback would end the query.

    SQLite does not list its unfinished statements, but replaces no function while there are any
    (sqlite3CreateFunc in its main.c: "unable to delete/modify user-function due to active statements").
    """
    try:
        for _ in range(2):
            connection.create_function(_PROBE, 0, _nothing)
        connection.create_function(_PROBE, 0, None)
    except sqlite3.OperationalError as error:
        raise refusal("unfinished_query") from error


def _nothing() -> None:
    """A placeholder that is never called."""
