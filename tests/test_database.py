"""Opening and closing files: created, upgraded, or opened without an upgrade, with any name."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from peewee import OperationalError, SqliteDatabase
from support.connect_results import open_unchanged, pragmas, refused
from support.old_files import DAEMONS_PRAGMAS, make_file, session_id
from support.sqlite_files import dump, execute, files, killed, mode, plain, query, sha256

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.sqlite import write_transaction
from waiaas.migrations.opening import open_read_only, open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION


class TestFreshFile:
    def test_is_created(self, tmp_path: Path) -> None:
        """A missing file becomes a database at the latest version with no rows except those of schema_version."""
        path = tmp_path / "wallets.db"
        waiaas.connect(path).close()
        rows = dump(path)
        assert sorted(dict(row)["version"] for row in rows.pop("schema_version")) == list(range(1, LATEST + 1))
        assert {table: len(each) for table, each in rows.items()} == dict.fromkeys(rows, 0)
        assert list(files(tmp_path)) == ["wallets.db"]

    def test_is_unchanged_when_opened_again(self, tmp_path: Path) -> None:
        """A file at the latest version is opened and closed without a change of its bytes, and without a backup."""
        path = tmp_path / "wallets.db"
        waiaas.connect(path).close()
        before = files(tmp_path)
        waiaas.connect(path).close()
        assert files(tmp_path) == before

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_is_accessible_only_by_its_owner(self, tmp_path: Path, umask: int) -> None:
        """A new file has mode 0600 whatever the umask, and so have its log and index."""
        before = os.umask(umask)
        try:
            database = waiaas.connect(tmp_path / "wallets.db").peewee
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            modes = {path.name: mode(path) for path in tmp_path.iterdir()}
            database.close_all()
        finally:
            os.umask(before)
        assert modes == dict.fromkeys(["wallets.db", "wallets.db-shm", "wallets.db-wal"], 0o600)

    def test_an_empty_file_becomes_one(self, tmp_path: Path) -> None:
        """An empty file becomes a database at the latest version, and others lose their permissions."""
        path = tmp_path / "wallets.db"
        path.touch()
        path.chmod(0o644)
        waiaas.connect(path).close()
        assert query(path, "SELECT max(version), count(*) FROM schema_version") == [(LATEST, LATEST)]
        assert mode(path) == 0o600
        assert list(files(tmp_path)) == ["wallets.db"]

    def test_a_database_without_tables_becomes_one(self, tmp_path: Path) -> None:
        """A database in which nothing was ever created becomes one at the latest version."""
        path = tmp_path / "wallets.db"
        execute(path, "PRAGMA user_version = 7", "PRAGMA journal_mode = WAL")
        assert path.stat().st_size > 0
        waiaas.connect(path).close()
        assert query(path, "SELECT max(version), count(*) FROM schema_version") == [(LATEST, LATEST)]

    def test_in_memory_leaves_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`:memory:` is a new database at the latest version each time, and creates no file of that name."""
        monkeypatch.chdir(tmp_path)
        first, second = waiaas.connect(":memory:").peewee, waiaas.connect(":memory:").peewee
        first.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
        assert second.execute_sql("SELECT count(*) FROM wc_store").fetchone() == (0,)
        assert second.execute_sql("SELECT max(version) FROM schema_version").fetchone() == (LATEST,)
        assert second.pragma("foreign_keys") == 1
        first.close_all()
        second.close_all()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("options", [{"create": False}, {"upgrade": False}], ids=str)
    def test_is_not_created_unless_asked_for(self, tmp_path: Path, options: dict[str, bool]) -> None:
        """With `create=False` or `upgrade=False` a missing file is refused and not created."""
        assert refused(tmp_path / "walets.db", **options).reason == "file_not_found"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("options", [{"create": False}, {"upgrade": False}], ids=str)
    @pytest.mark.parametrize("size", [0, 4096])
    def test_is_not_filled_unless_asked_for(self, tmp_path: Path, options: dict[str, bool], size: int) -> None:
        """With `create=False` or `upgrade=False` a file without tables is refused, unchanged and with its mode."""
        path = tmp_path / "wallets.db"
        if size:
            execute(path, "PRAGMA user_version = 7")
        else:
            path.touch()
        path.chmod(0o644)
        before = files(tmp_path)
        assert refused(path, **options).reason == "empty_database"
        assert (files(tmp_path), mode(path)) == (before, 0o644)

    @pytest.mark.parametrize("options", [{"create": False}, {"upgrade": False}], ids=str)
    def test_a_current_file_is_always_opened(self, tmp_path: Path, options: dict[str, bool]) -> None:
        """A file at the latest version is opened for any `create` and `upgrade`."""
        path = make_file(tmp_path / "wallets.db", LATEST)
        database = waiaas.connect(path, **options).peewee
        assert database.execute_sql("SELECT max(version) FROM schema_version").fetchone() == (LATEST,)
        database.close_all()


