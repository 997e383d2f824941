"""Only the file that the path meant at first is opened, and only SQLite's own files next to it are used."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.command_line import only_object, run
from support.connect_results import open_unchanged, refused
from support.old_files import make_file
from support.python_processes import Worker, run_python
from support.sqlite_files import dump, execute, files, keys, killed, plain, query

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.sqlite import write_transaction
from waiaas.demo import make_version_18
from waiaas.inspection.rehearsal import rehearse
from waiaas.migrations.opening import open_latest
from waiaas.paths import is_postgresql_url

LATEST = waiaas.LATEST_SCHEMA_VERSION

SIDECARS = ("-journal", "-wal", "-shm")
NOBODY = 65534
HALF_WRITTEN = ("PRAGMA cache_size = 1", "BEGIN IMMEDIATE", "UPDATE wallets SET name = hex(zeroblob(3000))")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def put(database: SqliteDatabase, key: str) -> None:
    with write_transaction(database):
        database.execute_sql("INSERT INTO wc_store VALUES (?, 'value')", (key,))


class TestWorkingFolder:
    """A relative path means the file in the initial working folder, wherever the process is later."""

    @pytest.fixture
    def other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Another folder with a database of the same name; the working folder is that of the first."""
        for name in ("first", "other"):
            (tmp_path / name).mkdir()
            make_file(tmp_path / name / "w.db", rows=3)
        monkeypatch.chdir(tmp_path / "first")
        return tmp_path / "other"

    @pytest.mark.parametrize("is_peewees", [False, True])
    def test_an_upgrade_backs_up_its_own_file(self, tmp_path: Path, other: Path, is_peewees: bool) -> None:
        """After a change of the working folder, the backup is of the upgraded file and next to it."""
        execute(tmp_path / "first" / "w.db", "UPDATE wc_store SET value = 'first'")
        before, others = dump(tmp_path / "first" / "w.db"), files(other)
        database = SqliteDatabase("w.db") if is_peewees else open_unchanged("w.db")
        database.connect(reuse_if_open=True)
        os.chdir(other)
        report = waiaas.upgrade(database)
        database.close()
        assert report.backup is not None
        assert Path(report.backup).parent == tmp_path / "first"
        assert dump(Path(report.backup)) == before
        assert files(other) == others

    @pytest.mark.parametrize("there", ["a file", "nothing"])
    def test_another_thread_opens_the_same_file(self, tmp_path: Path, other: Path, there: str) -> None:
        """A connection of a new thread, or after `close`, opens the first file and creates none."""
        if there == "nothing":
            (other / "w.db").unlink()
        others = files(other)
        database = waiaas.connect("w.db").peewee
        os.chdir(other)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: (put(database, "thread"), database.close())).result()
        database.close()
        put(database, "again")
        database.close_all()
        assert {"thread", "again"} <= set(keys(tmp_path / "first" / "w.db"))
        assert files(other) == others

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_process_opens_the_same_file(self, tmp_path: Path, other: Path) -> None:
        """A child process in another folder writes to the parent's file."""
        others = files(other)
        code = """
import os, sys, waiaas
from waiaas.backends.sqlite import write_transaction
os.chdir(sys.argv[1])
database = waiaas.connect("w.db").peewee
if os.fork() == 0:
    os.chdir(sys.argv[2])
    with write_transaction(database):
        database.execute_sql("INSERT INTO wc_store VALUES ('child', 'value')")
    database.close_all()
    os._exit(0)
assert os.wait()[1] == 0
database.close_all()
"""
        run_python(code, tmp_path / "first", other)
        assert "child" in keys(tmp_path / "first" / "w.db")
        assert files(other) == others

    def test_refusals_show_the_given_path(self, tmp_path: Path, other: Path) -> None:
        """A refusal after a change of the working folder shows the given path."""
        database = waiaas.connect("w.db").peewee
        database.close()
        os.chdir(other)
        (tmp_path / "first" / "w.db").unlink()
        with pytest.raises(WAIaaSError) as caught:
            database.connect()
        assert (caught.value.details or {})["path"] == "w.db"

    def test_a_later_change_of_a_link_has_no_effect(self, tmp_path: Path, other: Path) -> None:
        """A symbolic link is followed once: later connections open its first target."""
        link = tmp_path / "link.db"
        link.symlink_to(tmp_path / "first" / "w.db")
        database = waiaas.connect(link).peewee
        database.close()
        link.unlink()
        link.symlink_to(other / "w.db")
        others = files(other)
        put(database, "later")
        database.close_all()
        assert "later" in keys(tmp_path / "first" / "w.db")
        assert files(other) == others


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed.db"))


