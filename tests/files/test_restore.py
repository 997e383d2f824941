"""Backups on demand, and the restore of one."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.old_files import make_file
from support.python_processes import run_python
from support.sqlite_files import dump, execute, files, killed, mode, plain, query

import waiaas
from waiaas import WAIaaSError
from waiaas.files.private_folder import PrivateFolder
from waiaas.testing import WalletClock

LATEST = waiaas.LATEST_SCHEMA_VERSION

NOW = 1_800_000_000
NAME = f"wallets.db.v{LATEST}-20270115T080000Z.backup"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of the latest version with one key."""
    path = make_file(tmp_path / "wallets.db", LATEST, wal=True)
    put(path, "before")
    return path


def put(path: Path, key: str) -> None:
    execute(path, f"INSERT INTO wc_store VALUES ('{key}', '')")


def keys(path: Path) -> set[str]:
    return {key for (key,) in query(path, "SELECT key FROM wc_store WHERE key IN ('before', 'after', 'logged')")}


def reason_of_restore(path: Path, backup: Path) -> str | None:
    """Return the reason with which a restore is refused, and assert that the folder's files are unchanged."""
    before = files(path.parent)
    with pytest.raises(WAIaaSError) as caught:
        waiaas.restore(path, backup)
    assert files(path.parent) == before
    return caught.value.reason


class TestBackup:
    def test_is_next_to_the_file_with_its_rows_and_mode(self, path: Path) -> None:
        """A backup has the rows and the mode of its file, and a name with version and time."""
        path.chmod(0o640)
        backup = waiaas.backup(path, clock=lambda: NOW)
        assert (backup.path, backup.version, backup.is_removed) == (path.with_name(NAME), LATEST, False)
        assert backup.made_at.isoformat() == "2027-01-15T08:00:00+00:00"
        assert (dump(backup.path), mode(backup.path)) == (dump(path), 0o640)

    def test_of_a_file_in_use_has_the_committed_rows(self, path: Path) -> None:
        """The backup has the rows in the log, but not those of an open transaction, which continues."""
        with plain(path, "BEGIN IMMEDIATE", "INSERT INTO wc_store VALUES ('logged', '')") as writer:
            backup = waiaas.backup(path)
            writer.execute("COMMIT")
        assert (keys(backup.path), keys(path)) == ({"before"}, {"before", "logged"})

    def test_accepts_any_target(self, path: Path, tmp_path: Path) -> None:
        """The file of a `Database` or a Peewee database is backed up to a path or into a folder."""
        (tmp_path / "in").mkdir()
        with waiaas.connect(path) as database:
            first = waiaas.backup(database, tmp_path / "copy.db")
            second = waiaas.backup(database.peewee, tmp_path / "in", clock=lambda: NOW)
        assert (first.path, second.path) == (tmp_path / "copy.db", tmp_path / "in" / NAME)
        assert keys(first.path) == keys(second.path) == {"before"}

    @pytest.mark.parametrize("is_link", [False, True], ids=["the file itself", "a hard link"])
    def test_is_never_the_file_itself(self, v18: Path, is_link: bool) -> None:
        """A backup to the path of the file, or to another name of it, is a copy under a free name."""
        to = v18.with_name("second.db") if is_link else v18
        if is_link:
            os.link(v18, to)
        before = dump(v18)
        backup = waiaas.backup(v18, to).path
        assert backup == to.with_name(f"{to.name}-2")
        assert waiaas.upgrade(v18, backup=to).backup == str(backup)
        assert (dump(backup), os.path.samefile(backup, v18)) == (before, False)

    def test_is_refused_without_a_file(self) -> None:
        """A backup of an in-memory database is refused, because there is no file to copy."""
        with waiaas.connect(":memory:") as database, pytest.raises(WAIaaSError) as caught:
            waiaas.backup(database)
        assert caught.value.reason == "needs_file"


