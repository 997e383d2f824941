"""Opening and closing a WAIaaS database file: created when empty, upgraded when old, refused when not ours."""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from os import PathLike
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from peewee import (
    Database,
    OperationalError,
    PeeweeException,
    PostgresqlDatabase,
    SchemaManager,
    SqliteDatabase,
    _manual,
    _savepoint,
)

from waiaas import migrations
from waiaas.errors import refusal
from waiaas.migrations.damage import has_log, refuse_damage
from waiaas.migrations.faults import known_reason, refusing, translated, uri
from waiaas.migrations.version import schema_version
from waiaas.models import MODELS, SchemaVersion

if TYPE_CHECKING:
    from waiaas.migrations.report import ProgressCallback

#: Seconds that a statement waits for another connection's lock, unless told otherwise.
BUSY_TIMEOUT = 5.0
# SQLite takes milliseconds as a 32-bit number.
_LONGEST_TIMEOUT = 2_147_483
_IN_MEMORY = ":memory:"
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL
# Before anything is read, for the first SELECT fixes what the transaction sees; others may read meanwhile
# (https://www.postgresql.org/docs/current/sql-lock.html). Without it, of two writers one would fail at random.
_POSTGRESQL_LOCK = "LOCK TABLE schema_version IN SHARE ROW EXCLUSIVE MODE"
# Seconds, at random: two that wait should not look at the same moments.
_LOOK_AGAIN_AFTER = (0.001, 0.004)
# What the daemon sets on each connection, but for busy_timeout, which is Peewee's `timeout`, and journal_mode: that
# one is a change of the file itself, so it waits until the file is known to be ours and at the latest version.
_PRAGMAS: dict[str, str | int] = {
    "synchronous": "NORMAL",
    "foreign_keys": "ON",
    "cache_size": -64000,
    "mmap_size": 268435456,
    "temp_store": "MEMORY",
}