def replace(path: Path) -> None:
    other = make_file(path.with_name("other.db"), LATEST, wal=True)
    os.replace(other, path)


class TestReplaced:
    """A file that is renamed, deleted or replaced while a program has it open."""

    @pytest.fixture(params=[rename, Path.unlink, replace], ids=["renamed", "deleted", "replaced"])
    def change(self, request: pytest.FixtureRequest) -> Callable[[Path], None]:
        return request.param

    def test_a_later_connection_is_refused_and_creates_nothing(
        self, tmp_path: Path, change: Callable[[Path], None]
    ) -> None:
        """A new thread and a reopened database are refused; no file is created or changed."""
        path = tmp_path / "wallets.db"
        database = waiaas.connect(path).peewee
        database.close()
        change(path)
        before = files(tmp_path)
        with ThreadPoolExecutor(1) as pool:
            for run_it in (lambda do: do(), lambda do: pool.submit(do).result()):
                with pytest.raises(WAIaaSError) as caught:
                    run_it(lambda: database.execute_sql("SELECT 1"))
                assert caught.value.reason == "file_replaced"
        assert files(tmp_path) == before

    def test_a_write_on_an_open_connection_is_refused(self, tmp_path: Path, change: Callable[[Path], None]) -> None:
        """A transaction on an open connection is refused, because its writes would be lost."""
        path = tmp_path / "wallets.db"
        database = waiaas.connect(path).peewee
        change(path)
        before = files(tmp_path)
        with pytest.raises(WAIaaSError) as caught:
            put(database, "lost")
        assert caught.value.reason == "file_replaced"
        assert not database.in_transaction()
        assert files(tmp_path) == before
        database.close()

    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    @pytest.mark.parametrize("by", ["waiaas", "peewee"])
    def test_an_upgrade_is_refused(self, tmp_path: Path, change: Callable[[Path], None], by: str, wal: bool) -> None:
        """An upgrade on a connection whose file is gone is refused; nothing is written."""
        path = make_file(tmp_path / "wallets.db", wal=wal)
        database = open_unchanged(path) if by == "waiaas" else SqliteDatabase(str(path))
        database.connect(reuse_if_open=True)
        database.execute_sql("SELECT * FROM wallets").fetchall()
        change(path)
        before = {name: each for name, each in files(tmp_path).items() if name[-4:] not in ("-wal", "-shm")}
        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(database)
        assert caught.value.reason == "file_replaced"
        database.close()
        after = {name: each for name, each in files(tmp_path).items() if name[-4:] not in ("-wal", "-shm")}
        assert after == before

    @pytest.mark.parametrize(
        ("phase", "wal"),
        [
            ("backing up", False),
            ("verifying the backup", False),
            ("changing tables and rows", False),
            ("changing tables and rows", True),
        ],
    )
    def test_an_upgrade_of_a_replaced_file_is_rolled_back(
        self, tmp_path: Path, change: Callable[[Path], None], phase: str, wal: bool
    ) -> None:
        """If a file is replaced during its upgrade, neither file changes its version."""
        path = make_file(tmp_path / "wallets.db", wal=wal)
        rows = dump(path)
        done = False

        def interfere(progress: waiaas.Progress) -> None:
            nonlocal done
            if progress.phase == phase and not done:
                done = True
                os.link(path, tmp_path / "kept.db")
                change(path)

        database = open_unchanged(path)
        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(database, progress=interfere)
        assert caught.value.reason == "file_replaced"
        database.close()
        assert done
        assert dump(tmp_path / "kept.db") == rows
        assert not path.exists() or query(path, "SELECT max(version) FROM schema_version") == [(LATEST,)]

    def test_a_backup_that_fails_meanwhile_names_the_replaced_file(
        self, tmp_path: Path, change: Callable[[Path], None]
    ) -> None:
        """A file that is replaced is the reason, in whatever way its backup fails after that."""
        path = make_file(tmp_path / "wallets.db")
        damaged = []

        def interfere(progress: waiaas.Progress) -> None:
            if progress.phase == "verifying the backup" and not damaged:
                (copy,) = tmp_path.glob(".wallets.db.partial-*/*")
                copy.write_bytes(bytes(copy.stat().st_size))
                damaged.append(copy)
                change(path)

        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(path, progress=interfere)
        assert (caught.value.reason, len(damaged)) == ("file_replaced", 1)


def fifo(path: str) -> None:
    os.mkfifo(path)


def symbolic_link(path: str) -> None:
    os.symlink("/dev/zero", path)


