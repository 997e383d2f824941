"""Rows of sqlite_master that SQLite itself would not write are refused before anything is changed."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.old_files import dump, execute, make_file, query

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl.migrator import LosslessMigrator
from waiaas.migrations.opening import open_read_only, open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION


def rewrite(path: Path, *statements: str) -> None:
    """Edit sqlite_master directly."""
    execute(path, "PRAGMA writable_schema = ON", *statements)


STRANGE = {
    "a table's name as BLOB": "UPDATE sqlite_master SET tbl_name = CAST('sessions' AS BLOB) WHERE name = 'sessions'",
    "NUL after a table's name": "UPDATE sqlite_master SET tbl_name = 'sessions' || char(0) WHERE name = 'sessions'",
    "another table's name": "UPDATE sqlite_master SET tbl_name = 'session' WHERE name = 'sessions'",
    "a name as BLOB": "UPDATE sqlite_master SET name = CAST('policies' AS BLOB) WHERE name = 'policies'",
    "a name that is not UTF-8": "UPDATE sqlite_master SET name = CAST(x'6d80' AS TEXT) WHERE name = 'mine'",
    "a table of that name": "UPDATE sqlite_master SET sql = CAST(x'435245415445205441424c45206d80286129' AS TEXT),"
    " name = CAST(x'6d80' AS TEXT), tbl_name = CAST(x'6d80' AS TEXT) WHERE name = 'mine'",
    "a text as BLOB": "UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = 'sessions'",
    "a type in capitals": "UPDATE sqlite_master SET type = 'TABLE' WHERE name = 'policies'",
    "a type as BLOB": "UPDATE sqlite_master SET type = CAST('table' AS BLOB) WHERE name = 'sessions'",
    "another name in the text": "UPDATE sqlite_master SET sql = replace(sql, 'mine', 'yours') WHERE name = 'mine'",
    "an index of another table": "UPDATE sqlite_master SET tbl_name = 'wallets' WHERE name = 'idx_sessions_wallet_id'",
    "an index of no table": "UPDATE sqlite_master SET tbl_name = 'gone' WHERE name = 'idx_sessions_wallet_id'",
    "a trigger of no table": "UPDATE sqlite_master SET tbl_name = 'gone' WHERE name = 'my_trigger'",
    "a page that is text": "UPDATE sqlite_master SET rootpage = 'two' WHERE name = 'my_view'",
    "a view with a page": "UPDATE sqlite_master SET rootpage = 3 WHERE name = 'my_view'",
    "a name of SQLite's own": "INSERT INTO sqlite_master VALUES ('view', 'sqlite_mine', 'sqlite_mine', 0,"
    " 'CREATE VIEW sqlite_mine AS SELECT 1')",
    "a text that SQLite normalises": "UPDATE sqlite_master SET sql = replace(sql, 'CREATE VIEW', 'create  view')"
    " WHERE name = 'my_view'",
    "two rows of one name": "INSERT INTO sqlite_master SELECT * FROM sqlite_master WHERE name = 'my_view'",
}


@pytest.fixture
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A version-18 file with an invalid schema row and a user's table, view and trigger."""
    path = make_file(tmp_path / "wallets.db")
    execute(
        path,
        "CREATE TABLE mine (a)",
        "CREATE VIEW my_view AS SELECT 1 AS one",
        "CREATE TRIGGER my_trigger AFTER INSERT ON mine BEGIN SELECT 1; END",
    )
    rewrite(path, request.param)
    return path


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE, indirect=True)
def test_a_row_that_sqlite_does_not_write_is_refused(strange: Path) -> None:
    """Upgrade, plan and check refuse the file, which is unchanged; SQLite itself refuses some of these files."""
    before = hashlib.sha256(strange.read_bytes()).hexdigest()
    reasons = set()
    for command in (waiaas.upgrade, waiaas.plan, waiaas.check):
        with pytest.raises(WAIaaSError) as caught, open_to_change(strange) as database:
            command(database)
        reasons.add(caught.value.reason)
        assert hashlib.sha256(strange.read_bytes()).hexdigest() == before
        assert [file.name for file in strange.parent.iterdir()] == [strange.name]
    assert reasons <= {"strange_schema", "corrupt"}


@pytest.mark.parametrize("strange", list(STRANGE.values())[:2], ids=list(STRANGE)[:2], indirect=True)
def test_an_operation_of_a_program_refuses_it_too(strange: Path) -> None:
    """DROP COLUMN on such a table, which would change the rows but not the definition, is refused."""
    before = dump(strange)
    with open_to_change(strange) as database:
        migrator = LosslessMigrator(database)
        with pytest.raises(WAIaaSError) as caught, migrator.migration_context():
            migrator.migrate(migrator.drop_column("sessions", "usage_stats"))
    assert caught.value.reason == "strange_schema"
    assert dump(strange) == before