class TestPragmas:
    @pytest.mark.parametrize(
        "make", [None, lambda p: make_file(p), lambda p: make_file(p, LATEST)], ids=["new", "18", str(LATEST)]
    )
    def test_are_the_daemons_on_every_connection(self, tmp_path: Path, make: Callable[[Path], Path] | None) -> None:
        """The first connection, another thread's and one made after Peewee's close have the daemon's PRAGMAs."""
        path = tmp_path / "wallets.db"
        if make:
            make(path)
        database = waiaas.connect(path).peewee

        def in_a_thread() -> dict[str, Any]:
            found = pragmas(database)
            database.close()
            return found

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(in_a_thread).result() == DAEMONS_PRAGMAS
        assert pragmas(database) == DAEMONS_PRAGMAS
        database.close()
        database.connect()
        assert pragmas(database) == DAEMONS_PRAGMAS
        database.close_all()

    def test_busy_timeout_is_the_given_one(self, tmp_path: Path) -> None:
        """`busy_timeout` in seconds is the PRAGMA's milliseconds on every connection."""
        database = waiaas.connect(tmp_path / "wallets.db", busy_timeout=0.25).peewee
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(lambda: (database.pragma("busy_timeout"), database.close())).result()
        assert (database.pragma("busy_timeout"), other[0]) == (250, 250)
        database.close_all()

    @pytest.mark.parametrize("given", [None, "5", [1]], ids=repr)
    def test_a_busy_timeout_that_is_not_a_number_is_refused(self, tmp_path: Path, given: Any) -> None:
        """A timeout that is not a number is refused by name before a file is created."""
        with pytest.raises(TypeError, match=r"^busy_timeout is a number of seconds, not "):
            waiaas.connect(tmp_path / "wallets.db", busy_timeout=given)
        assert list(tmp_path.iterdir()) == []


class TestArguments:
    """Arguments for paths and databases."""

    @pytest.mark.parametrize("name", ["wallets.db", "지갑.db", "\udcff.db"])
    def test_a_path_of_bytes_is_a_path(self, tmp_path: Path, name: str) -> None:
        """A path as bytes opens the same file as its text, as everywhere in Python."""
        path = os.fsencode(tmp_path / name)
        waiaas.connect(path).close()
        for open_it in (open_read_only, open_to_change):
            with open_it(path) as database:
                assert waiaas.status(database).version == waiaas.LATEST_SCHEMA_VERSION
        assert waiaas.rehearse(path).report.applied == []
        assert os.listdir(os.fsencode(tmp_path)) == [os.fsencode(name)]

    @pytest.mark.parametrize(
        "given", ["wallets.db", Path("wallets.db"), None, waiaas.connect], ids=["text", "path", "None", "function"]
    )
    def test_a_transaction_takes_a_database(self, given: Any) -> None:
        """A path or function instead of a database is a TypeError that names what is expected."""
        transaction = write_transaction(given)
        with pytest.raises(TypeError, match=rf"^write_transaction takes .*, not {type(given).__name__}$"):
            transaction.__enter__()