def hard_link(path: str) -> None:
    Path(f"{path}.other").touch()
    os.link(f"{path}.other", path)


def a_socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path)


NOT_FILES = {
    "fifo": fifo,
    "symbolic-link": symbolic_link,
    "dangling-link": lambda path: os.symlink("nowhere", path),
    "hard-link": hard_link,
    "folder": os.mkdir,
    "socket": a_socket,
}
COMMANDS = {
    "status": ["status"],
    "plan": ["plan"],
    "check": ["check"],
    "upgrade": ["upgrade"],
    "rehearse": ["rehearse"],
    "downgrade": ["downgrade"],
}


class TestSidecars:
    """Files next to a database that were not made by SQLite for a user who may write the database."""

    @pytest.mark.parametrize("suffix", SIDECARS)
    @pytest.mark.parametrize("make", NOT_FILES.values(), ids=NOT_FILES)
    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    def test_irregular_files_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, make: Callable[[str], None], wal: bool
    ) -> None:
        """A FIFO, link, folder or socket is refused by name before SQLite opens anything, by every command."""
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        path = make_file(Path("w.db"), wal=wal)
        make(f"w.db{suffix}")
        before = path.read_bytes(), sorted(os.listdir())
        for arguments in COMMANDS.values():
            result = run(*arguments, path, "--json")
            error = only_object(result.stdout)["error"]["details"]
            assert (result.exit_code, error["reason"]) == (1, "sidecar_not_a_file"), arguments
            assert error["sidecar"] == f"w.db{suffix}"
        assert refused(path).reason == refused(path, upgrade=False).reason == "sidecar_not_a_file"
        assert (path.read_bytes(), sorted(os.listdir())) == before

    @pytest.mark.parametrize("suffix", SIDECARS)
    def test_a_fifo_does_not_block_a_new_connection(self, tmp_path: Path, suffix: str) -> None:
        """A connection of another thread is refused too, and does not wait for a FIFO's writer."""
        path = tmp_path / "wallets.db"
        database = waiaas.connect(path).peewee
        database.close()
        os.mkfifo(f"{path}{suffix}")
        with ThreadPoolExecutor(1) as pool, pytest.raises(WAIaaSError) as caught:
            pool.submit(database.connect).result()
        assert caught.value.reason == "sidecar_not_a_file"

    @pytest.mark.parametrize("kind", ["fifo", "folder"])
    def test_a_database_that_is_not_a_file_is_refused(self, tmp_path: Path, kind: str) -> None:
        """A FIFO or folder instead of the database is refused by every command, even through a link."""
        path = tmp_path / "wallets.db"
        NOT_FILES[kind](str(path))
        link = tmp_path / "link.db"
        link.symlink_to(path)
        for each in (path, link):
            for arguments in COMMANDS.values():
                error = only_object(run(*arguments, each, "--json").stdout)["error"]["details"]
                assert error["reason"] == "not_a_file", arguments
            assert refused(each).reason == "not_a_file"

    @as_root
    @pytest.mark.parametrize("suffix", SIDECARS)
    @pytest.mark.parametrize("command", COMMANDS)
    def test_another_users_file_is_refused(self, tmp_path: Path, suffix: str, command: str) -> None:
        """A journal or log of a user who may not write the database is refused by name; nothing changes."""
        path = make_file(tmp_path / "wallets.db", wal=suffix != "-journal")
        sidecar = Path(f"{path}{suffix}")
        sidecar.write_bytes(b"planted")
        os.chown(sidecar, NOBODY, NOBODY)
        before = files(tmp_path)
        result = run(*COMMANDS[command], path, "--json")
        error = only_object(result.stdout)["error"]["details"]
        assert (result.exit_code, error["reason"], error["owner"]) == (1, "sidecar_of_another_user", NOBODY)
        assert error["sidecar"] == str(sidecar)
        assert files(tmp_path) == before

    @as_root
    def test_another_users_journal_does_not_replace_the_content(self, tmp_path: Path) -> None:
        """A journal that another user planted, which SQLite would roll back, is refused and the file is unchanged."""
        folder = tmp_path / "theirs"
        folder.mkdir()
        theirs, path = make_file(folder / "wallets.db", rows=3), make_file(tmp_path / "wallets.db")
        with plain(theirs, *HALF_WRITTEN):
            shutil.copy(f"{theirs}-journal", f"{path}-journal")
        os.chown(f"{path}-journal", NOBODY, NOBODY)
        before = files(tmp_path)
        assert refused(path).reason == refused(path, upgrade=False).reason == "sidecar_of_another_user"
        assert files(tmp_path) == before

    @as_root
    @pytest.mark.parametrize(
        ("file_mode", "database_owner", "sidecar_owner"),
        [(0o600, NOBODY, NOBODY), (0o600, NOBODY, 0), (0o600, 0, 0), (0o660, 0, NOBODY), (0o666, 0, NOBODY)],
        ids=["the owner's", "root's", "one's own", "the group's", "everybody's"],
    )
    def test_logs_of_users_who_may_write_the_database_are_trusted(
        self, tmp_path: Path, file_mode: int, database_owner: int, sidecar_owner: int
    ) -> None:
        """Logs of the owner, of root, and of a member of a group that may write the database are trusted."""
        statement = "INSERT INTO wc_store VALUES ('logged', 'row')"
        path = killed(tmp_path / "wallets.db", lambda p: make_file(p, wal=True), statement, "-wal")
        os.chown(path, database_owner, NOBODY)
        path.chmod(file_mode)
        os.chown(f"{path}-wal", sidecar_owner, NOBODY)
        database = waiaas.connect(path).peewee
        assert database.execute_sql("SELECT value FROM wc_store WHERE key = 'logged'").fetchone() == ("row",)
        database.close_all()

    @as_root
    def test_logs_of_other_users_are_not_trusted(self, tmp_path: Path) -> None:
        """A user who is not in the group that may write the database is not trusted."""
        path = make_file(tmp_path / "wallets.db", wal=True)
        os.chown(path, 0, 0)
        path.chmod(0o660)
        Path(f"{path}-wal").write_bytes(b"planted")
        os.chown(f"{path}-wal", NOBODY, NOBODY)
        assert refused(path).reason == "sidecar_of_another_user"

    @as_root
    def test_users_of_one_group_open_a_file_in_turn(self) -> None:
        """Two users of a group can use a shared file in turn, each with the other's log next to it."""
        with tempfile.TemporaryDirectory() as name, Worker("nobody") as nobody:
            assert nobody.answer() == "ready"
            folder = Path(name)
            os.chown(folder, 0, NOBODY)
            folder.chmod(0o2770)
            path = make_file(folder / "wallets.db", LATEST, wal=True)
            os.chown(path, 0, NOBODY)
            path.chmod(0o660)
            database = waiaas.connect(path).peewee
            put(database, "root's")
            nobody.ask(path)
            assert nobody.answer() == [LATEST, LATEST]
            database.close_all()
            nobody.ask(path)
            assert nobody.answer() == [LATEST, LATEST]
            waiaas.connect(path).close()