class TestBackups:
    def test_are_listed_and_removed(self, path: Path) -> None:
        """The newest come first; `keep` removes all other backups, and no file with another name."""
        made = [waiaas.backup(path, clock=lambda now=NOW + day * 86400: now) for day in range(3) if put_day(path, day)]
        path.with_name(f"wallets.db.v{LATEST}-copy.backup").touch()
        path.with_name(f"other.db.v{LATEST}-20270115T080000Z.backup").touch()
        assert waiaas.backups(path) == made[::-1]
        found = waiaas.backups(path, keep=1)
        assert [each.is_removed for each in found] == [False, True, True]
        assert waiaas.backups(path) == made[2:]
        assert {f"wallets.db.v{LATEST}-copy.backup", f"other.db.v{LATEST}-20270115T080000Z.backup"} < set(
            files(path.parent)
        )

    def test_another_name_of_the_file_is_not_a_backup(self, v18: Path) -> None:
        """A restore that was killed leaves a second name of the file: it is neither listed nor treated as a backup."""
        left = v18.with_name("wallets.db.v18-20260102T030405Z.backup")
        os.link(v18, left)
        before = dump(v18)
        assert waiaas.backups(v18, keep=1) == []
        backup = waiaas.upgrade(v18).backup
        assert [each.path for each in waiaas.backups(v18)] == [Path(str(backup))]
        assert dump(Path(str(backup))) == before

    @pytest.mark.parametrize("keep", [0, -1])
    def test_at_least_one_is_kept(self, path: Path, keep: int) -> None:
        """A number that would remove every backup is refused."""
        waiaas.backup(path)
        with pytest.raises(ValueError, match="keep is an integer of 1 or more"):
            waiaas.backups(path, keep=keep)
        assert len(waiaas.backups(path)) == 1


def put_day(path: Path, day: int) -> bool:
    put(path, f"day {day}")
    return True