class TestOldFile:
    def test_is_upgraded_with_a_backup(self, v18: Path) -> None:
        """A version-18 file is at the latest version once opened, and a backup next to it has its original rows."""
        v18.chmod(0o640)
        before, bytes_before = dump(v18), sha256(v18)
        database = waiaas.connect(v18).peewee
        assert database.execute_sql("SELECT max(version) FROM schema_version").fetchone() == (LATEST,)
        database.close_all()
        original, backup = sorted(v18.parent.iterdir())
        assert (original, backup.name.startswith("wallets.db.v18-"), backup.suffix) == (v18, True, ".backup")
        assert dump(backup) == before
        assert sha256(v18) != bytes_before
        assert (mode(v18), mode(backup)) == (0o640, 0o640)
        links = query(v18, "SELECT session_id, wallet_id, is_default FROM session_wallets ORDER BY 1")
        assert links == query(backup, "SELECT id, wallet_id, 1 FROM sessions WHERE wallet_id IS NOT NULL ORDER BY 1")

    @pytest.mark.parametrize("version", [1, 5, 8, 17])
    def test_of_any_version_is_upgraded_or_refused(self, tmp_path: Path, version: int) -> None:
        """A file of any version since the first is upgraded with a backup at its old version, or refused."""
        path = make_file(tmp_path / "wallets.db", version)
        before, rows = files(tmp_path), dump(path)
        with pytest.raises(waiaas.UpgradePendingError) as caught:
            waiaas.connect(path, upgrade=False)
        details = {"reason": "upgrade_pending", "path": str(path), "version": version, "latest": LATEST}
        assert caught.value.details == details
        assert files(tmp_path) == before
        waiaas.connect(path).close()
        assert query(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, LATEST + 1)]
        (backup,) = tmp_path.glob(f"wallets.db.v{version}-*.backup")
        assert dump(backup) == rows
        assert sorted(files(tmp_path)) == [path.name, backup.name]

    def test_backup_can_be_elsewhere_or_omitted(self, tmp_path: Path) -> None:
        """`backup` is the path of the copy, and False creates none."""
        first, second = make_file(tmp_path / "first.db"), make_file(tmp_path / "second.db")
        before = dump(first)
        waiaas.connect(first, backup=tmp_path / "copy.db").close()
        waiaas.connect(second, backup=False).close()
        assert list(files(tmp_path)) == ["copy.db", "first.db", "second.db"]
        assert dump(tmp_path / "copy.db") == before

    def test_progress_is_reported(self, v18: Path) -> None:
        """`progress` is called while the file is upgraded."""
        reported: list[waiaas.Progress] = []
        waiaas.connect(v18, progress=reported.append).close()
        assert "backing up" in {progress.phase for progress in reported}
        assert LATEST in {progress.version for progress in reported}

    def test_of_a_killed_daemon_is_upgraded_with_every_commit(self, tmp_path: Path) -> None:
        """Rows that are only in the write-ahead log are upgraded, and are in the backup."""
        path = killed(
            tmp_path / "wallets.db",
            lambda p: make_file(p, wal=True),
            "INSERT INTO wc_store VALUES ('logged', 'row')",
            "-wal",
        )
        waiaas.connect(path).close()
        (backup,) = tmp_path.glob("*.backup")
        for file, version in ((path, LATEST), (backup, 18)):
            assert query(file, "SELECT value FROM wc_store WHERE key = 'logged'") == [("row",)]
            assert query(file, "SELECT max(version) FROM schema_version") == [(version,)]
        assert sorted(files(tmp_path)) == [path.name, backup.name]

    def test_with_a_hot_journal_is_rolled_back_and_upgraded(self, tmp_path: Path) -> None:
        """An unfinished transaction of a killed daemon is rolled back before the upgrade."""
        folder = tmp_path / "daemon"
        folder.mkdir()
        original, path = make_file(folder / "wallets.db"), tmp_path / "wallets.db"
        before = dump(original)
        with plain(
            original, "PRAGMA cache_size = 1", "BEGIN IMMEDIATE", "UPDATE wallets SET name = hex(zeroblob(3000))"
        ):
            for suffix in ("", "-journal"):
                shutil.copy(f"{original}{suffix}", f"{path}{suffix}")
        assert sha256(path) != sha256(original)
        shutil.rmtree(folder)
        waiaas.connect(path).close()
        (backup,) = tmp_path.glob("*.backup")
        assert dump(backup) == before
        names = [[dict(row)["name"] for row in rows["wallets"]] for rows in (dump(path), before)]
        assert names[0] == names[1]
        assert sorted(files(tmp_path)) == [path.name, backup.name]

    def test_that_cannot_be_upgraded_is_unchanged(self, v18: Path) -> None:
        """A session of a missing wallet blocks the upgrade: same bytes, same journal mode, no backup."""
        execute(v18, f"UPDATE sessions SET wallet_id = 'nobody' WHERE id = '{session_id(0)}'")
        before = files(v18.parent)
        error = refused(v18)
        assert error.reason == "orphan_sessions"
        assert error.details is not None
        assert error.details["sessions"] == [session_id(0)]
        assert files(v18.parent) == before

    def test_skip_orphans_leaves_them_without_a_link(self, v18: Path) -> None:
        """With `skip_orphans` the session of a missing wallet is kept without a link."""
        execute(v18, f"UPDATE sessions SET wallet_id = 'nobody' WHERE id = '{session_id(0)}'")
        waiaas.connect(v18, skip_orphans=True).close()
        missing = query(v18, "SELECT id FROM sessions WHERE id NOT IN (SELECT session_id FROM session_wallets)")
        assert missing == [(session_id(0),)]


