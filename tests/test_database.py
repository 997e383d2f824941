"""Opening and closing files: created, upgraded, opened as they are, or refused without a trace."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import old_files
import pytest
from old_files import make_file, session_id
from peewee import OperationalError, PostgresqlDatabase, SqliteDatabase

import waiaas
from waiaas import WAIaaSError
from waiaas.database import open_as_it_is, open_to_change

PACKAGE_FOLDER = str(Path(waiaas.__file__).parents[1])
DAEMONS_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 1,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "cache_size": -64000,
    "mmap_size": 268435456,
    "temp_store": 2,
}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(folder: Path) -> dict[str, str]:
    """What stands in a folder: each name with the hash of its bytes."""
    return {path.name: sha256(path) if path.is_file() else "folder" for path in sorted(folder.iterdir())}


def pragmas(database: SqliteDatabase) -> dict[str, Any]:
    return {name: database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in DAEMONS_PRAGMAS}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: str | Path, **options: Any) -> WAIaaSError:
    """The error with which `connect` refuses a path."""
    with pytest.raises(WAIaaSError) as caught:
        waiaas.connect(path, **options)
    assert caught.value.code == "SCHEMA_INCOMPATIBLE"
    return caught.value


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a query, through a connection that leaves no log behind."""
    with plain(path) as connection:
        return connection.execute(statement).fetchall()


def dump(path: Path) -> dict[str, Any]:
    """All rows of a file that is not in use, whatever its name; nothing is put beside it."""
    with tempfile.TemporaryDirectory() as folder:
        return old_files.dump(Path(shutil.copy(path, Path(folder) / "copy.db")))


def run_python(code: str, *arguments: object) -> str:
    """Run code in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": PACKAGE_FOLDER},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def plain(path: Path, *statements: str) -> Iterator[sqlite3.Connection]:
    """Another program's connection, on which some statements have run."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()
        yield connection


def execute(path: Path, *statements: str) -> None:
    """Run statements on a file with foreign keys off, each committed."""
    with plain(path, "PRAGMA foreign_keys = OFF", "PRAGMA synchronous = OFF", *statements):
        pass


def newer(path: Path, *, wal: bool = False) -> Path:
    """Make a file of version 20."""
    make_file(path, 19, wal=wal)
    execute(path, "INSERT INTO schema_version VALUES (20, 1800000000, 'from the future')")
    return path


def killed(path: Path, make: Callable[[Path], Path], statement: str, *suffixes: str) -> Path:
    """Make a file as a killed daemon leaves it: a committed statement stands in the write-ahead log alone."""
    folder = path.parent / "daemon"
    folder.mkdir()
    original = make(folder / "wallets.db")
    with plain(original, "PRAGMA wal_autocheckpoint = 0", statement):
        for suffix in ("", *suffixes):
            shutil.copy(f"{original}{suffix}", f"{path}{suffix}")
    shutil.rmtree(folder)
    return path


class TestFreshFile:
    def test_is_created(self, tmp_path: Path) -> None:
        """A path without a file becomes a database at version 19 without rows but those of schema_version."""
        path = tmp_path / "wallets.db"
        waiaas.close(waiaas.connect(path))
        rows = dump(path)
        assert sorted(dict(row)["version"] for row in rows.pop("schema_version")) == list(range(1, 20))
        assert {table: len(each) for table, each in rows.items()} == dict.fromkeys(rows, 0)
        assert list(files(tmp_path)) == ["wallets.db"]

    def test_opened_again_it_is_not_touched(self, tmp_path: Path) -> None:
        """A file at version 19 is opened and closed without a change of its bytes, and without a backup."""
        path = tmp_path / "wallets.db"
        waiaas.close(waiaas.connect(path))
        before = files(tmp_path)
        waiaas.close(waiaas.connect(path))
        assert files(tmp_path) == before

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_belongs_to_its_owner_alone(self, tmp_path: Path, umask: int) -> None:
        """A new file has mode 0600 whatever the umask, and so have the log and index that SQLite puts beside it."""
        before = os.umask(umask)
        try:
            database = waiaas.connect(tmp_path / "wallets.db")
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            modes = {path.name: mode(path) for path in tmp_path.iterdir()}
            waiaas.close(database)
        finally:
            os.umask(before)
        assert modes == dict.fromkeys(["wallets.db", "wallets.db-shm", "wallets.db-wal"], 0o600)

    def test_an_empty_file_becomes_one(self, tmp_path: Path) -> None:
        """An empty file becomes a database at version 19, and loses the rights that others had to it."""
        path = tmp_path / "wallets.db"
        path.touch()
        path.chmod(0o644)
        waiaas.close(waiaas.connect(path))
        assert query(path, "SELECT max(version), count(*) FROM schema_version") == [(19, 19)]
        assert mode(path) == 0o600
        assert list(files(tmp_path)) == ["wallets.db"]

    def test_a_database_without_tables_becomes_one(self, tmp_path: Path) -> None:
        """A database in which nothing was ever created becomes one at version 19."""
        path = tmp_path / "wallets.db"
        execute(path, "PRAGMA user_version = 7", "PRAGMA journal_mode = WAL")
        assert path.stat().st_size > 0
        waiaas.close(waiaas.connect(path))
        assert query(path, "SELECT max(version), count(*) FROM schema_version") == [(19, 19)]

    def test_in_memory_leaves_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`:memory:` is a new database at version 19 each time, and no file of that name."""
        monkeypatch.chdir(tmp_path)
        first, second = waiaas.connect(":memory:"), waiaas.connect(":memory:")
        first.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
        assert second.execute_sql("SELECT count(*) FROM wc_store").fetchone() == (0,)
        assert second.execute_sql("SELECT max(version) FROM schema_version").fetchone() == (19,)
        assert second.pragma("foreign_keys") == 1
        waiaas.close(first)
        waiaas.close(second)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("upgrade", [True, False])
    def test_is_created_whatever_upgrade_says(self, tmp_path: Path, upgrade: bool) -> None:
        """`upgrade=False` is about older files: a new one is created all the same."""
        waiaas.close(waiaas.connect(tmp_path / "wallets.db", upgrade=upgrade))
        assert query(tmp_path / "wallets.db", "SELECT max(version) FROM schema_version") == [(19,)]


class TestPragmas:
    @pytest.mark.parametrize(
        "make", [None, lambda p: make_file(p), lambda p: make_file(p, 19)], ids=["new", "18", "19"]
    )
    def test_are_the_daemons_on_every_connection(self, tmp_path: Path, make: Callable[[Path], Path] | None) -> None:
        """The first connection, another thread's and one made after a close all have the daemon's PRAGMAs."""
        path = tmp_path / "wallets.db"
        if make:
            make(path)
        database = waiaas.connect(path)

        def in_a_thread() -> dict[str, Any]:
            found = pragmas(database)
            waiaas.close(database)
            return found

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(in_a_thread).result() == DAEMONS_PRAGMAS
        assert pragmas(database) == DAEMONS_PRAGMAS
        waiaas.close(database)
        database.connect()
        assert pragmas(database) == DAEMONS_PRAGMAS
        waiaas.close(database)

    def test_busy_timeout_is_the_one_that_was_asked_for(self, tmp_path: Path) -> None:
        """`busy_timeout` in seconds is the PRAGMA's milliseconds on every connection."""
        database = waiaas.connect(tmp_path / "wallets.db", busy_timeout=0.25)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(lambda: (database.pragma("busy_timeout"), database.close())).result()
        assert (database.pragma("busy_timeout"), other[0]) == (250, 250)
        waiaas.close(database)

    def test_an_older_file_opened_as_it_is_keeps_its_journal_mode(self, v18: Path) -> None:
        """With `upgrade=False` an old file's connection has all of the PRAGMAs but the journal mode."""
        database = waiaas.connect(v18, upgrade=False)
        assert pragmas(database) == {**DAEMONS_PRAGMAS, "journal_mode": "delete"}
        waiaas.close(database)


