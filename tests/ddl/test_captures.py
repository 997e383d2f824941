"""New names and column positions never silently change a view, trigger, index, CHECK or virtual table."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from peewee import SqliteDatabase, TextField
from playhouse.migrate import Operation
from support.memory_databases import made, rows
from support.refusals import refusal_of

from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator

Change = Callable[[LosslessMigrator], Operation]


def run(database: SqliteDatabase, change: Change) -> None:
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(change(migrator))


def content(database: SqliteDatabase) -> list[object]:
    """Return the schema and all rows; rows of virtual tables are in their shadow tables."""
    schema = rows(database, "SELECT * FROM sqlite_master ORDER BY name, type")
    tables = [name for kind, name, _, root, _ in schema if kind == "table" and root]
    return [schema, *(rows(database, f'SELECT * FROM "{name}"') for name in tables)]


def refused(database: SqliteDatabase, change: Change) -> WAIaaSError:
    return refusal_of(lambda: run(database, change), lambda: content(database))


T = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT)",
    "CREATE TABLE u (active TEXT, other TEXT)",
)
ROWS = ("INSERT INTO t (id, status) VALUES (1, 'active'), (2, 'gone')", "INSERT INTO u VALUES ('x', 'y')")
TAKEN = {
    "a text in an index": ("CREATE INDEX mine ON t (status) WHERE status = \"active\"", "index", "mine"),
    "a text in a view": ("CREATE VIEW mine AS SELECT id FROM t WHERE status = \"active\"", "view", "mine"),
    "a text in a trigger": (
        "CREATE TRIGGER mine AFTER INSERT ON u BEGIN UPDATE t SET status = \"active\"; END", "trigger", "mine"
    ),
    "a text in the condition of a trigger": (
        "CREATE TRIGGER mine AFTER UPDATE ON t WHEN (SELECT status = \"active\" FROM t) BEGIN DELETE FROM u; END",
        "trigger", "mine",
    ),
    "an outer column in a subquery": (
        "CREATE VIEW mine AS SELECT (SELECT max(id) FROM t WHERE status = active) FROM u", "view", "mine"
    ),
    "an outer column in EXISTS in a trigger": (
        "CREATE TRIGGER mine AFTER INSERT ON u BEGIN"
        " DELETE FROM u WHERE EXISTS (SELECT 1 FROM t WHERE status = active); END", "trigger", "mine"
    ),
    "a column that NATURAL JOIN would compare": (
        "CREATE VIEW mine AS SELECT id, other FROM t NATURAL JOIN u", "view", "mine"
    ),
    "an alias in WHERE": ("CREATE VIEW mine AS SELECT status AS active FROM t WHERE active > ''", "view", "mine"),
    "a column of one table of a join": ("CREATE VIEW mine AS SELECT active FROM t JOIN u", "view", "mine"),
    "a column of a view that would get another name": (
        "CREATE VIEW mine AS SELECT t.*, u.active FROM t JOIN u", "view", "mine"
    ),
    "an outer column, through a view of all": (
        "CREATE VIEW mine AS SELECT (SELECT max(id) FROM all_of_t WHERE status = active) FROM u", "view", "mine"
    ),
}  # fmt: skip
ADDING: dict[str, Change] = {
    "append_column": lambda m: m.append_column("T", "Active TEXT"),
    "add_column": lambda m: m.add_column("t", "active", TextField(null=True)),
    "change_columns": lambda m: m.change_columns("t", {"id": "id INTEGER PRIMARY KEY, active TEXT"}),
    "rebuild_table": lambda m: m.rebuild_table("t", m.table("t").sql[:-1] + ", active TEXT)"),
}


@pytest.mark.parametrize("change", ADDING.values(), ids=ADDING)
@pytest.mark.parametrize(("statement", "kind", "name"), TAKEN.values(), ids=TAKEN)
def test_a_new_column_does_not_capture_a_name(statement: str, kind: str, name: str, change: Change) -> None:
    """An object in which the name of a new column is used as text or as another column is refused by name."""
    error = refused(made(*T, *ROWS, "CREATE VIEW all_of_t AS SELECT * FROM t", statement), change)
    details = error.details or {}
    assert (details["kind"], details["name"], details["table"]) == (kind, name, "t")
    assert error.reason in ("name_taken", "dependent_object")


TABLE_TEXTS = {
    "a CHECK": "CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT CHECK (status IN (\"active\", 'gone')))",
    "a table CHECK": 'CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT, CHECK (status <> "active"))',
    "a generated column": 'CREATE TABLE t (id INTEGER PRIMARY KEY, status TEXT, is_active AS (status = "active"))',
}


@pytest.mark.parametrize("change", ADDING.values(), ids=ADDING)
@pytest.mark.parametrize("table", TABLE_TEXTS.values(), ids=TABLE_TEXTS)
def test_a_new_column_does_not_capture_text_of_its_table(table: str, change: Change) -> None:
    """A CHECK or generated column that uses the name of the new column as text is refused."""
    error = refused(made(table), change)
    assert (error.reason, (error.details or {})["kind"]) == ("name_taken", "constraint")
    assert '"active"' in str(error)


HARMLESS = (
    "CREATE INDEX mine_1 ON t (status) WHERE status = 'active'",
    "CREATE VIEW mine_2 AS SELECT t.*, u.active AS seen FROM t JOIN u ON t.status = u.active",
    "CREATE VIEW mine_3 AS SELECT status AS active FROM t ORDER BY 1",
    "CREATE TRIGGER mine_4 AFTER INSERT ON u WHEN new.active > 'a' BEGIN UPDATE t SET status = new.active; END",
    "CREATE VIEW mine_5 AS SELECT active FROM u WHERE active IN (SELECT status FROM t)",
    "CREATE VIEW mine_6 AS SELECT t.status FROM t NATURAL JOIN (SELECT 1 AS id)",
    "CREATE VIEW stale AS SELECT active FROM nowhere, t",
)


@pytest.mark.parametrize("change", ADDING.values(), ids=ADDING)
def test_an_unambiguous_name_does_not_block(change: Change) -> None:
    """Objects that unambiguously use the new column's name for something else are kept and still work."""
    database = made(*T, *ROWS, *HARMLESS)
    kept = "SELECT name, sql FROM sqlite_master WHERE type <> 'table' ORDER BY name"
    before = rows(database, kept)
    run(database, change)
    assert rows(database, kept) == before