class TestOpenWithoutUpgrade:
    """How the command line opens existing files, to inspect or to change them."""

    @pytest.mark.parametrize("open_it", [open_read_only, open_to_change])
    def test_a_missing_file_is_not_created(
        self, tmp_path: Path, open_it: Callable[[Path], AbstractContextManager[SqliteDatabase]]
    ) -> None:
        """A missing file is not created."""
        with pytest.raises(WAIaaSError) as caught, open_it(tmp_path / "wallets.db"):
            pass
        assert caught.value.reason == "file_not_found"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("open_it", [open_read_only, open_to_change])
    @pytest.mark.parametrize("wal", [False, True], ids=["rollback-journal", "wal"])
    @pytest.mark.parametrize("version", [18, LATEST])
    def test_reading_changes_no_byte(
        self,
        tmp_path: Path,
        open_it: Callable[[Path], AbstractContextManager[SqliteDatabase]],
        wal: bool,
        version: int,
    ) -> None:
        """Opened, read and closed, a file of either version and journal mode is unchanged, alone in its folder."""
        path = make_file(tmp_path / "wallets.db", version, wal=wal)
        before = files(tmp_path)
        with open_it(path) as database:
            assert database.execute_sql("SELECT count(*) FROM sessions").fetchone() == (12,)
        assert database.is_closed()
        assert files(tmp_path) == before

    def test_an_empty_file_is_not_filled(self, tmp_path: Path) -> None:
        """An empty file is refused instead of upgraded, and stays empty with its mode."""
        path = tmp_path / "wallets.db"
        path.touch()
        path.chmod(0o644)
        with pytest.raises(WAIaaSError) as caught, open_to_change(path):
            pass
        assert caught.value.reason == "empty_database"
        assert (path.read_bytes(), mode(path)) == (b"", 0o644)

    def test_is_read_only_with_a_log(self, tmp_path: Path) -> None:
        """A file with a killed daemon's log is opened read-only, so that the log is not checkpointed."""
        path = killed(
            tmp_path / "wallets.db",
            lambda path: make_file(path, wal=True),
            "INSERT INTO wc_store VALUES ('logged', 'row')",
            "-wal",
            "-shm",
        )
        before = {name: each for name, each in files(tmp_path).items() if name[-4:] != "-shm"}
        with open_read_only(path) as database:
            assert database.execute_sql("SELECT value FROM wc_store WHERE key = 'logged'").fetchone() == ("row",)
            with pytest.raises(OperationalError, match="readonly"):
                database.execute_sql("DELETE FROM wc_store")
        assert {name: each for name, each in files(tmp_path).items() if name[-4:] != "-shm"} == before


