"""Files and folders that their user may not write or read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from old_files import make_file
from on_disk import execute, files, mode
from processes import Worker


@pytest.fixture(scope="module")
def nobody() -> Iterator[Worker]:
    """A process of a user whom permissions bind."""
    with Worker("nobody") as worker:
        assert worker.answer() == "ready"
        yield worker


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
