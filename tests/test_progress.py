"""Progress that is reported repeatedly during one statement, and Ctrl-C that stops it."""

from __future__ import annotations

import ctypes
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from peewee import SqliteDatabase
from support.old_files import dump, query

import waiaas
from waiaas import Progress
from waiaas import progress as progress_module
from waiaas.errors import refusal
from waiaas.migrations import run
from waiaas.migrations.opening import open_to_change
from waiaas.progress import ProgressReporter

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT {}(i) FROM n"
SIGN = Progress("counting")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        yield made


def test_progress_is_reported_during_a_long_statement(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last progress is reported again during one statement."""
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_REPORTS", 0)
    reported: list[Progress] = []
    reporter = ProgressReporter(reported.append)
    reporter(SIGN)
    with reporter.during(connection):
        assert connection.execute(LONG.format("count")).fetchone() == (300000,)
    assert len(reported) > 5
    assert {*reported} == {SIGN}


def test_nothing_is_reported_before_the_first_progress(connection: sqlite3.Connection) -> None:
    """A statement that runs before any progress was reported reports none."""
    reported: list[Progress] = []
    with ProgressReporter(reported.append).during(connection):
        connection.execute(LONG.format("count")).fetchone()
    assert reported == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_of_the_callback_stops_the_statement(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    """The callback's exception is raised instead of SQLite's "interrupted", and the connection still works."""
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_REPORTS", 0)
    signs = iter([None])

    def stop(_: Progress) -> None:
        if next(signs, error) is error:
            raise error

    reporter = ProgressReporter(stop)
    reporter(SIGN)
    with pytest.raises(error) as caught, reporter.during(connection):
        connection.execute(LONG.format("count")).fetchone()
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert connection.execute(LONG.format("max")).fetchone() == (300000,)


@pytest.mark.skipif(sys.platform == "win32", reason="C's raise is found elsewhere there")
def test_a_signal_stops_a_statement(connection: sqlite3.Connection) -> None:
    """Ctrl-C stops a statement at the next call of the handler, even if no Python code runs.

    The statement itself calls C's `raise`, so that the signal is pending before the handler's first line.
    """
    connection.create_function("send", 1, ctypes.CDLL(None)["raise"])
    reporter = ProgressReporter(lambda _: None)
    with pytest.raises(KeyboardInterrupt), reporter.during(connection):
        connection.execute(f"SELECT send({signal.SIGINT:d}), ({LONG.format('count')})").fetchone()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_without_a_callback_the_connection_is_unchanged(connection: sqlite3.Connection) -> None:
    """Without a callback, a program's own progress handler is still called."""
    called: list[int] = []
    connection.set_progress_handler(lambda: called.append(1), 1000)
    with ProgressReporter(None).during(connection):
        connection.execute(LONG.format("count")).fetchone()
    assert called


def test_an_error_of_the_statement_is_raised_unchanged(connection: sqlite3.Connection) -> None:
    """An error of a statement is not treated as an interruption."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"), ProgressReporter(print).during(connection):
        connection.execute("SELECT * FROM nowhere")


@pytest.mark.parametrize(
    "phase", ["verifying the backup", "filling session_wallets", "dropping sessions.wallet_id", "checking the foreign"]
)
def test_an_upgrade_stops_within_a_statement(v18: Path, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    """Stopped in the middle of any long statement, the upgrade changes nothing and leaves no backup."""
    monkeypatch.setattr(progress_module, "_INSTRUCTIONS_PER_CALL", 1)
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_REPORTS", 0)
    before = v18.read_bytes()
    reported: list[str] = []

    def stop(progress: Progress) -> None:
        reported.append(progress.phase)
        if progress.phase.startswith(phase) and reported.count(progress.phase) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_to_change(v18) as database:
        waiaas.upgrade(database, progress=stop)
    assert reported[-1].startswith(phase)
    assert v18.read_bytes() == before
    assert [*v18.parent.iterdir()] == [v18]


class InterruptedAtCommit(SqliteDatabase):
    """A database with a long commit that Ctrl-C interrupts: Python handles the signal after the commit."""

    def commit(self) -> None:
        super().commit()
        raise KeyboardInterrupt


def test_ctrl_c_during_the_commit_leaves_the_backup(v18: Path) -> None:
    """The commit is kept, and so is the backup of the original file."""
    before = dump(v18)
    database = InterruptedAtCommit(str(v18))
    with closing(database.connection()), pytest.raises(KeyboardInterrupt):
        waiaas.upgrade(database)
    assert query(v18, "SELECT max(version) FROM schema_version") == [(waiaas.LATEST_SCHEMA_VERSION,)]
    (backup,) = v18.parent.glob("*.backup")
    assert dump(backup) == before


def test_an_unreadable_file_keeps_its_backup(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file can no longer be read after a failed upgrade, the backup is kept."""

    def version(_: object) -> int:
        raise refusal("corrupt", path=str(v18), cause="gone")

    def stop(progress: Progress) -> None:
        if progress.phase == "filling session_wallets":
            monkeypatch.setattr(run, "schema_version", version)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_to_change(v18) as database:
        waiaas.upgrade(database, progress=stop)
    assert len([*v18.parent.glob("*.backup")]) == 1