class TestOldFile:
    def test_is_upgraded_with_a_backup_beside(self, v18: Path) -> None:
        """A version-18 file is at version 19 once opened, and its rows as they were stand in a backup beside it."""
        v18.chmod(0o640)
        before, bytes_before = dump(v18), sha256(v18)
        database = waiaas.connect(v18)
        assert database.execute_sql("SELECT max(version) FROM schema_version").fetchone() == (19,)
        waiaas.close(database)
        original, backup = sorted(v18.parent.iterdir())
        assert (original, backup.name.startswith("wallets.db.v18-"), backup.suffix) == (v18, True, ".backup")
        assert dump(backup) == before
        assert sha256(v18) != bytes_before
        assert (mode(v18), mode(backup)) == (0o640, 0o640)
        links = query(v18, "SELECT session_id, wallet_id, is_default FROM session_wallets ORDER BY 1")
        assert links == query(backup, "SELECT id, wallet_id, 1 FROM sessions WHERE wallet_id IS NOT NULL ORDER BY 1")

    @pytest.mark.parametrize("version", [1, 5, 8, 17])
    def test_of_any_version_is_upgraded_or_left_alone(self, tmp_path: Path, version: int) -> None:
        """A file of any version since the first is opened as it is, or upgraded with a backup of its own version."""
        path = make_file(tmp_path / "wallets.db", version)
        before, rows = files(tmp_path), dump(path)
        waiaas.close(waiaas.connect(path, upgrade=False))
        assert files(tmp_path) == before
        waiaas.close(waiaas.connect(path))
        assert query(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, 20)]
        (backup,) = tmp_path.glob(f"wallets.db.v{version}-*.backup")
        assert dump(backup) == rows
        assert sorted(files(tmp_path)) == [path.name, backup.name]

    def test_backup_can_be_put_elsewhere_or_left_out(self, tmp_path: Path) -> None:
        """`backup` names the copy's path, and False writes none."""
        first, second = make_file(tmp_path / "first.db"), make_file(tmp_path / "second.db")
        before = dump(first)
        waiaas.close(waiaas.connect(first, backup=tmp_path / "copy.db"))
        waiaas.close(waiaas.connect(second, backup=False))
        assert list(files(tmp_path)) == ["copy.db", "first.db", "second.db"]
        assert dump(tmp_path / "copy.db") == before

    def test_progress_is_told(self, v18: Path) -> None:
        """`progress` is called while the file is upgraded."""
        told: list[waiaas.Progress] = []
        waiaas.close(waiaas.connect(v18, progress=told.append))
        assert "backing up" in {progress.phase for progress in told}
        assert 19 in {progress.version for progress in told}

    def test_upgrade_false_changes_no_byte(self, v18: Path) -> None:
        """With `upgrade=False` a version-18 file is read and closed without a change, and nothing is put beside it."""
        before = files(v18.parent)
        database = waiaas.connect(v18, upgrade=False)
        assert database.execute_sql("SELECT count(*) FROM sessions WHERE wallet_id IS NOT NULL").fetchone() == (12,)
        assert files(v18.parent) == before
        waiaas.close(database)
        assert files(v18.parent) == before

    def test_upgrade_false_lets_the_program_write(self, v18: Path) -> None:
        """A file opened as it is can be written at its own version."""
        database = waiaas.connect(v18, upgrade=False)
        database.execute_sql("INSERT INTO wc_store VALUES ('new', 'row')")
        waiaas.close(database)
        assert query(v18, "SELECT value FROM wc_store WHERE key = 'new'") == [("row",)]
        assert query(v18, "SELECT max(version) FROM schema_version") == [(18,)]

    def test_of_a_killed_daemon_is_upgraded_with_all_that_was_committed(self, tmp_path: Path) -> None:
        """Rows that stand in the write-ahead log alone are upgraded, and are in the backup."""
        path = killed(
            tmp_path / "wallets.db",
            lambda p: make_file(p, wal=True),
            "INSERT INTO wc_store VALUES ('logged', 'row')",
            "-wal",
        )
        waiaas.close(waiaas.connect(path))
        (backup,) = tmp_path.glob("*.backup")
        for file, version in ((path, 19), (backup, 18)):
            assert query(file, "SELECT value FROM wc_store WHERE key = 'logged'") == [("row",)]
            assert query(file, "SELECT max(version) FROM schema_version") == [(version,)]
        assert sorted(files(tmp_path)) == [path.name, backup.name]

    def test_with_a_hot_journal_is_rolled_back_and_upgraded(self, tmp_path: Path) -> None:
        """What a daemon had half written when it was killed is taken back before the upgrade."""
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
        waiaas.close(waiaas.connect(path))
        (backup,) = tmp_path.glob("*.backup")
        assert dump(backup) == before
        assert dump(path)["wallets"] == before["wallets"]
        assert sorted(files(tmp_path)) == [path.name, backup.name]

    def test_that_cannot_be_upgraded_stays_as_it_was(self, v18: Path) -> None:
        """A session of a missing wallet stops the upgrade: same bytes, same journal mode, no backup."""
        execute(v18, f"UPDATE sessions SET wallet_id = 'nobody' WHERE id = '{session_id(0)}'")
        before = files(v18.parent)
        error = refused(v18)
        assert error.reason == "orphan_sessions"
        assert error.details is not None
        assert error.details["sessions"] == [session_id(0)]
        assert files(v18.parent) == before

    def test_skip_orphans_leaves_them_without_a_link(self, v18: Path) -> None:
        """With `skip_orphans` the session of a missing wallet stays, and has no link."""
        execute(v18, f"UPDATE sessions SET wallet_id = 'nobody' WHERE id = '{session_id(0)}'")
        waiaas.close(waiaas.connect(v18, skip_orphans=True))
        missing = query(v18, "SELECT id FROM sessions WHERE id NOT IN (SELECT session_id FROM session_wallets)")
        assert missing == [(session_id(0),)]


def text_file(path: Path) -> None:
    path.write_text("id,name\n1,wallet\n" * 50)


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(19).randbytes(40_000))


def truncated(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        make_file(path)
        os.truncate(path, size)

    return make


def one_byte(path: Path) -> None:
    path.write_bytes(b"\n")


def other_program(path: Path) -> None:
    execute(
        path, "CREATE TABLE sessions (id, wallet_id)", "CREATE TABLE schema_version (version)", "CREATE TABLE t (a)"
    )
    execute(path, "INSERT INTO schema_version VALUES (18)")


def view_alone(path: Path) -> None:
    execute(path, "CREATE VIEW wallets AS SELECT 1 AS id")


def with_rows(*statements: str, version: int = 18) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        make_file(path, version)
        execute(path, *statements)

    return make


#: How a file is made, and the reason with which it is refused.
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "text": (text_file, "not_a_database"),
    "random-bytes": (random_bytes, "not_a_database"),
    "one-byte": (one_byte, "not_a_database"),
    "header-of-10-bytes": (truncated(10), "not_a_database"),
    "header-of-16-bytes": (truncated(16), "not_a_database"),
    "header-of-50-bytes": (truncated(50), "corrupt"),
    "header-of-100-bytes": (truncated(100), "corrupt"),
    "first-page-alone": (truncated(4096), "corrupt"),
    "half-a-page": (truncated(6000), "corrupt"),
    "other-program": (other_program, "other_program"),
    "other-program-in-wal": (
        lambda path: execute(path, "PRAGMA journal_mode = WAL", "CREATE TABLE notes (body)"),
        "other_program",
    ),
    "view-alone": (view_alone, "other_program"),
    "schema-version-missing": (with_rows("DROP TABLE schema_version"), "schema_version_missing"),
    "schema-version-empty": (with_rows("DELETE FROM schema_version"), "schema_version_empty"),
    "schema-version-not-positive": (
        with_rows("DELETE FROM schema_version", "INSERT INTO schema_version VALUES (0, 1, ''), (-19, 1, '')"),
        "schema_version_empty",
    ),
    "newer": (newer, "code_too_old"),
    "newer-in-wal": (lambda path: newer(path, wal=True), "code_too_old"),
    "newer-by-far": (with_rows(f"INSERT INTO schema_version VALUES ({2**62}, 1, '')"), "code_too_old"),
    "newer-without-the-versions-between": (
        with_rows("DELETE FROM schema_version", "INSERT INTO schema_version VALUES (20, 1, '')"),
        "code_too_old",
    ),
}


