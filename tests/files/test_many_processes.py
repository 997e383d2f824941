"""Many processes open the same file at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.old_files import make_file
from support.python_processes import Worker
from support.sqlite_files import dump, mode, query

import waiaas

LATEST = waiaas.LATEST_SCHEMA_VERSION

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workers() -> Iterator[list[Worker]]:
    """Eight processes that open a file at once."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker()) for _ in range(8)]
        assert [worker.answer() for worker in workers] == ["ready"] * 8
        yield workers


class TestManyProcesses:
    @staticmethod
    def connect_all(workers: list[Worker], path: Path) -> list[Any]:
        """Return what each process found in schema_version, or its error."""
        for worker in workers:
            worker.ask(path)
        return [worker.answer() for worker in workers]

    @pytest.mark.parametrize("wal", [False, True], ids=["rollback-journal", "wal"])
    @pytest.mark.parametrize("number", range(3))
    def test_an_old_file_is_upgraded_once(self, workers: list[Worker], tmp_path: Path, number: int, wal: bool) -> None:
        """Eight processes that open an old file at once all succeed: one upgrade, one backup, one version-19 row."""
        path = make_file(tmp_path / "wallets.db", rows=12 * (number + 1), wal=wal)
        before = dump(path)
        assert self.connect_all(workers, path) == [[LATEST, LATEST]] * 8
        assert query(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, LATEST + 1)]
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
        assert self.connect_all(workers, path) == [[LATEST, LATEST]] * 8
        assert query(path, "SELECT version FROM schema_version ORDER BY 1") == [(n,) for n in range(1, LATEST + 1)]
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        assert mode(path) == 0o600
        assert list(tmp_path.glob("*.backup")) == []
