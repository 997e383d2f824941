"""User objects that an upgrade does not need do not block it, even if only the user's program can use them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from peewee import SqliteDatabase
from support.old_files import execute, make_file, query

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator
from waiaas.ddl.stubs import with_stubs
from waiaas.migrations.opening import open_to_change

LATEST = waiaas.LATEST_SCHEMA_VERSION


def reverse(one: str, other: str) -> int:
    return (one < other) - (one > other)


def as_the_program(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run statements as the user's program, which has its own collation and function."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.create_collation("ICU_KO", reverse)
        database.create_function("mine", 1, lambda value: value, deterministic=True)
        for statement in statements:
            rows = database.execute(statement).fetchall()
        return rows


def with_a_collation(path: Path) -> None:
    as_the_program(
        path,
        "CREATE TABLE mine (a TEXT, b TEXT)",
        "INSERT INTO mine VALUES ('b', 'x'), ('a', 'y'), ('c', 'z')",
        "CREATE INDEX mine_collated ON mine (a COLLATE ICU_KO)",
        "CREATE INDEX mine_function ON mine (mine(a))",
        "CREATE TABLE mine_key (a TEXT COLLATE ICU_KO PRIMARY KEY, s TEXT REFERENCES sessions (id))",
        "INSERT INTO mine_key SELECT id, id FROM sessions",
        "CREATE TABLE mine_rows (a TEXT COLLATE ICU_KO PRIMARY KEY, s TEXT REFERENCES sessions (id)) WITHOUT ROWID",
        "INSERT INTO mine_rows SELECT id, id FROM sessions",
    )


def with_keys_to_no_key(path: Path) -> None:
    wallets = "wallets" if query(path, "SELECT 1 FROM sqlite_master WHERE name = 'wallets'") else "agents"
    execute(
        path,
        f"CREATE TABLE mine (a REFERENCES {wallets} (name))",
        "INSERT INTO mine VALUES ('x'), (NULL)",
        "CREATE TABLE mine_too (a REFERENCES sessions (created_at), b REFERENCES policies (type),"
        " c REFERENCES transactions (status), d REFERENCES notification_logs (channel))",
        "INSERT INTO mine_too VALUES (1, 2, 3, 4)",
    )


def with_a_tokenizer(statement: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        execute(
            path,
            statement.format("porter"),
            "INSERT INTO mine VALUES ('hello')",
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = replace(sql, 'porter', 'icu_ko') WHERE name = 'mine'",
        )

    return make


def with_a_module(path: Path) -> None:
    execute(
        path,
        "PRAGMA writable_schema = ON",
        "INSERT INTO sqlite_master VALUES ('table', 'mine', 'mine', 0, 'CREATE VIRTUAL TABLE mine USING icu_ko(x)')",
    )


def with_a_malformed_search(path: Path) -> None:
    execute(path, "CREATE VIRTUAL TABLE mine USING fts5 (body)", "INSERT INTO mine VALUES ('hello')")
    execute(path, "UPDATE mine_content SET c0 = 'world'")


UNNEEDED: dict[str, Callable[[Path], None]] = {
    "collations and functions": with_a_collation,
    "foreign keys to no key": with_keys_to_no_key,
    "a tokenizer of FTS5": with_a_tokenizer("CREATE VIRTUAL TABLE mine USING fts5 (body, tokenize = '{}')"),
    "a tokenizer of FTS4": with_a_tokenizer("CREATE VIRTUAL TABLE mine USING fts4 (body, tokenize={})"),
    "a module": with_a_module,
    "a search that is malformed": with_a_malformed_search,
}


def objects(path: Path) -> list[tuple[object, ...]]:
    rows = query(path, "SELECT type, name, sql FROM sqlite_master WHERE name LIKE 'mine%' ORDER BY name")
    # A foreign key follows the table that version 3 renames.
    return [(*row[:2], row[2] and row[2].replace('"wallets"', "agents")) for row in rows]


def problems(database: SqliteDatabase) -> list[tuple[str, str]]:
    findings = waiaas.check(database).findings
    return [(finding.kind, finding.where) for finding in findings if finding.severity == "problem"]


@pytest.mark.slow
@pytest.mark.parametrize("version", [1, 18])
@pytest.mark.parametrize("make", UNNEEDED.values(), ids=UNNEEDED)
def test_an_unneeded_object_does_not_block_the_upgrade(
    tmp_path: Path, make: Callable[[Path], None], version: int
) -> None:
    """Plan, rehearsal, upgrade and check work, and the object is kept with its rows."""
    path = make_file(tmp_path / "wallets.db", version)
    make(path)
    stored = objects(path)
    with open_to_change(path) as database:
        assert waiaas.plan(database).obstacles == []
        before = problems(database)
    assert waiaas.rehearse(path).ok
    with open_to_change(path) as database:
        assert waiaas.upgrade(database).to_version == LATEST
        assert problems(database) == before
    assert objects(path) == stored


def test_indexes_with_a_collation_of_the_program_are_correct_after_the_upgrade(tmp_path: Path) -> None:
    """The user's program finds its rows, and SQLite finds no error in its indexes."""
    path = make_file(tmp_path / "wallets.db", 1)
    with_a_collation(path)
    rows = "SELECT a, s FROM mine_key UNION ALL SELECT a, s FROM mine_rows"
    before = as_the_program(path, rows)
    with open_to_change(path) as database:
        waiaas.upgrade(database, backup=False)
    assert as_the_program(path, rows) == before
    assert as_the_program(path, "PRAGMA integrity_check") == [("ok",)]
    assert as_the_program(path, "SELECT a FROM mine ORDER BY a COLLATE ICU_KO") == [("c",), ("b",), ("a",)]


def test_an_index_that_cannot_be_recreated_is_named(tmp_path: Path) -> None:
    """An index on a rebuilt table with a missing collation is refused by name, and the file is unchanged."""
    path = make_file(tmp_path / "wallets.db", 9)
    as_the_program(path, "CREATE INDEX mine ON notification_logs (channel COLLATE ICU_KO)")
    before = path.read_bytes()
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert (caught.value.reason, (caught.value.details or {})["name"]) == ("dependent_object", "mine")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["wallets.db"]


def test_a_rebuilt_table_with_a_missing_collation_is_refused(tmp_path: Path) -> None:
    """A UNIQUE constraint with a missing collation is refused with the collation's name."""
    path = tmp_path / "t.db"
    as_the_program(path, "CREATE TABLE t (a TEXT COLLATE ICU_KO UNIQUE, b INT)", "INSERT INTO t VALUES ('x', 1)")
    before = path.read_bytes()
    database = SqliteDatabase(path)
    migrator = LosslessMigrator(database)
    with pytest.raises(WAIaaSError, match="ICU_KO"), migrator.migration_context():
        migrator.migrate(migrator.change_columns("t", {"b": "b INT NOT NULL"}))
    database.close()
    assert path.read_bytes() == before


def test_stubs_keep_the_connection_usable(tmp_path: Path) -> None:
    """After functions and collations were stubbed, SQLite can still reload the schema through the connection."""
    path = make_file(tmp_path / "wallets.db", 18)
    with_a_collation(path)
    with closing(sqlite3.connect(path)) as database:
        for query in ("SELECT count(*) FROM mine WHERE mine(a) > 'a'", "SELECT a FROM mine ORDER BY a COLLATE ICU_KO"):
            assert with_stubs(database, lambda query=query: database.execute(query).fetchall()) is not None
        database.execute("PRAGMA writable_schema = RESET")
        assert database.execute("SELECT count(*) FROM mine").fetchall() == [(3,)]