class TestRefused:
    @pytest.mark.parametrize("upgrade", [True, False])
    @pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
    def test_files_stay_as_they_are(
        self, tmp_path: Path, make: Callable[[Path], Any], reason: str, upgrade: bool
    ) -> None:
        """A file that is none of ours, or of another time, is refused with its reason; nothing of it changes."""
        path = tmp_path / "wallets.db"
        make(path)
        path.chmod(0o644)
        before = files(tmp_path)
        error = refused(path, upgrade=upgrade)
        assert error.reason == reason
        assert not error.retryable
        assert error.details is not None
        assert str(path) == error.details["path"]
        assert files(tmp_path) == before
        assert mode(path) == 0o644

    def test_a_newer_file_says_that_the_code_is_too_old(self, tmp_path: Path) -> None:
        """The refusal of a newer file says in words that the code is too old, with both versions, and what to do."""
        error = refused(newer(tmp_path / "wallets.db"))
        assert "code too old" in str(error)
        assert error.details is not None
        assert (error.details["version"], error.details["latest"]) == (20, 19)
        assert "20" in str(error) and "19" in str(error)
        assert error.hint is not None
        assert "newer release of waiaas" in error.hint

    @pytest.mark.parametrize("suffixes", [("-wal", "-shm"), ("-wal",)], ids=["wal-and-shm", "wal"])
    @pytest.mark.parametrize("link", [False, True], ids=["path", "symlink"])
    def test_a_newer_file_of_a_killed_daemon_keeps_its_log(
        self, tmp_path: Path, suffixes: tuple[str, ...], link: bool
    ) -> None:
        """A newer version that stands in the write-ahead log alone is seen; file and log stay as they are.

        SQLite makes the log's index anew where there is none, and a reader cannot know whether it is in use by then.
        """
        folder = tmp_path / "folder"
        folder.mkdir()
        statement = "INSERT INTO schema_version VALUES (20, 1, 'logged')"
        path = killed(folder / "wallets.db", lambda p: make_file(p, 19, wal=True), statement, *suffixes)
        if link:
            path = tmp_path / "link.db"
            path.symlink_to(folder / "wallets.db")
        before = files(folder)
        assert refused(path).reason == "code_too_old"
        after = files(folder)
        assert {name: after[name] for name in after if name[-4:] != "-shm"} == {
            name: before[name] for name in before if name[-4:] != "-shm"
        }

    @pytest.mark.parametrize(
        "name", ["", ".", "folder", "folder/", "missing/wallets.db", "file/wallets.db", "loop.db", "x" * 300]
    )
    def test_paths_that_are_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """A folder, a missing folder, a loop of links and a name too long cannot be opened, nor is anything made."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_text("no folder")
        (tmp_path / "loop.db").symlink_to("loop.db")
        before = sorted(tmp_path.iterdir())
        error = refused(name)
        assert (error.reason, error.retryable) == ("cannot_open", False)
        assert sorted(tmp_path.iterdir()) == before
        assert list((tmp_path / "folder").iterdir()) == []

    def test_leave_the_path_free_for_the_right_file(self, tmp_path: Path) -> None:
        """After a refusal no connection holds on to the file: the right one can take its place."""
        path = newer(tmp_path / "wallets.db")
        refused(path)
        path.unlink()
        waiaas.close(waiaas.connect(make_file(path)))
        assert query(path, "SELECT max(version) FROM schema_version") == [(19,)]


class TestOpenAsItIs:
    """What the command line looks at files with, and changes existing ones with."""

    @pytest.mark.parametrize("open_it", [open_as_it_is, open_to_change])
    def test_a_file_that_is_not_there_is_not_created(
        self, tmp_path: Path, open_it: Callable[[Path], AbstractContextManager[SqliteDatabase]]
    ) -> None:
        """Where there is no file, there is none afterwards."""
        with pytest.raises(WAIaaSError) as caught, open_it(tmp_path / "wallets.db"):
            pass
        assert caught.value.reason == "file_not_found"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("open_it", [open_as_it_is, open_to_change])
    @pytest.mark.parametrize("wal", [False, True], ids=["rollback-journal", "wal"])
    @pytest.mark.parametrize("version", [18, 19])
    def test_looking_changes_no_byte(
        self,
        tmp_path: Path,
        open_it: Callable[[Path], AbstractContextManager[SqliteDatabase]],
        wal: bool,
        version: int,
    ) -> None:
        """Opened, read and closed, a file of either version and journal mode is as it was, alone in its folder."""
        path = make_file(tmp_path / "wallets.db", version, wal=wal)
        before = files(tmp_path)
        with open_it(path) as database:
            assert database.execute_sql("SELECT count(*) FROM sessions").fetchone() == (12,)
        assert database.is_closed()
        assert files(tmp_path) == before

    def test_an_empty_file_is_not_filled(self, tmp_path: Path) -> None:
        """An empty file is not one to upgrade: it is refused, and stays empty with its mode."""
        path = tmp_path / "wallets.db"
        path.touch()
        path.chmod(0o644)
        with pytest.raises(WAIaaSError) as caught, open_to_change(path):
            pass
        assert caught.value.reason == "empty_database"
        assert (path.read_bytes(), mode(path)) == (b"", 0o644)

    def test_only_reading_is_possible_beside_a_log(self, tmp_path: Path) -> None:
        """Beside a killed daemon's log a file is opened for reading only: nobody can write it back by mistake."""
        path = killed(
            tmp_path / "wallets.db",
            lambda path: make_file(path, wal=True),
            "INSERT INTO wc_store VALUES ('logged', 'row')",
            "-wal",
            "-shm",
        )
        before = {name: each for name, each in files(tmp_path).items() if name[-4:] != "-shm"}
        with open_as_it_is(path) as database:
            assert database.execute_sql("SELECT value FROM wc_store WHERE key = 'logged'").fetchone() == ("row",)
            with pytest.raises(OperationalError, match="readonly"):
                database.execute_sql("DELETE FROM wc_store")
        assert {name: each for name, each in files(tmp_path).items() if name[-4:] != "-shm"} == before


#: Opens each path that it reads, and says what it found there or why not. As root it becomes nobody if told to.
WORKER = """
import json, os, sys
import waiaas
if "nobody" in sys.argv and os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    path, options = json.loads(line)
    try:
        database = waiaas.connect(path, **options)
        answer = database.execute_sql("SELECT count(*), max(version) FROM schema_version").fetchone()
        waiaas.close(database)
    except waiaas.WAIaaSError as error:
        answer = error.reason
    except Exception as error:
        answer = repr(error)
    print(json.dumps(answer), flush=True)
"""


class Worker:
    """A process of its own that opens files on demand."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments],
            env={**os.environ, "PYTHONPATH": PACKAGE_FOLDER},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.__exit__(None, None, None)

    def ask(self, path: Path, **options: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([str(path), options]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def nobody() -> Iterator[Worker]:
    """A process of a user whom permissions bind."""
    with Worker("nobody") as worker:
        assert worker.answer() == "ready"
        yield worker


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    """Eight processes that open a file at once."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker()) for _ in range(8)]
        assert [worker.answer() for worker in workers] == ["ready"] * 8
        yield workers