class WaiaasDatabase(SqliteDatabase):
    """Peewee's SQLite database, with what a program needs that writes from several threads, or forks."""

    # Peewee's own: what it knows of this thread's connection, and what its execute_sql calls.
    _state: Any
    _execute_cursor: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what Peewee takes."""
        super().__init__(*args, **options)
        self._write_turn = threading.Lock()
        _databases.add(self)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction; one that takes the write lock at once waits for it up to the busy timeout.

        SQLite's own wait looks again after ever longer sleeps, up to 100 ms (sqliteDefaultBusyCallback in its
        main.c), so that in a crowd of processes one may not find the lock free for seconds. This one looks again
        after a few milliseconds each time.
        """
        if lock_type != "IMMEDIATE":
            super().begin(lock_type)
            return
        deadline = time.monotonic() + self.timeout
        try:
            self._wait_for_locks(0)
            while True:
                try:
                    super().begin(lock_type)
                    return
                except OperationalError as error:
                    if known_reason(error) != "database_busy" or time.monotonic() > deadline:
                        raise
                time.sleep(random.uniform(*_LOOK_AGAIN_AFTER))
        finally:
            self._wait_for_locks(self.timeout)

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement, but not where the transaction is gone that the caller believes to be in.

        After some errors, a full disk among them, SQLite has rolled back the whole transaction by itself
        (https://www.sqlite.org/lang_transaction.html, section 3). What the caller's block did then, having caught
        such an error, would be committed one statement at a time.
        """
        # Every statement comes here, so that a call of the methods of Peewee that do the same would count.
        state = self._state
        if state.transactions and not state.conn.in_transaction and not isinstance(state.transactions[0], _manual):
            raise OperationalError("the transaction was rolled back after an error; leave it and begin again")
        return self._execute_cursor(sql, params)

    def savepoint(self) -> _savepoint:
        """Return a savepoint whose rollback does not hide the error after which SQLite rolled back everything."""
        return _Savepoint(self)

    def rollback(self) -> None:
        """Roll the transaction back, if there still is one: else the ROLLBACK's own error would hide the first."""
        if self._holds_transaction():
            super().rollback()

    @contextmanager
    def write_turn(self) -> Iterator[None]:
        """Let the threads of this process take turns to write; what a turn leaves open is rolled back.

        SQLite lets a waiting connection sleep and look again, which in a crowd may never find the lock free
        (https://www.sqlite.org/c3ref/busy_timeout.html); a thread that waits here is woken instead. One that is in
        a transaction needs no turn: it may hold SQLite's lock, for which whoever has the turn would be waiting.
        Refuses (`inside_transaction`) one that began its transaction by hand, of which Peewee knows nothing.
        """
        if self.in_transaction():
            yield
            return
        if self._holds_transaction():
            raise refusal("inside_transaction")
        if not self._write_turn.acquire(timeout=max(0, self.timeout)):
            raise OperationalError("database is locked")
        try:
            yield
        finally:
            try:
                # A KeyboardInterrupt between BEGIN or COMMIT and Peewee's own record of it would leave the lock taken.
                self.rollback()
            finally:
                self._write_turn.release()

    def leave_to_parent(self) -> None:
        """Forget, in a forked process, the connection of the parent: this process makes its own when it needs one.

        Neither may the child use it, nor close it (https://www.sqlite.org/howtocorrupt.html, section 2.6). A
        database in memory is the child's own copy and stays.
        """
        self._lock = threading.Lock()
        self._write_turn = threading.Lock()
        if self.database != _IN_MEMORY and not self.is_closed():
            _connections_of_parent.append(self.connection())
            self.dispose()

    def _wait_for_locks(self, seconds: float) -> None:
        """Set how long SQLite itself waits; not by `execute_sql`, for Peewee begins anew inside a block of its own."""
        self.connection().execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _holds_transaction(self) -> bool:
        """Tell whether this thread's connection is in a transaction, by SQLite's word and not by Peewee's."""
        return not self.is_closed() and self.connection().in_transaction


class _Savepoint(_savepoint):
    def rollback(self, begin: bool = True) -> None:
        if self.db.connection().in_transaction:
            super().rollback(begin)


_databases: WeakSet[WaiaasDatabase] = WeakSet()
_connections_of_parent: list[sqlite3.Connection] = []


def _leave_all_to_parent() -> None:
    for database in _databases:
        database.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all_to_parent)


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
    seconds (0 to 2,147,483) a statement waits for another connection's lock. `":memory:"` is a new database in memory.

    Returns a `peewee.SqliteDatabase`; every connection that it makes (one a thread) has the daemon's PRAGMAs:
    `journal_mode=WAL`, `synchronous=NORMAL`, `foreign_keys=ON`, `busy_timeout=5000`, `cache_size=-64000`,
    `mmap_size=268435456`, `temp_store=MEMORY`. An older file that is opened as it is keeps its journal mode.
    `with database:` is Peewee's own, and makes one transaction of the whole block: what the services did in it is
    nobody else's until its end, and undone where the block raises. End with `close` instead.

    Raises WAIaaSError `SCHEMA_INCOMPATIBLE`, with the file as it was; its `reason` says why, among them
    `code_too_old` (install a newer waiaas), `not_a_database`, `other_program`, `schema_version_missing`,
    `read_only`, `database_busy`, and all that `waiaas.upgrade` refuses. Raises ValueError for a `busy_timeout` out of
    bounds.

    >>> database = connect(":memory:")
    >>> database.pragma("foreign_keys")
    1
    >>> close(database)
    """
    if not 0 <= busy_timeout <= _LONGEST_TIMEOUT:
        raise ValueError(f"busy_timeout is a number of seconds from 0 to {_LONGEST_TIMEOUT}, not {busy_timeout!r}")
    path = os.fspath(path)
    if path != _IN_MEMORY:
        _reserve(path)
        version = _look_at(path, busy_timeout, to_upgrade=upgrade)
        if upgrade and version < migrations.LATEST_SCHEMA_VERSION and not os.access(path, os.W_OK):
            raise refusal("read_only", path=path)
    database = _database(path, busy_timeout)
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
    `inside_transaction` where a transaction is open, and with `corrupt`, after closing, where file and log do not
    fit together.
    """
    if database.is_closed():
        return
    if database.in_transaction() or database.connection().in_transaction:
        raise refusal("inside_transaction")
    try:
        with refusing(database), suppress(OperationalError):
            # A connection that has not read since another one wrote finds the log busy: it reads first.
            database.execute_sql("SELECT count(*) FROM sqlite_master").fetchone()
            database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        database.close()


def refuse_existing(path: str | PathLike[str]) -> None:
    """Refuse a path at which a file stands already that is not empty.

    Raises WAIaaSError `SCHEMA_INCOMPATIBLE` with the reason `file_exists`.
    """
    if os.path.isfile(path) and os.path.getsize(path):
        raise refusal("file_exists", path=os.fspath(path))


@contextmanager
def write_transaction(database: Database) -> Iterator[None]:
    """Run a block in one transaction that holds the write lock from its start.

    What the block reads stays true until it commits, so that it may decide by it. On SQLite the transaction is
    `BEGIN IMMEDIATE` (https://www.sqlite.org/lang_transaction.html#immediate), on PostgreSQL a serializable one
    that waits for the others of this kind.
    Inside a transaction of the caller's own it is a savepoint of that one; begin that one with this function too,
    for one that has read something before it takes the lock may find it too late to write. Enter and leave it in
    one thread, and read every cursor of that thread to its end before.

    Raises WAIaaSError `SCHEMA_INCOMPATIBLE` with the reason `database_busy` where the lock is not to be had within
    the busy timeout (once among the threads of this process, once among all), and with that of any other error of
    the database; then nothing was changed, nor where another exception of the block passes through.
    """
    mode = "IMMEDIATE" if isinstance(database, SqliteDatabase) else "SERIALIZABLE"
    turn = database.write_turn() if isinstance(database, WaiaasDatabase) else nullcontext()
    is_postgresqls = isinstance(database, PostgresqlDatabase) and not database.in_transaction()
    try:
        with turn, database.atomic(mode):
            if is_postgresqls:
                database.execute_sql(_POSTGRESQL_LOCK)
            yield
    except (PeeweeException, sqlite3.Error) as error:
        raise translated(error, database) from error