ODD_NAMES = (
    "what?.db",
    "what?mode=ro",
    "a#b.db",
    "100%.db",
    "%41%2e.db",
    "with space .db",
    "지갑 데이터.db",
    'it\'s "quoted".db',
    "semi;colon&amp.db",
    "back\\slash.db",
    "file:name.db",
    ":memory:.db",
)


class TestPaths:
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_file_name_is_used_literally(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Characters with a meaning in URIs are part of the name: this file is upgraded, and no other."""
        folder = tmp_path / f"in {name}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        before = dump(make_file(folder / "plain.db", rows=2))
        os.rename("plain.db", name)
        assert waiaas.status(name).version == 18
        assert os.listdir() == [name]
        waiaas.connect(name).close()
        (backup,) = set(os.listdir()) - {name}
        assert backup.startswith(f"{name}.v18-")
        os.rename(backup, "backup.db")
        assert dump(folder / "backup.db") == before
        waiaas.connect(folder / name).close()
        assert sorted(os.listdir()) == sorted([name, "backup.db"])

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_file_name_can_be_created_and_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """A new file of any name is created under that name, and shown so in a refusal."""
        monkeypatch.chdir(tmp_path)
        database = waiaas.connect(name).peewee
        database.execute_sql(f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, '')")
        database.close_all()
        assert os.listdir() == [name]
        error = refused(tmp_path / name)
        assert (error.reason, (error.details or {})["path"]) == ("code_too_old", str(tmp_path / name))
        assert os.listdir() == [name]

    def test_a_symlink_leads_to_its_file(self, tmp_path: Path) -> None:
        """The target of a symbolic link is upgraded in place, and the link is kept."""
        (tmp_path / "real").mkdir()
        real, link = make_file(tmp_path / "real" / "wallets.db"), tmp_path / "link.db"
        link.symlink_to(real)
        before = dump(real)
        waiaas.connect(link).close()
        assert link.is_symlink()
        assert query(real, "SELECT max(version) FROM schema_version") == [(LATEST,)]
        (backup,) = tmp_path.rglob("*.backup")
        assert dump(backup) == before
        assert sorted(path.name for path in tmp_path.rglob("*.db*")) == sorted(["link.db", "wallets.db", backup.name])

    def test_a_symlink_to_nothing_yet_creates_its_file(self, tmp_path: Path) -> None:
        """The new file is created at the target of a dangling symbolic link, with mode 0600."""
        link = tmp_path / "link.db"
        link.symlink_to(tmp_path / "wallets.db")
        waiaas.connect(link).close()
        assert link.is_symlink()
        assert mode(tmp_path / "wallets.db") == 0o600
        assert query(tmp_path / "wallets.db", "SELECT max(version) FROM schema_version") == [(LATEST,)]

    def test_a_relative_path_is_taken_from_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative path names a file in the working folder, and the backup is next to it."""
        monkeypatch.chdir(tmp_path)
        make_file(tmp_path / "wallets.db")
        waiaas.connect("wallets.db").close()
        assert query(tmp_path / "wallets.db", "SELECT max(version) FROM schema_version") == [(LATEST,)]
        assert len(list(tmp_path.glob("wallets.db.v18-*.backup"))) == 1


class TestClose:
    def test_checkpoints_the_whole_log(self, tmp_path: Path) -> None:
        """After `close` the file contains every row: the log is deleted or empty."""
        path, copy = tmp_path / "wallets.db", tmp_path / "copy.db"
        database = waiaas.connect(path).peewee
        database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
        assert os.path.getsize(f"{path}-wal") > 0
        database.close_all()
        assert database.is_closed()
        assert not os.path.exists(f"{path}-wal") or os.path.getsize(f"{path}-wal") == 0
        shutil.copy(path, copy)
        assert query(copy, "SELECT value FROM wc_store") == [("value",)]

    def test_empties_the_log_for_connections_that_stay(self, tmp_path: Path) -> None:
        """If another connection stays open, the log is checkpointed and truncated."""
        path, copy = tmp_path / "wallets.db", tmp_path / "copy.db"
        database = waiaas.connect(path).peewee
        with plain(path, "SELECT * FROM wallets"):
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            database.close_all()
            assert os.path.getsize(f"{path}-wal") == 0
            shutil.copy(path, copy)
        assert query(copy, "SELECT value FROM wc_store") == [("value",)]

    @pytest.mark.parametrize("make", [None, make_file], ids=["created", "upgraded"])
    def test_checkpoints_writes_of_others(self, tmp_path: Path, make: Callable[[Path], Path] | None) -> None:
        """If another connection wrote last and there is no reader, the log is checkpointed too."""
        path = tmp_path / "wallets.db"
        if make:
            make(path)
        database = waiaas.connect(path, busy_timeout=0.5).peewee
        with plain(path, "INSERT INTO wc_store VALUES ('key', 'value')"):
            database.close_all()
            assert os.path.getsize(f"{path}-wal") == 0
        assert query(path, "SELECT value FROM wc_store WHERE key = 'key'") == [("value",)]

    def test_leaves_the_log_to_a_reader(self, tmp_path: Path) -> None:
        """If a reader needs the log, `close` leaves it for a later checkpoint, and nothing is lost."""
        path = tmp_path / "wallets.db"
        database = waiaas.connect(path, busy_timeout=0.1).peewee
        with plain(path, "BEGIN", "SELECT * FROM wc_store") as reader:
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            database.close_all()
            assert database.is_closed()
            assert os.path.getsize(f"{path}-wal") > 0
            assert reader.execute("SELECT * FROM wc_store").fetchall() == []
        assert query(path, "SELECT value FROM wc_store") == [("value",)]
        assert not os.path.exists(f"{path}-wal")

    @pytest.mark.parametrize("path", ["wallets.db", ":memory:"])
    def test_may_be_called_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        """Closing a closed database does nothing, even if its file was deleted."""
        monkeypatch.chdir(tmp_path)
        database = waiaas.connect(path).peewee
        database.close_all()
        for file in tmp_path.iterdir():
            file.unlink()
        database.close_all()
        assert database.is_closed()
        assert list(tmp_path.iterdir()) == []

    def test_is_refused_inside_peewees_transaction(self, tmp_path: Path) -> None:
        """Inside `atomic()` the database stays open, and the transaction can still be committed."""
        database = waiaas.connect(tmp_path / "wallets.db").peewee
        with database.atomic():
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            with pytest.raises(WAIaaSError) as caught:
                database.close_all()
            assert not database.is_closed()
        assert caught.value.reason == "inside_transaction"
        database.close_all()
        assert query(tmp_path / "wallets.db", "SELECT value FROM wc_store") == [("value",)]

    @pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s"])
    def test_is_refused_inside_a_transaction_begun_by_sql(self, tmp_path: Path, begin: str) -> None:
        """A transaction without Peewee counts too, and can still be rolled back."""
        database = waiaas.connect(tmp_path / "wallets.db").peewee
        database.execute_sql(begin)
        database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
        with pytest.raises(WAIaaSError) as caught:
            database.close_all()
        assert caught.value.reason == "inside_transaction"
        assert not database.is_closed()
        database.execute_sql("ROLLBACK")
        database.close_all()
        assert query(tmp_path / "wallets.db", "SELECT value FROM wc_store") == []

    def test_closes_the_connections_of_all_threads(self, tmp_path: Path) -> None:
        """A connection of another thread is closed at once, and no thread can open a new one."""
        database = waiaas.connect(tmp_path / "wallets.db")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(database.peewee.execute_sql, "INSERT INTO wc_store VALUES ('key', 'value')").result()
            assert len(database.peewee.connections()) == 2
            database.close()
            assert database.peewee.connections() == []
            assert list(files(tmp_path)) == ["wallets.db"]
            with pytest.raises(WAIaaSError) as caught:
                database.peewee.execute_sql("SELECT 1")
            with pytest.raises(WAIaaSError) as caught_in_thread:
                pool.submit(database.peewee.latest).result()
            assert caught.value.reason == caught_in_thread.value.reason == "database_closed"
        assert query(tmp_path / "wallets.db", "SELECT value FROM wc_store") == [("value",)]

    def test_is_refused_while_another_thread_is_in_a_transaction(self, tmp_path: Path) -> None:
        """An open transaction of another thread keeps the database open, and can still be committed."""
        database = waiaas.connect(tmp_path / "wallets.db")
        began, goes_on = threading.Event(), threading.Event()

        def write() -> None:
            with database.transaction():
                database.peewee.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
                began.set()
                assert goes_on.wait(60)

        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            assert began.wait(60)
            with pytest.raises(WAIaaSError) as caught:
                database.close()
            goes_on.set()
            writing.result()
        assert caught.value.reason == "inside_transaction"
        database.close()
        assert query(tmp_path / "wallets.db", "SELECT value FROM wc_store") == [("value",)]

    @pytest.mark.slow
    def test_leaves_a_running_query_to_its_thread(self, tmp_path: Path) -> None:
        """Another thread can read all rows of its query; then its connection is closed too."""
        database = waiaas.connect(tmp_path / "wallets.db")
        for number in range(3):
            database.peewee.execute_sql("INSERT INTO wc_store VALUES (?, '')", (str(number),))
        with ThreadPoolExecutor(1) as pool:
            cursor = pool.submit(database.peewee.execute_sql, "SELECT key FROM wc_store ORDER BY 1").result()
            first = cursor.fetchone()
            database.close()
            assert [first, *cursor.fetchall()] == [("0",), ("1",), ("2",)]
            connection = weakref.ref(cursor.connection)
            del cursor
            gc.collect()
            assert connection() is None

    @pytest.mark.parametrize("lock", [None, "IMMEDIATE"])
    def test_a_transaction_that_begins_meanwhile_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: str | None
    ) -> None:
        """A transaction that begins while another thread closes the database leaves no lock that nothing releases."""
        database = waiaas.connect(tmp_path / "wallets.db")
        refused: list[str | None] = []

        def begin() -> None:
            database.peewee.connect(reuse_if_open=True)
            try:
                with database.peewee.atomic(lock):
                    database.peewee.execute_sql("DELETE FROM wallets")
            except WAIaaSError as error:
                refused.append(error.reason)

        def begin_in_a_thread() -> None:
            thread = threading.Thread(target=begin)
            thread.start()
            thread.join()

        monkeypatch.setattr(database.peewee, "_write_log_back", begin_in_a_thread)
        database.close()
        assert refused == ["database_closed"]
        with waiaas.connect(tmp_path / "wallets.db", busy_timeout=0) as other:
            other.tokens.rotate(actor="admin")

    def test_connections_of_threads_that_have_ended_are_closed(self, tmp_path: Path) -> None:
        """Only running threads have connections, however many have used the database."""
        with waiaas.connect(tmp_path / "wallets.db") as database:
            for _ in range(20):
                thread = threading.Thread(target=lambda: (database.peewee.latest(), database.peewee.connection()))
                thread.start()
                thread.join()
            assert len(database.peewee.connections()) == 1

    def test_of_an_old_file_changes_no_byte(self, v18: Path) -> None:
        """Closing an old file twice, even from a second thread, does not change it."""
        before = files(v18.parent)
        database = open_unchanged(v18)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(
                lambda: (database.execute_sql("SELECT * FROM wallets").fetchall(), database.close_all())
            ).result()
        database.close_all()
        database.close_all()
        assert files(v18.parent) == before