RENAMES: dict[str, tuple[str, Change]] = {
    "a column that a subquery finds first": (
        "CREATE VIEW mine AS SELECT (SELECT max(id) FROM t WHERE other = 'y') FROM u",
        lambda m: m.rename_column("t", "status", "other"),
    ),
    "a column that NATURAL JOIN would compare": (
        "CREATE VIEW mine AS SELECT id, other FROM t NATURAL JOIN u",
        lambda m: m.rename_column("t", "status", "active"),
    ),
    "an alias": (
        "CREATE VIEW mine AS SELECT status || '!' AS shown FROM t WHERE shown > ''",
        lambda m: m.rename_column("t", "id", "shown"),
    ),
    "a table that a WITH hides": (
        "CREATE VIEW mine AS WITH w AS (SELECT 7 AS id) SELECT w.id FROM w UNION ALL SELECT id FROM t",
        lambda m: m.rename_table("t", "w"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "change"), RENAMES.values(), ids=RENAMES)
def test_a_new_name_does_not_capture_another_meaning(statement: str, change: Change) -> None:
    """A view in which the new name of a column or table already has another meaning is refused by name."""
    error = refused(made(*T, *ROWS, statement), change)
    assert error.reason in ("name_taken", "dependent_object")
    assert (error.details or {})["name"] == "mine"


def test_a_text_in_double_quotes_survives_a_rename() -> None:
    """A text in double quotes that a renamed column would capture stays text, in indexes, views and triggers."""
    database = made(
        *T,
        *ROWS,
        'CREATE INDEX mine ON t (status) WHERE status = "active"',
        'CREATE VIEW seen AS SELECT count(*) FROM t WHERE status = "active"',
        'CREATE TRIGGER set_it AFTER INSERT ON u BEGIN UPDATE t SET status = "active"; END',
    )
    run(database, lambda m: m.rename_column("t", "id", "active"))
    assert rows(database, "SELECT * FROM seen") == [(1,)]
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]
    database.execute_sql("INSERT INTO u VALUES (1, 2)")
    assert rows(database, "SELECT * FROM seen") == [(2,)]