class TestPermissions:
    """Who runs the tests as root is not bound by permissions, so a process of another user opens the file."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        # Not tmp_path: pytest's own folders above it are closed to other users.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            (folder / "in").mkdir()
            yield folder / "in"
            (folder / "in").chmod(0o700)

    @pytest.fixture
    def open_with(self, nobody: Worker, folder: Path) -> Callable[..., Any]:
        """What a user finds in schema_version who owns folder and file but has certain rights only, or the refusal."""
        return partial(self.open_as_nobody, nobody, folder)

    @staticmethod
    def open_as_nobody(nobody: Worker, folder: Path, file_mode: int, folder_mode: int, **options: Any) -> Any:
        path = folder / "wallets.db"
        for each in (*folder.iterdir(), folder):
            if os.geteuid() == 0:
                os.chown(each, 65534, 65534)
        if path.exists():
            path.chmod(file_mode)
        folder.chmod(folder_mode)
        nobody.ask(path, **options)
        answer = nobody.answer()
        folder.chmod(0o700)
        if path.exists():
            path.chmod(0o600)
        return answer

    @pytest.mark.parametrize(
        ("file_mode", "folder_mode", "options", "reason"),
        [
            (0o400, 0o700, {}, "read_only"),
            (0o400, 0o700, {"backup": False}, "read_only"),
            (0o600, 0o500, {}, "backup_failed"),
            (0o600, 0o500, {"backup": False}, "read_only"),
            (0o400, 0o500, {"backup": False}, "read_only"),
            (0o000, 0o700, {}, "cannot_open"),
            (0o600, 0o000, {}, "cannot_open"),
        ],
    )
    def test_an_old_file_that_cannot_be_written_stays_as_it_was(
        self,
        folder: Path,
        open_with: Callable[..., Any],
        file_mode: int,
        folder_mode: int,
        options: dict[str, Any],
        reason: str,
    ) -> None:
        """A read-only file, or one in a read-only folder, is refused with its reason before anything changes."""
        make_file(folder / "wallets.db")
        before = files(folder)
        assert open_with(file_mode, folder_mode, **options) == reason
        assert files(folder) == before

    @pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500)])
    def test_an_old_file_that_cannot_be_written_can_be_read(
        self, folder: Path, open_with: Callable[..., Any], file_mode: int, folder_mode: int
    ) -> None:
        """With `upgrade=False` a read-only old file can be opened and read."""
        make_file(folder / "wallets.db")
        before = files(folder)
        assert open_with(file_mode, folder_mode, upgrade=False) == [18, 18]
        assert files(folder) == before

    @pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500)])
    def test_a_file_that_cannot_be_switched_to_the_log_stays_as_it_was(
        self, folder: Path, open_with: Callable[..., Any], file_mode: int, folder_mode: int
    ) -> None:
        """A version-19 file in rollback-journal mode that cannot be written is refused as read-only."""
        make_file(folder / "wallets.db", 19)
        before = files(folder)
        assert open_with(file_mode, folder_mode) == "read_only"
        assert files(folder) == before

    @pytest.mark.parametrize("version", [18, 20])
    def test_a_refused_read_only_file_with_a_log_gets_nothing_beside_it(
        self, folder: Path, open_with: Callable[..., Any], version: int
    ) -> None:
        """A read-only file in write-ahead-log mode is refused without a new -wal or -shm beside it."""
        path = make_file(folder / "wallets.db", 18, wal=True)
        execute(path, f"INSERT OR IGNORE INTO schema_version VALUES ({version}, 1, '')")
        before = files(folder)
        reason = "read_only" if version == 18 else "code_too_old"
        assert open_with(0o400, 0o700) == reason
        assert files(folder) == before

    @pytest.mark.parametrize(
        ("file_mode", "folder_mode", "reason"),
        [(None, 0o500, "cannot_open"), (0o600, 0o500, "read_only"), (0o400, 0o700, "read_only")],
    )
    def test_nothing_is_created_where_nothing_can_be_written(
        self, folder: Path, open_with: Callable[..., Any], file_mode: int | None, folder_mode: int, reason: str
    ) -> None:
        """A read-only folder, or a read-only empty file, stays as it is."""
        if file_mode is not None:
            (folder / "wallets.db").touch()
        before = files(folder)
        assert open_with(file_mode or 0, folder_mode) == reason
        assert files(folder) == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_an_empty_file_of_another_user_is_refused(self, folder: Path, nobody: Worker) -> None:
        """An empty file whose mode only its owner may change is refused: the key would stand in it for all to read."""
        path = folder / "wallets.db"
        path.touch()
        path.chmod(0o666)
        folder.chmod(0o777)
        nobody.ask(path)
        assert nobody.answer() == "cannot_open"
        assert (path.read_bytes(), mode(path)) == (b"", 0o666)


class TestBusy:
    BEGIN = ("BEGIN IMMEDIATE", "BEGIN EXCLUSIVE")

    @pytest.mark.parametrize("begin", BEGIN)
    def test_a_locked_old_file_is_refused_for_now(self, v18: Path, begin: str) -> None:
        """A file that another connection holds is refused after `busy_timeout`, unchanged, and may be tried again."""
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
        waiaas.close(waiaas.connect(v18, busy_timeout=0.2))
        assert query(v18, "SELECT max(version) FROM schema_version") == [(19,)]

    @pytest.mark.parametrize("begin", BEGIN)
    def test_a_locked_empty_file_is_refused_for_now(self, tmp_path: Path, begin: str) -> None:
        """An empty file in which another connection is just creating something is left to it."""
        path = tmp_path / "wallets.db"
        path.touch()
        with plain(path, begin):
            started = time.monotonic()
            error = refused(path, busy_timeout=0.2)
            waited = time.monotonic() - started
        assert (error.reason, error.retryable) == ("database_busy", True)
        assert waited < 2.5
        assert path.read_bytes() == b""
        waiaas.close(waiaas.connect(path))

    @pytest.mark.parametrize(
        "statements", [("BEGIN IMMEDIATE",), ("BEGIN", "SELECT * FROM wallets")], ids=["writer", "reader"]
    )
    def test_a_file_in_use_that_is_to_be_switched_to_the_log(
        self, tmp_path: Path, statements: tuple[str, ...]
    ) -> None:
        """A version-19 file in rollback-journal mode that stays in use is refused in time, and not switched."""
        path = make_file(tmp_path / "wallets.db", 19)
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
        """In write-ahead-log mode neither a reader nor a writer keeps others from opening and reading."""
        path = make_file(tmp_path / "wallets.db", 19, wal=True)
        with plain(path, *statements):
            database = waiaas.connect(path, busy_timeout=0.2)
            assert database.execute_sql("SELECT count(*) FROM wc_store").fetchone() == (12,)
            waiaas.close(database)

    def test_an_old_file_in_use_can_be_opened_as_it_is(self, v18: Path) -> None:
        """With `upgrade=False` a writer elsewhere does not keep anyone from reading."""
        with plain(v18, "BEGIN IMMEDIATE"):
            database = waiaas.connect(v18, upgrade=False, busy_timeout=0.2)
            assert database.execute_sql("SELECT count(*) FROM sessions").fetchone() == (12,)
            waiaas.close(database)

    def test_waits_for_a_lock_that_is_let_go(self, v18: Path) -> None:
        """A file that is let go within `busy_timeout` is upgraded."""
        told = threading.Event()
        with plain(v18) as other, ThreadPoolExecutor(1) as pool:
            other.execute("BEGIN IMMEDIATE")
            opening = pool.submit(lambda: waiaas.close(waiaas.connect(v18, progress=lambda _: told.set())))
            assert told.wait(10)
            assert not opening.done()
            other.execute("ROLLBACK")
            opening.result(10)
        assert query(v18, "SELECT max(version) FROM schema_version") == [(19,)]


TRY_TO_WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)
try:
    connection.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
else:
    print("taken")
connection.close()
"""
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
        """A write lock that this process holds is still held after `connect` was refused because of it."""
        with plain(v18, "BEGIN IMMEDIATE"):
            assert run_python(TRY_TO_WRITE, v18) == "database is locked\n"
            assert refused(v18, busy_timeout=0.1).reason == "database_busy"
            assert run_python(TRY_TO_WRITE, v18) == "database is locked\n"
        assert run_python(TRY_TO_WRITE, v18) == "taken\n"

    def test_are_kept_by_a_second_connect(self, tmp_path: Path) -> None:
        """What this process writes, another process sees, though a second `connect` of the file came between."""
        path = tmp_path / "wallets.db"
        first = waiaas.connect(path)
        first.execute_sql("INSERT INTO wc_store VALUES ('first', '1')")
        second = waiaas.connect(path)
        run_python(RUN, path, "INSERT INTO wc_store VALUES ('theirs', '2')")
        first.execute_sql("INSERT INTO wc_store VALUES ('second', '3')")
        assert run_python(RUN, path, "SELECT value FROM wc_store ORDER BY value") == "[('1',), ('2',), ('3',)]\n"
        waiaas.close(second)
        waiaas.close(first)
        assert query(path, "SELECT value FROM wc_store ORDER BY value") == [("1",), ("2",), ("3",)]


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
    def test_any_file_name_is_taken_as_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Characters that mean something in a URI are part of the name: this file is upgraded, and no other."""
        folder = tmp_path / f"in {name}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        before = dump(make_file(folder / "plain.db", rows=2))
        os.rename("plain.db", name)
        waiaas.close(waiaas.connect(name, upgrade=False))
        assert os.listdir() == [name]
        waiaas.close(waiaas.connect(name))
        (backup,) = set(os.listdir()) - {name}
        assert backup.startswith(f"{name}.v18-")
        os.rename(backup, "backup.db")
        assert dump(folder / "backup.db") == before
        waiaas.close(waiaas.connect(folder / name))
        assert sorted(os.listdir()) == sorted([name, "backup.db"])

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_file_name_can_be_created_and_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """A new file of any name is created under that name, and named so where it is refused."""
        monkeypatch.chdir(tmp_path)
        database = waiaas.connect(name)
        database.execute_sql("INSERT INTO schema_version VALUES (20, 1, '')")
        waiaas.close(database)
        assert os.listdir() == [name]
        error = refused(tmp_path / name)
        assert (error.reason, (error.details or {})["path"]) == ("code_too_old", str(tmp_path / name))
        assert os.listdir() == [name]

    def test_a_symlink_leads_to_its_file(self, tmp_path: Path) -> None:
        """A file behind a symlink is upgraded where it stands; the link stays one."""
        (tmp_path / "real").mkdir()
        real, link = make_file(tmp_path / "real" / "wallets.db"), tmp_path / "link.db"
        link.symlink_to(real)
        before = dump(real)
        waiaas.close(waiaas.connect(link))
        assert link.is_symlink()
        assert query(real, "SELECT max(version) FROM schema_version") == [(19,)]
        (backup,) = tmp_path.rglob("*.backup")
        assert dump(backup) == before
        assert sorted(path.name for path in tmp_path.rglob("*.db*")) == sorted(["link.db", "wallets.db", backup.name])

    def test_a_symlink_to_nothing_yet_creates_its_file(self, tmp_path: Path) -> None:
        """A dangling symlink is where the new file is made, with mode 0600."""
        link = tmp_path / "link.db"
        link.symlink_to(tmp_path / "wallets.db")
        waiaas.close(waiaas.connect(link))
        assert link.is_symlink()
        assert mode(tmp_path / "wallets.db") == 0o600
        assert query(tmp_path / "wallets.db", "SELECT max(version) FROM schema_version") == [(19,)]

    def test_a_relative_path_is_taken_from_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A relative path names a file in the working folder, and the backup stands beside it."""
        monkeypatch.chdir(tmp_path)
        make_file(tmp_path / "wallets.db")
        waiaas.close(waiaas.connect("wallets.db"))
        assert query(tmp_path / "wallets.db", "SELECT max(version) FROM schema_version") == [(19,)]
        assert len(list(tmp_path.glob("wallets.db.v18-*.backup"))) == 1


