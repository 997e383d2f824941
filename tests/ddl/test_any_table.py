"""Operations on tables and rows that Hypothesis makes up: everything is kept, or nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peewee import CharField, Check, IntegerField, PeeweeException, SqliteDatabase, TextField
from playhouse.migrate import Operation, migrate
from support.memory_databases import rows

from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator

NAMES = ("a", "b", "Order", 'odd "name"', "ü")
TYPES = ("", "INT", "TEXT", "REAL", "BLOB", "VARCHAR(9)")
CLAUSES = (
    "",
    " NOT NULL",
    " DEFAULT 7",
    " DEFAULT (1 + 1)",
    " UNIQUE",
    " COLLATE NOCASE",
    " CONSTRAINT c NOT NULL",
    " /* x */",
)
VALUES = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.sampled_from(["", "7", "07", "x", "X", "it's"]),
    st.just(b"\x00\xff"),
    st.just(0.5),
)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The statements that make a table `t` with indexes, a trigger, a view and a child, and rows for `t`."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    columns = [f"{quoted(name)} {draw(st.sampled_from(TYPES))}{draw(st.sampled_from(CLAUSES))}" for name in names]
    key = draw(
        st.sampled_from(["id INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT", "id TEXT PRIMARY KEY"])
    )
    options = draw(st.sampled_from(["", " WITHOUT ROWID"])) if "TEXT" in key else ""
    check = draw(st.sampled_from(["", f", CONSTRAINT k CHECK ({quoted(names[0])} <> 'bad')"]))
    statements = [f"CREATE TABLE t ({', '.join([key, *columns])}{check}){options}", "CREATE TABLE log (what)"]
    extras = [
        f"CREATE INDEX i ON t ({quoted(names[-1])})",
        f"CREATE INDEX j ON t ({quoted(names[0])}) WHERE {quoted(names[-1])} IS NOT NULL",
        f"CREATE VIEW v AS SELECT id, {quoted(names[0])} FROM t",
        f"CREATE TRIGGER g AFTER UPDATE OF {quoted(names[0])} ON t BEGIN INSERT INTO log VALUES (new.id); END",
        "CREATE TABLE child (t_id REFERENCES t (id) ON DELETE CASCADE)",
    ]
    statements += draw(st.lists(st.sampled_from(extras), unique=True))
    values = draw(st.lists(st.tuples(*[VALUES for _ in names]), max_size=4))
    return statements, [(number + 1, *row) for number, row in enumerate(values)]


OPERATIONS: dict[str, Callable[[LosslessMigrator, str, str], Operation]] = {
    "add_column": lambda m, c, d: m.add_column("t", "new", CharField(default="x", index=True)),
    "add_column unique": lambda m, c, d: m.add_column("t", "new", IntegerField(null=True, unique=True)),
    "add_column in the way": lambda m, c, d: m.add_column("t", c, TextField(null=True)),
    "drop_column": lambda m, c, d: m.drop_column("t", c),
    "rename_column": lambda m, c, d: m.rename_column("t", c, "new"),
    "rename_column to another": lambda m, c, d: m.rename_column("t", c, d),
    "rename_column in case": lambda m, c, d: m.rename_column("t", c, c.swapcase()),
    "rename_table": lambda m, c, d: m.rename_table("t", "T"),
    "add_not_null": lambda m, c, d: m.add_not_null("t", c),
    "drop_not_null": lambda m, c, d: m.drop_not_null("t", c),
    "add_column_default": lambda m, c, d: m.add_column_default("t", c, "it's"),
    "drop_column_default": lambda m, c, d: m.drop_column_default("t", c),
    "alter_column_type": lambda m, c, d: m.alter_column_type("t", c, IntegerField()),
    "add_constraint": lambda m, c, d: m.add_constraint("t", "k2", Check(f"{quoted(c)} IS NOT {quoted(d)}")),
    "drop_constraint": lambda m, c, d: m.drop_constraint("t", "k"),
    "drop_constraint of a column": lambda m, c, d: m.drop_constraint("t", "c"),
    "add_unique": lambda m, c, d: m.add_unique("t", c, d),
    "add_foreign_key": lambda m, c, d: m.add_foreign_key_constraint("t", c, "t", "id"),
    "add_index": lambda m, c, d: m.add_index("t", (c,), unique=True),
    "drop_index": lambda m, c, d: m.drop_index("t", "i"),
}


def objects(database: SqliteDatabase) -> dict[str, str]:
    return dict(rows(database, "SELECT type || ' ' || lower(name), sql FROM sqlite_master WHERE sql IS NOT NULL"))


def stored(database: SqliteDatabase) -> list[dict[str, tuple[Any, Any]]]:
    """The rows of `t`: each column's value and storage class, by the column's name in lower case."""
    names = [row[1] for row in rows(database, "PRAGMA table_info(t)")]
    pairs = ", ".join(f"{quoted(name)}, typeof({quoted(name)})" for name in names)
    return [
        {name.lower(): (row[2 * n], row[2 * n + 1]) for n, name in enumerate(names)}
        for row in rows(database, f"SELECT {pairs} FROM t ORDER BY id")
    ]


@pytest.mark.slow
@settings(max_examples=150)
@given(tables(), st.sampled_from(sorted(OPERATIONS)), st.sampled_from(NAMES), st.sampled_from(NAMES), st.booleans())
def test_an_operation_keeps_everything_or_changes_nothing(
    table: tuple[list[str], list[tuple[Any, ...]]], name: str, column: str, other: str, foreign_keys: bool
) -> None:
    """Values, storage classes, other objects and rows of other tables are kept, or nothing at all is changed."""
    statements, values = table
    with closing(SqliteDatabase(":memory:", pragmas={"foreign_keys": foreign_keys})) as database:
        for statement in statements:
            database.execute_sql(statement)
        for row in values:
            database.execute_sql(f"INSERT OR IGNORE INTO t VALUES ({', '.join('?' for _ in row)})", row)
        if any("child" in statement for statement in statements):
            database.execute_sql("INSERT INTO child SELECT id FROM t")
        check(database, OPERATIONS[name], name, column, other)
        assert not database.connection().in_transaction
        assert database.pragma("foreign_keys") == foreign_keys


def check(
    database: SqliteDatabase,
    operation: Callable[[LosslessMigrator, str, str], Operation],
    name: str,
    column: str,
    other: str,
) -> None:
    dump, before, rows_before = list(database.connection().iterdump()), objects(database), stored(database)
    children = rows(database, "SELECT * FROM child") if "table child" in before else []
    migrator = LosslessMigrator(database)
    try:
        migrate(operation(migrator, column, other))
    except WAIaaSError as error:
        assert isinstance(error, PeeweeException)
        assert error.reason != "sqlite_error"
        assert list(database.connection().iterdump()) == dump
        return
    now, gone = stored(database), {column.lower()}
    if "case" in name or not name.startswith(("drop_column", "rename_column")) or name == "drop_column_default":
        gone = set()
    for old, new in zip(rows_before, now, strict=True):
        assert {key: new.get(key) for key in old if key not in gone} == {k: old[k] for k in old if k not in gone}
    kept = set(before) - {f"index {index.lower()}" for index in migrator.result.indexes_dropped}
    kept -= {"index i"} if name == "drop_index" else set()
    assert kept <= set(objects(database))
    if "table child" in before:
        assert rows(database, "SELECT * FROM child") == children
    assert rows(database, "SELECT * FROM log") == []
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    assert rows(database, "PRAGMA foreign_key_check") == []
