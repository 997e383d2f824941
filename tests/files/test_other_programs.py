"""Other programs that have a database open during its upgrade."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import only_object, run
from support.connect_results import open_unchanged
from support.old_files import make_file
from support.python_processes import start_python

import waiaas
from waiaas.files import other_programs

LATEST = waiaas.LATEST_SCHEMA_VERSION

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="only Linux shows the locks of all programs")
OPEN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT * FROM wallets").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(path: Path) -> Iterator[int]:
    """Start a process that has read the file and keeps its connection; yield its id."""
    with start_python("-c", OPEN, path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process.pid
        process.communicate("")


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_an_upgrade_warns_of_them(tmp_path: Path, caplog: pytest.LogCaptureFixture, wal: bool) -> None:
    """The report and the log name the process that has the file open, with or without a lock."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    database = open_unchanged(path)
    with another_program(path) as process, caplog.at_level(logging.WARNING, "waiaas"):
        report = waiaas.upgrade(database)
    database.close_all()
    assert report.applied == [*range(19, LATEST + 1)]
    (warning,) = report.warnings
    assert warning.reason == "file_in_use"
    assert warning.details is not None
    (program,) = warning.details["programs"]
    assert program.startswith(f"{process} (")
    assert [record.getMessage() for record in caplog.records if record.name == "waiaas"] == [warning.message]


def test_a_lock_shows_a_program_whose_descriptors_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptors of another user's processes cannot be read, but their locks can."""
    path = make_file(tmp_path / "wallets.db", wal=True)
    list_folder = os.listdir

    def hide(folder: str | Path) -> list[str]:
        if str(folder).endswith("/fd"):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return list_folder(folder)

    monkeypatch.setattr(other_programs.os, "listdir", hide)
    with another_program(path) as process:
        (warning,) = waiaas.upgrade(path).warnings
    assert warning.details is not None
    assert [program.partition(" ")[0] for program in warning.details["programs"]] == [str(process)]


def test_a_downgrade_warns_of_them(tmp_path: Path) -> None:
    """The report of a downgrade also lists them."""
    path = make_file(tmp_path / "wallets.db", LATEST, wal=True)
    database = waiaas.connect(path).peewee
    with another_program(path):
        report = waiaas.downgrade(database, 18)
    database.close_all()
    assert [warning.reason for warning in report.warnings] == ["file_in_use"]


def test_the_command_prints_them(tmp_path: Path) -> None:
    """The terminal shows the warning with its hint, and --json includes the programs."""
    path = make_file(tmp_path / "wallets.db", wal=True)
    with another_program(path) as process:
        result = run("upgrade", path)
        assert result.exit_code == 0
        assert f"Warning: Another program has {path} open: {process} (" in result.stdout
        assert run("downgrade", path).exit_code == 0
        (warning,) = only_object(run("upgrade", path, "--json").stdout)["warnings"]
    assert warning["details"]["reason"] == "file_in_use"


def test_without_them_there_is_no_warning(tmp_path: Path) -> None:
    """If only this process has the file open, even with several connections, there is no warning."""
    path = make_file(tmp_path / "wallets.db", wal=True)
    first, second = (open_unchanged(path) for _ in range(2))
    second.execute_sql("SELECT * FROM wallets").fetchall()
    assert waiaas.upgrade(first).warnings == []
    second.close_all()
    first.close_all()
