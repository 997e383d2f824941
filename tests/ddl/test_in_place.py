"""Changes that keep rows and indexes: other CHECKs, a new column with a CHECK, another name of an index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from peewee import IntegrityError, SqliteDatabase

from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator
from waiaas.ddl.operation import LosslessOperation

TABLE = """CREATE TABLE pet ( -- kept
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('cat', 'dog')),
  age INTEGER CONSTRAINT old CHECK (age >= 0) DEFAULT 1,
  CHECK (age < 100)
)"""
WIDER = "kind TEXT NOT NULL CHECK (kind IN ('cat', 'dog', 'bird'))"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A file with a table, two indexes, a trigger and rows."""
    with closing(SqliteDatabase(tmp_path / "pets.db")) as database:
        for statement in (
            TABLE,
            "CREATE INDEX by_kind ON pet (kind, age DESC)",
            "CREATE UNIQUE INDEX by_age ON pet (age)",
            "CREATE TABLE log (kind)",
            "CREATE TRIGGER added AFTER INSERT ON pet BEGIN INSERT INTO log VALUES (new.kind); END",
            "INSERT INTO pet (kind, age) VALUES ('cat', 1), ('dog', 2)",
            "ANALYZE",
        ):
            database.execute_sql(statement)
        yield database


def run(database: SqliteDatabase, *operations: str, **arguments: Any) -> LosslessMigrator:
    (name,) = operations
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        made: LosslessOperation = getattr(migrator, name)(**arguments)
        migrator.migrate(made)
    return migrator