FTS = {
    "FTS5": "CREATE VIRTUAL TABLE f USING fts5 (status, content='t', content_rowid='id')",
    "FTS5 without quotes": "CREATE VIRTUAL TABLE f USING fts5 (status, content=t, content_rowid=id)",
    "FTS4": 'CREATE VIRTUAL TABLE f USING fts4 (content="t", status)',
    "FTS5 over a view": "CREATE VIRTUAL TABLE f USING fts5 (status, content='of_t', content_rowid='id')",
    "FTS5 with a tokenizer of the program": (
        "CREATE VIRTUAL TABLE f USING fts5 (status, content='t', content_rowid='id', tokenize='mine x')"
    ),
    "a module of the program": "CREATE VIRTUAL TABLE f USING mine (status, content='t')",
}
FTS_CHANGES: dict[str, Change] = {
    "rename_column": lambda m: m.rename_column("t", "status", "state"),
    "rename_table": lambda m: m.rename_table("t", "other_t"),
    "drop_column": lambda m: m.drop_column("t", "status"),
    "rebuild_table": lambda m: m.rebuild_table(
        "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, s)", copy={"s": "status"}, drop=["status"]
    ),
}


def with_virtual_table(statement: str) -> SqliteDatabase:
    database = made(*T, *ROWS, "CREATE VIEW of_t AS SELECT id, status FROM t")
    if "mine" in statement:
        database.execute_sql("PRAGMA writable_schema = ON")
        database.execute_sql("INSERT INTO sqlite_master VALUES ('table', 'f', 'f', 0, ?)", (statement,))
        database.execute_sql("PRAGMA writable_schema = RESET")
    else:
        database.execute_sql(statement)
        database.execute_sql("INSERT INTO f (f) VALUES ('rebuild')")
    return database


@pytest.mark.parametrize("change", FTS_CHANGES.values(), ids=FTS_CHANGES)
@pytest.mark.parametrize("statement", FTS.values(), ids=FTS)
def test_a_search_that_reads_the_table_is_not_broken(statement: str, change: Change) -> None:
    """A virtual table that reads its text from the table or column is refused by name, or still finds it."""
    database = with_virtual_table(statement)
    if "of_t" in statement and change is FTS_CHANGES["rename_table"]:
        run(database, change)
        assert rows(database, "SELECT status FROM f WHERE f MATCH 'active'") == [("active",)]
        return
    error = refused(database, change)
    assert error.reason == "dependent_object"
    assert (error.details or {})["name"] in ("f", "of_t")


def test_a_column_that_an_fts4_table_would_gain_is_refused() -> None:
    """An FTS4 table without its own columns is refused, because it would gain a column without text."""
    database = made(*T, *ROWS, 'CREATE VIRTUAL TABLE f USING fts4 (content="t")')
    for change in ADDING.values():
        error = refused(database, change)
        assert ((error.details or {})["kind"], (error.details or {})["name"]) == ("virtual table", "f")


def test_a_search_works_after_an_unrelated_change() -> None:
    """Other columns of an FTS5 content table may be added, dropped and renamed."""
    database = made(
        *T, "ALTER TABLE t ADD COLUMN note TEXT", *ROWS, FTS["FTS5"], "INSERT INTO f (f) VALUES ('rebuild')"
    )
    run(database, lambda m: m.append_column("t", "active TEXT"))
    run(database, lambda m: m.rename_column("t", "note", "remark"))
    run(database, lambda m: m.drop_column("t", "remark", legacy=True))
    assert rows(database, "SELECT rowid, status FROM f WHERE f MATCH 'active'") == [(1, "active")]


