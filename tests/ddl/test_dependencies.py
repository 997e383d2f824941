"""Dependencies of a column or table are reported with their kind, as in the errors."""

from __future__ import annotations

import pytest
from support.memory_databases import made

from waiaas.ddl.dependencies import Dependent, dependents, dependents_on_table
from waiaas.ddl.schema import describe_table, described

CASES = {
    "its key": (["CREATE TABLE t (id, x UNIQUE)"], [("constraint", "PRIMARY KEY or UNIQUE of column x")]),
    "its CHECK with another column": (
        ["CREATE TABLE t (id, x CHECK (x < id))"],
        [("constraint", "CHECK (x < id)")],
    ),
    "its own CHECK": (["CREATE TABLE t (id, x CHECK (x < 3))"], []),
    "the CHECK of another column": (
        ["CREATE TABLE t (id CHECK (id < X), x)"],
        [("constraint", "id CHECK (id < X)")],
    ),
    "a table constraint": (
        ["CREATE TABLE t (id, x, CONSTRAINT both UNIQUE (id, x))"],
        [("constraint", "CONSTRAINT both UNIQUE (id, x)")],
    ),
    "a constraint of its name": (["CREATE TABLE t (id CONSTRAINT x NOT NULL, x)"], []),
    "a generated column": (["CREATE TABLE t (id, x, y AS (x + 1))"], [("constraint", "y AS (x + 1)")]),
    "its own foreign key": (
        ["CREATE TABLE p (id PRIMARY KEY)", "CREATE TABLE t (id, x, FOREIGN KEY (x) REFERENCES p (id))"],
        [],
    ),
    "a composite foreign key": (
        [
            "CREATE TABLE p (id, x, PRIMARY KEY (id, x))",
            "CREATE TABLE t (id, x, FOREIGN KEY (id, x) REFERENCES p (id, x))",
        ],
        [("constraint", "FOREIGN KEY (id, x) REFERENCES p (id, x)")],
    ),
    "a foreign key and a UNIQUE without a comma between": (
        [
            "CREATE TABLE p (id PRIMARY KEY)",
            "CREATE TABLE t (id, x, UNIQUE (id, x) FOREIGN KEY (x) REFERENCES p (id))",
        ],
        [("constraint", "UNIQUE (id, x) FOREIGN KEY (x) REFERENCES p (id)")],
    ),
    "a CHECK after a key to a column of its name": (
        ["CREATE TABLE p (x PRIMARY KEY)", "CREATE TABLE t (id REFERENCES p (x) CHECK (x > 0), x)"],
        [("constraint", "id REFERENCES p (x) CHECK (x > 0)")],
    ),
    "a key to a column of its name": (
        ["CREATE TABLE p (x PRIMARY KEY)", "CREATE TABLE t (id REFERENCES p (x) ON DELETE CASCADE, x)"],
        [],
    ),
    "another table's foreign key": (
        ["CREATE TABLE t (id, x)", "CREATE TABLE c (a, b, FOREIGN KEY (a, b) REFERENCES t (id, x))"],
        [("foreign key", "c.a, b")],
    ),
    "an index": (["CREATE TABLE t (id, x)", "CREATE INDEX mine ON t (id) WHERE x > 1"], [("index", "mine")]),
    "an index of its name": (["CREATE TABLE t (id, x)", "CREATE INDEX x ON t (id)"], []),
    "a view": (["CREATE TABLE t (id, x)", "CREATE VIEW mine AS SELECT x FROM t"], [("view", "mine")]),
    "a trigger's head": (
        ["CREATE TABLE t (id, x)", "CREATE TRIGGER mine AFTER UPDATE OF id, x ON t BEGIN SELECT 1; END"],
        [("trigger", "mine")],
    ),
    "a trigger's head of another column": (
        ["CREATE TABLE t (id, x)", "CREATE TRIGGER mine AFTER UPDATE OF id ON t BEGIN SELECT 1; END"],
        [],
    ),
    "a text index over it": (
        ["CREATE TABLE t (id, x)", "CREATE VIRTUAL TABLE mine USING fts5(x, content='t')"],
        [("virtual table", "mine")],
    ),
    "a text index over another column": (
        ["CREATE TABLE t (id, x)", "CREATE VIRTUAL TABLE mine USING fts5(id, content='t')"],
        [],
    ),
}


@pytest.mark.parametrize(("statements", "expected"), CASES.values(), ids=CASES)
def test_what_depends_on_a_column(statements: list[str], expected: list[tuple[str, str]]) -> None:
    """Each object that needs the column is reported with its kind, and no other object is."""
    database = made(*statements)
    table = describe_table(database, "t")
    assert table is not None
    assert dependents(database, table, "x", []) == [Dependent(*each) for each in expected]


def test_what_depends_on_a_table() -> None:
    """Dependencies that do not belong to the table's own definition are reported with their kinds."""
    definition = "CREATE TABLE t (id PRIMARY KEY)"
    database = made(
        "CREATE TABLE t (id PRIMARY KEY, x)",
        "CREATE INDEX mine ON t (x)",
        "CREATE TABLE child (t REFERENCES t (id))",
        "CREATE VIRTUAL TABLE words USING fts5(x, content='t')",
        "CREATE TABLE other (id)",
        "CREATE VIEW seen AS SELECT id FROM t",
        "CREATE VIEW unseen AS SELECT id FROM other",
        "CREATE TRIGGER heard AFTER DELETE ON t BEGIN SELECT 1; END",
    )
    table = describe_table(database, "t")
    assert table is not None
    assert dependents_on_table(database, table, described(definition)) == [
        Dependent("column", "x"),
        Dependent("index", "mine"),
        Dependent("virtual table", "words"),
        Dependent("foreign key", "child"),
        Dependent("view", "seen"),
        Dependent("trigger", "heard"),
    ]