class TestClose:
    def test_writes_the_whole_log_back(self, tmp_path: Path) -> None:
        """After `close` the file holds every row by itself: the log is gone or empty."""
        path, copy = tmp_path / "wallets.db", tmp_path / "copy.db"
        database = waiaas.connect(path)
        database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
        assert os.path.getsize(f"{path}-wal") > 0
        waiaas.close(database)
        assert database.is_closed()
        assert not os.path.exists(f"{path}-wal") or os.path.getsize(f"{path}-wal") == 0
        shutil.copy(path, copy)
        assert query(copy, "SELECT value FROM wc_store") == [("value",)]

    def test_empties_the_log_for_connections_that_stay(self, tmp_path: Path) -> None:
        """Where another connection stays open, the log is written back all the same and is empty."""
        path, copy = tmp_path / "wallets.db", tmp_path / "copy.db"
        database = waiaas.connect(path)
        with plain(path, "SELECT * FROM wallets"):
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            waiaas.close(database)
            assert os.path.getsize(f"{path}-wal") == 0
            shutil.copy(path, copy)
        assert query(copy, "SELECT value FROM wc_store") == [("value",)]

    @pytest.mark.parametrize("make", [None, make_file], ids=["created", "upgraded"])
    def test_writes_back_what_others_wrote(self, tmp_path: Path, make: Callable[[Path], Path] | None) -> None:
        """Where another connection wrote last and nobody reads, the log is written back all the same."""
        path = tmp_path / "wallets.db"
        if make:
            make(path)
        database = waiaas.connect(path, busy_timeout=0.5)
        with plain(path, "INSERT INTO wc_store VALUES ('key', 'value')"):
            waiaas.close(database)
            assert os.path.getsize(f"{path}-wal") == 0
        assert query(path, "SELECT value FROM wc_store WHERE key = 'key'") == [("value",)]

    def test_leaves_the_log_to_a_reader(self, tmp_path: Path) -> None:
        """Where a reader needs the log, `close` leaves it to be written back later, and nothing is lost."""
        path = tmp_path / "wallets.db"
        database = waiaas.connect(path, busy_timeout=0.1)
        with plain(path, "BEGIN", "SELECT * FROM wc_store") as reader:
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            waiaas.close(database)
            assert database.is_closed()
            assert os.path.getsize(f"{path}-wal") > 0
            assert reader.execute("SELECT * FROM wc_store").fetchall() == []
        assert query(path, "SELECT value FROM wc_store") == [("value",)]
        assert not os.path.exists(f"{path}-wal")

    @pytest.mark.parametrize("path", ["wallets.db", ":memory:"])
    def test_may_be_called_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        """Closing a closed database does nothing, not even where its file is gone."""
        monkeypatch.chdir(tmp_path)
        database = waiaas.connect(path)
        waiaas.close(database)
        for file in tmp_path.iterdir():
            file.unlink()
        waiaas.close(database)
        assert database.is_closed()
        assert list(tmp_path.iterdir()) == []

    def test_is_refused_inside_peewees_transaction(self, tmp_path: Path) -> None:
        """Inside `atomic()` the database stays open, and the transaction can still be committed."""
        database = waiaas.connect(tmp_path / "wallets.db")
        with database.atomic():
            database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            with pytest.raises(WAIaaSError) as caught:
                waiaas.close(database)
            assert not database.is_closed()
        assert caught.value.reason == "inside_transaction"
        waiaas.close(database)
        assert query(tmp_path / "wallets.db", "SELECT value FROM wc_store") == [("value",)]

    @pytest.mark.parametrize("begin", ["BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s"])
    def test_is_refused_inside_a_transaction_begun_by_hand(self, tmp_path: Path, begin: str) -> None:
        """A transaction that Peewee does not know of counts as well, and can still be rolled back."""
        database = waiaas.connect(tmp_path / "wallets.db")
        database.execute_sql(begin)
        database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
        with pytest.raises(WAIaaSError) as caught:
            waiaas.close(database)
        assert caught.value.reason == "inside_transaction"
        assert not database.is_closed()
        database.execute_sql("ROLLBACK")
        waiaas.close(database)
        assert query(tmp_path / "wallets.db", "SELECT value FROM wc_store") == []

    def test_closes_this_threads_connection_alone(self, tmp_path: Path) -> None:
        """Another thread's connection of the same database goes on working."""
        database = waiaas.connect(tmp_path / "wallets.db", busy_timeout=0.2)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(database.execute_sql, "INSERT INTO wc_store VALUES ('key', 'value')").result()
            waiaas.close(database)
            assert database.is_closed()
            assert not pool.submit(database.is_closed).result()
            rows = pool.submit(lambda: database.execute_sql("SELECT value FROM wc_store").fetchall()).result()
            pool.submit(waiaas.close, database).result()
        assert rows == [("value",)]
        assert list(files(tmp_path)) == ["wallets.db"]

    def test_of_a_file_opened_as_it_is_changes_no_byte(self, v18: Path) -> None:
        """Closing an old file twice, and from a second thread too, leaves it as it was."""
        before = files(v18.parent)
        database = waiaas.connect(v18, upgrade=False)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(
                lambda: (database.execute_sql("SELECT * FROM wallets").fetchall(), waiaas.close(database))
            ).result()
        waiaas.close(database)
        waiaas.close(database)
        assert files(v18.parent) == before


