"""Commits a migration, and finds out whether a commit that reported an error took effect."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from peewee import PeeweeException

from waiaas.ddl.connection import read
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import cookie_in_file
from waiaas.errors.sqlite import cause_of
from waiaas.paths import file_of, path_to_open, uri

if TYPE_CHECKING:
    from peewee import SqliteDatabase


@contextmanager
def immediate_transaction(database: SqliteDatabase, warn: Callable[[WAIaaSError], None]) -> Iterator[None]:
    """Run a block in one transaction that holds the write lock from the start.

    `warn` is called with the error if the commit reported one but took effect.

    After some errors, such as a full disk, SQLite rolls back on its own
    (https://www.sqlite.org/lang_transaction.html#immediate), and Peewee's `atomic` would then replace the error with
    "cannot rollback - no transaction is active".
    """
    with database.manual_commit():
        database.begin("IMMEDIATE")
        try:
            cookie = _schema_cookie(database)
            yield
            warning = _commit(database, cookie)
        except BaseException:
            if database.connection().in_transaction:
                # An error of the rollback must not hide the first one; the next connection rolls back.
                with suppress(PeeweeException):
                    database.rollback()
            raise
        if warning is not None:
            warn(warning)


def _schema_cookie(database: SqliteDatabase) -> int:
    """Return the number that SQLite increments when the schema changes."""
    ((cookie,),) = read(database, "PRAGMA main.schema_version")
    return int(cookie)


def _commit(database: SqliteDatabase, cookie_before: int) -> WAIaaSError | None:
    """Commit a transaction that began when the schema cookie was `cookie_before`.

    A COMMIT that reports an error may have taken effect: with `synchronous=EXTRA` SQLite syncs the folder after it has
    deleted the journal, and deleting it commits (https://www.sqlite.org/pragma.html#pragma_synchronous). So a new
    connection reads the schema cookie of the file.

    :returns: a warning (`not_synced`) if the change is committed and the commit reported an error.
    :raises peewee.PeeweeException: if the change was not committed, or did not change the schema; it is rolled back.
    """
    path, cookie = path_to_open(database), _schema_cookie(database)
    try:
        database.commit()
    except (PeeweeException, sqlite3.Error, MemoryError) as error:
        with suppress(PeeweeException, sqlite3.Error):
            if database.connection().in_transaction:
                database.rollback()
        if not os.path.isfile(path) or cookie == cookie_before or not _has_schema(path, cookie):
            _overwrite_frames(database.connection())
            raise
        return refusal("not_synced", path=file_of(database), cause=cause_of(error))
    return None


def _has_schema(path: str, cookie: int) -> bool:
    try:
        with closing(sqlite3.connect(uri(path, "rw"), uri=True)) as fresh:
            fresh.execute("PRAGMA mmap_size = 0")
            return bool(fresh.execute("PRAGMA schema_version").fetchone() == (cookie,))
    except sqlite3.Error:
        # Perhaps locking fails. Without a journal to roll back, the file itself has the answer.
        return cookie_in_file(path) == cookie


def _overwrite_frames(connection: sqlite3.Connection) -> None:
    """Invalidate a failed commit in the write-ahead log.

    If syncing the log fails, the frames of the commit are already written, and log recovery would later treat them as
    committed. A small commit that overwrites them breaks the chain of their checksums
    (https://www.sqlite.org/fileformat2.html#walformat). It is not synced, so it does not fail for the same reason.
    """
    with suppress(sqlite3.Error):
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            return
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("PRAGMA synchronous = OFF")
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