LOG = ("CREATE TABLE log (a TEXT, b TEXT)", "CREATE TABLE other (x, y)", "INSERT INTO log VALUES ('a', 'b')")
REORDERED = "CREATE TABLE log (b TEXT, a TEXT)"
POSITIONAL = {
    "a trigger that writes": (
        "CREATE TRIGGER mine AFTER INSERT ON other BEGIN INSERT INTO log VALUES (new.x, new.y); END"
    ),
    "a trigger that replaces": (
        "CREATE TRIGGER mine AFTER INSERT ON other BEGIN REPLACE INTO log SELECT new.x, new.y; END"
    ),
    "a trigger that copies": (
        "CREATE TRIGGER mine AFTER INSERT ON other BEGIN INSERT INTO other SELECT * FROM log; END"
    ),
    "a UNION": "CREATE VIEW mine AS SELECT * FROM log UNION ALL SELECT x, y FROM other",
    "an EXCEPT": "CREATE VIEW mine AS SELECT x, y FROM other EXCEPT SELECT * FROM log",
    "a view with names": "CREATE VIEW mine (first, second) AS SELECT * FROM log",
    "a WITH with names": "CREATE VIEW mine AS WITH w (one, two) AS (SELECT * FROM log) SELECT one FROM w",
    "a row value": "CREATE VIEW mine AS SELECT x FROM other WHERE (x, y) IN (SELECT * FROM log)",
    "IN a table": "CREATE VIEW mine AS SELECT x FROM other WHERE (x, y) IN log",
    "ORDER BY a number": "CREATE VIEW mine AS SELECT * FROM log ORDER BY 2 LIMIT 1",
    "GROUP BY a number": "CREATE VIEW mine AS SELECT *, count(*) FROM log GROUP BY 1",
}


@pytest.mark.parametrize("statement", POSITIONAL.values(), ids=POSITIONAL)
def test_reordered_columns_swap_no_values(statement: str) -> None:
    """A trigger or view that depends on the order of the columns is refused by name if a rebuild moves them."""
    error = refused(made(*LOG, statement), lambda m: m.rebuild_table("log", REORDERED))
    assert (error.reason, (error.details or {})["name"]) == ("dependent_object", "mine")


def test_references_by_name_allow_another_order() -> None:
    """Views and triggers that name the columns, or select all of them on both sides, still work."""
    database = made(
        *LOG,
        "CREATE TRIGGER mine AFTER INSERT ON other BEGIN INSERT INTO log (a, b) VALUES (new.x, new.y); END",
        "CREATE VIEW v1 AS SELECT a, b FROM log UNION ALL SELECT x, y FROM other ORDER BY 2, 1",
        "CREATE VIEW v2 AS SELECT a FROM (SELECT * FROM log) UNION SELECT a FROM log",
        "CREATE VIEW v3 AS SELECT * FROM log UNION SELECT * FROM log",
        "CREATE VIEW v4 AS SELECT count(*), max(a) * 2 FROM log",
    )
    run(database, lambda m: m.rebuild_table("log", REORDERED))
    database.execute_sql("INSERT INTO other VALUES ('1', '2')")
    assert rows(database, "SELECT a, b FROM v1") == [("1", "2"), ("1", "2"), ("a", "b")]
    assert rows(database, "SELECT a, b FROM v3 ORDER BY a") == [("1", "2"), ("a", "b")]


@pytest.mark.parametrize(
    "change", [ADDING["append_column"], ADDING["add_column"]], ids=["append_column", "add_column"]
)
def test_an_added_column_breaks_no_trigger(change: Change) -> None:
    """A trigger that inserts without a column list is refused by name, even in playhouse's operation."""
    database = made(*T, "CREATE TRIGGER mine AFTER INSERT ON u BEGIN INSERT INTO t VALUES (NULL, 'x'); END")
    error = refused(database, change)
    assert (error.reason, (error.details or {})["name"]) == ("dependent_object", "mine")
