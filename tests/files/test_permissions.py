"""Files and folders that the user may not write or read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.command_line import only_object, program
from support.old_files import make_file
from support.python_processes import Worker
from support.sqlite_files import execute, files, killed, mode, plain

import waiaas

LATEST = waiaas.LATEST_SCHEMA_VERSION


@pytest.fixture(scope="module")
def nobody() -> Iterator[Worker]:
    """A process of an unprivileged user, to whom permissions apply."""
    with Worker("nobody") as worker:
        assert worker.answer() == "ready"
        yield worker


class TestPermissions:
    """Permissions do not apply to root, who may run the tests, so a process of another user opens the file."""

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
        """Return the schema_version that the owner of folder and file sees with limited rights, or the refusal."""
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
    def test_a_read_only_old_file_is_unchanged(
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
    def test_a_read_only_old_file_is_recognized(
        self, folder: Path, open_with: Callable[..., Any], file_mode: int, folder_mode: int
    ) -> None:
        """With `upgrade=False`, the version of a read-only old file is read, and nothing changes."""
        make_file(folder / "wallets.db")
        before = files(folder)
        assert open_with(file_mode, folder_mode, upgrade=False) == "upgrade_pending"
        assert files(folder) == before

    @pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o400, 0o700), (0o600, 0o500), (0o400, 0o500)])
    def test_a_read_only_file_in_journal_mode_is_unchanged(
        self, folder: Path, open_with: Callable[..., Any], file_mode: int, folder_mode: int
    ) -> None:
        """A read-only file of the latest version in rollback-journal mode is refused as read-only."""
        make_file(folder / "wallets.db", LATEST)
        before = files(folder)
        assert open_with(file_mode, folder_mode) == "read_only"
        assert files(folder) == before

    @pytest.mark.parametrize("version", [18, LATEST + 1])
    def test_a_refused_read_only_file_gets_no_new_log(
        self, folder: Path, open_with: Callable[..., Any], version: int
    ) -> None:
        """A read-only file in write-ahead-log mode is refused without a new -wal or -shm next to it."""
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
    def test_nothing_is_created_in_read_only_places(
        self, folder: Path, open_with: Callable[..., Any], file_mode: int | None, folder_mode: int, reason: str
    ) -> None:
        """A read-only folder, or a read-only empty file, is unchanged."""
        if file_mode is not None:
            (folder / "wallets.db").touch()
        before = files(folder)
        assert open_with(file_mode or 0, folder_mode) == reason
        assert files(folder) == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
    def test_an_empty_file_of_another_user_is_refused(self, folder: Path, nobody: Worker) -> None:
        """An empty file whose mode cannot be changed is refused: everybody could read the signing key in it."""
        path = folder / "wallets.db"
        path.touch()
        path.chmod(0o666)
        folder.chmod(0o777)
        nobody.ask(path)
        assert nobody.answer() == "cannot_open"
        assert (path.read_bytes(), mode(path)) == (b"", 0o666)


# Everything is imported while the library's files can still be read.
AS_NOBODY = """
import os
from waiaas.cli import commands
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
commands.main(prog_name="waiaas")
"""


@pytest.mark.slow
class TestInspection:
    """A user who may only read a file and its folder can inspect the file."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            (Path(name) / "in").mkdir()
            yield Path(name) / "in"
            (Path(name) / "in").chmod(0o700)

    def look(self, path: Path, *arguments: str, file_mode: int = 0o644) -> tuple[int, dict[str, Any]]:
        """Return the exit code and output of a command of a user who owns the files but may not write them."""
        for each in (*path.parent.iterdir(), path.parent):
            if os.geteuid() == 0:
                os.chown(each, 65534, 65534)
            each.chmod(0o555 if each.is_dir() else file_mode)
        before = files(path.parent)
        result = program(*arguments, path, "--json", code=AS_NOBODY)
        # SQLite recreates the index of a log.
        index = f"{path.name}-shm"
        assert files(path.parent) | {index: ""} == before | {index: ""}
        return result.returncode, only_object(result.stdout)

    @pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
    @pytest.mark.parametrize("file_mode", [0o644, 0o444], ids=oct)
    @pytest.mark.parametrize(
        ("version", "command", "code"), [(18, "status", 3), (18, "plan", 0), (LATEST, "check", 0)]
    )
    def test_needs_no_permission_to_write(
        self, folder: Path, version: int, command: str, code: int, file_mode: int, wal: bool
    ) -> None:
        """A file in a read-only folder can be inspected, and nothing is created next to it."""
        path = make_file(folder / "wallets.db", version, wal=wal)
        assert self.look(path, command, file_mode=file_mode)[0] == code

    @pytest.mark.parametrize("command", ["status", "check"])
    def test_reads_a_log_that_has_its_index(self, folder: Path, command: str) -> None:
        """Rows that are only in the log are read if the log's index exists."""
        statement = f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, 'logged')"
        path = killed(folder / "wallets.db", lambda p: make_file(p, LATEST, wal=True), statement, "-wal", "-shm")
        code, answer = self.look(path, command)
        assert (code, answer["error"]["details"]["reason"]) == (1, "code_too_old")

    @pytest.mark.parametrize("command", ["status", "plan", "check", "upgrade"])
    def test_reports_what_a_log_without_its_index_needs(self, folder: Path, command: str) -> None:
        """The log of a killed daemon is not ignored: if it cannot be read, the error contains the remedy."""
        statement = f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, 'logged')"
        path = killed(folder / "wallets.db", lambda p: make_file(p, LATEST, wal=True), statement, "-wal")
        code, answer = self.look(path, command)
        assert (code, answer["error"]["details"]["reason"]) == (1, "log_unreadable")
        assert "Give write permission to the folder" in answer["error"]["hint"]

    def test_does_not_ignore_a_journal(self, folder: Path) -> None:
        """A hot journal after a crash is not ignored."""
        path = make_file(folder / "wallets.db")
        execute(path, "CREATE TABLE filler AS SELECT zeroblob(100000) AS body")
        with plain(path, "PRAGMA cache_size = 1", "BEGIN", "UPDATE filler SET body = randomblob(100000)"):
            journal = Path(f"{path}-journal").read_bytes()
            half_written = path.read_bytes()
        path.write_bytes(half_written)
        Path(f"{path}-journal").write_bytes(journal)
        assert self.look(path, "status", file_mode=0o444)[0] == 1

    @pytest.mark.parametrize("wal", [False, True], ids=["alone", "with a log that was left"])
    def test_a_rehearsal_needs_a_writable_folder(self, folder: Path, wal: bool) -> None:
        """A rehearsal in a read-only folder reports that, and does not mention a backup."""
        path = make_file(folder / "wallets.db", wal=wal)
        if wal:
            Path(f"{path}-wal").touch()
        code, answer = self.look(path, "rehearse")
        assert (code, answer["error"]["details"]["reason"]) == (1, "copy_failed")
        assert "backup" not in answer["error"]["hint"]
        assert ".waiaas-rehearsal" not in answer["error"]["message"]
