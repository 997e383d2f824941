"""Files next to a database that another process creates and removes all the time, as SQLite does with its journal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import waiaas
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import explain
from waiaas.files.opening import DatabaseFile
from waiaas.files.page_check import has_log
from waiaas.migrations.opening import refuse_existing
from waiaas.paths import size_of

TIMES = 3000


@contextmanager
def coming_and_going(*paths: Path) -> Iterator[Callable[[], bool]]:
    """Create and remove files in another thread, and yield a function that returns whether it still does."""

    def work() -> None:
        for _ in range(TIMES):
            for path in paths:
                path.write_bytes(bytes(512))
            for path in paths:
                path.unlink(missing_ok=True)  # SQLite removes an unneeded log, too

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread.is_alive
    finally:
        thread.join()


def test_a_journal_of_an_empty_file(tmp_path: Path) -> None:
    """Several processes may create the tables of one empty file: the journal of the first one disappears."""
    path = tmp_path / "wallets.db"
    path.touch()
    file, tries = DatabaseFile(str(path)), 0
    with coming_and_going(tmp_path / "wallets.db-journal") as goes_on:
        while goes_on():
            assert file.inspect().st_size == 0
            tries += 1
    assert tries > 100


@pytest.mark.parametrize(
    "look",
    [
        lambda path: waiaas.backups(path),
        lambda path: has_log(path),
        lambda path: size_of(path),
        lambda path: refuse_existing(path),
    ],
    ids=["backups", "has_log", "size_of", "refuse_existing"],
)
def test_a_backup_a_log_and_a_database(tmp_path: Path, look: Callable[[Path], object]) -> None:
    """A backup is removed by `backups --keep`, a log by the last connection that is closed, a file by its user."""
    path = tmp_path / "wallets.db"
    tries = 0
    backup = tmp_path / "wallets.db.v18-20261127T000000Z.backup"
    with coming_and_going(path, tmp_path / "wallets.db-wal", backup) as goes_on:
        while goes_on():
            try:
                look(path)
            except waiaas.WAIaaSError as error:
                assert error.reason in ("file_exists", "file_not_found"), error
            tries += 1
    assert tries > 100


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("database or disk is full", "disk_full"),
        ("disk I/O error", "io_error"),
        ("unable to open database file", "cannot_open"),
    ],
)
def test_an_error_is_explained_if_no_file_can_be_looked_at(tmp_path: Path, message: str, reason: str) -> None:
    """The operating system also fails to give the sizes of the files: the reason is SQLite's own."""
    (tmp_path / "file").touch()
    explained = explain(sqlite3.OperationalError(message), tmp_path / "file" / "wallets.db")
    assert (explained.reason, explained.cause) == (reason, message)
