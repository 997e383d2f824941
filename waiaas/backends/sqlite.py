"""SQLite: connections, and write transactions that hold the write lock from the start.

`WaiaasDatabase` is the Peewee database of `waiaas.connect`; `write_transaction` accepts any SQLite database of Peewee.
"""

from __future__ import annotations

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

from peewee import Database, Model, OperationalError, PeeweeException, SqliteDatabase, _manual
from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined]

from waiaas.backends.base import LOCKED, Backend, Result, Row, ThreadState
from waiaas.backends.blocks import RolledBackError, Savepoint, is_undone, outermost
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import is_of_database, reason_for
from waiaas.errors.translation import refusal_for, safe_cause, translate_errors
from waiaas.files.folder_sync import sync_folder_descriptor
from waiaas.files.opening import DatabaseFile
from waiaas.models.binding import bind_block
from waiaas.paths import file_of, real_path, size_of

LOG = logging.getLogger("waiaas")
IN_MEMORY = ":memory:"
# The strictest level of `PRAGMA synchronous`: in write-ahead-log mode each commit syncs the log, in the other modes
# the folder too, after the journal is deleted (https://www.sqlite.org/pragma.html#pragma_synchronous).
_EXTRA = 3
# Seconds, at random, so that two waiting threads do not poll at the same moments.
_POLL_INTERVAL = (0.001, 0.004)


class _ThreadState(ThreadState):
    #: The second connection, which reads the latest commit.
    reader: sqlite3.Connection | None = None
    #: Closes both connections when the thread ends.
    closer: _Closer | None = None
    reader_closer: _Closer | None = None