@contextmanager
def open_as_it_is(path: str | PathLike[str], busy_timeout: float = BUSY_TIMEOUT) -> Iterator[SqliteDatabase]:
    """Open a file to look at it: nothing is created in it or changed, whatever the file is.

    Beside a file with a write-ahead log that a killed daemon left, SQLite makes the log's index (`-shm`) anew.
    Raises WAIaaSError `SCHEMA_INCOMPATIBLE` with the reason `file_not_found` where there is no file.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise refusal("file_not_found", path=path)
    if not os.path.isfile(path):
        raise refusal("cannot_open", path=path, cause="it is not a file")
    if os.path.getsize(path) == 1:
        # SQLite takes a file of one byte for an empty one (unixFileSize in its os_unix.c) and writes over it.
        raise refusal("not_a_database", path=path)
    database = SqliteDatabase(uri(path, _mode_to_look(os.path.realpath(path))), uri=True, timeout=busy_timeout)
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
    path = os.fspath(path)
    if _look_at(path, BUSY_TIMEOUT, to_upgrade=True) == 0:
        raise refusal("empty_database", path=path)
    database = _database(path, BUSY_TIMEOUT)
    try:
        yield database
    finally:
        close(database)


def _database(path: str, busy_timeout: float) -> WaiaasDatabase:
    # SQLite may be built to take a name that starts with `file:` for a URI.
    name = os.path.join(os.curdir, path) if path.startswith("file:") else path
    return WaiaasDatabase(name, pragmas=_PRAGMAS, timeout=busy_timeout)


def _reserve(path: str) -> None:
    """Make sure that there is a file, and that an empty one is its owner's alone before anything is in it.

    A file that may be in use is never opened here: closing it would drop every lock that this process has on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2). So a new file gets its name after it was closed.
    """
    try:
        if has_log(path) and not (os.path.exists(path) and os.path.getsize(path)):
            raise refusal("cannot_open", path=path, cause="its write-ahead log is there, and it is not")
        if os.path.basename(path) and not os.path.exists(path):
            _make_private_file(os.path.realpath(path))
        if not os.path.isfile(path):
            raise refusal("cannot_open", path=path, cause="it is not a file")
        if os.path.getsize(path) == 0:
            if not os.access(path, os.W_OK):
                raise refusal("read_only", path=path)
            os.chmod(path, 0o600)
    except OSError as error:
        raise refusal("cannot_open", path=path, cause=error.strerror or str(error)) from error


def _make_private_file(path: str) -> None:
    """Make an empty file of mode 0600, or leave the one that another process has just made."""
    # Not by tempfile, which brings shutil and its compressors: importing them takes longer than all of this module.
    name = os.path.join(os.path.dirname(path), f".waiaas-{secrets.token_hex(8)}")
    os.close(os.open(name, _NEW_FILE, 0o600))
    try:
        os.link(name, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links, or a name that it does not take
        with suppress(FileExistsError):
            os.close(os.open(path, _NEW_FILE, 0o600))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _mode_to_look(path: str) -> str:
    """How to open a file so that closing it changes nothing.

    Whoever closes a database last writes its log back into the file, so where there is one (left by a daemon that was
    killed, or in use) the file is opened for reading only. Without one, a connection for reading only would leave an
    empty log behind, and could not roll back what a crash left half-written; in a file that cannot be written there
    is then nothing to roll back, nor anybody who writes.
    """
    if os.path.exists(f"{path}-journal"):
        return "rw"
    if os.path.exists(f"{path}-wal"):
        return "ro"
    if os.access(path, os.W_OK):
        return "rw"
    return "ro&immutable=1"


def _look_at(path: str, busy_timeout: float, *, to_upgrade: bool) -> int:
    """Return the schema version of a file that this library can work with; refuse any other.

    Nothing ties a write-ahead log to its file: one that a killed daemon left, or that stood beside another file of
    this name, is written into the file by whoever closes it last. So before an old file with a log is opened to be
    changed, the pages of both together are looked at.
    """
    with open_as_it_is(path, busy_timeout) as database:
        version = schema_version(database)
        if to_upgrade and 0 < version < migrations.LATEST_SCHEMA_VERSION and has_log(path):
            with refusing(database):
                refuse_damage(database)
        return version


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
