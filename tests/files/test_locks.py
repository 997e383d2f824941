"""Files that another process has locked, and the locks of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from peewee import SqliteDatabase
from support.connect_results import open_unchanged, refused
from support.old_files import make_file
from support.python_processes import TRY_TO_WRITE, run_python
from support.sqlite_files import files, plain, query

import waiaas
from waiaas import WAIaaSError
from waiaas.migrations.opening import open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION


class TestBusy:
    BEGIN = ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE")

    @pytest.mark.parametrize("begin", BEGIN)
    def test_a_locked_old_file_is_refused(self, v18: Path, begin: str) -> None:
        """A file that another connection holds is refused after `busy_timeout`, unchanged, with a retryable reason."""
        before = files(v18.parent)
        with plain(v18, begin):
            started = time.monotonic()
            error = refused(v18, busy_timeout=0.2)
            waited = time.monotonic() - started
        assert (error.reason, error.retryable) == ("database_busy", True)
        assert error.details is not None
        assert error.details["seconds"] == 0.2
        assert 0.15 < waited < 2.5
        assert files(v18.parent) == before
        waiaas.connect(v18, busy_timeout=0.2).close()
        assert query(v18, "SELECT max(version) FROM schema_version") == [(LATEST,)]

    @pytest.mark.parametrize("begin", BEGIN)
    def test_a_locked_empty_file_is_refused(self, tmp_path: Path, begin: str) -> None:
        """An empty file in which another connection is creating something is refused."""
        path = tmp_path / "wallets.db"
        path.touch()
        with plain(path, begin):
            started = time.monotonic()
            error = refused(path, busy_timeout=0.2)
            waited = time.monotonic() - started
        assert (error.reason, error.retryable) == ("database_busy", True)
        assert waited < 2.5
        assert path.read_bytes() == b""
        waiaas.connect(path).close()

    @pytest.mark.parametrize(
        "statements", [("BEGIN IMMEDIATE",), ("BEGIN", "SELECT * FROM wallets")], ids=["writer", "reader"]
    )
    def test_a_file_in_use_that_must_be_converted_to_a_log(self, tmp_path: Path, statements: tuple[str, ...]) -> None:
        """A current file in rollback-journal mode that stays in use is refused in time, and not converted."""
        path = make_file(tmp_path / "wallets.db", LATEST)
        before = files(tmp_path)
        with plain(path, *statements):
            started = time.monotonic()
            error = refused(path, busy_timeout=0.2)
            waited = time.monotonic() - started
        assert (error.reason, error.retryable) == ("database_busy", True)
        assert 0.15 < waited < 2.5
        assert files(tmp_path) == before

    @pytest.mark.parametrize(
        "statements",
        [("BEGIN IMMEDIATE", "DELETE FROM wc_store"), ("BEGIN", "SELECT * FROM wallets")],
        ids=["writer", "reader"],
    )
    def test_a_current_file_in_use_can_be_opened(self, tmp_path: Path, statements: tuple[str, ...]) -> None:
        """In write-ahead-log mode neither a reader nor a writer blocks opening and reading."""
        path = make_file(tmp_path / "wallets.db", LATEST, wal=True)
        with plain(path, *statements):
            database = waiaas.connect(path, busy_timeout=0.2).peewee
            assert database.execute_sql("SELECT count(*) FROM wc_store").fetchone() == (12,)
            database.close_all()

    @pytest.mark.parametrize(
        "change", [waiaas.upgrade, lambda database: waiaas.downgrade(database, 18)], ids=["upgrade", "downgrade"]
    )
    def test_a_locked_file_with_a_log_is_waited_for_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[SqliteDatabase], object]
    ) -> None:
        """After a refusal, a file in write-ahead-log mode is closed without waiting for the lock again."""
        path = make_file(tmp_path / "wallets.db", wal=True)
        monkeypatch.setattr("waiaas.migrations.opening.BUSY_TIMEOUT", 0.1)
        statements: list[str] = []

        def change_traced(database: SqliteDatabase) -> None:
            database.connection().set_trace_callback(statements.append)
            change(database)

        with plain(path, "BEGIN IMMEDIATE"), pytest.raises(WAIaaSError) as caught, open_to_change(path) as database:
            change_traced(database)
        assert caught.value.reason == "database_busy"
        assert "BEGIN IMMEDIATE" in statements
        assert [statement for statement in statements if "checkpoint" in statement] == []
        assert database.is_closed()
        assert query(path, "SELECT max(version) FROM schema_version") == [(18,)]

    def test_an_old_file_in_use_can_be_opened_without_an_upgrade(self, v18: Path) -> None:
        """With `upgrade=False`, a writer in another process does not block reading."""
        with plain(v18, "BEGIN IMMEDIATE"):
            database = open_unchanged(v18, busy_timeout=0.2)
            assert database.execute_sql("SELECT count(*) FROM sessions").fetchone() == (12,)
            database.close_all()

    def test_waits_for_a_lock_to_be_released(self, v18: Path) -> None:
        """A file that is unlocked within `busy_timeout` is upgraded."""
        is_waiting = threading.Event()
        with plain(v18) as other, ThreadPoolExecutor(1) as pool:
            other.execute("BEGIN IMMEDIATE")
            opening = pool.submit(lambda: waiaas.connect(v18, progress=lambda _: is_waiting.set()).close())
            assert is_waiting.wait(10)
            assert not opening.done()
            other.execute("ROLLBACK")
            opening.result(10)
        assert query(v18, "SELECT max(version) FROM schema_version") == [(LATEST,)]


RUN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print(connection.execute(sys.argv[2]).fetchall())
connection.close()
"""


class TestLocksOfThisProcess:
    """A process loses its POSIX locks on a file as soon as it closes any descriptor of that file.

    https://www.sqlite.org/howtocorrupt.html, section 2.2
    """

    def test_are_kept_by_a_refused_connect(self, v18: Path) -> None:
        """A write lock of this process is still held after `connect` was refused because of it."""
        with plain(v18, "BEGIN IMMEDIATE"):
            assert run_python(TRY_TO_WRITE, v18) == "database is locked\n"
            assert refused(v18, busy_timeout=0.1).reason == "database_busy"
            assert run_python(TRY_TO_WRITE, v18) == "database is locked\n"
        assert run_python(TRY_TO_WRITE, v18) == "taken\n"

    def test_are_kept_by_a_second_connect(self, tmp_path: Path) -> None:
        """Other processes see what this process writes, even if it has connected to the file a second time."""
        path = tmp_path / "wallets.db"
        first = waiaas.connect(path).peewee
        first.execute_sql("INSERT INTO wc_store VALUES ('first', '1')")
        second = waiaas.connect(path).peewee
        run_python(RUN, path, "INSERT INTO wc_store VALUES ('theirs', '2')")
        first.execute_sql("INSERT INTO wc_store VALUES ('second', '3')")
        assert run_python(RUN, path, "SELECT value FROM wc_store ORDER BY value") == "[('1',), ('2',), ('3',)]\n"
        second.close_all()
        first.close_all()
        assert query(path, "SELECT value FROM wc_store ORDER BY value") == [("1",), ("2",), ("3",)]
