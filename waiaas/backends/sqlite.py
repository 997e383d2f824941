"""Transactions that write: one at a time, each with the write lock from its start.

`WaiaasDatabase` is the database that `waiaas.connect` gives; `write_transaction` takes any that Peewee knows.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, TypeGuard
from weakref import WeakSet

from peewee import (
    Database,
    Model,
    OperationalError,
    PeeweeException,
    PostgresqlDatabase,
    SqliteDatabase,
    _manual,
    _savepoint,
)
from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined]

from waiaas.backends.base import LOCKED, Backend, Result, Row
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import is_of_database, reason_for
from waiaas.errors.translation import refusal_for, safe_cause, translate_errors
from waiaas.files.opening import DatabaseFile
from waiaas.models.binding import bind_block
from waiaas.paths import file_of, real_path

LOG = logging.getLogger("waiaas")
IN_MEMORY = ":memory:"
# The strictest level of `PRAGMA synchronous`: in write-ahead-log mode each commit syncs the log, in the other modes
# the folder too, after the journal is deleted (https://www.sqlite.org/pragma.html#pragma_synchronous).
_EXTRA = 3
# What a file system that cannot sync a folder answers. SQLite goes on, too (unixSync in its os_unix.c).
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP)
# Before anything is read, for the first SELECT fixes what the transaction sees; others may read meanwhile
# (https://www.postgresql.org/docs/current/sql-lock.html). Without it, of two writers one would fail at random.
_POSTGRESQL_LOCK = "LOCK TABLE schema_version IN SHARE ROW EXCLUSIVE MODE"
# Seconds, at random: two that wait should not look at the same moments.
_LOOK_AGAIN_AFTER = (0.001, 0.004)


class _ThreadState(threading.local):
    """What a thread has besides Peewee's connection."""

    #: The second connection, which reads the latest commit.
    reader: sqlite3.Connection | None = None
    #: What closes both connections when the thread ends.
    closer: _Closer | None = None
    reader_closer: _Closer | None = None
    #: Whether the transaction is known to hold the write lock.
    holds_lock: bool = False


