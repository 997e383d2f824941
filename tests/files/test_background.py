"""Work that a thread does during a change: the backup, or the page check, of the file before the change."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import wait
from contextlib import closing
from pathlib import Path

import peewee
import pytest
from support.old_files import dump, make_file

import waiaas
from waiaas import Progress, WAIaaSError
from waiaas.files import page_check as damage
from waiaas.files.background import Background, allows_concurrent_reader
from waiaas.files.backup import Copy
from waiaas.files.opening import DatabaseFile
from waiaas.migrations import run
from waiaas.migrations.opening import open_to_change
from waiaas.migrations.versions import v19_session_wallets as v19
from waiaas.progress import ProgressReporter

PATIENCE = 30
SIGN = Progress("backing up", None, 1, 2)


@pytest.fixture
def log18(tmp_path: Path) -> Path:
    """A version-18 file with a write-ahead log, alone in its folder."""
    return make_file(tmp_path / "wallets.db", rows=300, wal=True)


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


class Held:
    """The backup of an upgrade, which starts or ends only when the test releases it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, at_the_end: bool = False) -> None:
        self.begun, self.free = threading.Event(), threading.Event()
        self._write_backup, self._at_the_end = run.write_backup, at_the_end
        monkeypatch.setattr(run, "write_backup", self._write)

    def _write(self, file: DatabaseFile, target: Path, reporter: ProgressReporter) -> Copy:
        copy = self._write_backup(file, target, reporter) if self._at_the_end else None
        self.begun.set()
        assert self.free.wait(PATIENCE)
        return copy or self._write_backup(file, target, reporter)


def test_the_backup_is_of_the_file_before_the_change(log18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that starts only when the tables are changed still contains the old file."""
    held, before = Held(monkeypatch), dump(log18)

    def release(progress: Progress) -> None:
        if progress.phase == "checking the foreign keys of session_wallets":
            assert not list(log18.parent.glob("*.backup"))
            held.free.set()

    with open_to_change(log18) as database:
        report = waiaas.upgrade(database, progress=release)
    assert report.backup is not None
    assert dump(Path(report.backup)) == before
    assert "session_wallets" in dump(log18)


def test_nothing_is_committed_before_the_backup_has_its_name(log18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the change waits for its backup, other connections still see the old file."""
    held, seen = Held(monkeypatch, at_the_end=True), list[int]()

    def look(progress: Progress) -> None:
        # Reported repeatedly by the change that waits.
        if progress.phase == "verifying the backup" and held.begun.is_set():
            with closing(sqlite3.connect(log18)) as reader:
                seen.extend(reader.execute("SELECT max(version) FROM schema_version").fetchone())
            assert len(list(log18.parent.glob("*.backup"))) == 1
            held.free.set()

    with open_to_change(log18) as database:
        waiaas.upgrade(database, progress=look)
    assert set(seen) == {18}


def test_progress_is_reported_by_the_upgrading_thread(log18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback is never called from the copying thread."""
    held, threads = Held(monkeypatch), set()

    def report(progress: Progress) -> None:
        threads.add(threading.current_thread())
        if progress.phase == "filling session_wallets":
            held.free.set()

    with open_to_change(log18) as database:
        waiaas.upgrade(database, progress=report)
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("at_the_end", [False, True], ids=["not begun", "written"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_stopped_change_removes_its_backup(
    log18: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], at_the_end: bool
) -> None:
    """An upgrade stopped while its backup is written, or is complete, leaves the file unchanged."""
    held, before = Held(monkeypatch, at_the_end=at_the_end), files(log18)

    def stop(progress: Progress) -> None:
        if progress.phase == "filling session_wallets":
            assert held.begun.wait(PATIENCE)
            held.free.set()
            raise error

    with open_to_change(log18) as database, pytest.raises(error):
        waiaas.upgrade(database, progress=stop)
    assert files(log18) == before
    assert threading.active_count() == 1


def test_a_long_page_check_is_reported_and_can_be_stopped(log18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a backup, a change waits for its page check and reports that, and the wait can be stopped."""
    before = files(log18)

    def look(database: sqlite3.Connection, **_: object) -> list[str]:
        database.execute("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
        raise AssertionError("a statement without an end has ended")

    def stop(progress: Progress) -> None:
        if progress.phase == "checking the pages":
            raise KeyboardInterrupt

    monkeypatch.setattr(damage, "damage", look)
    with open_to_change(log18) as database, pytest.raises(KeyboardInterrupt):
        waiaas.upgrade(database, backup=False, progress=stop)
    assert files(log18) == before


@pytest.mark.parametrize(
    ("message", "reason"), [("disk I/O error", "io_error"), ("database disk image is malformed", "corrupt")]
)
def test_an_unfinished_backup_is_completed_if_the_file_is_at_risk(
    log18: Path, monkeypatch: pytest.MonkeyPatch, message: str, reason: str
) -> None:
    """If the disk or the file fails while the backup is written, it is completed, kept and reported."""
    held, before = Held(monkeypatch), dump(log18)

    def fail(_: waiaas.ddl.LosslessMigrator) -> None:
        held.free.set()
        raise peewee.OperationalError(message)

    monkeypatch.setattr(v19, "up", fail)
    with open_to_change(log18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert caught.value.reason == reason
    copy = Path(str((caught.value.details or {})["backup"]))
    assert {file.name for file in log18.parent.iterdir()} == {log18.name, copy.name}
    assert dump(copy) == dump(log18) == before


def test_a_backup_that_failed_ends_a_long_upgrade_at_its_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade from version 1 whose backup failed does not continue to the last version."""
    path = make_file(tmp_path / "wallets.db", version=1, wal=True)
    before, versions = files(path), set[object]()
    raise_failure = Background.raise_failure

    def late(background: Background[object]) -> None:
        wait([background._job])
        raise_failure(background)

    monkeypatch.setattr(Background, "raise_failure", late)
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(
            database,
            backup=tmp_path / "no such folder" / "copy",
            progress=lambda progress: versions.add(progress.version),
        )
    assert caught.value.reason == "backup_failed"
    assert versions == {None, 2}
    assert files(path) == before


def test_a_job_that_fails_with_a_timeout_is_not_waited_for() -> None:
    """TimeoutError, which a network file system can raise, is a failure of the job and not a reason to wait."""

    def job(_: ProgressReporter) -> None:
        raise TimeoutError("Connection timed out")

    background = Background(job, ProgressReporter(None))
    with pytest.raises(TimeoutError, match="Connection timed out"):
        background.result()
    assert background.end(stop=True) is None


def test_a_job_stops_at_its_next_progress_report() -> None:
    """A job whose result is no longer needed ends at its next progress report."""

    def job(reporter: ProgressReporter) -> None:
        while True:
            reporter(SIGN)

    background = Background(job, ProgressReporter(None))
    assert background.end(stop=True) is None


@pytest.mark.parametrize(
    ("pragmas", "expected"),
    [("", True), ("PRAGMA locking_mode = EXCLUSIVE", False), ("PRAGMA journal_mode = DELETE", False)],
)
def test_whether_another_connection_can_read_during_a_change(log18: Path, pragmas: str, expected: bool) -> None:
    """A second connection can read during a change only with a write-ahead log and normal locking."""
    with closing(peewee.SqliteDatabase(str(log18))) as database:
        database.connect()
        database.connection().executescript(pragmas)
        assert allows_concurrent_reader(database) is expected