def test_names_of_all_kinds_are_accepted(tmp_path: Path) -> None:
    """Everything that SQLite writes is accepted: odd names, renamed tables, keywords, comments, virtual tables."""
    path = make_file(tmp_path / "wallets.db")
    execute(
        path,
        'CREATE TABLE IF NOT EXISTS "" (a PRIMARY KEY, b UNIQUE) WITHOUT ROWID',
        "create table main.'single ''quoted''' /* comment ( */ (a, b)",
        "CREATE UNIQUE INDEX [on on] ON \"single 'quoted'\" (a) WHERE b > 0",
        "CREATE TABLE `table` AS SELECT 1 AS x",
        'CREATE TABLE renamed (a UNIQUE, "view" TEXT)',
        'ALTER TABLE renamed RENAME TO "Re named"',
        'CREATE INDEX by_view ON "re NAMED" ("view")',
        'CREATE TRIGGER IF NOT EXISTS "before" BEFORE UPDATE OF "on", a ON "RE named" BEGIN SELECT 1; END'.replace(
            '"on", a', '"view", a'
        ),
        "CREATE VIEW -- comment\n 지갑 AS SELECT 1 AS 하나",
        "CREATE TRIGGER instead_of INSTEAD OF INSERT ON 지갑 BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE search USING fts5 (a)",
        "ANALYZE",
    )
    with open_to_change(path) as database:
        assert waiaas.upgrade(database, backup=False).to_version == LATEST
        assert waiaas.check(database).ok


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_database_in_utf_16_is_accepted(tmp_path: Path, encoding: str) -> None:
    """Names and texts are compared in the encoding of the file."""
    path = tmp_path / "wallets.db"
    with closing(sqlite3.connect(make_file(tmp_path / "old.db"))) as old, closing(sqlite3.connect(path)) as new:
        new.execute(f"PRAGMA encoding = '{encoding}'")
        new.executescript("\n".join(old.iterdump()))
    with open_to_change(path) as database:
        assert waiaas.upgrade(database, backup=False).to_version == LATEST


def test_an_alter_that_does_not_change_the_definition_is_refused(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If an ALTER did not change the definition, the error is raised before the commit."""
    rewrite(v18, STRANGE["NUL after a table's name"])
    before = v18.read_bytes()
    monkeypatch.setattr("waiaas.ddl.context.refuse_strange_rows", lambda _: None)
    monkeypatch.setattr("waiaas.migrations.run.refuse_strange_rows", lambda _: None)
    with open_to_change(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database, backup=False)
    assert caught.value.reason == "unexpected_schema"
    assert "did not change its definition" in caught.value.message
    assert v18.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "definition",
    [
        "CREATE VIEW schema_version AS SELECT 18 AS version",
        "CREATE TABLE schema_version (version INTEGER AS (length(hex(zeroblob(400000000)))), applied_at, description)",
        "CREATE TABLE schema_version (number INTEGER)",
        "CREATE VIRTUAL TABLE schema_version USING fts5 (version)",
    ],
)
def test_status_computes_nothing_that_the_file_defines(v18: Path, definition: str) -> None:
    """A version that is an expression, or comes from a view or virtual table, is refused and not computed."""
    execute(v18, "DROP TABLE schema_version", definition)
    if "number" not in definition and "VIEW" not in definition and "VIRTUAL" not in definition:
        execute(v18, "INSERT INTO schema_version (applied_at) VALUES (1)")
    before = query(v18, "SELECT * FROM sqlite_master")
    with open_read_only(v18) as database:
        answer = waiaas.status(database)
    assert (answer.action, answer.reason in ("unexpected_schema", "schema_version_missing")) == ("refuse", True)
    assert query(v18, "SELECT * FROM sqlite_master") == before


@pytest.mark.parametrize(
    ("row_factory", "text_factory"),
    [(lambda cursor, row: {d[0]: v for d, v in zip(cursor.description, row, strict=True)}, str), (None, bytes)],
    ids=["rows as dictionaries", "text as bytes"],
)
def test_the_factories_of_the_callers_connection_do_not_matter(v18: Path, row_factory: Any, text_factory: Any) -> None:
    """Rows as dictionaries and text as bytes do not affect plan, upgrade, check and downgrade, and are kept."""
    with open_to_change(v18) as database:
        connection = database.connection()
        connection.row_factory, connection.text_factory = row_factory, text_factory
        assert waiaas.status(database).version == 18
        assert waiaas.plan(database).links_to_create == 12
        assert waiaas.upgrade(database, backup=False).links_created == 12
        assert waiaas.check(database).ok
        assert waiaas.downgrade(database, 18, backup=False).undone == [*range(LATEST, 18, -1)]
        assert (connection.row_factory, connection.text_factory) == (row_factory, text_factory)
