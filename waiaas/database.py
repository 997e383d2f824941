"""Opening and closing a WAIaaS database file: created when empty, upgraded when old, refused when not ours."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from typing import TYPE_CHECKING

from peewee import OperationalError, SchemaManager, SqliteDatabase

from waiaas import migrations
from waiaas.errors import refusal
from waiaas.migrations.faults import known_reason, refusing, uri
from waiaas.migrations.version import schema_version
from waiaas.models import MODELS, SchemaVersion

if TYPE_CHECKING:
    from waiaas.migrations.report import ProgressCallback

#: Seconds that a statement waits for another connection's lock, unless told otherwise.
BUSY_TIMEOUT = 5.0
_IN_MEMORY = ":memory:"
# What the daemon sets on each connection, but for busy_timeout, which is Peewee's `timeout`, and journal_mode: that
# one is a change of the file itself, so it waits until the file is known to be ours and at the latest version.
_PRAGMAS: dict[str, str | int] = {
    "synchronous": "NORMAL",
    "foreign_keys": "ON",
    "cache_size": -64000,
    "mmap_size": 268435456,
    "temp_store": "MEMORY",
}


def connect(
    path: str | PathLike[str],
    *,
    upgrade: bool = True,
    backup: migrations.Backup = True,
    skip_orphans: bool = False,
    busy_timeout: float = BUSY_TIMEOUT,
    progress: ProgressCallback | None = None,
) -> SqliteDatabase:
    """Open a WAIaaS database file at the latest schema version.

    A file that is empty or does not exist is created (mode 0600, for it will hold the key that signs session
    tokens); an older one is upgraded first, as `waiaas.upgrade` does it and with its `backup`, `skip_orphans` and
    `progress`. With `upgrade=False` an older file is opened as it is, without change. `busy_timeout` is how many
    seconds a statement waits for another connection's lock. `":memory:"` is a new database in memory.

    Returns a `peewee.SqliteDatabase`; every connection that it makes (one a thread) has the daemon's PRAGMAs:
    `journal_mode=WAL`, `synchronous=NORMAL`, `foreign_keys=ON`, `busy_timeout=5000`, `cache_size=-64000`,
    `mmap_size=268435456`, `temp_store=MEMORY`. An older file that is opened as it is keeps its journal mode.

    Raises WAIaaSError `SCHEMA_INCOMPATIBLE`, with the file as it was; its `reason` says why, among them
    `code_too_old` (install a newer waiaas), `not_a_database`, `other_program`, `schema_version_missing`,
    `read_only`, `database_busy`, and all that `waiaas.upgrade` refuses.

    >>> database = connect(":memory:")
    >>> database.pragma("foreign_keys")
    1
    >>> close(database)
    """
    path = os.fspath(path)
    if path != _IN_MEMORY:
        _reserve(path)
        _refuse_incompatible(path)
    database = SqliteDatabase(path, pragmas=_PRAGMAS, timeout=busy_timeout)
    try:
        with refusing(database):
            _bring_up(database, upgrade, backup, skip_orphans, progress)
    except BaseException:
        database.close()
        raise
    return database


def close(database: SqliteDatabase) -> None:
    """Write the whole write-ahead log back into the file and close this thread's connection.

    Where another connection is still reading, the log stays for it and is written back later; nothing is lost.
    A closed database may be closed again. Raises WAIaaSError `SCHEMA_INCOMPATIBLE` with the reason
    `inside_transaction` where a transaction is open.
    """
    if database.is_closed():
        return
    if database.in_transaction() or database.connection().in_transaction:
        raise refusal("inside_transaction")
    with suppress(OperationalError):
        database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


@contextmanager
def open_as_it_is(path: str | PathLike[str]) -> Iterator[SqliteDatabase]:
    """Open a file to look at it: nothing is created, changed or left behind, whatever the file is.

    Raises WAIaaSError `SCHEMA_INCOMPATIBLE` with the reason `file_not_found` where there is no file.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise refusal("file_not_found", path=path)
    # Whoever closes a database last writes its log back into the file, so where there is one (left by a daemon
    # that was killed, or in use) the file is opened for reading only. Without one, a connection for reading only
    # would leave an empty log behind, and could not roll back what a crash left half-written.
    mode = "ro" if os.path.exists(f"{path}-wal") else "rw"
    database = SqliteDatabase(uri(path, mode), uri=True, timeout=BUSY_TIMEOUT)
    try:
        with refusing(database):
            database.execute_sql("SELECT count(*) FROM sqlite_master")
        yield database
    finally:
        database.close()


@contextmanager
def open_to_change(path: str | PathLike[str]) -> Iterator[SqliteDatabase]:
    """Open an existing file for `upgrade` or `downgrade`: not a byte changes but by what they do.

    Raises WAIaaSError `SCHEMA_INCOMPATIBLE` as `connect` does, with the reason `file_not_found` where there is no file
    and `empty_database` where there is nothing in it.
    """
    if _refuse_incompatible(path) == 0:
        raise refusal("empty_database", path=os.fspath(path))
    database = SqliteDatabase(os.fspath(path), pragmas=_PRAGMAS, timeout=BUSY_TIMEOUT)
    try:
        yield database
    finally:
        close(database)


def _reserve(path: str) -> None:
    """Make sure that there is a file, and that an empty one is its owner's alone before anything is in it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        if os.path.isfile(path):
            return  # One that cannot be written may still be read; SQLite will say.
        raise refusal("cannot_open", path=path, cause=str(error)) from error
    try:
        if os.fstat(descriptor).st_size == 0:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _refuse_incompatible(path: str | PathLike[str]) -> int:
    """Return the schema version of a file that this library can work with."""
    with open_as_it_is(path) as database:
        return schema_version(database)


def _bring_up(
    database: SqliteDatabase,
    upgrade: bool,
    backup: migrations.Backup,
    skip_orphans: bool,
    progress: ProgressCallback | None,
) -> None:
    version = schema_version(database)
    if version == 0:
        _create(database)
    elif version < migrations.LATEST_SCHEMA_VERSION:
        if not upgrade:
            return
        migrations.upgrade(database, backup=backup, skip_orphans=skip_orphans, progress=progress)
    _use_write_ahead_log(database)


def _create(database: SqliteDatabase) -> None:
    """Create every table and index of the latest version, unless another process did so meanwhile."""
    with database.atomic("IMMEDIATE"):
        if schema_version(database) != 0:
            return
        for model in MODELS:
            SchemaManager(model, database).create_all(safe=False)
        now = int(time.time())
        rows = [(version, now, description) for version, description in migrations.DESCRIPTIONS.items()]
        table = SchemaVersion._meta.table_name
        for row in rows:
            database.execute_sql(f"INSERT INTO {table} (version, applied_at, description) VALUES (?, ?, ?)", row)


def _use_write_ahead_log(database: SqliteDatabase) -> None:
    """Switch the file, and each later connection, to the write-ahead log.

    The switch needs the file for itself for a moment, and SQLite does not wait for that
    (https://www.sqlite.org/wal.html#activating_and_configuring_wal_mode), so this does.
    """
    deadline = time.monotonic() + database.timeout
    while True:
        try:
            database.pragma("journal_mode", "wal", permanent=True)
            return
        except OperationalError as error:
            if known_reason(error) != "database_busy" or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