def put(database: SqliteDatabase, key: str) -> None:
    database.execute_sql("INSERT INTO wc_store VALUES (?, 'value')", (key,))


def write(database: SqliteDatabase, *keys: str, error: BaseException | None = None) -> None:
    """Put keys in one transaction, and raise an error at its end where one is given."""
    with waiaas.write_transaction(database):
        for key in keys:
            put(database, key)
        if error is not None:
            raise error


def keys(path: Path) -> list[str]:
    """The keys that stand in the file, as another program sees them."""
    return [key for (key,) in query(path, "SELECT key FROM wc_store ORDER BY key")]


def reason_of(error: pytest.ExceptionInfo[WAIaaSError]) -> str | None:
    return error.value.reason


class TestWriteTransaction:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "wallets.db"

    @pytest.fixture
    def database(self, path: Path) -> Iterator[SqliteDatabase]:
        database = waiaas.connect(path, busy_timeout=0.2)
        yield database
        waiaas.close(database)

    def test_holds_the_lock_from_its_start(self, database: SqliteDatabase, path: Path) -> None:
        """No other connection writes from the first statement of the block to its end, then it may."""
        with waiaas.write_transaction(database):
            assert run_python(TRY_TO_WRITE, path) == "database is locked\n"
            put(database, "inside")
        assert run_python(TRY_TO_WRITE, path) == "taken\n"
        assert keys(path) == ["inside"]

    @pytest.mark.parametrize("error", [KeyError("own"), ConnectionError("own"), KeyboardInterrupt(), GeneratorExit()])
    def test_an_exception_of_the_block_passes_as_it_is(
        self, database: SqliteDatabase, path: Path, error: BaseException
    ) -> None:
        """Whatever a block raises of its own arrives unchanged, an OSError too, and nothing was written."""
        with pytest.raises(type(error)) as caught:
            write(database, "inside", error=error)
        assert caught.value is error
        assert keys(path) == []
        assert run_python(TRY_TO_WRITE, path) == "taken\n"

    def test_an_error_of_the_database_becomes_a_refusal(self, database: SqliteDatabase, path: Path) -> None:
        """A constraint that a block breaks is a WAIaaSError with the cause, and nothing was written."""
        with pytest.raises(WAIaaSError) as caught:
            write(database, "twice", "twice")
        assert (reason_of(caught), "UNIQUE constraint failed" in str(caught.value)) == ("sqlite_error", True)
        assert keys(path) == []

    def test_inside_another_is_a_savepoint(self, database: SqliteDatabase, path: Path) -> None:
        """What an inner block wrote goes with its error alone; the outer block keeps its own and commits it."""
        with waiaas.write_transaction(database):
            put(database, "outer")
            with pytest.raises(KeyError):
                write(database, "inner", error=KeyError())
            write(database, "second")
        assert keys(path) == ["outer", "second"]

    @pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
    def test_inside_a_transaction_of_peewees_does_not_wait_for_a_turn(self, path: Path, lock: str) -> None:
        """A thread that holds SQLite's lock already goes on, though another with the turn waits for that lock."""
        waiting = threading.Event()

        def wait_with_the_turn() -> None:
            try:
                with patient.write_turn():
                    waiting.set()
                    with patient.atomic("IMMEDIATE"):
                        put(patient, "other")
            finally:
                patient.close()

        patient = waiaas.connect(path)
        with ThreadPoolExecutor(1) as pool:
            with patient.atomic(lock):
                other = pool.submit(wait_with_the_turn)
                assert waiting.wait(10)
                write(patient, "own")
            other.result(10)
        waiaas.close(patient)
        assert keys(path) == ["other", "own"]

    def test_a_busy_file_is_refused_for_now(self, database: SqliteDatabase, path: Path) -> None:
        """A lock that another process keeps is `database_busy`; once it is free the same call writes."""
        with plain(path, "BEGIN IMMEDIATE"):
            with pytest.raises(WAIaaSError) as caught:
                write(database, "never")
            assert (reason_of(caught), caught.value.retryable) == ("database_busy", True)
        assert database.pragma("busy_timeout") == 200
        write(database, "later")
        assert keys(path) == ["later"]

    def test_a_turn_that_is_not_to_be_had_is_refused_for_now(self, database: SqliteDatabase, path: Path) -> None:
        """A thread of this process that keeps its turn makes the others `database_busy`, and only until it is done."""
        with ThreadPoolExecutor(1) as pool:
            with waiaas.write_transaction(database), pytest.raises(WAIaaSError) as caught:
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
        """From no wait at all to the longest, a transaction begins, and leaves the connection's timeout as it was."""
        database = waiaas.connect(path, busy_timeout=seconds)
        write(database, "key")
        assert database.pragma("busy_timeout") == int(seconds * 1000)
        waiaas.close(database)
        assert keys(path) == ["key"]

    def test_without_a_busy_timeout_it_does_not_wait(self, path: Path) -> None:
        """With `busy_timeout=0` a locked file and a taken turn are refused at once."""
        database = waiaas.connect(path, busy_timeout=0)
        with plain(path, "BEGIN IMMEDIATE"), pytest.raises(WAIaaSError) as caught:
            write(database, "never")
        assert reason_of(caught) == "database_busy"
        with ThreadPoolExecutor(1) as pool, waiaas.write_transaction(database), pytest.raises(WAIaaSError) as caught:
            pool.submit(self._write_and_close, database, "never").result()
        assert reason_of(caught) == "database_busy"
        waiaas.close(database)
        assert keys(path) == []

    @pytest.mark.parametrize("seconds", [-1, -0.001, 2_147_484, float("inf"), float("nan")])
    def test_an_impossible_busy_timeout_is_refused(self, tmp_path: Path, seconds: float) -> None:
        """A negative, endless or unnumbered wait is a ValueError, and no file is made."""
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

    def test_an_interrupt_while_waiting_leaves_all_as_it_was(self, tmp_path: Path) -> None:
        """Ctrl-C ends the wait for the lock or for the turn; the process goes on to write once it can."""
        path = tmp_path / "wallets.db"
        waiaas.close(waiaas.connect(path))
        with plain(path, "BEGIN IMMEDIATE") as other:
            process = subprocess.Popen(
                [sys.executable, "-c", WAIT_FOR_LOCK_AND_TURN, path],
                env={**os.environ, "PYTHONPATH": PACKAGE_FOLDER},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "interrupted at the lock, then 60000\n"
            assert process.stdout.readline() == "interrupted at the turn\n"
            other.execute("ROLLBACK")
        assert process.communicate("go\n") == ("written\n", None)
        assert process.returncode == 0
        assert keys(path) == ["key"]

    def test_a_transaction_begun_by_hand_is_refused_and_kept(self, database: SqliteDatabase, path: Path) -> None:
        """Inside a BEGIN that Peewee knows nothing of it is `inside_transaction`, and what was written there stays."""
        database.execute_sql("BEGIN")
        put(database, "by hand")
        with pytest.raises(WAIaaSError) as caught:
            write(database, "never")
        assert reason_of(caught) == "inside_transaction"
        database.execute_sql("COMMIT")
        assert keys(path) == ["by hand"]

    def test_a_half_read_cursor_with_an_old_snapshot_is_refused(self, database: SqliteDatabase, path: Path) -> None:
        """A thread that is still reading what another has meanwhile changed is `database_busy` until it is done."""
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

    def test_a_reader_keeps_a_rollback_journal_from_committing(self, tmp_path: Path) -> None:
        """Without a write-ahead log a COMMIT that a reader stands in the way of is `database_busy`, and undone."""
        path = make_file(tmp_path / "wallets.db", 19)
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
        """Where SQLite has rolled back by itself, a block that caught the error can write nothing more, and fails."""

        def fill() -> None:
            with waiaas.write_transaction(database) if nested else nullcontext():
                for number in range(100):
                    database.execute_sql("INSERT INTO wc_store VALUES (?, ?)", (str(number), "x" * 3000))

        def write_around() -> None:
            with waiaas.write_transaction(database):
                put(database, "before")
                with pytest.raises(WAIaaSError if nested else OperationalError, match="full"):
                    fill()
                assert not database.connection().in_transaction
                put(database, "after")

        database.pragma("cache_size", 5)
        database.pragma("max_page_count", database.pragma("page_count") + 4)
        with pytest.raises(WAIaaSError, match="rolled back after an error"):
            write_around()
        assert keys(path) == []
        write(database, "later")
        assert keys(path) == ["later"]

    def test_an_error_at_commit_is_told_and_nothing_is_kept(self, tmp_path: Path) -> None:
        """Where the disk takes nothing more at COMMIT, the call is refused as `io_error`; a later one succeeds."""
        path = tmp_path / "wallets.db"
        waiaas.close(waiaas.connect(path))
        assert run_python(FAIL_AT_COMMIT, path) == "io_error\n"
        assert keys(path) == ["before", "later"]

    def test_a_plain_peewee_database_works_too(self, tmp_path: Path) -> None:
        """A SqliteDatabase of Peewee's own gets the same transaction, commits and rolls back."""
        path = tmp_path / "wallets.db"
        waiaas.close(waiaas.connect(path))
        database = SqliteDatabase(path)
        with waiaas.write_transaction(database):
            assert run_python(TRY_TO_WRITE, path) == "database is locked\n"
            put(database, "kept")
        with pytest.raises(KeyError):
            write(database, "lost", error=KeyError())
        database.close()
        assert keys(path) == ["kept"]

    def test_works_on_a_database_that_was_closed(self, database: SqliteDatabase, path: Path) -> None:
        """A closed database opens itself again for a transaction, with the daemon's PRAGMAs."""
        waiaas.close(database)
        write(database, "key")
        assert pragmas(database) == {**DAEMONS_PRAGMAS, "busy_timeout": 200}
        assert keys(path) == ["key"]

    def test_upgrade_is_refused_inside_and_works_after(self, v18: Path) -> None:
        """`upgrade` needs a transaction of its own: inside one it is refused, after it the file is upgraded."""
        database = waiaas.connect(v18, upgrade=False)
        with waiaas.write_transaction(database):
            with pytest.raises(WAIaaSError) as caught:
                waiaas.upgrade(database, backup=False)
            assert reason_of(caught) == "inside_transaction"
            put(database, "kept")
        assert waiaas.upgrade(database, backup=False).applied == [19]
        write(database, "later")
        waiaas.close(database)
        assert {"kept", "later"} <= set(keys(v18))

    def test_manual_commit_is_left_to_the_caller(self, database: SqliteDatabase, path: Path) -> None:
        """Peewee's manual commit mode works as ever, statement by statement."""
        with database.manual_commit():
            put(database, "by itself")
            database.begin()
            put(database, "taken back")
            database.rollback()
        assert keys(path) == ["by itself"]


WAIT_FOR_LOCK_AND_TURN = """
import signal, sys, threading, waiaas
from waiaas.database import _database
main, database = threading.get_ident(), _database(sys.argv[1], 60)

def interrupted():
    # A signal that comes before the wait has begun interrupts all the same: the block is never reached.
    try:
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
        with waiaas.write_transaction(database):
            raise SystemExit("had the lock")
    except KeyboardInterrupt:
        return True

assert interrupted()
print("interrupted at the lock, then", database.pragma("busy_timeout"), flush=True)
taken, free = threading.Event(), threading.Event()

def keep():
    with database.write_turn():
        taken.set()
        free.wait()

keeper = threading.Thread(target=keep)
keeper.start()
taken.wait()
assert interrupted()
free.set()
keeper.join()
print("interrupted at the turn", flush=True)
sys.stdin.readline()
with waiaas.write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
waiaas.close(database)
print("written")
"""
FAIL_AT_COMMIT = """
import os, resource, sys, waiaas
database = waiaas.connect(sys.argv[1])
with waiaas.write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('before', 'value')")
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(sys.argv[1] + "-wal"), most))
try:
    with waiaas.write_transaction(database):
        database.execute_sql("INSERT INTO wc_store VALUES ('never', 'value')")
        written = True
except waiaas.WAIaaSError as error:
    assert written
    print(error.reason)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
with waiaas.write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('later', 'value')")
waiaas.close(database)
"""
FORK = """
import os, sys, waiaas

def in_child(do):
    child = os.fork()
    if child == 0:
        try:
            do()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0

def put(key):
    with waiaas.write_transaction(database):
        database.execute_sql("INSERT INTO wc_store VALUES (?, 'value')", (key,))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestFork:
    """Nobody may use a connection that another process opened (https://www.sqlite.org/howtocorrupt.html, 2.6)."""

    def test_the_child_makes_a_connection_of_its_own(self, tmp_path: Path) -> None:
        """Parent and child each read and write on, and the child's end leaves the parent's connection as it was."""
        code = """
database = waiaas.connect(sys.argv[1])
put("parent 1")
parents = database.connection()

def child():
    assert database.is_closed()
    put("child")
    assert database.connection() is not parents
    assert database.pragma("busy_timeout") == 5000
    waiaas.close(database)

in_child(child)
put("parent 2")
assert database.connection() is parents
print(*[key for (key,) in database.execute_sql("SELECT key FROM wc_store ORDER BY key")], sep=", ")
print(waiaas.check(database).ok)
waiaas.close(database)
"""
        assert run_python(FORK + code, tmp_path / "wallets.db") == "child, parent 1, parent 2\nTrue\n"

    def test_the_child_is_in_no_transaction_of_the_parent(self, tmp_path: Path) -> None:
        """A child forked inside a transaction finds the file locked by its parent, which then commits its own."""
        code = """
database = waiaas.connect(sys.argv[1], busy_timeout=0.1)

def child():
    try:
        put("child")
    except waiaas.WAIaaSError as error:
        assert error.reason == "database_busy", error.reason
    else:
        raise AssertionError("the child wrote")

with waiaas.write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('parent', 'value')")
    in_child(child)
waiaas.close(database)
"""
        run_python(FORK + code, tmp_path / "wallets.db")
        assert keys(tmp_path / "wallets.db") == ["parent"]

    def test_the_turn_of_a_thread_that_the_child_has_not_is_free(self, tmp_path: Path) -> None:
        """A child forked while another thread of the parent writes does not wait for that thread."""
        code = """
import threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
database = waiaas.connect(sys.argv[1], busy_timeout=60)
taken, free = threading.Event(), threading.Event()

def keep():
    with database.write_turn():
        taken.set()
        free.wait()

keeper = threading.Thread(target=keep)
keeper.start()
taken.wait()
in_child(lambda: put("child"))
free.set()
keeper.join()
waiaas.close(database)
"""
        run_python(FORK + code, tmp_path / "wallets.db")
        assert keys(tmp_path / "wallets.db") == ["child"]

    def test_a_database_in_memory_is_copied(self) -> None:
        """The child has what the parent had in memory, and keeps its changes to itself."""
        code = """
database = waiaas.connect(":memory:")
put("parent")
in_child(lambda: put("child"))
print(database.execute_sql("SELECT key FROM wc_store").fetchall())
waiaas.close(database)
"""
        assert run_python(FORK + code) == "[('parent',)]\n"


class TestManyProcesses:
    @staticmethod
    def connect_all(workers: list[Worker], path: Path) -> list[Any]:
        """What each process found in schema_version, or the error it got."""
        for worker in workers:
            worker.ask(path)
        return [worker.answer() for worker in workers]

    @pytest.mark.parametrize("wal", [False, True], ids=["rollback-journal", "wal"])
    @pytest.mark.parametrize("number", range(3))
    def test_an_old_file_is_upgraded_once(self, workers: list[Worker], tmp_path: Path, number: int, wal: bool) -> None:
        """Eight processes that open an old file at once all succeed: one upgrade, one backup, one version-19 row."""
        path = make_file(tmp_path / "wallets.db", rows=12 * (number + 1), wal=wal)
        before = dump(path)
        assert self.connect_all(workers, path) == [[19, 19]] * 8
        assert query(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, 20)]
        after = dump(path)
        (backup,) = tmp_path.glob("*.backup")
        assert dump(backup) == before
        assert len(after["session_wallets"]) == len(before["sessions"])
        assert after["transactions"] == before["transactions"]
        assert query(path, "PRAGMA integrity_check") == [("ok",)]

    @pytest.mark.parametrize("exists", [False, True], ids=["no-file", "empty-file"])
    @pytest.mark.parametrize("number", range(3))
    def test_an_empty_file_is_created_once(
        self, workers: list[Worker], tmp_path: Path, number: int, exists: bool
    ) -> None:
        """Eight processes that open an empty file at once all succeed, and it is created once."""
        path = tmp_path / f"wallets-{number}.db"
        if exists:
            path.touch(0o644)
        assert self.connect_all(workers, path) == [[19, 19]] * 8
        assert query(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, 20)]
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        assert mode(path) == 0o600
        assert list(tmp_path.glob("*.backup")) == []