class _Connection(sqlite3.Connection):
    """A connection that is closed before it is destroyed, because Python warns about any other."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # a connection that could not be opened
            self.close()


class _Closer:
    """Closes the connection of a thread when the thread ends and its values are destroyed.

    Python would only do so when its garbage collector finds the connection, which refers to itself.
    """

    __slots__ = ("__weakref__", "connection", "process")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection: sqlite3.Connection | None = connection
        self.process = os.getpid()

    def __del__(self) -> None:
        # A child process must not close a connection of its parent.
        if self.connection is not None and self.process == os.getpid():
            self.connection.close()


class WaiaasDatabase(SqliteDatabase, Backend):
    """Peewee's SQLite database for programs that write from several threads, or fork."""

    has_foreign_triggers = True

    # Peewee's internals: its record of this thread's connection, the preparation of one, and the callee of
    # execute_sql.
    _state: Any
    _execute_cursor: Any
    _add_conn_hooks: Any

    if TYPE_CHECKING:  # Peewee has no types for these.

        def connection(self) -> sqlite3.Connection:
            """Return the connection of this thread."""

        def dispose(self) -> None:
            """Forget the connection of this thread without closing it."""

    def __init__(self, database: str, *, file: DatabaseFile | None = None, mode: str = "rw", **options: Any) -> None:
        """Take Peewee's arguments, and the file that every connection opens, in a mode of SQLite's URIs.

        Without a file each connection opens what `database` means to SQLite at that moment.
        """
        self.file = file
        self._mode = mode
        # Any thread may close the connections of all threads: see `close_all`.
        super().__init__(database, factory=_Connection, check_same_thread=False, **options)
        self._writer_lock = threading.Lock()
        self._thread = _ThreadState()
        self._closers: WeakSet[_Closer] = WeakSet()
        self._closers_lock = threading.Lock()
        self._shut_lock = threading.Lock()
        # No transaction may begin from when `close_all` has looked for them; `_is_shut`: no connection.
        self._is_closing = self._is_shut = False
        #: Errors after the file was created or upgraded; the change is committed.
        self.warnings: list[WAIaaSError] = []
        _databases.add(self)

    def dialect(self, sql: str) -> str:
        """Return a statement unchanged."""
        return sql

    def read(self, query: Callable[[], Result]) -> Result:
        """Run a function that only reads; what SQLite reports becomes a refusal."""
        with translate_errors(self):
            self.refuse_other_task()
            return query()

    def fetch_latest(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run one statement against the latest commit of any process, and return its first row."""
        try:
            row: Row | None = self.latest().execute(sql, parameters).fetchone()
        except Exception:
            # The context manager is only entered here, because its cost matters on this path.
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
        """Run a change in one transaction that holds the write lock; it runs once, and COMMIT always has a result."""
        with translate_errors(self):
            if self.in_transaction():
                with write_transaction(self, durable=durable):
                    return change()
            return self._write(change, durable)

    def _write(self, change: Callable[[], Result], durable: bool) -> Result:
        """Run a change in a transaction, like `write_transaction` but without its blocks, which cost twice as much."""
        self._acquire_writer_lock()
        try:
            previous = _sync_commits(self) if durable else None
            try:
                with self.transaction("IMMEDIATE"):
                    return change()
            finally:
                _reset_level(self, previous)
        finally:
            self._release_writer_lock()

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
        """Record and log an error that happened after a change was committed."""
        LOG.warning("%s", error)
        self.warnings.append(error)

    def bind_ctx(  # type: ignore[override]  # Peewee declares its own private class.
        self, models: Iterable[type[Model]], bind_refs: bool = True, bind_backrefs: bool = True
    ) -> AbstractContextManager[Any]:
        """Bind models to this database for a block, in this task or thread: see `waiaas.models.binding`."""
        return bind_block(self, models, bind_refs, bind_backrefs)

    def begin(self, lock_type: str | None = None) -> None:
        """Begin a transaction; if it takes the write lock at once, wait for the lock up to the busy timeout."""
        self.refuse_replaced()
        connection = self.connection()
        try:
            if lock_type == "IMMEDIATE":
                self._begin_immediate()
            else:
                super().begin(lock_type)
        finally:
            if self._is_closing:
                # The thread that closes may have looked for transactions before this one began: nothing would end it.
                connection.rollback()
                raise refusal("database_closed", path=file_of(self))
        self._thread.holds_lock = lock_type in ("IMMEDIATE", "EXCLUSIVE")
        self.remember_owner()

    def _begin_immediate(self) -> None:
        """Begin a transaction that holds the write lock.

        SQLite's own wait polls after ever longer sleeps, up to 100 ms (sqliteDefaultBusyCallback in its main.c), so
        that with many processes one may not get the lock for seconds. This one always polls again after a few
        milliseconds.
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
                time.sleep(random.uniform(*_POLL_INTERVAL))
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
        """Open a connection as Peewee does, but to the file that was found at first, and without creating one."""
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
        """Run a statement, but refuse it if the caller's transaction no longer exists.

        After some errors, such as a full disk, SQLite has rolled back the whole transaction by itself
        (https://www.sqlite.org/lang_transaction.html, section 3). If the caller's block caught such an error, its
        later statements would be committed one at a time.
        """
        # Every statement comes here, so calling the equivalent methods of Peewee would cost too much.
        state = self._state
        outer = state.transactions[:1]  # in one step: the garbage collector can end it at any moment
        if (
            outer
            and (not state.conn.in_transaction or is_undone(outer[0]))
            and not isinstance(outer[0], _manual)
            and self.in_transaction()
        ):
            raise RolledBackError
        try:
            return self._execute_cursor(sql, params)
        except PeeweeException as error:
            _raise_refusal(error)
            raise

    def undo(self, connection: sqlite3.Connection) -> None:
        """Roll back the transaction of any thread's connection."""
        with suppress(sqlite3.Error):  # closed
            connection.rollback()

    def savepoint(self) -> Savepoint:
        """Return a savepoint whose rollback does not hide an error that made SQLite roll back everything."""
        self.refuse_other_task()
        return _Savepoint(self)

    def commit(self) -> None:
        """Commit the transaction."""
        super().commit()
        self._thread.holds_lock = False

    def rollback(self) -> None:
        """Roll the transaction back if it still exists; otherwise the error of ROLLBACK would hide the first one."""
        if self._holds_transaction():
            super().rollback()
        self._thread.holds_lock = False

    def latest(self) -> sqlite3.Connection:
        """Return a connection whose next statement sees the latest commit of any process.

        A connection with an unfinished cursor or an open transaction reads the snapshot of its first read until both
        are over (https://www.sqlite.org/isolation.html). So each thread has a second connection, opened when it is
        first needed, which never has either. While the task's transaction holds the write lock, there is no later
        commit, and only its own connection sees its changes: then that one is returned. It is also returned for an
        in-memory database, which cannot have another. Read the row at once, with `fetchone`.

        Raises WAIaaSError `DATABASE_UNAVAILABLE` with the reason `file_replaced` if the path now leads to another
        file: a token that was revoked in that file could still be valid in the old one, which is open here.
        """
        if self.file is not None:
            self.file.refuse_replaced()
        thread = self._thread
        if thread.holds_lock and self._holds_transaction() and self.is_owner():
            return self.connection()
        return thread.reader or self._open_reader()

    def take_lock(self) -> None:
        """Take the write lock for the caller's transaction, unless it already holds it.

        Also raises OperationalError if that transaction reads an older snapshot than the latest commit
        (https://www.sqlite.org/rescode.html#busy_snapshot).
        """
        if not self._thread.holds_lock:
            self.refuse_replaced()
            self.execute_sql("DELETE FROM main.key_value_store WHERE 0")
            self._thread.holds_lock = True

    def refuse_replaced(self) -> None:
        """Refuse if the path leads to no file, or to a file other than that of this database's connections.

        Writes to a file that was renamed, deleted or replaced would be lost, and its content is outdated.
        """
        if self.file is not None:
            self.file.refuse_replaced()

    def close(self) -> bool:
        """Close this thread's connections; returns whether Peewee's was open."""
        reader, self._thread.reader = self._thread.reader, None
        self._thread.reader_closer = None
        if reader is not None:
            reader.close()
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
        with self._shut_lock:
            if self._is_shut:
                return
            self._is_closing = True
            if self.in_transaction() or any(connection.in_transaction for connection in self.connections()):
                self._is_closing = False
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
        """Close the connections of all threads, except those with a running statement, which close when it ends.

        Closing such a connection here could crash the process. So all connections are only forgotten, and the garbage
        collector closes those without references.
        """
        with self._closers_lock:
            closers = list(self._closers)
            self._closers.clear()
        for closer in closers:
            closer.connection = None
        self._state = type(self._state)()
        self._thread = _ThreadState()
        if closers:  # of other threads; collecting takes longer than opening the file
            gc.collect()

    def _write_log_back(self) -> None:
        """Checkpoint the whole log, unless another connection needs it: then that one does it later."""
        try:
            # A connection that has not read since another one wrote finds the log busy, so it reads first.
            self.execute_sql("SELECT count(*) FROM sqlite_master").fetchone()
            self.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (OperationalError, sqlite3.OperationalError) as error:
            # Peewee's error comes from executing a statement, and the driver's from fetching its rows.
            reason = reason_for(error)
            if reason != "database_busy" and not (reason == "read_only" and self._has_empty_log()):
                raise

    def _has_empty_log(self) -> bool:
        """Return whether there is nothing to write back, as in a file that this process can only read."""
        return size_of(f"{real_path(self)}-wal") == 0

    @contextmanager
    def writer_lock(self) -> Iterator[None]:
        """Hold the lock that lets one thread of this process write at a time, and roll back an open transaction.

        A thread in a transaction does not take it: it may hold SQLite's lock, for which the thread with the writer
        lock could be waiting.
        """
        if self.in_transaction():
            yield
            return
        self._acquire_writer_lock()
        process = os.getpid()
        try:
            yield
        finally:
            # A forked process has its own lock, which is free.
            if process == os.getpid():
                self._release_writer_lock()

    def _acquire_writer_lock(self) -> None:
        """Wait for the writer lock.

        A waiting connection of SQLite sleeps and polls, and with many threads may never find the lock free
        (https://www.sqlite.org/c3ref/busy_timeout.html); a thread that waits here is woken instead. Refuses
        (`inside_transaction`) a thread that began its transaction without Peewee.
        """
        if self._holds_transaction():
            raise refusal("inside_transaction")
        if not self._writer_lock.acquire(timeout=max(0, self.timeout)):
            raise OperationalError("database is locked")
        self._writer = threading.current_thread()

    def _release_writer_lock(self) -> None:
        try:
            # A KeyboardInterrupt between BEGIN or COMMIT and Peewee's own record of it would leave the lock taken.
            # The last block of a transaction that is undone rolls it back; this thread may be in one.
            if self._writer is threading.current_thread() and not is_undone(outermost(self)):
                self.rollback()
        finally:
            self._writer_lock.release()

    def reset_after_fork(self) -> None:
        """Forget, in a forked process, the connections of the parent: this process opens its own when it needs one.

        An in-memory database is the child's own copy and is kept.
        """
        self._lock = threading.Lock()
        self._closers_lock = threading.Lock()
        self._shut_lock = threading.Lock()
        self._writer_lock = threading.Lock()
        self._thread = _ThreadState()
        if self.database != IN_MEMORY:
            self._closers = WeakSet()
            if not self.is_closed():
                self.dispose()

    def _open_reader(self) -> sqlite3.Connection:
        if self.database == IN_MEMORY:
            self.refuse_other_task()
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
        """Set how long SQLite waits; `execute_sql` would begin a new transaction in Peewee's own blocks."""
        self.connection().execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _holds_transaction(self) -> bool:
        """Return whether this thread's connection is in a transaction, according to SQLite and not to Peewee."""
        return not self.is_closed() and self.connection().in_transaction


def _raise_refusal(error: PeeweeException) -> None:
    """Raise the refusal that Peewee mistook for a driver's error, because their classes share a name."""
    refused = getattr(error, "orig", None)
    if isinstance(refused, WAIaaSError):
        raise refused from refused.__cause__


@cache
def _locking(table: str, columns: str, count: int) -> str:
    marks, (key, _) = ", ".join("?" * count), LOCKED[table]
    return f"SELECT {columns} FROM main.{table} WHERE {key} IN ({marks}) ORDER BY {key}"


def _only(rows: Sequence[Row]) -> Row | None:
    return rows[0] if rows else None


class _Savepoint(Savepoint):
    def rollback(self, begin: bool = True) -> None:
        if self.db.connection().in_transaction:
            super().rollback(begin)


_databases: WeakSet[WaiaasDatabase] = WeakSet()
# A child must neither use nor close a connection of its parent (https://www.sqlite.org/howtocorrupt.html, section
# 2.6). The child has no other threads, and Python drops their values: so all connections are held from before the
# fork.
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
def write_transaction(database: SqliteDatabase, *, durable: bool = False) -> Iterator[None]:
    """Run a block in one transaction that holds the write lock from its start.

    Nothing that the block reads changes until it commits, so that it can base decisions on it. The transaction is
    `BEGIN IMMEDIATE` (https://www.sqlite.org/lang_transaction.html#immediate). Inside a caller's transaction it is a
    savepoint; begin that transaction with this function too, because one that has read before it takes the lock may be
    unable to write. On the database that `waiaas.connect` returns, the savepoint also takes the lock at its start.
    Enter and leave the block in one thread, and first read every cursor of that thread to its end.

    :param durable: whether the transaction is on the disk when the block ends, regardless of the connection's ``PRAGMA
        synchronous``. Inside a caller's transaction it is on the disk once that one has committed.
    :raises WAIaaSError: ``database_busy`` if the lock is not free within the busy timeout (once among the threads of
        this process, once among all processes); ``disk_full``, ``corrupt`` or another reason if the database cannot be
        used. Nothing was changed then, nor if the block raises anything else, which is raised unchanged.
    :raises RuntimeError: as :meth:`waiaas.Database.transaction` does, on the database that `waiaas.connect` returns.
    :raises TypeError: if `database` is not a SQLite database of Peewee.
    """
    if not isinstance(database, SqliteDatabase):
        kind = type(database).__name__
        raise TypeError(f"write_transaction takes a Peewee SQLite database, as in connect(path).peewee, not {kind}")
    writer_lock = database.writer_lock() if isinstance(database, WaiaasDatabase) else nullcontext()
    is_nested = database.in_transaction()
    level = _synced_commits(database) if durable and not is_nested else nullcontext()
    try:
        with writer_lock, level, database.atomic("IMMEDIATE"):
            if isinstance(database, WaiaasDatabase):
                database.take_lock()
            yield
            if durable and is_nested:
                sync_at_commit(database)
    except WAIaaSError:  # a schema operation's is one of Peewee's errors too
        raise
    except (PeeweeException, sqlite3.Error) as error:
        if isinstance(error, RolledBackError) or is_of_database(error):
            raise refusal_for(error, database) from safe_cause(error)
        raise


def sync_at_commit(database: Database) -> None:
    """Sync commits to the disk when this thread's transaction commits.

    This is for changes in a transaction that the caller began, because SQLite does not change `synchronous` inside
    one, and for changes of others that may not be on the disk yet.
    """
    if _is_file(database):
        database.after_commit(lambda: _sync(database))


@contextmanager
def _synced_commits(database: Database) -> Iterator[None]:
    """Make SQLite sync each commit of a block to the disk before the commit returns."""
    previous = _sync_commits(database)
    try:
        yield
    finally:
        _reset_level(database, previous)


def _sync_commits(database: Database) -> tuple[sqlite3.Connection, int] | None:
    """Make SQLite sync each commit to the disk, and return the connection and its level; None if there is no file.

    It also syncs the folder of a new write-ahead log (`UNIXFILE_DIRSYNC` in its os_unix.c).
    """
    if not _is_file(database):
        return None
    connection = database.connection()
    with peewee_errors:
        (level,) = connection.execute("PRAGMA synchronous").fetchone()
        connection.execute(f"PRAGMA synchronous = {_EXTRA}")
    return connection, int(level)


def _reset_level(database: Any, previous: tuple[sqlite3.Connection, int] | None) -> None:
    """Set the level of a connection again, unless the block is left in another thread, or in a forked process.

    A connection that stays at the strictest level does no harm.
    """
    if previous is not None and getattr(database._state, "conn", None) is previous[0]:
        with suppress(sqlite3.Error):
            previous[0].execute(f"PRAGMA synchronous = {previous[1]}")


def _is_file(database: Database) -> TypeGuard[SqliteDatabase]:
    return isinstance(database, SqliteDatabase) and database.database != IN_MEMORY


def _sync(database: SqliteDatabase) -> None:
    """Sync the write-ahead log of a file, and the folder, in which the log may be new or a journal deleted."""
    with translate_errors(database):
        path = real_path(database)
        with suppress(FileNotFoundError):
            _sync_path(f"{path}-wal", os.O_RDWR, os.fsync)
        sync_folder(path)


def sync_folder(path: str) -> None:
    """Sync the folder of a file if it can be opened and the file system supports it, as SQLite does."""
    with suppress(PermissionError):
        _sync_path(os.path.dirname(path), os.O_RDONLY, sync_folder_descriptor)


def _sync_path(path: str, mode: int, sync: Callable[[int], None]) -> None:
    descriptor = os.open(path, mode)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
