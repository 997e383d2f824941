"""Copies of a schema in memory, and work that grows linearly with the number of objects."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.memory_databases import made
from support.old_files import make_file

import waiaas
from waiaas.ddl.dependencies import Dependent, broken_objects
from waiaas.ddl.schema import describe_table
from waiaas.ddl.schema_copy import schema_copy
from waiaas.errors.driver import sqlite3
from waiaas.migrations.opening import open_to_change

OBJECTS = (
    "CREATE TABLE p (id TEXT PRIMARY KEY, a TEXT UNIQUE, b INTEGER, UNIQUE (a, b))",
    "CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, p TEXT REFERENCES p (id))",
    "CREATE TABLE keyed (k TEXT PRIMARY KEY, v, UNIQUE (v)) WITHOUT ROWID",
    "CREATE VIRTUAL TABLE words USING fts5 (body)",
    "CREATE INDEX p_b ON p (b) WHERE a IS NOT NULL",
    "CREATE INDEX keyed_v ON keyed (v)",
    "CREATE VIEW seen AS SELECT a, b FROM p INDEXED BY p_b WHERE a IS NOT NULL AND b = 1",
    "CREATE VIEW stale AS SELECT gone FROM p",
    "CREATE TRIGGER noted AFTER INSERT ON p BEGIN INSERT INTO numbered (p) VALUES (new.id); END",
    "CREATE TRIGGER kept INSTEAD OF INSERT ON seen BEGIN INSERT INTO keyed VALUES (new.a, 1)"
    " ON CONFLICT (v) DO NOTHING; END",
    "CREATE TRIGGER found AFTER DELETE ON p BEGIN DELETE FROM words WHERE body = old.a; END",
    "CREATE TRIGGER broken AFTER UPDATE ON p BEGIN DELETE FROM gone; END",
)


def names(copy: sqlite3.Connection) -> set[str]:
    return {name for (name,) in copy.execute("SELECT name FROM sqlite_master")}


@pytest.mark.parametrize(
    "edited", [None, "CREATE TABLE other (a, a)"], ids=["read at once", "created one after the other"]
)
def test_a_copy_has_everything_but_triggers(edited: str | None) -> None:
    """Tables, indexes and views are in the copy, whether SQLite loads them at once or one by one."""
    database = made(*OBJECTS, "CREATE TABLE other (a, b)")
    if edited:
        database.execute_sql("PRAGMA writable_schema = ON")
        database.execute_sql("UPDATE sqlite_master SET sql = ? WHERE name = 'other'", (edited,))
    wanted = {name for (name,) in database.execute_sql("SELECT name FROM sqlite_master WHERE type <> 'trigger'")}
    with closing(schema_copy(database)) as copy:
        assert names(copy) == (wanted - {"other"} if edited else wanted)
        assert copy.execute("PRAGMA writable_schema").fetchone() == (0,)


def test_broken_objects_are_found() -> None:
    """Only views and triggers that name a missing object are reported as broken."""
    assert broken_objects(made(*OBJECTS)) == {Dependent("view", "stale"), Dependent("trigger", "broken")}


def test_tables_can_have_another_definition() -> None:
    """A table can be omitted or changed in the copy, with the indexes that can then be created."""
    database = made(*OBJECTS)
    with closing(schema_copy(database, {"p": ""})) as copy:
        assert {"p", "p_b"}.isdisjoint(names(copy))
    with closing(schema_copy(database, {"p": "CREATE TABLE p (id TEXT, a TEXT)"})) as copy:
        assert ("p" in names(copy), "p_b" in names(copy)) == (True, False)
    with closing(schema_copy(database, {}, ["ALTER TABLE p RENAME COLUMN b TO c"])) as copy:
        assert ("p" in names(copy), "p_b" in names(copy)) == (True, False)
        assert [row[1] for row in copy.execute("PRAGMA table_info(p)")] == ["id", "a", "c"]


def file_with(path: Path, count: int) -> Path:
    """Make a version-18 file with user tables, each with an index, a view and a trigger."""
    make_file(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN")
        for number in range(count):
            database.execute(f"CREATE TABLE own_{number} (id TEXT PRIMARY KEY, a REFERENCES wallets (id))")
            database.execute(f"CREATE INDEX own_{number}_a ON own_{number} (a)")
            database.execute(f"CREATE VIEW view_{number} AS SELECT a FROM own_{number}")
            database.execute(
                f"CREATE TRIGGER trigger_{number} AFTER INSERT ON own_{number} BEGIN DELETE FROM own_0; END"
            )
        database.execute("COMMIT")
    return path


@contextmanager
def counted(counts: list[int]) -> Iterator[None]:
    """Count Python function calls, and SQLite instructions in hundreds, including those of copies in memory."""
    calls = instructions = 0
    connect = sqlite3.connect

    def called(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    def beat() -> int:
        nonlocal instructions
        instructions += 1
        return 0

    def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_progress_handler(beat, 100)
        return connection

    sqlite3.connect = connected
    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(None)
        sqlite3.connect = connect
        counts += [calls, instructions]


@pytest.mark.slow
@pytest.mark.parametrize(
    "run", [waiaas.plan, lambda database: waiaas.upgrade(database, backup=False), waiaas.check],
    ids=["plan", "upgrade", "check"],
)  # fmt: skip
def test_the_work_grows_linearly(tmp_path: Path, run: Callable[[SqliteDatabase], object]) -> None:
    """Four times as many tables, indexes, views and triggers take at most 4.5 times the calls and instructions."""
    waiaas.upgrade(made_old := SqliteDatabase(make_file(tmp_path / "warm.db")), backup=False)
    made_old.close()
    few: list[int] = []
    many: list[int] = []
    for count, counts in ((40, few), (160, many)):
        path = file_with(tmp_path / f"{count}.db", count)
        with counted(counts), open_to_change(path) as database:
            run(database)
    assert all(after <= 4.5 * before for before, after in zip(few, many, strict=True)), (few, many)


def test_a_table_is_found_in_any_case() -> None:
    """A table is found in any case, and described as spelled in the file, with its indexes."""
    table = describe_table(made("CREATE TABLE Mixed (a)", "CREATE INDEX by_a ON mixed (a)"), "MIXED")
    assert table is not None
    assert (table.name, [index.name for index in table.indexes]) == ("Mixed", ["by_a"])