class TestLogWithoutDatabase:
    """An empty file with a log or journal that has content, which SQLite would delete."""

    @pytest.fixture(params=["-wal", "-journal"])
    def left(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        """A database file that was truncated to nothing, with the log of a killed daemon."""
        path, suffix = tmp_path / "wallets.db", request.param
        folder = tmp_path / "daemon"
        folder.mkdir()
        original = make_file(folder / "wallets.db", wal=suffix == "-wal")
        logged = ("PRAGMA wal_autocheckpoint = 0", "INSERT INTO wc_store VALUES ('logged', 'row')")
        with plain(original, *(logged if suffix == "-wal" else HALF_WRITTEN)):
            shutil.copy(f"{original}{suffix}", f"{path}{suffix}")
        shutil.rmtree(folder)
        path.touch()
        return path

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_refuses_it(self, left: Path, command: str) -> None:
        """The log is unchanged, byte for byte, and the file stays empty."""
        before = files(left.parent)
        result = run(*COMMANDS[command], left, "--json")
        error = only_object(result.stdout)["error"]["details"]
        assert (result.exit_code, error["reason"]) == (1, "log_without_database")
        assert files(left.parent) == before

    @pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
    @pytest.mark.parametrize("open_it", [waiaas.connect, make_version_18], ids=["connect", "make_version_18"])
    def test_so_does_creating_a_database(self, left: Path, empty: bool, open_it: Callable[[Path], Any]) -> None:
        """`connect`, `init` and the demo do not create a database to replace the lost file."""
        if not empty:
            left.unlink()
        before = files(left.parent)
        with pytest.raises(WAIaaSError) as caught:
            open_it(left)
        assert caught.value.reason == "log_without_database"
        assert only_object(run("init", left, "--json").stdout)["error"]["details"]["reason"] == "log_without_database"
        assert files(left.parent) == before

    def test_a_crashed_init_can_be_repeated(self, tmp_path: Path) -> None:
        """An empty file with the journal of its first transaction becomes a database."""
        path, other = tmp_path / "wallets.db", tmp_path / "other.db"
        with plain(other, "PRAGMA cache_size = 1", "BEGIN", "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"):
            shutil.copy(f"{other}-journal", f"{path}-journal")
        other.unlink()
        path.touch()
        waiaas.connect(path).close()
        assert query(path, "SELECT max(version) FROM schema_version") == [(LATEST,)]
        assert list(files(tmp_path)) == ["wallets.db"]


@pytest.mark.parametrize("kind", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
def test_a_nul_character_is_refused(kind: Callable[[str], Any], tmp_path: Path) -> None:
    """A path that no system takes is refused like any other file that cannot be opened."""
    path = kind(str(tmp_path / "wallets\0.db"))
    with pytest.raises(WAIaaSError) as caught:
        waiaas.connect(path)
    assert caught.value.reason == "cannot_open"
    for found in (waiaas.status(path), waiaas.health(path)):
        assert found.error is not None
        assert found.error.reason == "cannot_open"
    assert list(tmp_path.iterdir()) == []


URLS = (
    "postgresql://user:secret@host/x",
    "postgres://user:sec@ret@host:5432/x?password=secret",
    "postgresql+psycopg://user:secret@host/x",
    "mysql://user:secret@host/x",
    "sqlite:///secret.db",
    "host=db user=app password=secret",
    " postgresql://user:secret@host/x",
    "'postgresql://user:secret@host/x'",
    "postgres:user:secret@host/x",
)


class TestURLs:
    """A URL instead of a path is refused and not repeated."""

    @pytest.mark.parametrize("url", URLS)
    @pytest.mark.parametrize("kind", [str, Path, os.fsencode], ids=["str", "Path", "bytes"])
    @pytest.mark.parametrize(
        "call", [open_latest, rehearse, make_version_18, waiaas.connect, waiaas.rehearse], ids=lambda c: c.__module__
    )
    def test_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, kind: Any, call: Callable[[Any], Any]
    ) -> None:
        """Message, details and every exception of the chain contain no password, and no file is created."""
        if is_postgresql_url(kind(url)) and call in (waiaas.connect, waiaas.rehearse):
            pytest.skip("the URL of a PostgreSQL database is a target")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(WAIaaSError) as caught:
            call(kind(url))
        assert caught.value.reason == "not_a_path"
        chain = [caught.value, caught.value.__cause__, caught.value.__context__]
        shown = "".join(f"{error!r} {error}" for error in chain if error) + repr(caught.value.to_dict("ko"))
        assert "sec" not in shown
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("url", URLS)
    @pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["lines", "json"])
    def test_no_command_prints_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, as_json: Any
    ) -> None:
        """No command prints a password, wherever the URL is on the command line."""
        monkeypatch.chdir(tmp_path)
        lines = [[*arguments, url] for arguments in COMMANDS.values()]
        lines += [["init", url], ["demo", url], [url], ["status", "a.db", url], ["downgrade", "a.db", f"--to={url}"]]
        lines += [["--lang", url, "status", "a.db"], ["completion", url], ["status", f"--{url}"]]
        for arguments in lines:
            result = run(*arguments, *as_json)
            assert result.exit_code in (1, 2), arguments
            # The key of a detail, if the driver is installed and there is no server.
            assert "sec" not in (result.stdout + result.stderr).replace('"seconds"', ""), arguments
        assert list(tmp_path.iterdir()) == []

    def test_an_empty_path_is_refused_as_such(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty path, as from a variable that is not set, does not mean the current folder."""
        monkeypatch.chdir(tmp_path)
        calls: list[Callable[[], object]] = [
            *(partial(call, "") for call in (waiaas.connect, waiaas.check, waiaas.upgrade, waiaas.backups)),
            partial(waiaas.restore, "", "a.backup"),
            partial(waiaas.move, "", "postgresql://h/a"),
        ]
        for call in calls:
            with pytest.raises(WAIaaSError) as caught:
                call()
            assert (caught.value.reason, caught.value.message) == ("empty_path", "The path is empty.")
        assert list(tmp_path.iterdir()) == []

    def test_as_a_backup_they_are_refused(self, v18: Path) -> None:
        """A URL as the backup's path is refused before anything is written, without its password."""
        before = files(v18.parent)
        database = open_unchanged(v18)
        with pytest.raises(WAIaaSError) as caught:
            waiaas.upgrade(database, backup="postgresql://user:secret@host/x")
        database.close_all()
        assert caught.value.reason == "not_a_path"
        assert "secret" not in "".join(traceback.format_exception(caught.value.with_traceback(None)))
        assert files(v18.parent) == before