class TestCompatibility:
    @staticmethod
    def ask(path: Path) -> waiaas.Compatibility:
        database = SqliteDatabase(path, timeout=0.1)
        try:
            return waiaas.compatibility(database)
        finally:
            database.close()

    @pytest.mark.parametrize(
        ("make", "action", "version", "reason"),
        [
            (lambda path: path.touch(), "migrate", 0, "empty_database"),
            (lambda path: None, "migrate", 0, "empty_database"),
            (lambda path: make_file(path), "migrate", 18, "older_version"),
            (lambda path: make_file(path, 18, wal=True), "migrate", 18, "older_version"),
            (lambda path: make_file(path, 19), "ok", 19, "latest_version"),
            (lambda path: make_file(path, 1), "migrate", 1, "older_version"),
            (lambda path: make_file(path, 17), "migrate", 17, "older_version"),
            (newer, "refuse", 20, "code_too_old"),
            (other_program, "refuse", None, "other_program"),
            (text_file, "refuse", None, "not_a_database"),
            (with_rows("DROP TABLE schema_version"), "refuse", None, "schema_version_missing"),
            (with_rows("DELETE FROM schema_version"), "refuse", None, "schema_version_empty"),
            (lambda path: path.mkdir(), "refuse", None, "cannot_open"),
        ],
        ids=[
            "empty",
            "no-file",
            "18",
            "18-wal",
            "19",
            "1",
            "17",
            "20",
            "other",
            "text",
            "missing",
            "no-row",
            "folder",
        ],
    )
    def test_tells_what_a_file_is(
        self, tmp_path: Path, make: Callable[[Path], Any], action: str, version: int | None, reason: str
    ) -> None:
        """Each kind of file has its action, version and reason, and an error where it is refused; nothing changes."""
        path = tmp_path / "wallets.db"
        make(path)
        before = files(tmp_path)
        answer = self.ask(path)
        assert (answer.action, answer.version, answer.latest_version, answer.reason) == (action, version, 19, reason)
        assert (answer.error is not None) == (action == "refuse")
        assert answer.error is None or answer.error.reason == reason
        # A connection to a path without a file makes an empty one: that is SQLite's, not the answer's.
        assert {name: each for name, each in files(tmp_path).items() if name in before} == before
        assert path.is_dir() or path.stat().st_size == 0 or list(files(tmp_path)) == ["wallets.db"]

    @pytest.mark.parametrize("make", [make_file, newer, other_program], ids=["migrate", "newer", "other"])
    def test_to_dict_is_json(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        """The answer as a dictionary says the same in plain values that JSON takes."""
        make(tmp_path / "wallets.db")
        answer = self.ask(tmp_path / "wallets.db")
        plain_values = json.loads(json.dumps(answer.to_dict()))
        error = plain_values.pop("error")
        assert plain_values == {
            "action": answer.action,
            "version": answer.version,
            "latest_version": 19,
            "reason": answer.reason,
        }
        assert error == (json.loads(json.dumps(answer.error.to_dict())) if answer.error else None)

    def test_of_a_database_in_memory(self) -> None:
        """A database in memory answers like a file: empty at first, then at the latest version."""
        empty, created = SqliteDatabase(":memory:"), waiaas.connect(":memory:")
        assert (waiaas.compatibility(empty).action, waiaas.compatibility(created).action) == ("migrate", "ok")
        empty.close()
        created.close()

    def test_of_another_backend(self) -> None:
        """A database that is not SQLite is refused, without being connected to."""
        answer = waiaas.compatibility(PostgresqlDatabase("wallets"))
        assert (answer.action, answer.version, answer.reason) == ("refuse", None, "not_sqlite")

    def test_of_a_locked_file(self, v18: Path) -> None:
        """A file that cannot be read now is refused with a reason that may be tried again."""
        with plain(v18, "BEGIN EXCLUSIVE"):
            answer = self.ask(v18)
        assert (answer.action, answer.version, answer.reason) == ("refuse", None, "database_busy")
        assert answer.error is not None
        assert answer.error.retryable
        assert self.ask(v18).action == "migrate"

    def test_inside_a_transaction(self, v18: Path) -> None:
        """The question may be asked inside a transaction, which stays open and as it was."""
        database = SqliteDatabase(v18)
        with database.atomic() as transaction:
            database.execute_sql("INSERT INTO schema_version VALUES (20, 1, '')")
            assert waiaas.compatibility(database).reason == "code_too_old"
            transaction.rollback()
        assert waiaas.compatibility(database).reason == "older_version"
        database.close()


@pytest.mark.parametrize("mode", [None, "IMMEDIATE"])
def test_a_block_of_peewees_can_commit_and_roll_back_and_go_on(tmp_path: Path, mode: str | None) -> None:
    """Peewee's `commit` and `rollback` inside a block end its transaction and begin another, as Peewee says."""
    database = waiaas.connect(tmp_path / "wallets.db")
    insert = "INSERT INTO key_value_store VALUES (?, 'value', 1)"
    with database.atomic(mode) as transaction:
        database.execute_sql(insert, ("kept",))
        transaction.commit()
        database.execute_sql(insert, ("gone",))
        transaction.rollback()
        database.execute_sql(insert, ("kept too",))
    rows = database.execute_sql("SELECT key FROM key_value_store ORDER BY key").fetchall()
    assert rows == [("kept",), ("kept too",)]
    waiaas.close(database)


def test_a_with_block_is_one_transaction(tmp_path: Path) -> None:
    """What the services did in `with database:` is seen by nobody before its end, and undone where it raises."""
    database, other = (waiaas.connect(tmp_path / "wallets.db") for _ in range(2))
    fields = {"name": "trading", "chain": "solana", "environment": "mainnet", "publicKey": "an example's address"}
    request = waiaas.CreateWalletRequestSchema().load(fields)

    def create_and_fail() -> None:
        with database:
            wallet = waiaas.WalletService(database).create(request)
            assert waiaas.WalletService(database).get(wallet.id).name == "trading"
            assert waiaas.WalletService(other).list().items == ()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        create_and_fail()
    assert database.is_closed()
    assert waiaas.WalletService(database).list().items == ()
    for opened in (database, other):
        waiaas.close(opened)
