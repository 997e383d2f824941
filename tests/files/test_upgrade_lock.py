"""Processes that find an upgrade in progress wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.connect_results import open_unchanged, refused
from support.interrupted_upgrades import NOW, Trial, Victims
from support.old_files import make_file
from support.python_processes import environment
from support.sqlite_files import dump, files, query

import waiaas
from waiaas.files.opening import DatabaseFile
from waiaas.files.upgrade_lock import is_being_upgraded, upgrade_lock
from waiaas.progress import ProgressReporter

LATEST = waiaas.LATEST_SCHEMA_VERSION

pytestmark = pytest.mark.slow

START = """
import sys, waiaas
sys.stdin.readline()
database = waiaas.connect(sys.argv[1], busy_timeout=0.05).peewee
print("open")
database.close_all()
"""
HOLD = """
import sys
from waiaas.files.opening import DatabaseFile
from waiaas.files.upgrade_lock import upgrade_lock
from waiaas.progress import ProgressReporter
with upgrade_lock(DatabaseFile(sys.argv[1]), ProgressReporter(None)):
    print("held", flush=True)
    sys.stdin.readline()
"""


def start(code: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_workers_that_start_at_once_all_open_the_file(tmp_path: Path, wal: bool) -> None:
    """Of four processes one upgrades and the others wait past their busy timeout; one backup is written."""
    path = make_file(tmp_path / "wallets.db", rows=3000, wal=wal)
    workers = [start(START, path) for _ in range(4)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    ended = [worker.communicate() for worker in workers]
    assert [output for output, _ in ended] == ["open\n"] * 4, ended
    assert query(path, "SELECT max(version), count(*) FROM schema_version") == [(LATEST, LATEST)]
    assert len(list(tmp_path.glob("*.backup*"))) == 1
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("upgrade", [True, False])
def test_progress_is_reported_while_waiting(tmp_path: Path, upgrade: bool) -> None:
    """A waiting process, to upgrade or only to read, calls `progress`, and opens the file afterwards."""
    path = make_file(tmp_path / "wallets.db")
    waited = threading.Event()

    def progress(each: waiaas.Progress) -> None:
        if "another process" in each.phase:
            waited.set()

    def open_it() -> None:
        if upgrade:
            waiaas.connect(path, busy_timeout=0, progress=progress).close()
        else:
            assert waiaas.plan(path, progress=progress).from_version == 18

    with ThreadPoolExecutor(1) as pool:
        with upgrade_lock(DatabaseFile(str(path)), ProgressReporter(None)):
            opening = pool.submit(open_it)
            assert waited.wait(60)
            assert not opening.done()
        opening.result()
    assert query(path, "SELECT max(version) FROM schema_version") == [(LATEST if upgrade else 18,)]


@pytest.mark.parametrize("version", [18, LATEST])
def test_a_killed_process_holds_nothing(tmp_path: Path, version: int) -> None:
    """The lock file of a killed process has no effect; `connect` removes it, with or without an upgrade."""
    path = make_file(tmp_path / "wallets.db", version)
    holder = start(HOLD, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert is_being_upgraded(DatabaseFile(str(path)))
    holder.kill()
    holder.communicate()
    assert (tmp_path / ".wallets.db.upgrading").exists()
    assert not is_being_upgraded(DatabaseFile(str(path)))
    waiaas.connect(path, backup=False).close()
    assert list(files(tmp_path)) == ["wallets.db"]


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "another user's"])
def test_an_untrusted_lock_file_is_refused(tmp_path: Path, kind: str) -> None:
    """A lock file that another user may have replaced is refused by name, and nothing hangs."""
    path = make_file(tmp_path / "wallets.db")
    lock = tmp_path / ".wallets.db.upgrading"
    if kind == "another user's":
        if os.geteuid() != 0:
            pytest.skip("only root can give a file to another user")
        lock.touch()
        os.chown(lock, 65534, 65534)
    else:
        {"fifo": os.mkfifo, "link": lambda p: os.symlink("/dev/zero", p), "folder": os.mkdir}[kind](lock)
    before = path.read_bytes()
    error = refused(path)
    assert error.reason == ("sidecar_of_another_user" if kind == "another user's" else "sidecar_not_a_file")
    assert (error.details or {})["sidecar"] == str(lock)
    assert path.read_bytes() == before


def test_three_kills_leave_one_backup(tmp_path: Path) -> None:
    """An upgrade reuses the backup of a killed one if the file has not changed since."""
    trial = Trial(make_file(tmp_path / "wallets.db"))
    path = trial.begin()
    with Victims("phase") as victims:
        number = 0
        while victims.upgrade(trial.begin(), number).how == "killed" and not list(tmp_path.glob("killed.db.v18-*")):
            number += 1
        (first,) = tmp_path.glob("killed.db.v18-*")
        content = first.read_bytes()
        for _ in range(2):
            assert victims.upgrade(path, number).how == "killed"
    database = open_unchanged(path)
    report = waiaas.upgrade(database, clock=lambda: NOW)
    database.close_all()
    assert report.backup == str(first)
    assert [each.read_bytes() for each in tmp_path.glob("killed.db.v18-*")] == [content]
    assert dump(path) == trial.after


def test_a_reused_backup_is_kept_if_the_upgrade_fails(tmp_path: Path) -> None:
    """An existing backup is kept if the upgrade that would have reused it fails."""
    path = make_file(tmp_path / "wallets.db")
    database = open_unchanged(path)

    def stop(progress: waiaas.Progress) -> None:
        if progress.version == LATEST:
            raise KeyboardInterrupt

    backup = tmp_path / "mine.db"
    waiaas.upgrade(database, backup=backup)
    database.close_all()
    path.write_bytes(backup.read_bytes())
    content = backup.read_bytes()
    database = open_unchanged(path)
    with pytest.raises(KeyboardInterrupt):
        waiaas.upgrade(database, backup=backup, progress=stop)
    database.close()
    assert backup.read_bytes() == content
    assert sorted(files(tmp_path)) == ["mine.db", "wallets.db"]


def test_the_log_names_the_backup_and_the_waiting_process(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An upgrade is logged with the path of its backup, and a process that waits for it logs one line."""
    caplog.set_level("INFO", "waiaas")
    path = make_file(tmp_path / "wallets.db")
    waited = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with upgrade_lock(DatabaseFile(str(path)), ProgressReporter(None)):
            opening = pool.submit(lambda: waiaas.connect(path, progress=lambda _: waited.set()).close())
            assert waited.wait(60)
        opening.result()
    (backup,) = tmp_path.glob("*.backup")
    assert caplog.messages == [
        f"Waiting for another process that upgrades {path}",
        f"Upgraded {path} from schema version 18 to {LATEST}; backup: {backup}",
    ]
