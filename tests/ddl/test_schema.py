"""The schema as data: foreign keys with clauses that no PRAGMA returns, and equal or different definitions."""

from __future__ import annotations

import pytest
from support.memory_databases import made

from waiaas.ddl.schema import (
    Table,
    describe_table,
    described,
    foreign_key_clauses,
    ordinary_tables,
    same_index,
    same_shape,
)

KEY = "CREATE TABLE t (x INTEGER REFERENCES p (id) {})"


@pytest.mark.parametrize(
    ("clause", "deferred"),
    [
        ("", False),
        ("DEFERRABLE", False),
        ("DEFERRABLE INITIALLY IMMEDIATE", False),
        ("DEFERRABLE INITIALLY DEFERRED", True),
        ("deferrable initially deferred", True),
        ("NOT DEFERRABLE INITIALLY DEFERRED", False),
        ("ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED", True),
        ("NOT NULL DEFERRABLE INITIALLY DEFERRED", True),
    ],
)
def test_a_deferred_key_is_recognised(clause: str, deferred: bool) -> None:
    """Only DEFERRABLE INITIALLY DEFERRED defers a foreign key (https://www.sqlite.org/foreignkeys.html#fk_deferred)."""
    (key,) = described(KEY.format(clause)).foreign_keys
    assert key.deferred is deferred


def test_each_of_several_keys_is_described_separately() -> None:
    """Keys of columns and of the table, including composite ones, have their own columns, parents and actions."""
    table = described(
        "CREATE TABLE t (z REFERENCES p (id) ON UPDATE CASCADE, b, a, y REFERENCES q DEFERRABLE INITIALLY DEFERRED,"
        " FOREIGN KEY (b, a) REFERENCES r (m, n) ON DELETE SET NULL)"
    )
    assert [tuple(key) for key in table.foreign_keys] == [
        (("b", "a"), "r", ("m", "n"), "NO ACTION", "SET NULL", False),
        (("y",), "q", (None,), "NO ACTION", "NO ACTION", True),
        (("z",), "p", ("id",), "CASCADE", "NO ACTION", False),
    ]


def test_a_deferred_key_of_several_columns() -> None:
    """A deferred composite key is reported as deferred, and another one next to it is not."""
    table = described(
        "CREATE TABLE t (a, b, c, FOREIGN KEY (b, a) REFERENCES r (m, n) DEFERRABLE INITIALLY DEFERRED,"
        " FOREIGN KEY (a, c) REFERENCES r (m, n))"
    )
    assert {key.columns: key.deferred for key in table.foreign_keys} == {("b", "a"): True, ("a", "c"): False}


def test_a_column_may_have_two_keys() -> None:
    """Each REFERENCES clause of a column is a separate key."""
    table = described("CREATE TABLE t (x REFERENCES p (id) REFERENCES q (id) DEFERRABLE INITIALLY DEFERRED)")
    clauses = foreign_key_clauses(table.definition)
    assert [(clause.parent.text, clause.deferred) for clause in clauses] == [("p", False), ("q", True)]


@pytest.mark.parametrize(
    ("body", "same"),
    [
        ("t (lower(a))", True),
        ('"T" ( LOWER( "A" ) )', True),
        ("t (upper(a))", False),
        ("t (lower(b))", False),
        ("t (lower(a)) WHERE b", False),
    ],
)
def test_indexes_are_compared_by_their_content(body: str, same: bool) -> None:
    """Two expression indexes are equal if their whole expressions are, regardless of names and spelling."""
    table = "CREATE TABLE t (a, b)"
    one, other = (
        index
        for sql in ("CREATE INDEX one ON t (lower(a))", f"CREATE INDEX other ON {body}")
        for index in described(table, sql).indexes
    )
    assert same_index(one, other) is same