class TestRestore:
    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    def test_replaces_the_file_with_the_backup(self, tmp_path: Path, wal: bool) -> None:
        """The file equals the backup, with its own mode; later writes are in the replaced file, which is kept."""
        path = make_file(tmp_path / "wallets.db", LATEST, wal=wal)
        put(path, "before")
        backup = waiaas.backup(path).path
        put(path, "after")
        path.chmod(0o640)
        report = waiaas.restore(path, backup, clock=lambda: NOW)
        assert (report.version, report.version_before, report.kept) == (LATEST, LATEST, str(path.with_name(NAME)))
        assert (keys(path), mode(path)) == ({"before"}, 0o640)
        assert keys(Path(str(report.kept))) == {"before", "after"}
        assert set(files(tmp_path)) == {"wallets.db", backup.name, NAME}

    def test_undoes_an_upgrade(self, v18: Path) -> None:
        """The backup of an upgrade restores the old version."""
        before = dump(v18)
        report = waiaas.upgrade(v18)
        assert report.backup is not None
        assert waiaas.restore(v18, report.backup).version_before == LATEST
        assert dump(v18) == before
        assert waiaas.upgrade(v18).applied == [*range(19, LATEST + 1)]

    def test_keeps_the_log_of_a_killed_daemon(self, tmp_path: Path) -> None:
        """Rows that are only in the log are in the replaced file, and not in the restored one."""
        backup = make_file(tmp_path / "backup.db", LATEST)
        put(backup, "before")
        path = killed(
            tmp_path / "wallets.db",
            lambda file: make_file(file, LATEST, wal=True),
            "INSERT INTO wc_store VALUES ('logged', '')",
            "-wal",
        )
        kept = waiaas.restore(path, backup).kept
        assert (keys(path), keys(Path(str(kept)))) == ({"before"}, {"logged"})

    @pytest.mark.parametrize("content", [None, b"", b"not a database", b"SQLite format 3\0" + bytes(4096)])
    def test_replaces_unreadable_files(self, path: Path, content: bytes | None) -> None:
        """A missing, empty or corrupt file is replaced; a corrupt one is kept under a name that indicates it."""
        backup = waiaas.backup(path).path
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        report = waiaas.restore(path, backup, clock=lambda: NOW)
        assert (keys(path), report.version_before) == ({"before"}, None)
        kept = None if content is None else str(path.with_name("wallets.db.damaged-20270115T080000Z"))
        assert report.kept == kept
        assert kept is None or Path(kept).read_bytes() == content

    def test_is_refused_while_this_program_has_the_file_open(self, path: Path) -> None:
        """The restore is refused, because a connection of this process would continue to use the replaced file."""
        backup = waiaas.backup(path).path
        with waiaas.connect(path):
            with pytest.raises(WAIaaSError) as caught:
                waiaas.restore(path, backup)
            assert caught.value.reason == "file_open"
        assert waiaas.restore(path, backup).version == LATEST

    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    def test_is_refused_while_another_program_has_the_file_open(self, tmp_path: Path, wal: bool) -> None:
        """An idle connection of another process is found, by its lock or its descriptors, and is named."""
        path = make_file(tmp_path / "wallets.db", LATEST, wal=wal)
        put(path, "before")
        backup = waiaas.backup(path, tmp_path / "backup.db").path
        code = """
import sys, waiaas
try:
    waiaas.restore(sys.argv[1], sys.argv[2])
except waiaas.WAIaaSError as error:
    print(error.reason, error.details["programs"][0].split()[0])
"""
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("SELECT * FROM wallets").fetchall()
            assert run_python(code, path, backup).split() == ["file_open", str(os.getpid())]
        assert keys(path) == {"before"}

    def test_is_refused_during_a_transaction(self, path: Path) -> None:
        """A file that another connection is writing is not replaced."""
        backup = waiaas.backup(path).path
        code = "import sys, waiaas; waiaas.restore(*sys.argv[1:])"
        with plain(path, "BEGIN IMMEDIATE"), pytest.raises(AssertionError, match=r"has .*wallets\.db open|is locked"):
            run_python(code, path, backup)
        assert keys(path) == {"before"}

    def test_refuses_files_that_are_not_backups(self, path: Path, tmp_path: Path) -> None:
        """A corrupt backup, another program's file, an empty or a missing one is refused, and nothing is changed."""
        damaged = Path(shutil.copy(waiaas.backup(path).path, tmp_path / "damaged.db"))
        with open(damaged, "r+b") as file:
            file.seek(20_000)
            file.write(b"\xff" * 20_000)
        other = tmp_path / "other.db"
        execute(other, "CREATE TABLE notes (text)")
        (tmp_path / "empty.db").touch()
        assert reason_of_restore(path, damaged) == "corrupt"
        assert reason_of_restore(path, other) == "other_program"
        assert reason_of_restore(path, tmp_path / "empty.db") == "empty_database"
        assert reason_of_restore(path, tmp_path / "missing.db") == "file_not_found"

    def test_refuses_to_replace_the_file_of_another_program(self, path: Path, tmp_path: Path) -> None:
        """A mistyped path does not replace another program's file."""
        backup = waiaas.backup(path).path
        other = tmp_path / "other.db"
        execute(other, "CREATE TABLE notes (text)")
        assert reason_of_restore(other, backup) == "other_program"

    def test_a_log_without_its_file_is_refused(self, path: Path) -> None:
        """The restore is refused, because the log of a lost file would become a part of the restored one."""
        backup = waiaas.backup(path).path
        path.unlink()
        Path(f"{path}-wal").write_bytes(b"log")
        assert reason_of_restore(path, backup) == "log_without_database"

    @pytest.mark.slow
    def test_a_damaged_file_keeps_its_log(self, tmp_path: Path) -> None:
        """A log that cannot be written back into a damaged file stays with that file: it may have the last rows."""
        path = killed(
            tmp_path / "wallets.db",
            lambda file: make_file(file, LATEST, wal=True),
            "INSERT INTO wc_store VALUES ('logged', '')",
            "-wal",
        )
        backup = make_file(tmp_path / "backup.db", LATEST)
        path.write_bytes(b"damaged")
        log = Path(f"{path}-wal").read_bytes()
        kept = str(waiaas.restore(path, backup).kept)
        assert (Path(kept).read_bytes(), Path(f"{kept}-wal").read_bytes()) == (b"damaged", log)
        assert dump(path) == dump(backup)

    @pytest.mark.parametrize("content", [None, b"damaged"], ids=["whole", "damaged"])
    @pytest.mark.slow
    def test_a_failed_rename_leaves_everything(
        self, path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the new file cannot take the name, the old one has only its own name again, and its log."""
        backup = waiaas.backup(path, clock=lambda: NOW).path
        execute(path, "PRAGMA journal_mode = DELETE")
        if content:
            path.unlink()
            killed(
                path,
                lambda file: make_file(file, LATEST, wal=True),
                "INSERT INTO wc_store VALUES ('logged', '')",
                "-wal",
            )
            path.write_bytes(content)

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr("waiaas.files.private_folder.PrivateFolder.replace", fail)
        assert reason_of_restore(path, backup) == "io_error"
        assert path.stat().st_nlink == 1

    def test_a_folder_that_cannot_be_synced_is_a_warning(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error after the rename is a warning: the file is replaced."""
        backup = waiaas.backup(path).path
        put(path, "after")
        flush, calls = PrivateFolder.flush_parent, []

        def fail_after_the_rename(folder: PrivateFolder) -> None:
            calls.append(folder)
            if len(calls) == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            flush(folder)

        monkeypatch.setattr("waiaas.files.private_folder.PrivateFolder.flush_parent", fail_after_the_rename)
        report = waiaas.restore(path, backup)
        assert [warning.reason for warning in report.warnings] == ["not_synced"]
        assert keys(path) == {"before"}


class TestReturnedRights:
    """Rights that were removed after the backup was made."""

    @pytest.fixture
    def service(self, tmp_path: Path) -> Iterator[waiaas.Database]:
        clock = WalletClock(NOW)
        with waiaas.connect(tmp_path / "service.db", clock=clock) as database:
            for name in ("first", "second"):
                database.wallets.create(
                    name=name, chain="solana", environment="mainnet", public_key=name, actor="admin"
                )
            self.wallets = [wallet.id for wallet in database.wallets.list()]
            self.session = database.sessions.create(wallet_ids=self.wallets, ttl=3600, actor="admin")
            clock.advance(2000)
            self.path, self.now = Path(database.target), clock()
            self.backup = waiaas.backup(database, clock=clock).path
            yield database

    def restored(self, database: waiaas.Database, *, now: int = 0) -> list[dict[str, Any]]:
        """Restore the backup and return the details of the warnings."""
        database.close()
        report = waiaas.restore(self.path, self.backup, clock=lambda: now or self.now)
        assert {warning.reason for warning in report.warnings} <= {"rights_returned", "rights_not_compared"}
        return [{key: value for key, value in (each.details or {}).items() if value} for each in report.warnings]

    def test_a_revoked_session(self, service: waiaas.Database) -> None:
        """A session that was revoked, and works again, is named, unless it has expired."""
        service.sessions.revoke(self.session.id, actor="admin")
        (warning,) = self.restored(service)
        assert warning == {"reason": "rights_returned", "path": str(self.path), "sessions": [self.session.id]}
        with waiaas.connect(self.path, clock=lambda: self.now) as database:
            assert database.sessions.authorize(self.session.token).session_id == self.session.id
        assert self.restored(service, now=NOW + 3600) == []

    def test_the_warning_has_only_what_came_back(self, service: waiaas.Database) -> None:
        """Kinds of rights of which none came back are not in the message."""
        service.sessions.revoke(self.session.id, actor="admin")
        service.close()
        (warning,) = waiaas.restore(self.path, self.backup, clock=lambda: self.now).warnings
        assert f"restored. Sessions: {self.session.id}. These" in warning.message
        assert f"복원했습니다. 세션: {self.session.id}. 이 권한" in str(warning.to_dict("ko")["message"])

    def test_a_replaced_token(self, service: waiaas.Database) -> None:
        """A session whose token was replaced by a renewal is named: the old token works again."""
        service.sessions.renew(self.session.token, actor="admin")
        assert [warning["sessions"] for warning in self.restored(service)] == [[self.session.id]]

    def test_a_link(self, service: waiaas.Database) -> None:
        """A link that was removed is named, with its session and its wallet."""
        service.links.unlink(self.session.id, self.wallets[1], actor="admin")
        assert [each["links"] for each in self.restored(service)] == [[f"{self.session.id} -> {self.wallets[1]}"]]

    def test_a_wallet(self, service: waiaas.Database) -> None:
        """A wallet that was suspended is named."""
        service.wallets.suspend(self.wallets[0], actor="admin")
        assert [warning["wallets"] for warning in self.restored(service)] == [[self.wallets[0]]]

    def test_the_key_and_the_kill_switch(self, service: waiaas.Database) -> None:
        """A key that was replaced and a kill switch that was activated are named."""
        service.tokens.rotate(actor="admin")
        service.kill_switch.activate(actor="admin")
        (warning,) = self.restored(service)
        assert warning["settings"] == ["jwt_secret_current", "kill_switch_state"]
        assert (warning["sessions"], warning["wallets"]) == ([self.session.id], sorted(self.wallets))

    def test_what_was_not_removed_is_not_named(self, service: waiaas.Database) -> None:
        """There is no warning if things were only added."""
        service.sessions.create(wallet_ids=self.wallets, actor="admin")
        assert self.restored(service) == []

    def test_an_older_backup(self, v18: Path) -> None:
        """A backup of version 18 is compared by the columns of that version."""
        backup = waiaas.upgrade(v18).backup
        rows = query(v18, "SELECT session_id, wallet_id FROM session_wallets JOIN sessions ON id = session_id")
        execute(v18, f"UPDATE sessions SET revoked_at = NULL, expires_at = {NOW + 1}")
        execute(v18, "DELETE FROM session_wallets")
        execute(Path(str(backup)), f"UPDATE sessions SET revoked_at = NULL, expires_at = {NOW + 1}")
        (warning,) = waiaas.restore(v18, str(backup), clock=lambda: NOW).warnings
        assert (warning.details or {})["links"] == sorted(f"{session} -> {wallet}" for session, wallet in rows)

    def test_a_file_that_cannot_be_compared(self, path: Path) -> None:
        """Over a damaged file, the warning says that nothing could be compared."""
        backup = waiaas.backup(path).path
        path.write_bytes(b"damaged")
        assert [warning.reason for warning in waiaas.restore(path, backup).warnings] == ["rights_not_compared"]
