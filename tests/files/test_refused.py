"""Files of other programs or newer versions are refused without a trace."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.connect_results import refused
from support.old_files import make_file
from support.sqlite_files import execute, files, killed, mode, newer, other_program, query, text_file, with_rows

import waiaas

LATEST = waiaas.LATEST_SCHEMA_VERSION


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(19).randbytes(40_000))


def truncated(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        make_file(path)
        os.truncate(path, size)

    return make


def one_byte(path: Path) -> None:
    path.write_bytes(b"\n")


def view_alone(path: Path) -> None:
    execute(path, "CREATE VIEW wallets AS SELECT 1 AS id")


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
        with_rows("DELETE FROM schema_version", f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, '')"),
        "code_too_old",
    ),
}


class TestRefused:
    @pytest.mark.parametrize("upgrade", [True, False])
    @pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
    def test_files_are_unchanged(
        self, tmp_path: Path, make: Callable[[Path], Any], reason: str, upgrade: bool
    ) -> None:
        """A file of another program or a newer version is refused with its reason, and nothing of it changes."""
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

    def test_a_newer_file_reports_that_the_code_is_too_old(self, tmp_path: Path) -> None:
        """The refusal of a newer file reports that the code is too old, with both versions and the remedy."""
        error = refused(newer(tmp_path / "wallets.db"))
        assert "code too old" in str(error)
        assert error.details is not None
        assert (error.details["version"], error.details["latest"]) == (LATEST + 1, LATEST)
        assert str(LATEST + 1) in str(error) and str(LATEST) in str(error)
        assert error.hint is not None
        assert "newer release of waiaas" in error.hint

    @pytest.mark.parametrize("suffixes", [("-wal", "-shm"), ("-wal",)], ids=["wal-and-shm", "wal"])
    @pytest.mark.parametrize("link", [False, True], ids=["path", "symlink"])
    def test_a_newer_file_of_a_killed_daemon_keeps_its_log(
        self, tmp_path: Path, suffixes: tuple[str, ...], link: bool
    ) -> None:
        """A newer version that is only in the write-ahead log is detected, and file and log are unchanged.

        SQLite recreates a missing index of the log, and a reader cannot know whether it is in use by then.
        """
        folder = tmp_path / "folder"
        folder.mkdir()
        statement = f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, 'logged')"
        path = killed(folder / "wallets.db", lambda p: make_file(p, LATEST, wal=True), statement, *suffixes)
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
    def test_paths_that_are_not_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """A folder, a missing folder, a loop of links and a name too long cannot be opened, and nothing is created."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").write_text("no folder")
        (tmp_path / "loop.db").symlink_to("loop.db")
        before = sorted(tmp_path.iterdir())
        error = refused(name)
        expected = {"": "empty_path", ".": "not_a_file", "folder": "not_a_file"}.get(name.rstrip("/"), "cannot_open")
        assert (error.reason, error.retryable) == (expected, False)
        assert sorted(tmp_path.iterdir()) == before
        assert list((tmp_path / "folder").iterdir()) == []

    def test_keep_no_connection(self, tmp_path: Path) -> None:
        """After a refusal no connection keeps the file open: another one can replace it."""
        path = newer(tmp_path / "wallets.db")
        refused(path)
        path.unlink()
        waiaas.connect(make_file(path)).close()
        assert query(path, "SELECT max(version) FROM schema_version") == [(LATEST,)]