SAME = [
    ("CREATE TABLE t (a TEXT, b)", 'CREATE TABLE "T" ("A" text, b /* remark */)'),
    ("CREATE TABLE t (a DEFAULT 'x')", "CREATE TABLE t (a DEFAULT  'x')"),
    ("CREATE TABLE t (a REFERENCES p (id))", "CREATE TABLE other (A REFERENCES P (ID))"),
]
OTHER = [
    ("CREATE TABLE t (a)", "CREATE TABLE t (a, b)"),
    ("CREATE TABLE t (a TEXT)", "CREATE TABLE t (a INTEGER)"),
    ("CREATE TABLE t (a)", "CREATE TABLE t (a NOT NULL)"),
    ("CREATE TABLE t (a)", "CREATE TABLE t (a DEFAULT '')"),
    ("CREATE TABLE t (a DEFAULT 'x')", "CREATE TABLE t (a DEFAULT 'X')"),
    ("CREATE TABLE t (a PRIMARY KEY)", "CREATE TABLE t (a)"),
    ("CREATE TABLE t (a TEXT)", "CREATE TABLE t (a TEXT COLLATE NOCASE)"),
    ("CREATE TABLE t (a UNIQUE)", "CREATE TABLE t (a UNIQUE ON CONFLICT IGNORE)"),
    ("CREATE TABLE t (a, b, UNIQUE (a, b))", "CREATE TABLE t (a, b, UNIQUE (b, a))"),
    ("CREATE TABLE t (a CHECK (a > 1))", "CREATE TABLE t (a CHECK (a > 2))"),
    ("CREATE TABLE t (a REFERENCES p (id))", "CREATE TABLE t (a REFERENCES q (id))"),
    ("CREATE TABLE t (a REFERENCES p (id))", "CREATE TABLE t (a REFERENCES p)"),
    ("CREATE TABLE t (a REFERENCES p (id))", "CREATE TABLE t (a REFERENCES p (id) ON DELETE CASCADE)"),
    ("CREATE TABLE t (a REFERENCES p (id))", "CREATE TABLE t (a REFERENCES p (id) ON UPDATE CASCADE)"),
    (KEY.format(""), KEY.format("DEFERRABLE INITIALLY DEFERRED")),
    ("CREATE TABLE t (a INTEGER PRIMARY KEY)", "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)"),
    ("CREATE TABLE t (a TEXT PRIMARY KEY)", "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID"),
    ("CREATE TABLE t (a, b AS (a))", "CREATE TABLE t (a, b AS (a) STORED)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_shape_in_another_spelling(one: str, other: str) -> None:
    """Table names, letter case, quotes, white space and comments do not matter."""
    assert same_shape(described(one), described(other))


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_shape(one: str, other: str) -> None:
    """A different column, type, key, action, default, CHECK, collation, conflict clause or option matters."""
    assert not same_shape(described(one), described(other))


def test_tables_of_sqlite_and_of_modules_are_not_ordinary() -> None:
    """SQLite's own tables and virtual tables are not treated as a user's tables."""
    database = made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)", "CREATE VIRTUAL TABLE words USING fts5(x)", "ANALYZE"
    )
    tables = ordinary_tables(database)
    assert "t" in tables
    assert {"words", "sqlite_sequence", "sqlite_stat1"} & set(tables) == set()
    words = describe_table(database, "words")
    assert words is not None
    assert words.is_virtual
    assert (words.columns, words.foreign_keys, words.indexes) == ((), (), ())


@pytest.mark.parametrize("comment", ["", " -- (none)", " /* (none) */", "/* WITHOUT ROWID */"])
@pytest.mark.parametrize("options", ["", "WITHOUT ROWID", "without  rowid", "STRICT, WITHOUT ROWID"])
def test_the_options_of_a_table(comment: str, options: str) -> None:
    """They are what follows the last parenthesis of the definition, without comments."""
    sql = f"CREATE TABLE t (a TEXT PRIMARY KEY CHECK (a <> ')')){comment}\n{options}".rstrip()
    table = Table("t", sql, (), (), ())
    expected = {" ".join(each.lower().split()) for each in options.split(",") if each}
    assert table.options == table.definition.options == expected
