"""A rehearsal predicts the upgrade, finds every difference, and does not change the file."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.old_files import dump, execute, make_file, query, session_id, wallet_id

import waiaas
from waiaas import Progress, Rehearsal, WAIaaSError, rehearse
from waiaas.files import backup
from waiaas.inspection import rehearsal
from waiaas.inspection.rehearsal import TableRows
from waiaas.migrations.history import MIGRATIONS
from waiaas.migrations.opening import open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return a folder's files with their bytes and modification times; only the presence of a log's index.

    The index is shared memory as a file: readers write their locks to it.
    """
    return {
        path.name: (b"", 0) if path.name.endswith("-shm") else (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


def differing(rehearsal: Rehearsal) -> list[TableRows]:
    """Return the tables whose rows differ, except those that every upgrade from 18 changes."""
    usual = ("schema_version", "session_wallets")
    return [table for table in rehearsal.rows if table.differs and table.table not in usual]


def tamper(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    """Make the last step run additional statements, like a faulty migration."""
    step, up = MIGRATIONS[-1], MIGRATIONS[-1].up

    def faulty_up(migrator: Any) -> None:
        up(migrator)
        for statement in statements:
            migrator.database.execute_sql(statement)

    monkeypatch.setattr(step, "up", faulty_up)


class TestTheOriginal:
    @pytest.mark.parametrize("version", [1, 11, 18, LATEST])
    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    def test_is_unchanged(self, tmp_path: Path, version: int, wal: bool) -> None:
        """No byte or modification time of the file changes, and no other file remains."""
        path = make_file(tmp_path / "wallets.db", version, wal=wal)
        before = state(tmp_path)
        rehearse(path)
        assert state(tmp_path) == before

    def test_is_unchanged_while_a_daemon_has_it_open(self, tmp_path: Path) -> None:
        """Rows that are only in the write-ahead log are copied too, and the log is unchanged."""
        path = make_file(tmp_path / "wallets.db", wal=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as daemon:
            daemon.execute("INSERT INTO settings VALUES ('new', '1', 0, 'x', 1)")
            before = state(tmp_path)
            rehearsal = rehearse(path)
            assert state(tmp_path) == before
        (settings,) = (table for table in rehearsal.rows if table.table == "settings")
        assert (settings.before, settings.after) == (13, 13)

    @pytest.mark.parametrize("left", [["-wal"], ["-wal", "-shm"]], ids=["log", "log and its index"])
    def test_is_unchanged_after_a_daemon_was_killed(self, tmp_path: Path, left: list[str]) -> None:
        """The log of a killed daemon is read, but neither checkpointed nor given a new index."""
        (tmp_path / "killed").mkdir()
        original = make_file(tmp_path / "original.db", wal=True)
        path = tmp_path / "killed" / "wallets.db"
        with closing(sqlite3.connect(original, isolation_level=None)) as daemon:
            daemon.execute("INSERT INTO settings VALUES ('new', '1', 0, 'x', 1)")
            for suffix in ("", *left):
                shutil.copy(f"{original}{suffix}", f"{path}{suffix}")
        before = state(path.parent)
        rehearsal = rehearse(path)
        assert state(path.parent) == before
        (settings,) = (table for table in rehearsal.rows if table.table == "settings")
        assert (settings.before, settings.after) == (13, 13)

    def test_can_be_written_during_a_rehearsal(self, tmp_path: Path) -> None:
        """A daemon can write while the copy is upgraded; the rehearsal shows the moment of the copy."""
        path = make_file(tmp_path / "wallets.db", wal=True)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as daemon:

            def write(progress: Progress) -> None:
                if progress.phase in ("filling session_wallets", "comparing sessions"):
                    daemon.execute(f"UPDATE wallets SET name = '{progress.phase}'")

            rehearsal = rehearse(path, progress=write)
        assert differing(rehearsal) == []
        assert query(path, "SELECT DISTINCT name FROM wallets") == [("comparing sessions",)]

    def test_is_unchanged_if_the_upgrade_is_refused(self, v18: Path) -> None:
        """A refusal also changes nothing and leaves nothing."""
        execute(v18, f"DELETE FROM wallets WHERE id = '{wallet_id(1)}'")
        before = state(v18.parent)
        with pytest.raises(WAIaaSError) as caught:
            rehearse(v18)
        assert caught.value.reason == "orphan_sessions"
        assert state(v18.parent) == before

    @pytest.mark.slow
    @pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
    def test_is_unchanged_whenever_it_is_stopped(self, v18: Path, error: type[BaseException]) -> None:
        """Stopped by Ctrl-C or an error during any progress report, the rehearsal removes its copy."""
        before = state(v18.parent)
        signs: list[Progress] = []
        rehearse(v18, progress=signs.append)
        assert len(signs) > 30
        for number in range(0, len(signs), 3):
            left = iter(range(number))

            def stop(_: Progress, left: Any = left) -> None:
                if next(left, None) is None:
                    raise error

            with pytest.raises(error):
                rehearse(v18, progress=stop)
            assert state(v18.parent) == before


class TestTheCopy:
    def look(self, path: Path) -> list[tuple[str, int]]:
        """Return the folders and files of a running rehearsal, with their modes."""
        known, seen = {*path.resolve().parent.iterdir()}, set()

        def note(_: Progress) -> None:
            for made in {*path.resolve().parent.iterdir()} - known:
                seen.update((each.name, stat.S_IMODE(each.stat().st_mode)) for each in (made, *made.iterdir()))

        rehearse(path, progress=note)
        return sorted(seen)

    def test_is_accessible_only_by_its_owner(self, v18: Path) -> None:
        """Only the owner can read the folder and files, with any mode of the file and any umask."""
        v18.chmod(0o644)
        before = os.umask(0)
        try:
            seen = self.look(v18)
        finally:
            os.umask(before)
        assert [mode for name, mode in seen if name.startswith(".waiaas-rehearsal-")] == [0o700]
        assert {("copy", 0o600), ("copy-wal", 0o600), ("copy-shm", 0o600)} <= {*seen}

    def test_is_next_to_the_file_itself(self, v18: Path, tmp_path: Path) -> None:
        """If the path is a symbolic link, the copy is on the file system of its target."""
        (tmp_path / "elsewhere").mkdir()
        link = tmp_path / "elsewhere" / "link.db"
        link.symlink_to(v18)
        assert any(name.startswith(".waiaas-rehearsal-") for name, _ in self.look(link))
        assert [*link.parent.iterdir()] == [link]

    def test_needs_space(self, v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the copy would fill the disk that a daemon writes to, it is not started."""
        before = state(v18.parent)
        size = v18.stat().st_size
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - size, size))
        with pytest.raises(WAIaaSError) as caught:
            rehearse(v18)
        assert caught.value.reason == "no_room_to_rehearse"
        assert caught.value.retryable
        assert f"{size:,} are free" in caught.value.message
        assert state(v18.parent) == before


class TestReport:
    @pytest.mark.parametrize("version", [1, 2, 5, 11, 18, LATEST])
    def test_equals_that_of_the_upgrade(self, tmp_path: Path, version: int) -> None:
        """The report equals that of the upgrade, except times and the backup."""
        path = make_file(tmp_path / "wallets.db", version)
        rehearsal = rehearse(path)
        with open_to_change(path) as database:
            done = waiaas.upgrade(database)
            checked = waiaas.check(database)
        reports = [{**report.to_dict(), "seconds": 0, "backup": None} for report in (rehearsal.report, done)]
        for report in reports:
            report["steps"] = [(step["version"], step["rows"]) for step in report["steps"]]
        assert reports[0] == reports[1]
        assert rehearsal.check == checked
        assert {table.table: table.after for table in rehearsal.rows} == {
            t: len(rows) for t, rows in dump(path).items()
        }

    def test_of_a_file_at_the_latest_version(self, tmp_path: Path) -> None:
        """A file of the latest version has nothing to upgrade and no differences."""
        rehearsal = rehearse(make_file(tmp_path / "wallets.db", LATEST))
        assert (rehearsal.report.applied, rehearsal.schema) == ([], [])
        assert [table for table in rehearsal.rows if table.differs] == []

    def test_the_schema_of_version_18_and_19(self, v18: Path) -> None:
        """The junction table is added and the column removed, each with its indexes."""
        rehearsal = rehearse(v18)
        changes = [change for change in rehearsal.schema if "session" in change.where]
        assert [(c.kind, c.where, c.before is None, c.after is None) for c in changes] == [
            ("table", "session_wallets", True, False),
            ("index", "idx_session_wallets_session", True, False),
            ("index", "idx_session_wallets_wallet", True, False),
            ("column", "sessions.wallet_id", False, True),
            ("index", "idx_sessions_wallet_id", False, True),
        ]
        assert changes[3].before == "wallet_id TEXT NOT NULL REFERENCES wallets(id) ON DELETE CASCADE"

    def test_reports_renamed_tables(self, tmp_path: Path) -> None:
        """Agents renamed to wallets are one table with the same rows, not a removed and an added one."""
        rehearsal = rehearse(make_file(tmp_path / "wallets.db", 1))
        changes = {(change.kind, change.where): (change.before, change.after) for change in rehearsal.schema}
        assert changes["table", "wallets"] == ("agents", "wallets")
        assert changes["column", "policies.wallet_id"] == (
            "agent_id TEXT REFERENCES agents(id) ON DELETE CASCADE",
            '"wallet_id" TEXT REFERENCES "wallets"(id) ON DELETE CASCADE',
        )
        assert str(changes["column", "wallets.default_network"][0]).startswith("network TEXT NOT NULL")
        assert TableRows("wallets", 12, 12, added=0, removed=0, changed=0) in rehearsal.rows
        assert not any(table.removed for table in rehearsal.rows)

    def test_shows_each_kind_of_change(self, v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Changes of tables, options, constraints, triggers and views are all reported."""
        execute(v18, "CREATE TABLE mine (a TEXT, b TEXT, UNIQUE (a, b))", "CREATE TABLE going (a)")
        execute(v18, "CREATE VIEW seen AS SELECT a FROM mine")
        tamper(
            monkeypatch,
            "DROP TABLE going",
            "DROP VIEW seen",
            "CREATE VIEW seen AS SELECT b FROM mine",
            "ALTER TABLE mine RENAME TO old",
            "CREATE TABLE mine (a TEXT, b TEXT COLLATE NOCASE, UNIQUE (b)) STRICT",
            "DROP TABLE old",
            "CREATE TRIGGER woken AFTER INSERT ON mine BEGIN SELECT 1; END",
        )
        own = ("going", "mine", "seen", "woken")
        changes = [change for change in rehearse(v18).schema if change.where.startswith(own)]
        assert [(c.kind, c.where, c.before is None, c.after is None) for c in changes] == [
            ("table", "going", False, True),
            ("column", "mine.b", False, False),
            ("constraint", "mine unique ( a , b )", False, True),
            ("constraint", "mine unique ( b )", True, False),
            ("options", "mine", True, False),
            ("view", "seen", False, False),
            ("trigger", "woken", True, False),
        ]

    def test_counts_foreign_key_violations(self, v18: Path) -> None:
        """Foreign-key violations are counted before and after."""
        execute(v18, "UPDATE transactions SET session_id = 'gone' WHERE rowid <= 2")
        rehearsal = rehearse(v18)
        assert rehearsal.foreign_key_violations_before == {"transactions": 2}
        assert rehearsal.foreign_key_violations_after == {"transactions": 2}
        assert {finding.kind for finding in rehearsal.check.findings} == {"foreign_key_violation"}

    def test_names_sessions_left_without_a_wallet(self, v18: Path) -> None:
        """Sessions that would be left without a wallet are named, and found by the check of the result."""
        execute(v18, f"DELETE FROM wallets WHERE id = '{wallet_id(0)}'", "UPDATE sessions SET revoked_at = NULL")
        rehearsal = rehearse(v18, skip_orphans=True)
        orphans = sorted([session_id(0), session_id(1)])
        assert rehearsal.report.sessions_without_wallet == orphans
        (finding,) = (finding for finding in rehearsal.check.findings if finding.kind == "session_without_wallet")
        assert finding.rows == orphans

    def test_as_plain_values(self, v18: Path) -> None:
        """The dictionary has every field, in JSON values."""
        rehearsal = rehearse(v18)
        plain = rehearsal.to_dict()
        assert set(plain) == {"ok", "unexpected", *vars(rehearsal)}
        assert plain["rows"][0] == {
            **{"table": "api_keys", "before": 12, "after": 12},
            **{"added": 0, "removed": 0, "changed": 0},
        }
        assert plain["schema"][3]["where"] == "sessions.wallet_id"


OWN_TABLES = (
    "CREATE TABLE own (id TEXT PRIMARY KEY, name TEXT COLLATE NOCASE, loose)",
    "INSERT INTO own (rowid, id, name, loose) VALUES (-9223372036854775808, 'a', 'Kim', 1), (7, 'b', 'Lee', '1'),"
    " (9223372036854775807, 'c', NULL, x'31')",
    "CREATE TABLE keyed (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "INSERT INTO keyed VALUES ('a', 1, 'x'), ('a', 2, 'y'), ('b', 1, NULL)",
    "CREATE TABLE shadowed (rowid TEXT, _rowid_ TEXT, oid TEXT COLLATE NOCASE)",
    "INSERT INTO shadowed VALUES ('1', '2', 'A'), ('1', '2', 'A'), (NULL, NULL, NULL)",
)


class TestRows:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("statement", "expected"),
        [
            ("UPDATE own SET name = 'KIM' WHERE id = 'a'", ("own", 3, 3, 0, 0, 1)),
            ("UPDATE own SET name = '' WHERE name IS NULL", ("own", 3, 3, 0, 0, 1)),
            ("UPDATE own SET loose = 1.0 WHERE id = 'a'", ("own", 3, 3, 0, 0, 1)),
            ("UPDATE own SET loose = '1' WHERE id = 'a'", ("own", 3, 3, 0, 0, 1)),
            ("UPDATE own SET loose = x'31' WHERE id = 'b'", ("own", 3, 3, 0, 0, 1)),
            ("UPDATE own SET loose = NULL", ("own", 3, 3, 0, 0, 3)),
            ("DELETE FROM own WHERE id = 'c'", ("own", 3, 2, 0, 1, 0)),
            ("DELETE FROM own", ("own", 3, 0, 0, 3, 0)),
            ("INSERT INTO own VALUES ('d', '', 0)", ("own", 3, 4, 1, 0, 0)),
            ("UPDATE own SET rowid = 8 WHERE id = 'b'", ("own", 3, 3, 1, 1, 0)),
            ("UPDATE keyed SET c = 'X' WHERE c = 'x'", ("keyed", 3, 3, 1, 1, 0)),
            ("UPDATE keyed SET c = '' WHERE c IS NULL", ("keyed", 3, 3, 1, 1, 0)),
            ("DELETE FROM keyed WHERE a = 'a'", ("keyed", 3, 1, 0, 2, 0)),
            ("INSERT INTO shadowed VALUES ('1', '2', 'A')", ("shadowed", 3, 4, 1, 0, 0)),
            ("UPDATE shadowed SET oid = 'a'", ("shadowed", 3, 3, 3, 3, 0)),
            ("UPDATE sessions SET expires_at = expires_at + 1", ("sessions", 12, 12, 0, 0, 12)),
            ("DELETE FROM audit_log WHERE id % 3 = 0", ("audit_log", 12, 8, 0, 4, 0)),
            ("CREATE TABLE made AS SELECT * FROM own", ("made", None, 3, 3, 0, 0)),
            ("DROP TABLE own", ("own", 3, None, 0, 3, 0)),
        ],
    )
    @pytest.mark.parametrize("rows_at_once", [1, 2, 50_000])
    def test_each_difference_is_found(
        self,
        v18: Path,
        monkeypatch: pytest.MonkeyPatch,
        statement: str,
        expected: tuple[Any, ...],
        rows_at_once: int,
    ) -> None:
        """Added, removed and changed rows are reported, with any case, type, key or position."""
        execute(v18, *OWN_TABLES)
        monkeypatch.setattr(rehearsal, "_ROWS_AT_ONCE", rows_at_once)
        tamper(monkeypatch, statement)
        result = rehearse(v18)
        assert differing(result) == [TableRows(*expected)]
        assert result.unexpected == [TableRows(*expected)]
        assert not result.ok

    @pytest.mark.parametrize("version", [1, 5, 13, 18, LATEST])
    def test_changes_of_the_steps_are_expected(self, tmp_path: Path, version: int) -> None:
        """Renamed events, filled networks, converted states, links and versions are expected changes."""
        result = rehearse(make_file(tmp_path / "wallets.db", version))
        assert (result.ok, result.unexpected) == (True, [])

    def test_unchanged_tables_do_not_differ(self, v18: Path) -> None:
        """Unchanged tables of any kind do not differ; a virtual table is compared through its shadow tables."""
        execute(v18, *OWN_TABLES, "CREATE TABLE void (a)", "CREATE VIRTUAL TABLE found USING fts5(a)")
        execute(v18, "INSERT INTO found VALUES ('a b c')")
        rehearsal = rehearse(v18)
        assert differing(rehearsal) == []
        tables = {table.table: table.before for table in rehearsal.rows}
        assert (tables["own"], tables["keyed"], tables["shadowed"], tables["void"]) == (3, 3, 3, 0)
        assert "found" not in tables
        assert tables["found_content"] == 1

    def test_of_tables_with_many_columns(self, v18: Path) -> None:
        """Tables of two thousand columns, SQLite's maximum, are compared."""
        columns = [f"c{number}" for number in range(2000)]
        execute(v18, f"CREATE TABLE wide ({', '.join(columns)})", "INSERT INTO wide (c1, c1999) VALUES (1, 2)")
        assert differing(rehearse(v18)) == []

    def test_progress_reports_the_rows_done(self, v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While a table is compared, progress reports the rows done and the total."""
        monkeypatch.setattr(rehearsal, "_ROWS_AT_ONCE", 5)
        signs: list[Progress] = []
        rehearse(v18, progress=signs.append)
        reported = [(sign.done, sign.total) for sign in signs if sign.phase == "comparing sessions"]
        assert reported == [(0, 12), (5, 12), (10, 12), (12, 12)]


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no database " * 1000)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def with_a_damaged_index(path: Path) -> None:
    (page,) = query(path, "SELECT rootpage FROM sqlite_master WHERE name = 'idx_transactions_wallet_status'")[0]
    with path.open("r+b") as file:
        file.seek(page * 4096 - 300)
        file.write(bytes(300))


def too_new(path: Path) -> None:
    execute(path, f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, '')")


def with_orphans(path: Path) -> None:
    execute(path, f"DELETE FROM wallets WHERE id = '{wallet_id(1)}'")


def with_a_leftover(path: Path) -> None:
    execute(path, "CREATE TABLE session_wallets (id TEXT)", "INSERT INTO session_wallets VALUES ('kept')")


def with_a_view(path: Path) -> None:
    execute(path, "CREATE VIEW mine AS SELECT wallet_id FROM sessions")


def of_another_program(path: Path) -> None:
    path.unlink()
    execute(path, "CREATE TABLE notes (id INTEGER)")


class TestRefusals:
    @pytest.mark.parametrize(
        "spoil",
        [
            *(missing, empty, text, truncated, with_a_damaged_index, too_new),
            *(with_orphans, with_a_leftover, with_a_view, of_another_program),
        ],
    )
    @pytest.mark.parametrize("abandoned_log", [False, True], ids=["", "with a log that was left"])
    def test_are_those_of_the_upgrade(self, v18: Path, spoil: Callable[[Path], None], abandoned_log: bool) -> None:
        """The rehearsal refuses what the upgrade refuses, with the same error, and leaves nothing."""
        spoil(v18)
        if abandoned_log and v18.exists() and v18.stat().st_size:
            Path(f"{v18}-wal").touch()
        before = state(v18.parent)
        with pytest.raises(WAIaaSError) as rehearsed:
            rehearse(v18)
        assert state(v18.parent) == before
        with pytest.raises(WAIaaSError) as refused, open_to_change(v18) as database:
            waiaas.upgrade(database)
        errors = [{**error.value.to_dict(), "details": None} for error in (rehearsed, refused)]
        assert errors[0] == errors[1]
        ours, theirs = (error.value.details or {} for error in (rehearsed, refused))
        assert {name: ours[name] for name in ours if name != "target"} == {
            name: theirs[name] for name in theirs if name != "target"
        }

    def test_of_a_file_that_cannot_be_written(self, v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A read-only file cannot be upgraded, so its rehearsal is refused."""
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
        with pytest.raises(WAIaaSError) as caught:
            rehearse(v18)
        assert caught.value.reason == "read_only"

    def test_of_a_copy_whose_pages_cannot_be_written(self, v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """If the pages of the copy cannot be written, the error does not mention a backup."""
        before = state(v18.parent)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(backup, "_copy", fail)
        with pytest.raises(WAIaaSError) as caught:
            rehearse(v18)
        assert caught.value.reason == "copy_failed"
        assert ".waiaas-rehearsal" not in str(caught.value.to_dict())
        assert state(v18.parent) == before

    @pytest.mark.parametrize("log", [False, True], ids=["", "with a log that was left"])
    def test_of_a_copy_that_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: bool
    ) -> None:
        """If no copy can be made, the error reports that and does not suggest omitting the backup."""
        path = make_file(tmp_path / "wallets.db")
        if log:
            Path(f"{path}-wal").touch()

        def fail(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(*((shutil, "copyfile") if log else (os, "mkdir")), fail)
        with pytest.raises(WAIaaSError) as caught:
            rehearse(path)
        assert caught.value.reason == "copy_failed"
        assert "No space left on device" in caught.value.message
        assert "backup" not in f"{caught.value.message} {caught.value.hint}"
        assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []

    def test_of_the_copy_name_the_file(self, v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error of the copy, such as a full disk, names the original file."""
        monkeypatch.chdir(v18.parent)
        before = state(v18.parent)
        tamper(monkeypatch, "PRAGMA max_page_count = 1", "CREATE TABLE more AS SELECT zeroblob(10000000) AS filler")
        with pytest.raises(WAIaaSError) as caught:
            rehearse(v18.name)
        assert caught.value.reason == "disk_full"
        assert (caught.value.details or {})["path"] == v18.name
        assert ".waiaas-rehearsal" not in str(caught.value.to_dict())
        assert state(v18.parent) == before