class _Connection(sqlite3.Connection):
    """A connection that is closed before it is destroyed: Python warns of any other."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # a connection that could not be opened
            self.close()


class _Closer:
    """Closes the connection of a thread when the values of the thread go, because it ends.

    Python would do so when its garbage collector finds the connection, which refers to itself.
    """

    __slots__ = ("__weakref__", "connection", "process")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection: sqlite3.Connection | None = connection
        self.process = os.getpid()

    def __del__(self) -> None:
        # A child process may not close a connection of its parent.
        if self.connection is not None and self.process == os.getpid():
            self.connection.close()


class _RolledBackError(OperationalError):
    """A statement in a transaction that SQLite has rolled back by itself."""


class WaiaasDatabase(SqliteDatabase, Backend):
    """Peewee's SQLite database, with what a program needs that writes from several threads, or forks."""

    has_foreign_triggers = True

    # Peewee's own: what it knows of this thread's connection, how it prepares one, and what its execute_sql calls.
    _state: Any
    _execute_cursor: Any
    _add_conn_hooks: Any

    if TYPE_CHECKING:  # Peewee has no types for these.

        def connection(self) -> sqlite3.Connection:
            """Return the connection of this thread."""

        def dispose(self) -> None:
            """Forget the connection of this thread without closing it."""

    def __init__(self, database: str, *, file: DatabaseFile | None = None, mode: str = "rw", **options: Any) -> None:
        """Take what Peewee takes, and the file that every connection opens, in a mode of SQLite's URIs.

        Without a file each connection opens what `database` means to SQLite at that moment.
        """
        self.file = file
        self._mode = mode
        # Any thread may close the connections of all threads: see `close_all`.
        super().__init__(database, factory=_Connection, check_same_thread=False, **options)
        self._write_turn = threading.Lock()
        self._thread = _ThreadState()
        self._closers: WeakSet[_Closer] = WeakSet()
        self._closers_lock = threading.Lock()
        self._is_shut = False
        #: What failed after the file was created or upgraded; the change is committed.
        self.warnings: list[WAIaaSError] = []
        _databases.add(self)

    def dialect(self, sql: str) -> str:
        """Return a statement unchanged."""
        return sql

    def read(self, query: Callable[[], Result]) -> Result:
        """Run a function that only reads; what SQLite reports becomes a refusal."""
        with translate_errors(self):
            return query()

    def fetch_latest(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run one statement against the latest commit of any process, and return its first row."""
        try:
            row: Row | None = self.latest().execute(sql, parameters).fetchone()
        except Exception:
            # The context manager is entered only now: on this path its cost would count.
            with translate_errors(self):
                raise
        return row

    def write(
        self,
        change: Callable[[], Result],
        *,
        durable: bool = False,
        alone: bool = False,
        find: Callable[[], Result | None] | None = None,
    ) -> Result:
        """Run a change in one transaction that holds the write lock; it runs once, and COMMIT is always answered."""
        with translate_errors(self):
            if self.in_transaction():
                with write_transaction(self, durable=durable):
                    return change()
            return self._write(change, durable)

    def _write(self, change: Callable[[], Result], durable: bool) -> Result:
        """Run a change in a transaction, as `write_transaction` does, without its blocks, which cost twice as much."""
        self._take_turn()
        try:
            level = _sync_commits(self) if durable else None
            try:
                with self.transaction("IMMEDIATE"):
                    return change()
            finally:
                _reset_level(self, level)
        finally:
            self._end_turn()

    def lock(self, table: str, columns: str, ids: Sequence[str], *, will_change: bool = False) -> list[Row]:
        """Return the columns of rows in the order of their ids; the write lock is on the whole file."""
        return list(self.execute_sql(_locking(table, columns, len(ids)), ids).fetchall())

    def lock_link(
        self, wallet_id: str, wallet_columns: str, session_id: str, session_columns: str
    ) -> tuple[Row | None, Row | None]:
        """Return the columns of a wallet and of a session; the write lock is on the whole file."""
        return _only(self.lock("wallets", wallet_columns, [wallet_id])), _only(
            self.lock("sessions", session_columns, [session_id])
        )

    def exclusive_transaction(self) -> AbstractContextManager[None]:
        """Return the context manager of a transaction that holds the write lock."""
        return write_transaction(self)

    def warn(self, error: WAIaaSError) -> None:
        """Note an error that happened after a change was committed, also in the log."""
        LOG.warning("%s", error)
        self.warnings.append(error)

    def bind_ctx(  # type: ignore[override]  # Peewee declares its own private class.
        self, models: Iterable[type[Model]], bind_refs: bool = True, bind_backrefs: bool = True
    ) -> AbstractContextManager[Any]:
        """Bind models to this database for a block, in this task or thread: see `waiaas.models.binding`."""
        return bind_block(self, models, bind_refs, bind_backrefs)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction; one that takes the write lock at once waits for it up to the busy timeout."""
        self.refuse_replaced()
        self.connection()
        if lock_type == "IMMEDIATE":
            self._begin_immediate()
        else:
            super().begin(lock_type)
        self._thread.holds_lock = lock_type in ("IMMEDIATE", "EXCLUSIVE")

    def _begin_immediate(self) -> None:
        """Begin a transaction that holds the write lock.

        SQLite's own wait looks again after ever longer sleeps, up to 100 ms (sqliteDefaultBusyCallback in its
        main.c), so that in a crowd of processes one may not find the lock free for seconds. This one looks again
        after a few milliseconds each time.
        """
        deadline = time.monotonic() + self.timeout
        waits = False
        try:
            self._wait_for_locks(0)
            while True:
                try:
                    super().begin("IMMEDIATE")
                    return
                except OperationalError as error:
                    if reason_for(error) != "database_busy" or time.monotonic() > deadline:
                        raise
                if not waits:
                    LOG.info("Waiting for the write lock of %s", file_of(self))
                    waits = True
                time.sleep(random.uniform(*_LOOK_AGAIN_AFTER))
        finally:
            self._wait_for_locks(self.timeout)

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Open this thread's connection."""
        try:
            is_new = bool(super().connect(reuse_if_open))
        except PeeweeException as error:
            _raise_refusal(error)
            raise
        if is_new:
            self._thread.closer = self._closer_of(self._state.conn)
        return is_new

    def _connect(self) -> sqlite3.Connection:
        """Open a connection, as Peewee does, but to the file that was found at first and without creating one."""
        if self._is_shut:
            raise refusal("database_closed", path=file_of(self))
        if self.file is None:
            of_peewee: sqlite3.Connection = super()._connect()  # type: ignore[misc]
            return of_peewee
        connection = self.file.connect(self._mode, timeout=self.timeout, isolation_level=None, **self.connect_params)
        try:
            self._add_conn_hooks(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _closer_of(self, connection: sqlite3.Connection) -> _Closer:
        closer = _Closer(connection)
        with self._closers_lock:
            self._closers.add(closer)
        return closer

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement, but not where the transaction is gone that the caller believes to be in.

        After some errors, a full disk among them, SQLite has rolled back the whole transaction by itself
        (https://www.sqlite.org/lang_transaction.html, section 3). What the caller's block did then, having caught
        such an error, would be committed one statement at a time.
        """
        # Every statement comes here, so that a call of the methods of Peewee that do the same would count.
        state = self._state
        if state.transactions and not state.conn.in_transaction and not isinstance(state.transactions[0], _manual):
            raise _RolledBackError("the transaction was rolled back after an error; leave it and begin again")
        try:
            return self._execute_cursor(sql, params)
        except PeeweeException as error:
            _raise_refusal(error)
            raise

    def savepoint(self) -> _savepoint:
        """Return a savepoint whose rollback does not hide the error after which SQLite rolled back everything."""
        return _Savepoint(self)

    def commit(self) -> None:
        """Commit the transaction."""
        super().commit()
        self._thread.holds_lock = False

    def rollback(self) -> None:
        """Roll the transaction back, if there still is one: else the ROLLBACK's own error would hide the first."""
        if self._holds_transaction():
            super().rollback()
        self._thread.holds_lock = False

    def latest(self) -> sqlite3.Connection:
        """Return a connection whose next statement sees the latest commit of any process.

        A connection with an unfinished cursor or an open transaction reads the snapshot of its first read until both
        are over (https://www.sqlite.org/isolation.html). So each thread has a second connection, opened at the first
        need, which never has either. While the thread's transaction holds the write lock, there is no later commit,
        and only its own connection sees what it has changed: that one is returned then, and for a database in memory,
        which has no other. Read the row at once, with `fetchone`.

        Raises WAIaaSError `DATABASE_UNAVAILABLE` with the reason `file_replaced` if the path leads to another file
        by now: a token that was revoked in that file could still be valid in the old one, which is open here.
        """
        if self.file is not None:
            self.file.refuse_replaced()
        thread = self._thread
        if thread.holds_lock and self._holds_transaction():
            return self.connection()
        return thread.reader or self._open_reader()

    def take_lock(self) -> None:
        """Take the write lock for the transaction that the caller began, unless it holds it.

        Raises OperationalError if that transaction reads an older snapshot than the latest commit, too
        (https://www.sqlite.org/rescode.html#busy_snapshot).
        """
        if not self._thread.holds_lock:
            self.refuse_replaced()
            self.execute_sql("DELETE FROM main.key_value_store WHERE 0")
            self._thread.holds_lock = True

    def refuse_replaced(self) -> None:
        """Refuse if the path leads to another file than the connections of this database, or to none.

        Nobody would find what is written into a file that was renamed, deleted or replaced, and what it says is old.
        """
        if self.file is not None:
            self.file.refuse_replaced()

    def close(self) -> bool:
        """Close this thread's connections; returns whether Peewee's was open."""
        self.close_reader()
        was_open = bool(super().close())
        self._thread.closer = None
        return was_open

    def connections(self) -> list[sqlite3.Connection]:
        """Return the open connections of all threads."""
        with self._closers_lock:
            closers = list(self._closers)
        return [closer.connection for closer in closers if closer.connection is not None]

    def close_all(self) -> None:
        """Write the whole write-ahead log back into the file, and close the connections of all threads for good.

        A connection on which a thread runs a statement is closed when the statement ends. If another process still
        reads, the log stays for it and is written back later. A closed database may be closed again.

        :raises WAIaaSError: ``inside_transaction`` if a thread is in a transaction: nothing is closed then; after
            closing, ``corrupt`` if file and log do not fit together, or ``disk_full`` or another reason.
        """
        if self._is_shut:
            return
        if self.in_transaction() or any(connection.in_transaction for connection in self.connections()):
            raise refusal("inside_transaction")
        try:
            with translate_errors(self):
                if self.connections():
                    self._write_log_back()
        finally:
            self._is_shut = True
            self.close()
            self._close_unused()

    def _close_unused(self) -> None:
        """Close the connections of all threads, but leave each on which a statement runs until it ends.

        Closing that one here could crash the process. So all connections are only forgotten, and the garbage
        collector closes what nothing refers to.
        """
        with self._closers_lock:
            closers = list(self._closers)
            self._closers.clear()
        for closer in closers:
            closer.connection = None
        del closers
        self._state = type(self._state)()
        self._thread = _ThreadState()
        gc.collect()

    def _write_log_back(self) -> None:
        """Write the whole log back, unless another connection needs it: then that one writes it back later."""
        try:
            # A connection that has not read since another one wrote finds the log busy: it reads first.
            self.execute_sql("SELECT count(*) FROM sqlite_master").fetchone()
            self.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (OperationalError, sqlite3.OperationalError) as error:
            # Peewee's from executing a statement, and the driver's own from fetching its rows.
            if reason_for(error) != "database_busy":
                raise

    def close_reader(self) -> None:
        """Close this thread's second connection, if there is one."""
        reader, self._thread.reader = self._thread.reader, None
        self._thread.reader_closer = None
        if reader is not None:
            reader.close()

    @contextmanager
    def write_turn(self) -> Iterator[None]:
        """Let the threads of this process take turns to write; what a turn leaves open is rolled back.

        A thread that is in a transaction needs no turn: it may hold SQLite's lock, for which the thread whose turn it
        is would be waiting.
        """
        if self.in_transaction():
            yield
            return
        self._take_turn()
        try:
            yield
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        """Wait for this thread's turn to write.

        SQLite lets a waiting connection sleep and look again, which in a crowd may never find the lock free
        (https://www.sqlite.org/c3ref/busy_timeout.html); a thread that waits here is woken instead.
        Refuses (`inside_transaction`) a thread that began its transaction by hand, of which Peewee knows nothing.
        """
        if self._holds_transaction():
            raise refusal("inside_transaction")
        if not self._write_turn.acquire(timeout=max(0, self.timeout)):
            raise OperationalError("database is locked")

    def _end_turn(self) -> None:
        try:
            # A KeyboardInterrupt between BEGIN or COMMIT and Peewee's own record of it would leave the lock taken.
            self.rollback()
        finally:
            self._write_turn.release()

    def reset_after_fork(self) -> None:
        """Forget, in a forked process, the connections of the parent: this process opens its own when it needs one.

        A database in memory is the child's own copy and stays.
        """
        self._lock = threading.Lock()
        self._closers_lock = threading.Lock()
        self._write_turn = threading.Lock()
        self._thread = _ThreadState()
        if self.database != IN_MEMORY:
            self._closers = WeakSet()
            if not self.is_closed():
                self.dispose()

    def _open_reader(self) -> sqlite3.Connection:
        if self.database == IN_MEMORY:
            return self.connection()
        reader: sqlite3.Connection = self._connect()
        try:
            reader.execute("PRAGMA query_only = ON")
        except BaseException:
            reader.close()
            raise
        self._thread.reader = reader
        self._thread.reader_closer = self._closer_of(reader)
        return reader

    def _wait_for_locks(self, seconds: float) -> None:
        """Set how long SQLite itself waits; not by `execute_sql`, for Peewee begins anew inside a block of its own."""
        self.connection().execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _holds_transaction(self) -> bool:
        """Tell whether this thread's connection is in a transaction, by SQLite's word and not by Peewee's."""
        return not self.is_closed() and self.connection().in_transaction


def _raise_refusal(error: PeeweeException) -> None:
    """Raise the refusal to open the file that Peewee took for a driver's error, since their classes share a name."""
    refused = getattr(error, "orig", None)
    if isinstance(refused, WAIaaSError):
        raise refused from refused.__cause__


@cache
def _locking(table: str, columns: str, count: int) -> str:
    marks, (key, _) = ", ".join("?" * count), LOCKED[table]
    return f"SELECT {columns} FROM main.{table} WHERE {key} IN ({marks}) ORDER BY {key}"


def _only(rows: Sequence[Row]) -> Row | None:
    return rows[0] if rows else None


class _Savepoint(_savepoint):
    def rollback(self, begin: bool = True) -> None:
        if self.db.connection().in_transaction:
            super().rollback(begin)


_databases: WeakSet[WaiaasDatabase] = WeakSet()
# A child may neither use nor close a connection of its parent (https://www.sqlite.org/howtocorrupt.html, section 2.6).
# The child has no other threads, and Python drops what they had: so all connections are held from before the fork.
_held_for_fork: list[sqlite3.Connection] = []
_connections_of_parent: list[sqlite3.Connection] = []


def _hold_connections() -> None:
    for database in list(_databases):
        if database.database != IN_MEMORY:
            _held_for_fork.extend(database.connections())


def _reset_all_after_fork() -> None:
    _connections_of_parent.extend(_held_for_fork)
    _held_for_fork.clear()
    for database in list(_databases):
        database.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_hold_connections, after_in_parent=_held_for_fork.clear, after_in_child=_reset_all_after_fork
    )


@contextmanager
def write_transaction(database: Database, *, durable: bool = False) -> Iterator[None]:
    """Run a block in one transaction that holds the write lock from its start.

    What the block reads stays true until it commits, so that it may decide by it. On SQLite the transaction is
    `BEGIN IMMEDIATE` (https://www.sqlite.org/lang_transaction.html#immediate), on PostgreSQL a serializable one
    that waits for the others of this kind.
    Inside a transaction of the caller's own it is a savepoint of that one; begin that one with this function too,
    for one that has read something before it takes the lock may find it too late to write. On the database that
    `waiaas.connect` returns, the savepoint too takes the lock at its start. Enter and leave it in one thread, and read
    every cursor of that thread to its end before.

    With `durable=True` a SQLite transaction is on the disk when the block ends, whatever `PRAGMA synchronous` the
    connection has. Inside a transaction of the caller's own this is so when that one has committed. On PostgreSQL
    its own setting `synchronous_commit` decides.

    Raises WAIaaSError with the reason `database_busy` if the lock is not free within the busy timeout (once among the
    threads of this process, once among all processes), and with `disk_full`, `corrupt` or another reason if the
    database cannot be used. Every other exception of the block passes unchanged, `peewee.IntegrityError` included.
    Nothing was changed in either case. Raises TypeError if `database` is not a Peewee database, such as a path.
    """
    if not isinstance(database, Database):
        kind = type(database).__name__
        raise TypeError(f"write_transaction takes a Peewee database, such as waiaas.connect(path).peewee, not {kind}")
    mode = "IMMEDIATE" if isinstance(database, SqliteDatabase) else "SERIALIZABLE"
    turn = database.write_turn() if isinstance(database, WaiaasDatabase) else nullcontext()
    is_nested = database.in_transaction()
    level = _synced_commits(database) if durable and not is_nested else nullcontext()
    try:
        with turn, level, database.atomic(mode):
            if isinstance(database, PostgresqlDatabase) and not is_nested:
                database.execute_sql(_POSTGRESQL_LOCK)
            if isinstance(database, WaiaasDatabase):
                database.take_lock()
            yield
            if durable and is_nested:
                sync_at_commit(database)
    except WAIaaSError:  # that of a schema operation is one of Peewee's errors too
        raise
    except (PeeweeException, sqlite3.Error) as error:
        if isinstance(error, _RolledBackError) or is_of_database(error):
            raise refusal_for(error, database) from safe_cause(error)
        raise


def sync_at_commit(database: Database) -> None:
    """Write what is committed to the disk when the transaction that this thread is in commits.

    For changes in a transaction that the caller began, since SQLite takes no other `synchronous` inside of one, and
    for changes of others that may not be on the disk yet.
    """
    if _is_file(database):
        database.after_commit(lambda: _sync(database))


@contextmanager
def _synced_commits(database: Database) -> Iterator[None]:
    """Let SQLite write each commit of a block to the disk before the commit returns."""
    level = _sync_commits(database)
    try:
        yield
    finally:
        _reset_level(database, level)


def _sync_commits(database: Database) -> int | None:
    """Let SQLite write each commit to the disk, and return the level before; None if there is no file.

    It syncs the folder of a new write-ahead log as well (`UNIXFILE_DIRSYNC` in its os_unix.c).
    """
    if not _is_file(database):
        return None
    connection = database.connection()
    with peewee_errors:
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        connection.execute(f"PRAGMA synchronous = {_EXTRA}")
    return int(level)


def _reset_level(database: Any, level: int | None) -> None:
    # A connection that stays at the strictest level does no harm.
    with suppress(PeeweeException, sqlite3.Error):
        if level is not None:
            database.connection().execute(f"PRAGMA synchronous = {level}")


def _is_file(database: Database) -> TypeGuard[SqliteDatabase]:
    return isinstance(database, SqliteDatabase) and database.database != IN_MEMORY


def _sync(database: SqliteDatabase) -> None:
    """Sync the write-ahead log of a file, and the folder, in which the log may be new or a journal deleted."""
    with translate_errors(database):
        path = real_path(database)
        with suppress(FileNotFoundError):
            _sync_path(f"{path}-wal", os.O_RDWR)
        _sync_folder(path)


def _sync_folder(path: str) -> None:
    """Sync the folder of a file, where it may be opened and the file system knows how; so does SQLite."""
    try:
        _sync_path(os.path.dirname(path), os.O_RDONLY)
    except PermissionError:
        pass
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _sync_path(path: str, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