def pages(database: SqliteDatabase) -> dict[str, int]:
    return dict(database.execute_sql("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall())


def definition(database: SqliteDatabase, name: str) -> str:
    return str(database.execute_sql("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0])


def test_a_check_is_changed_without_copying_rows(database: SqliteDatabase) -> None:
    """A wider CHECK is written into the definition; no row is copied, and tables and indexes keep their pages."""
    before = pages(database)
    migrator = run(database, "change_columns", table="pet", definitions={"kind": WIDER})
    assert (migrator.result.rows_written, pages(database)) == (0, before)
    assert definition(database, "pet") == TABLE.replace("'dog'", "'dog', 'bird'")
    database.execute_sql("INSERT INTO pet (kind, age) VALUES ('bird', 3)")
    with pytest.raises(IntegrityError):
        database.execute_sql("INSERT INTO pet (kind, age) VALUES ('fish', 4)")
    assert database.execute_sql("SELECT kind FROM log").fetchall() == [("cat",), ("dog",), ("bird",)]
    assert database.execute_sql("PRAGMA integrity_check").fetchone() == ("ok",)


def test_another_connection_obeys_the_new_check(database: SqliteDatabase) -> None:
    """A connection that has read the old definition reads the new one after the commit."""
    with closing(sqlite3.connect(database.database)) as other:
        other.execute("SELECT kind FROM pet").fetchall()
        database.execute_sql("DELETE FROM pet WHERE kind = 'cat'")
        run(database, "change_columns", table="pet", definitions={"kind": WIDER.replace("'cat', ", "")})
        with pytest.raises(sqlite3.IntegrityError):
            other.execute("INSERT INTO pet (kind, age) VALUES ('cat', 9)")


def test_rows_that_a_new_check_does_not_allow_are_named(database: SqliteDatabase) -> None:
    """A narrower CHECK is refused with the rows that violate it, and nothing is changed."""
    narrow = "kind TEXT NOT NULL CHECK (kind IN ('cat'))"
    with pytest.raises(WAIaaSError) as caught:
        run(database, "change_columns", table="pet", definitions={"kind": narrow})
    details = caught.value.details or {}
    assert (caught.value.reason, details["rows"], details["values"]) == ("value_not_allowed", [2], ["'dog'"])
    assert definition(database, "pet") == TABLE


@pytest.mark.parametrize(
    "other",
    ["kind TEXT NOT NULL DEFAULT 'cat' CHECK (kind IN ('cat', 'dog'))", "kind CHAR NOT NULL CHECK (kind <> '')"],
    ids=["a default", "a type"],
)
def test_anything_else_is_a_table_rebuild(database: SqliteDatabase, other: str) -> None:
    """If more than a CHECK differs, every row is copied."""
    assert run(database, "change_columns", table="pet", definitions={"kind": other}).result.rows_written == 2


@pytest.mark.parametrize("check", ["own(kind) > 0", "kind IS NOT own(kind)"])
def test_a_check_with_a_function_of_the_program(database: SqliteDatabase, check: str) -> None:
    """A CHECK can use a function of the program."""
    database.connection().create_function("own", 1, len, deterministic=True)
    run(database, "change_columns", table="pet", definitions={"kind": f"kind TEXT NOT NULL CHECK ({check})"})
    assert check in definition(database, "pet")


@pytest.mark.skipif(not hasattr(sqlite3.Connection, "setconfig"), reason="since Python 3.12")
def test_a_defensive_connection_rebuilds(database: SqliteDatabase) -> None:
    """A connection that may not write sqlite_master gets the same definition using a table rebuild."""
    database.connection().setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # type: ignore[attr-defined]
    migrator = run(database, "change_columns", table="pet", definitions={"kind": WIDER})
    assert migrator.result.rows_written == 2
    assert "'bird'" in definition(database, "pet")


@pytest.mark.parametrize(
    ("column", "is_allowed"),
    [
        ("size INTEGER CHECK (size IS NULL OR size > 0)", True),
        ("size INTEGER NOT NULL DEFAULT 7 CONSTRAINT big CHECK (size /* own */ > age) COLLATE nocase", True),
        ("size INTEGER NOT NULL DEFAULT 1 CHECK (size > age)", False),
    ],
)
def test_a_column_with_a_check_equals_sqlites(database: SqliteDatabase, column: str, is_allowed: bool) -> None:
    """The column is added, or refused, and the definition equals that of SQLite's own ADD COLUMN."""
    with closing(sqlite3.connect(":memory:")) as plain:
        plain.execute(TABLE)
        plain.execute(f"ALTER TABLE pet ADD COLUMN {column}")
        (wanted,) = plain.execute("SELECT sql FROM sqlite_master").fetchone()
    before = pages(database)
    if is_allowed:
        run(database, "append_column", table="pet", definition=column)
        assert definition(database, "pet") == wanted
    else:
        with pytest.raises(WAIaaSError):
            run(database, "append_column", table="pet", definition=column)
        assert definition(database, "pet") == TABLE
    assert pages(database) == before


def test_an_index_is_renamed_with_its_statistics(database: SqliteDatabase) -> None:
    """An index replaced by the same one under another name keeps its pages and its statistics."""
    before = pages(database)
    query = "SELECT stat FROM sqlite_stat1 WHERE idx = ?"
    statistics = database.execute_sql(query, ("by_kind",)).fetchall()
    statement = "CREATE INDEX kinds ON pet (kind, age DESC)"
    run(database, "create_index", table="pet", statement=statement, replaces="by_kind")
    assert pages(database) == {("kinds" if name == "by_kind" else name): page for name, page in before.items()}
    assert definition(database, "kinds") == statement
    assert database.execute_sql(query, ("kinds",)).fetchall() == statistics != []
    assert database.execute_sql("PRAGMA integrity_check").fetchone() == ("ok",)
    plan = database.execute_sql("EXPLAIN QUERY PLAN SELECT * FROM pet WHERE kind = 'cat'").fetchone()
    assert "kinds" in plan[3]


@pytest.mark.parametrize("name", ["kinds", "by_kind"])
def test_a_different_index_is_not_renamed(database: SqliteDatabase, name: str) -> None:
    """An index with the same columns in another order is created, and the old one dropped."""
    before = pages(database)
    statement = f"CREATE INDEX {name} ON pet (kind, age)"
    if name == "by_kind":
        with pytest.raises(WAIaaSError):
            run(database, "create_index", table="pet", statement=statement)
    else:
        run(database, "create_index", table="pet", statement=statement, replaces="by_kind")
        assert "by_kind" not in pages(database)
        assert pages(database)["kinds"] != before["by_kind"]


def test_a_failed_migration_rolls_the_definition_back(database: SqliteDatabase) -> None:
    """A definition changed in place is rolled back with the transaction, even for this connection."""
    migrator = LosslessMigrator(database)
    change, failure = migrator.change_columns("pet", {"kind": WIDER}), migrator.drop_column("pet", "nothing")
    with pytest.raises(WAIaaSError), migrator.migration_context():
        migrator.migrate(change, failure)
    assert definition(database, "pet") == TABLE
    with pytest.raises(IntegrityError):
        database.execute_sql("INSERT INTO pet (kind, age) VALUES ('bird', 3)")
