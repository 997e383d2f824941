"""The runner: one transaction, the lock, the pragmas, and the file after a failure at any moment."""

from __future__ import annotations

import collections
import itertools
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import peewee
import pytest
from peewee import SqliteDatabase
from support.connect_results import open_unchanged
from support.interrupted_upgrades import Trial, Victims
from support.memory_databases import made
from support.old_files import contents, dump, execute, make_file, query

import waiaas
from waiaas import LATEST_SCHEMA_VERSION as LATEST
from waiaas import Progress, WAIaaSError
from waiaas.migrations.opening import open_to_change

# The versions that an upgrade from version 18 applies.
PENDING = list(range(19, LATEST + 1))

PRAGMAS = ("foreign_keys", "synchronous", "cache_size", "temp_store", "journal_mode", "legacy_alter_table")


@pytest.fixture(params=[False, True], ids=["rollback journal", "write-ahead log"])
def v18(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A version-18 file with linked rows, alone in its folder."""
    return make_file(tmp_path / "wallets.db", wal=request.param)


def pragmas(database: SqliteDatabase) -> dict[str, object]:
    return {name: database.pragma(name) for name in PRAGMAS}


def test_an_open_transaction_is_refused(v18: Path) -> None:
    """Inside a caller's transaction, opened by Peewee or by SQL, upgrade and downgrade are refused."""
    before = dump(v18)
    with open_to_change(v18) as database:
        for change in (waiaas.upgrade, lambda database: waiaas.downgrade(database, 18)):
            with database.atomic(), pytest.raises(WAIaaSError) as caught:
                change(database)
            assert caught.value.reason == "inside_transaction"
            database.execute_sql("BEGIN")
            with pytest.raises(WAIaaSError) as caught:
                change(database)
            assert caught.value.reason == "inside_transaction"
            assert database.connection().in_transaction
            database.execute_sql("ROLLBACK")
    assert dump(v18) == before


def test_the_pragmas_are_restored(v18: Path) -> None:
    """After a successful and after a refused upgrade, the connection has its original PRAGMAs."""
    execute(v18, "CREATE INDEX mine ON sessions (wallet_id)")
    with open_to_change(v18) as database:
        database.pragma("synchronous", 0)
        before = pragmas(database)
        with pytest.raises(WAIaaSError):
            waiaas.upgrade(database)
        assert pragmas(database) == before
        database.execute_sql("DROP INDEX mine")
        waiaas.upgrade(database, backup=False)
        assert pragmas(database) == before
        database.pragma("foreign_keys", 0)
        waiaas.downgrade(database, 18, backup=False)
        assert database.pragma("foreign_keys") == 0


def test_temporary_tables_survive(v18: Path) -> None:
    """Temporary tables, which a change of temp_store would delete, survive the upgrade."""
    with open_to_change(v18) as database:
        database.execute_sql("CREATE TEMP TABLE mine AS SELECT 42 AS answer")
        waiaas.upgrade(database, backup=False)
        assert database.execute_sql("SELECT answer FROM mine").fetchall() == [(42,)]


def test_only_sqlite_is_migrated() -> None:
    """A database of another backend is refused without a query."""
    database = peewee.PostgresqlDatabase("wallets")
    for change, reason in (
        (waiaas.upgrade, "not_sqlite"),
        (waiaas.plan, "not_sqlite"),
        (lambda database: waiaas.downgrade(database, 18), "needs_file"),
    ):
        with pytest.raises(WAIaaSError) as caught:
            change(database)
        assert caught.value.reason == reason
    assert waiaas.status(database).action == "refuse"


def test_a_database_without_tables_is_refused() -> None:
    """Upgrade, downgrade and plan report an empty database as empty."""
    database = made()
    for change in (waiaas.upgrade, waiaas.plan, lambda database: waiaas.downgrade(database, 18)):
        with pytest.raises(WAIaaSError) as caught:
            change(database)
        assert caught.value.reason == "empty_database"


def test_a_database_in_memory_is_upgraded(v18: Path) -> None:
    """An in-memory database is upgraded like a file, without a backup."""
    database = made()
    with closing(sqlite3.connect(v18)) as source:
        source.backup(database.connection())
    report = waiaas.upgrade(database)
    assert (report.applied, report.links_created, report.backup) == (PENDING, 12, None)


def test_the_time_comes_from_the_clock(v18: Path) -> None:
    """The given clock determines the time of the version row and the name of the backup."""
    with open_to_change(v18) as database:
        report = waiaas.upgrade(database, clock=lambda: 1_767_323_045.9)
    assert report.backup == f"{v18}.v18-20260102T030405Z.backup"
    assert query(v18, "SELECT applied_at FROM schema_version WHERE version = 19") == [(1_767_323_045,)]


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_lock_of_another_connection_is_reported_after_the_timeout(tmp_path: Path, wal: bool) -> None:
    """If another connection holds the write lock past the busy timeout, the error reports it and nothing changes."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    before = dump(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, open_to_change(path) as database:
        other.execute("BEGIN IMMEDIATE")
        database.timeout = 0.2
        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(database)
        assert (caught.value.reason, caught.value.retryable) == ("database_busy", True)
        assert "0.2 s" in str(caught.value)
        other.execute("ROLLBACK")
        assert dump(path) == before
        assert waiaas.upgrade(database).applied == PENDING


def test_a_reader_keeps_its_snapshot(tmp_path: Path) -> None:
    """With a write-ahead log, a reader in a transaction still sees version 18."""
    path = make_file(tmp_path / "wallets.db", wal=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader, open_to_change(path) as database:
        reader.execute("BEGIN")
        count = "SELECT count(wallet_id) FROM sessions"
        assert reader.execute(count).fetchone() == (12,)
        assert waiaas.upgrade(database).applied == PENDING
        assert reader.execute(count).fetchone() == (12,)
        reader.execute("COMMIT")
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            reader.execute(count)


def test_a_reader_of_a_rollback_journal_file_blocks_the_commit(tmp_path: Path) -> None:
    """Without a write-ahead log, a reader that does not finish blocks the commit: the upgrade is refused."""
    v18 = make_file(tmp_path / "wallets.db")
    before = dump(v18)
    with closing(sqlite3.connect(v18, isolation_level=None)) as reader, open_to_change(v18) as database:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchone()
        database.timeout = 0.2
        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(database)
        assert caught.value.reason == "database_busy"
        assert list(v18.parent.glob("*.backup")) == []
    assert dump(v18) == before


def test_of_two_concurrent_upgrades_one_runs(v18: Path) -> None:
    """Of two threads that upgrade one file at the same moment, one does it and the other finds it done."""
    start, reports = threading.Barrier(2), []

    def run() -> None:
        database = open_unchanged(v18)
        start.wait()
        reports.append(waiaas.upgrade(database, backup=False))
        database.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.applied for report in reports) == [[], PENDING]
    assert query(v18, "SELECT count(*) FROM schema_version WHERE version = 19") == [(1,)]


def phases(path: Path) -> list[str]:
    """Return the phases of an upgrade of a copy; a phase reported again during a statement counts once."""
    seen: list[Progress] = []
    copy = Path(shutil.copy(path, path.with_suffix(".copy")))
    with open_to_change(copy) as database:
        waiaas.upgrade(database, progress=seen.append)
    for left in path.parent.glob(f"{copy.name}*"):
        left.unlink()
    return [progress.phase for progress, _ in itertools.groupby(seen)]


class Interrupt(BaseException):
    """Simulates Ctrl-C at a chosen moment."""


@pytest.mark.slow
def test_an_interruption_in_any_phase_leaves_the_file_unchanged(v18: Path) -> None:
    """Ctrl-C in any phase rolls back the whole upgrade and removes the backup."""
    before = contents(v18.parent)
    seen = phases(v18)
    assert {"looking for obstacles", "filling session_wallets", "committing"} <= set(seen)
    for number in range(len(seen)):
        calls: list[Progress] = []

        def interrupt(progress: Progress, calls: list[Progress] = calls, number: int = number) -> None:
            calls.append(progress)
            if len(calls) > number:
                raise Interrupt

        with open_to_change(v18) as database, pytest.raises(Interrupt):
            waiaas.upgrade(database, progress=interrupt)
        assert contents(v18.parent) == before


@pytest.mark.slow
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_kill_9_in_any_phase_loses_nothing(tmp_path: Path, wal: bool) -> None:
    """A process killed in any phase leaves the complete version 18, and the next upgrade succeeds."""
    original = make_file(tmp_path / "wallets.db", rows=200, wal=wal)
    trial = Trial(original)
    with Victims("phase") as victims:
        for number in itertools.count():
            outcome = victims.upgrade(trial.begin(), number).how
            if outcome == "not reached":
                break
            assert outcome == "killed"
            assert trial.version_afterwards() == 18
    assert number > 8


@pytest.mark.slow
@pytest.mark.parametrize(("version", "points"), [(18, "statement"), (18, "write"), (1, "write")])
def test_kill_9_at_any_statement_loses_nothing(tmp_path: Path, version: int, points: str) -> None:
    """A process killed before or after any SQL statement leaves the complete old version or version 19.

    Every statement is tried only if WAIAAS_STRESS is set, which takes minutes.
    """
    trial = Trial(make_file(tmp_path / "wallets.db", version, rows=50, wal=True))
    every = 1 if os.environ.get("WAIAAS_STRESS") else {"statement": 60, "write": 8 if version == 18 else 50}[points]
    found = collections.Counter[int]()
    with Victims(points) as victims:
        for number in itertools.count(0, every):
            outcome = victims.upgrade(trial.begin(), number).how
            if outcome == "not reached":
                break
            assert outcome == "killed"
            found[trial.version_afterwards()] += 1
    print(f"killed from version {version} at every {every}. {points}: found at {dict(found)}")
    assert found[version] > 2
    assert found.keys() <= {version, LATEST}
    assert every > 1 or found[LATEST] > 2


def faulty_upgrades(trial: Trial, fault: str, every: int) -> collections.Counter[str]:
    """Upgrade a file with writes failing from each point on, and return how each upgrade ended."""
    outcomes = collections.Counter[str]()
    with Victims("write", fault) as victims:
        for number in itertools.count(0, every):
            outcome = victims.upgrade(trial.begin(), number).how
            if outcome == "not reached":
                break
            outcomes[outcome] += 1
            assert trial.version_afterwards() == (LATEST if outcome == "done" else 18)
    print(f"{fault} from every {every}. write on: {dict(outcomes)}")
    return outcomes


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not list open files")
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_failing_writes_lose_nothing(tmp_path: Path, wal: bool) -> None:
    """If writes fail from any point on, the error reports it, and the file is the complete version 18.

    Every write is tried only if WAIAAS_STRESS is set.
    """
    every = 1 if os.environ.get("WAIAAS_STRESS") else 6
    outcomes = faulty_upgrades(Trial(make_file(tmp_path / "wallets.db", rows=50, wal=wal)), "io error", every)
    # The backup, in its thread, fails before a change that is still in memory.
    assert outcomes["io_error"] > (0 if wal else 2)
    assert outcomes.keys() <= {"io_error", "backup_failed", "cannot_open", "done"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_full_disk_at_any_stage_loses_nothing(small_disk: Path, wal: bool) -> None:
    """If the disk is full from any point on, the error reports it, and the file is the complete version 18.

    Every write is tried only if WAIAAS_STRESS is set.
    """
    every = 1 if os.environ.get("WAIAAS_STRESS") else 6
    outcomes = faulty_upgrades(Trial(make_file(small_disk / "wallets.db", rows=300, wal=wal)), "full disk", every)
    assert outcomes["disk_full"] > (0 if wal else 2)
    assert outcomes.keys() <= {"disk_full", "backup_failed", "cannot_open", "done"}


@pytest.mark.slow
def test_a_full_disk_leaves_the_file_unchanged(tmp_path: Path) -> None:
    """If the file may not grow at any point of the upgrade, the error reports it and no row is lost."""
    path = make_file(tmp_path / "wallets.db", rows=300, wal=True)
    before = dump(path)
    (pages,) = query(path, "PRAGMA page_count")[0]
    refused = 0
    for more in range(0, 60, 6):
        with open_to_change(path) as database:
            database.pragma("max_page_count", pages + more)
            try:
                waiaas.upgrade(database)
            except WAIaaSError as error:
                assert (error.reason, error.retryable) == ("disk_full", True)
                refused += 1
                assert dump(path) == before
                assert list(tmp_path.glob("*.backup")) == []
            else:
                break
    assert refused >= 2
    assert query(path, "SELECT count(*) FROM session_wallets") == [(300,)]


FILE_SIZE_LIMITED = """
import resource, signal, sys, waiaas
from waiaas.migrations.opening import open_to_change
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with open_to_change(sys.argv[1], warn=lambda _: None) as database:
        waiaas.upgrade(database)
except waiaas.WAIaaSError as error:
    sys.exit(f"{error.reason}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_file_size_limit_leaves_the_file_unchanged(tmp_path: Path, wal: bool) -> None:
    """A file size limit that stops backup, journal or database loses no row."""
    original = make_file(tmp_path / "wallets.db", rows=300, wal=wal)
    before, size = dump(original), original.stat().st_size
    reasons = set()
    for limit in range(size // 4, size * 3, size // 4):
        path = Path(shutil.copy(original, tmp_path / f"limited-{limit}.db"))
        command = [sys.executable, "-c", FILE_SIZE_LIMITED, str(path), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            break
        reason = done.stderr.strip()
        reasons.add(reason)
        assert dump(path) == before
        for copy in tmp_path.glob(f"limited-{limit}.db*.backup"):
            # The I/O error of the system may be real: a valid copy is then kept.
            assert (reason, dump(copy)) == ("io_error", before)
    else:
        pytest.fail("no limit was high enough")
    assert "backup_failed" in reasons
    assert reasons <= {"backup_failed", "disk_full", "io_error"}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_step_that_fails_is_named(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails with an unexpected SQLite error is rolled back and named, with its cause."""
    from waiaas.migrations.versions import v19_session_wallets as v19

    monkeypatch.setattr(v19, "up", lambda migrator: migrator.database.execute_sql("SELECT * FROM nowhere"))
    before = contents(v18.parent)
    with open_to_change(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert caught.value.reason == "migration_failed"
    assert "no such table: nowhere" in str(caught.value)
    assert isinstance(caught.value.__cause__, peewee.OperationalError)
    assert contents(v18.parent) == before


def test_a_step_that_breaks_a_reference_is_rolled_back(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that causes a new foreign-key violation is refused before the commit."""
    from waiaas.migrations.versions import v19_session_wallets as v19

    up = v19.up

    def breaking(migrator: waiaas.ddl.LosslessMigrator) -> None:
        up(migrator)
        migrator.database.execute_sql("UPDATE session_wallets SET wallet_id = 'gone'")

    monkeypatch.setattr(v19, "up", breaking)
    before = contents(v18.parent)
    with open_to_change(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert caught.value.reason == "foreign_key_violations"
    assert caught.value.details is not None
    assert (caught.value.details["table"], caught.value.details["count"]) == ("session_wallets", 12)
    assert contents(v18.parent) == before


@pytest.mark.parametrize(
    ("message", "reason"), [("disk I/O error", "io_error"), ("database disk image is malformed", "corrupt")]
)
def test_a_backup_is_kept_if_the_file_is_at_risk(
    v18: Path, monkeypatch: pytest.MonkeyPatch, message: str, reason: str
) -> None:
    """If the disk or file fails after the backup, the backup is kept, and the error contains its path."""
    from waiaas.migrations.versions import v19_session_wallets as v19

    def fail(_: waiaas.ddl.LosslessMigrator) -> None:
        raise peewee.OperationalError(message)

    monkeypatch.setattr(v19, "up", fail)
    before = dump(v18)
    with open_to_change(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert caught.value.reason == reason
    assert caught.value.details is not None
    copy = Path(str(caught.value.details["backup"]))
    assert {file.name for file in v18.parent.iterdir()} == {v18.name, copy.name}
    assert dump(copy) == dump(v18) == before


def test_an_error_while_references_are_counted_is_raised(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that cannot check the foreign keys for a reason other than a mismatch is refused."""
    before = contents(v18.parent)
    with open_to_change(v18) as database:
        execute_sql = database.execute_sql

        def busy(statement: str, *arguments: object) -> object:
            if "foreign_key_check" in statement:
                raise peewee.OperationalError("database is locked")
            return execute_sql(statement, *arguments)

        monkeypatch.setattr(database, "execute_sql", busy)
        with pytest.raises(WAIaaSError) as caught:
            waiaas.plan(database)
    assert (caught.value.reason, caught.value.retryable) == ("database_busy", True)
    assert contents(v18.parent) == before
