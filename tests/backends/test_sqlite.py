"""Write transactions hold the lock from the start, and are rolled back on failure."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from peewee import IntegrityError, InterfaceError, OperationalError, ProgrammingError, SqliteDatabase
from support.connect_results import open_unchanged, pragmas
from support.old_files import DAEMONS_PRAGMAS, make_file
from support.python_processes import KEEP_THE_TURN, TRY_TO_WRITE, run_python, start_python
from support.sqlite_files import execute, keys, plain

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.sqlite import write_transaction
from waiaas.models import Wallet
from waiaas.schemas import CreateWalletRequestSchema
from waiaas.services import WalletService

LATEST = waiaas.LATEST_SCHEMA_VERSION


def put(database: SqliteDatabase, key: str) -> None:
    database.execute_sql("INSERT INTO wc_store VALUES (?, 'value')", (key,))


def write(database: SqliteDatabase, *keys: str, error: BaseException | None = None) -> None:
    """Put keys in one transaction, and raise the error at its end if one is given."""
    with write_transaction(database):
        for key in keys:
            put(database, key)
        if error is not None:
            raise error


def reason_of(error: pytest.ExceptionInfo[WAIaaSError]) -> str | None:
    return error.value.reason


class TestWriteTransaction:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "wallets.db"

    @pytest.fixture
    def database(self, path: Path) -> Iterator[SqliteDatabase]:
        database = waiaas.connect(path, busy_timeout=0.2).peewee
        yield database
        database.close_all()

    def test_holds_the_lock_from_its_start(self, database: SqliteDatabase, path: Path) -> None:
        """No other connection can write from the first statement of the block to its end."""
        with write_transaction(database):
            assert run_python(TRY_TO_WRITE, path) == "database is locked\n"
            put(database, "inside")
        assert run_python(TRY_TO_WRITE, path) == "taken\n"
        assert keys(path) == ["inside"]

    @pytest.mark.parametrize("error", [KeyError("own"), ConnectionError("own"), KeyboardInterrupt(), GeneratorExit()])
    def test_an_exception_of_the_block_is_raised_unchanged(
        self, database: SqliteDatabase, path: Path, error: BaseException
    ) -> None:
        """An exception of the block, even an OSError, is raised unchanged, and nothing was written."""
        with pytest.raises(type(error)) as caught:
            write(database, "inside", error=error)
        assert caught.value is error
        assert keys(path) == []
        assert run_python(TRY_TO_WRITE, path) == "taken\n"

    @pytest.mark.parametrize(
        ("statement", "error"),
        [
            ("INSERT INTO wc_store VALUES ('before', 'again')", IntegrityError),
            ("INSERT INTO session_wallets VALUES ('s', 'w', 1, 1)", IntegrityError),
            ("INSERT INTO wc_store VALUES ('a', NULL)", IntegrityError),
            ("SELECT * FROM no_such_table", OperationalError),
            ("SELEC 1", OperationalError),
            ("SELECT CAST(X'78ff' AS TEXT) AS name", OperationalError),
            ("SELECT json('{')", OperationalError),
            ("INSERT INTO wc_store VALUES (?, ?)", ProgrammingError),
        ],
    )
    def test_an_error_of_a_statement_is_raised_unchanged(
        self, database: SqliteDatabase, path: Path, statement: str, error: type[Exception]
    ) -> None:
        """A violated constraint or an error in SQL is raised unchanged, and nothing was written."""

        def run(*, nested: bool) -> None:
            with write_transaction(database):
                put(database, "before")
                with write_transaction(database) if nested else nullcontext():
                    # Python 3.10 reads the first row at once, later versions at fetchall.
                    database.execute_sql(statement).fetchall()

        for nested in (False, True):
            with pytest.raises((error, sqlite3.OperationalError)) as caught:
                run(nested=nested)
            assert not isinstance(caught.value, WAIaaSError)
            assert keys(path) == []
        write(database, "later")
        assert keys(path) == ["later"]

    def test_a_deferred_constraint_error_is_raised_unchanged(self, database: SqliteDatabase, path: Path) -> None:
        """A foreign-key violation found by COMMIT is raised unchanged, and nothing was written."""

        def run() -> None:
            with write_transaction(database):
                database.execute_sql("PRAGMA defer_foreign_keys = ON")
                put(database, "inside")
                database.execute_sql("INSERT INTO session_wallets VALUES ('s', 'w', 1, 1)")

        with pytest.raises(IntegrityError, match="FOREIGN KEY"):
            run()
        assert keys(path) == []

    def test_the_error_of_a_query_without_a_database_is_raised_unchanged(
        self, database: SqliteDatabase, path: Path
    ) -> None:
        """A query on unbound models raises Peewee's own error."""

        def run() -> None:
            with write_transaction(database):
                put(database, "inside")
                Wallet.select().count()

        with pytest.raises(InterfaceError, match="must be bound"):
            run()
        assert keys(path) == []

    def test_inside_another_is_a_savepoint(self, database: SqliteDatabase, path: Path) -> None:
        """An error rolls back only the inner block; the outer block keeps its changes and commits them."""
        with write_transaction(database):
            put(database, "outer")
            with pytest.raises(KeyError):
                write(database, "inner", error=KeyError())
            write(database, "second")
        assert keys(path) == ["outer", "second"]

    @pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
    def test_inside_a_peewee_transaction_does_not_wait_for_the_writer_lock(self, path: Path, lock: str) -> None:
        """A thread that already holds SQLite's lock continues, even if another with the writer lock waits for it."""
        waiting = threading.Event()

        def wait_with_the_writer_lock() -> None:
            try:
                with patient.writer_lock():
                    waiting.set()
                    with patient.atomic("IMMEDIATE"):
                        put(patient, "other")
            finally:
                patient.close()

        patient = waiaas.connect(path).peewee
        with ThreadPoolExecutor(1) as pool:
            with patient.atomic(lock):
                other = pool.submit(wait_with_the_writer_lock)
                assert waiting.wait(10)
                write(patient, "own")
            other.result(10)
        patient.close_all()
        assert keys(path) == ["other", "own"]

    def test_a_busy_file_is_refused(self, database: SqliteDatabase, path: Path) -> None:
        """A lock that another process holds is `database_busy`; once it is released the same call writes."""
        with plain(path, "BEGIN IMMEDIATE"):
            with pytest.raises(WAIaaSError) as caught:
                write(database, "never")
            assert (reason_of(caught), caught.value.retryable) == ("database_busy", True)
        assert database.pragma("busy_timeout") == 200
        write(database, "later")
        assert keys(path) == ["later"]

    def test_a_held_writer_lock_is_refused(self, database: SqliteDatabase, path: Path) -> None:
        """A thread of this process that holds the writer lock makes the others `database_busy` until it is done."""
        with ThreadPoolExecutor(1) as pool:
            with write_transaction(database), pytest.raises(WAIaaSError) as caught:
                pool.submit(self._write_and_close, database, "never").result()
            assert reason_of(caught) == "database_busy"
            pool.submit(self._write_and_close, database, "later").result()
        assert keys(path) == ["later"]

    @staticmethod
    def _write_and_close(database: SqliteDatabase, key: str) -> None:
        try:
            write(database, key)
        finally:
            database.close()

    @pytest.mark.parametrize("seconds", [0, 0.0004, 0.25, 1, 2_147_483])
    def test_any_busy_timeout_works(self, path: Path, seconds: float) -> None:
        """With any timeout a transaction begins, and restores the connection's timeout."""
        database = waiaas.connect(path, busy_timeout=seconds).peewee
        write(database, "key")
        assert database.pragma("busy_timeout") == int(seconds * 1000)
        database.close_all()
        assert keys(path) == ["key"]

    def test_without_a_busy_timeout_it_does_not_wait(self, path: Path) -> None:
        """With `busy_timeout=0`, a locked file and a held writer lock are refused at once."""
        database = waiaas.connect(path, busy_timeout=0).peewee
        with plain(path, "BEGIN IMMEDIATE"), pytest.raises(WAIaaSError) as caught:
            write(database, "never")
        assert reason_of(caught) == "database_busy"
        with ThreadPoolExecutor(1) as pool, write_transaction(database), pytest.raises(WAIaaSError) as caught:
            pool.submit(self._write_and_close, database, "never").result()
        assert reason_of(caught) == "database_busy"
        database.close_all()
        assert keys(path) == []

    @pytest.mark.parametrize("seconds", [-1, -0.001, 2_147_484, float("inf"), float("nan")])
    def test_an_impossible_busy_timeout_is_refused(self, tmp_path: Path, seconds: float) -> None:
        """A negative, infinite or NaN timeout is a ValueError, and no file is created."""
        with pytest.raises(ValueError, match="from 0 to 2147483"):
            waiaas.connect(tmp_path / "wallets.db", busy_timeout=seconds)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("step", ["begin", "commit"])
    def test_an_interrupt_leaves_no_lock(
        self, database: SqliteDatabase, path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        """A KeyboardInterrupt just after BEGIN or just before COMMIT leaves the lock free and the database usable."""
        original = getattr(database, step)

        def interrupted(*arguments: Any) -> None:
            if step == "begin":
                original(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(database, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                write(database, "never")
        assert run_python(TRY_TO_WRITE, path) == "taken\n"
        write(database, "later")
        assert keys(path) == ["later"]

    @pytest.mark.slow
    def test_an_interrupt_while_waiting_changes_nothing(self, tmp_path: Path) -> None:
        """Ctrl-C interrupts the wait for either lock; the process can write once it is free."""
        path = tmp_path / "wallets.db"
        waiaas.connect(path).close()
        with plain(path, "BEGIN IMMEDIATE") as other:
            process = start_python("-c", WAIT_FOR_LOCK + KEEP_THE_TURN + AND_FOR_THE_TURN, path)
            assert process.stdout is not None
            assert process.stdout.readline() == "interrupted at the lock, then 60000\n"
            assert process.stdout.readline() == "interrupted at the writer lock\n"
            other.execute("ROLLBACK")
        assert process.communicate("go\n") == ("written\n", None)
        assert process.returncode == 0
        assert keys(path) == ["key"]

    def test_a_transaction_begun_by_sql_is_refused_and_kept(self, database: SqliteDatabase, path: Path) -> None:
        """Inside a BEGIN without Peewee, the call is `inside_transaction`, and earlier writes are kept."""
        database.execute_sql("BEGIN")
        put(database, "by hand")
        with pytest.raises(WAIaaSError) as caught:
            write(database, "never")
        assert reason_of(caught) == "inside_transaction"
        database.execute_sql("COMMIT")
        assert keys(path) == ["by hand"]

    def test_a_half_read_cursor_with_an_old_snapshot_is_refused(self, database: SqliteDatabase, path: Path) -> None:
        """A thread that is still reading rows changed by another gets `database_busy` until it is done."""
        for number in range(3):
            put(database, str(number))
        cursor = database.execute_sql("SELECT key FROM wc_store")
        cursor.fetchone()
        execute(path, "INSERT INTO wc_store VALUES ('theirs', 'value')")
        with pytest.raises(WAIaaSError) as caught:
            write(database, "never")
        assert reason_of(caught) == "database_busy"
        cursor.fetchall()
        write(database, "later")
        assert keys(path) == ["0", "1", "2", "later", "theirs"]

    def test_a_reader_blocks_the_commit_of_a_rollback_journal(self, tmp_path: Path) -> None:
        """Without a write-ahead log, a COMMIT that a reader blocks is `database_busy`, and rolled back."""
        path = make_file(tmp_path / "wallets.db", LATEST)
        database = SqliteDatabase(path, timeout=0.1)
        before = keys(path)
        with plain(path, "BEGIN", "SELECT * FROM wc_store"):
            with pytest.raises(WAIaaSError) as caught:
                write(database, "never")
            assert reason_of(caught) == "database_busy"
        write(database, "later")
        database.close()
        assert keys(path) == sorted([*before, "later"])

    @pytest.mark.parametrize("nested", [False, True])
    def test_after_a_full_disk_nothing_more_is_written(
        self, database: SqliteDatabase, path: Path, nested: bool
    ) -> None:
        """If SQLite has rolled back by itself, a block that caught the error cannot write more, and fails."""

        def fill() -> None:
            with write_transaction(database) if nested else nullcontext():
                for number in range(100):
                    database.execute_sql("INSERT INTO wc_store VALUES (?, ?)", (str(number), "x" * 3000))

        def write_around() -> None:
            with write_transaction(database):
                put(database, "before")
                with pytest.raises(WAIaaSError if nested else OperationalError, match="full"):
                    fill()
                assert not database.connection().in_transaction
                put(database, "after")

        database.pragma("cache_size", 5)
        database.pragma("max_page_count", database.pragma("page_count") + 4)
        with pytest.raises(WAIaaSError, match="the transaction was rolled back; leave it"):
            write_around()
        assert keys(path) == []
        write(database, "later")
        assert keys(path) == ["later"]

    @pytest.mark.slow
    def test_an_error_at_commit_is_raised_and_nothing_is_kept(self, tmp_path: Path) -> None:
        """If the disk fails at COMMIT, the call is refused as `io_error`; a later one succeeds."""
        path = tmp_path / "wallets.db"
        waiaas.connect(path).close()
        assert run_python(FAIL_AT_COMMIT, path) == "disk_full\n"
        assert keys(path) == ["before", "later"]

    def test_a_plain_peewee_database_works_too(self, tmp_path: Path) -> None:
        """A plain Peewee SqliteDatabase gets the same transaction, commits and rolls back."""
        path = tmp_path / "wallets.db"
        waiaas.connect(path).close()
        database = SqliteDatabase(path)
        with write_transaction(database):
            assert run_python(TRY_TO_WRITE, path) == "database is locked\n"
            put(database, "kept")
        with pytest.raises(KeyError):
            write(database, "lost", error=KeyError())
        database.close()
        assert keys(path) == ["kept"]

    def test_works_on_a_closed_database(self, database: SqliteDatabase, path: Path) -> None:
        """A database that Peewee has closed is reopened for a transaction, with the daemon's PRAGMAs."""
        database.close()
        write(database, "key")
        assert pragmas(database) == {**DAEMONS_PRAGMAS, "busy_timeout": 200}
        assert keys(path) == ["key"]

    def test_upgrade_is_refused_inside_and_works_after(self, v18: Path) -> None:
        """`upgrade` needs its own transaction: it is refused inside another, and works after it."""
        database = open_unchanged(v18)
        with write_transaction(database):
            with pytest.raises(WAIaaSError) as caught:
                waiaas.upgrade(database, backup=False)
            assert reason_of(caught) == "inside_transaction"
            put(database, "kept")
        assert waiaas.upgrade(database, backup=False).applied == [*range(19, LATEST + 1)]
        write(database, "later")
        database.close_all()
        assert {"kept", "later"} <= set(keys(v18))

    def test_manual_commit_is_left_to_the_caller(self, database: SqliteDatabase, path: Path) -> None:
        """Peewee's manual commit mode still works, statement by statement."""
        with database.manual_commit():
            put(database, "by itself")
            database.begin()
            put(database, "taken back")
            database.rollback()
        assert keys(path) == ["by itself"]


WAIT_FOR_LOCK = """
import signal, sys, threading, waiaas
from waiaas.backends.sqlite import write_transaction
from waiaas.files.opening import DatabaseFile
from waiaas.backends.sqlite import WaiaasDatabase
file = DatabaseFile(sys.argv[1])
main, database = threading.get_ident(), WaiaasDatabase(file.name, file=file, timeout=60)

def interrupted():
    # A signal before the start of the wait also interrupts: the block is never reached.
    try:
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
        with write_transaction(database):
            raise SystemExit("had the lock")
    except KeyboardInterrupt:
        return True

assert interrupted()
print("interrupted at the lock, then", database.pragma("busy_timeout"), flush=True)
"""
AND_FOR_THE_TURN = """
assert interrupted()
release()
print("interrupted at the writer lock", flush=True)
sys.stdin.readline()
with write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
database.close_all()
print("written")
"""
FAIL_AT_COMMIT = """
import os, resource, sys, waiaas
from waiaas.backends.sqlite import write_transaction
database = waiaas.connect(sys.argv[1]).peewee
with write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('before', 'value')")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[1] + "-wal"), most))
try:
    with write_transaction(database):
        database.execute_sql("INSERT INTO wc_store VALUES ('never', 'value')")
        written = True
except waiaas.WAIaaSError as error:
    assert written
    print(error.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
with write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('later', 'value')")
database.close_all()
"""


@pytest.mark.parametrize("mode", [None, "IMMEDIATE"])
def test_a_peewee_block_can_commit_and_roll_back(tmp_path: Path, mode: str | None) -> None:
    """Peewee's `commit` and `rollback` inside a block end its transaction and begin another, as in Peewee."""
    database = waiaas.connect(tmp_path / "wallets.db").peewee
    insert = "INSERT INTO key_value_store VALUES (?, 'value', 1)"
    with database.atomic(mode) as transaction:
        database.execute_sql(insert, ("kept",))
        transaction.commit()
        database.execute_sql(insert, ("gone",))
        transaction.rollback()
        database.execute_sql(insert, ("kept too",))
    rows = database.execute_sql("SELECT key FROM key_value_store ORDER BY key").fetchall()
    assert rows == [("kept",), ("kept too",)]
    database.close_all()


def test_a_with_block_is_one_transaction(tmp_path: Path) -> None:
    """Changes in `with database:` are visible to others only after it, and rolled back if it raises."""
    database, other = (waiaas.connect(tmp_path / "wallets.db").peewee for _ in range(2))
    fields = {"name": "trading", "chain": "solana", "environment": "mainnet", "publicKey": "an example's address"}
    request = CreateWalletRequestSchema().load(fields)

    def create_and_fail() -> None:
        with database:
            wallet = WalletService(database).create(**request, actor="admin")
            assert WalletService(database).get(wallet.id).name == "trading"
            assert WalletService(other).list().items == ()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        create_and_fail()
    assert database.is_closed()
    assert WalletService(database).list().items == ()
    for opened in (database, other):
        opened.close_all()


class TestDurable:
    """A transaction that is on the disk when it ends."""

    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[SqliteDatabase]:
        database = waiaas.connect(tmp_path / "wallets.db").peewee
        yield database
        database.close_all()

    @pytest.mark.parametrize("level", [0, 1, 2, 3])
    @pytest.mark.parametrize("error", [None, KeyError("own")])
    def test_the_level_of_the_connection_is_restored(
        self, database: SqliteDatabase, level: int, error: Exception | None
    ) -> None:
        """Inside the block `synchronous` is EXTRA (3); afterwards it is restored, even after an error."""
        database.pragma("synchronous", level)
        expected = nullcontext() if error is None else pytest.raises(KeyError)
        with expected, write_transaction(database, durable=True):
            assert database.pragma("synchronous") == 3
            put(database, "key")
            if error is not None:
                raise error
        assert database.pragma("synchronous") == level

    @pytest.mark.parametrize("fails", [False, True])
    def test_inside_a_transaction_the_log_is_synced_after_its_commit(
        self, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, fails: bool
    ) -> None:
        """The log and the folder are synced after the outer transaction has committed, and not after a rollback."""
        synced: list[tuple[str, list[str]]] = []
        path = Path(str(database.database))

        def note(descriptor: int) -> None:
            synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), keys(path)))

        monkeypatch.setattr(os, "fsync", note)
        with nullcontext() if not fails else pytest.raises(KeyError), database.atomic():
            with write_transaction(database, durable=True):
                put(database, "key")
            assert synced == []
            if fails:
                raise KeyError
        real = os.path.realpath(path)
        assert synced == ([] if fails else [(f"{real}-wal", ["key"]), (os.path.dirname(real), ["key"])])

    def test_a_failed_sync_is_raised(self, database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the log cannot be synced after a commit, the error is raised."""

        def fail(descriptor: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fail)
        durable = write_transaction(database, durable=True)
        with pytest.raises(WAIaaSError) as caught, database.atomic(), durable:
            put(database, "key")
        assert caught.value.code == "DATABASE_UNAVAILABLE"
        monkeypatch.undo()
        assert not database.in_transaction()

    def test_an_in_memory_database_has_nothing_to_sync(self) -> None:
        """An in-memory database has nothing to sync."""
        database = waiaas.connect(":memory:").peewee
        with write_transaction(database, durable=True):
            put(database, "outer")
            with write_transaction(database, durable=True):
                put(database, "inner")
        assert database.execute_sql("SELECT count(*) FROM wc_store").fetchone() == (2,)
        database.close_all()


@pytest.mark.parametrize("is_empty", [True, False])
def test_a_log_that_can_only_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_empty: bool) -> None:
    """On a read-only file system an empty log need not be written back: a command that only reads ends well."""
    path = make_file(tmp_path / "wallets.db", LATEST, wal=True)
    database = waiaas.connect(path).peewee
    if not is_empty:
        database.execute_sql("DELETE FROM wc_store")
    execute_sql = database.execute_sql

    def on_a_read_only_file_system(sql: str, *parameters: Any) -> Any:
        if "wal_checkpoint" in sql:
            raise OperationalError("attempt to write a readonly database")
        return execute_sql(sql, *parameters)

    monkeypatch.setattr(database, "execute_sql", on_a_read_only_file_system)
    with nullcontext() if is_empty else pytest.raises(WAIaaSError) as caught:
        database.close_all()
    assert is_empty or (caught is not None and caught.value.reason == "read_only")
    with pytest.raises(WAIaaSError):
        database.connect()
