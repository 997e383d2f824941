"""The schema version of a file, and the action it requires."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peewee import PostgresqlDatabase, SqliteDatabase
from support.old_files import make_file
from support.sqlite_files import files, newer, other_program, plain, text_file, with_rows

import waiaas
from waiaas import LATEST_SCHEMA_VERSION as LATEST


class TestCompatibility:
    @staticmethod
    def ask(path: Path) -> waiaas.Status:
        database = SqliteDatabase(path, timeout=0.1)
        try:
            return waiaas.status(database)
        finally:
            database.close()

    @pytest.mark.parametrize(
        ("make", "action", "version", "reason"),
        [
            (lambda path: path.touch(), "migrate", 0, "empty_database"),
            (lambda path: None, "migrate", 0, "empty_database"),
            (lambda path: make_file(path), "migrate", 18, "older_version"),
            (lambda path: make_file(path, 18, wal=True), "migrate", 18, "older_version"),
            (lambda path: make_file(path, LATEST), "ok", LATEST, "latest_version"),
            (lambda path: make_file(path, 1), "migrate", 1, "older_version"),
            (lambda path: make_file(path, 17), "migrate", 17, "older_version"),
            (newer, "refuse", LATEST + 1, "code_too_old"),
            (other_program, "refuse", None, "other_program"),
            (text_file, "refuse", None, "not_a_database"),
            (with_rows("DROP TABLE schema_version"), "refuse", None, "schema_version_missing"),
            (with_rows("DELETE FROM schema_version"), "refuse", None, "schema_version_empty"),
            (lambda path: path.mkdir(), "refuse", None, "not_a_file"),
        ],
        ids=[
            "empty",
            "no-file",
            "18",
            "18-wal",
            "latest",
            "1",
            "17",
            "newer",
            "other",
            "text",
            "missing",
            "no-row",
            "folder",
        ],
    )
    def test_reports_each_kind_of_file(
        self, tmp_path: Path, make: Callable[[Path], Any], action: str, version: int | None, reason: str
    ) -> None:
        """Each kind of file has its action, version, reason and error if refused; nothing changes."""
        path = tmp_path / "wallets.db"
        make(path)
        before = files(tmp_path)
        answer = self.ask(path)
        assert (answer.action, answer.version, answer.latest_version, answer.reason) == (
            action,
            version,
            LATEST,
            reason,
        )
        assert (answer.error is not None) == (action == "refuse")
        assert answer.error is None or answer.error.reason == reason
        # SQLite creates an empty file when it opens a path without one; `compatibility` does not.
        assert {name: each for name, each in files(tmp_path).items() if name in before} == before
        assert path.is_dir() or path.stat().st_size == 0 or list(files(tmp_path)) == ["wallets.db"]

    @pytest.mark.parametrize("make", [make_file, newer, other_program], ids=["migrate", "newer", "other"])
    def test_to_dict_is_json(self, tmp_path: Path, make: Callable[[Path], Any]) -> None:
        """The result as a dictionary contains the same as plain JSON values."""
        make(tmp_path / "wallets.db")
        answer = self.ask(tmp_path / "wallets.db")
        plain_values = json.loads(json.dumps(answer.to_dict()))
        error = plain_values.pop("error")
        assert plain_values == {
            "action": answer.action,
            "version": answer.version,
            "latest_version": LATEST,
            "reason": answer.reason,
        }
        assert error == (json.loads(json.dumps(answer.error.to_dict())) if answer.error else None)

    def test_of_a_database_in_memory(self) -> None:
        """An in-memory database is reported like a file: empty at first, then at the latest version."""
        empty, created = SqliteDatabase(":memory:"), waiaas.connect(":memory:").peewee
        assert (waiaas.status(empty).action, waiaas.status(created).action) == ("migrate", "ok")
        empty.close()
        created.close()

    def test_of_another_backend(self) -> None:
        """A database that is not SQLite is refused without connecting to it."""
        answer = waiaas.status(PostgresqlDatabase("wallets"))
        assert (answer.action, answer.version, answer.reason) == ("refuse", None, "not_sqlite")

    def test_of_a_locked_file(self, v18: Path) -> None:
        """A locked file is refused with a retryable reason."""
        with plain(v18, "BEGIN EXCLUSIVE"):
            answer = self.ask(v18)
        assert (answer.action, answer.version, answer.reason) == ("refuse", None, "database_busy")
        assert answer.error is not None
        assert answer.error.retryable
        assert self.ask(v18).action == "migrate"

    def test_inside_a_transaction(self, v18: Path) -> None:
        """`compatibility` can be called in a transaction, which stays open and unchanged."""
        database = SqliteDatabase(v18)
        with database.atomic() as transaction:
            database.execute_sql("INSERT INTO schema_version VALUES (?, 1, '')", (LATEST + 1,))
            assert waiaas.status(database).reason == "code_too_old"
            transaction.rollback()
        assert waiaas.status(database).reason == "older_version"
        database.close()
