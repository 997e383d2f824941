"""The table rebuild, feature by feature: each is kept, or refused by name with nothing changed."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import IntegrityError, SqliteDatabase
from support.memory_databases import made, rows
from support.refusals import refused

from waiaas import Progress, WAIaaSError
from waiaas.ddl import LosslessMigrator
from waiaas.ddl.rebuild import REBUILD_NAME, TableRebuild
from waiaas.ddl.sql import comments, quote, tokens

OWNER = "CREATE TABLE owner (id INTEGER PRIMARY KEY)"


def rebuild(database: SqliteDatabase, table: str, definition: str | None = None, **options: Any) -> None:
    migrator = LosslessMigrator(database)
    if definition is None:
        definition = migrator.table(table).sql
    with migrator.migration_context():
        migrator.migrate(migrator.rebuild_table(table, definition, **options))


def drop_gone(database: SqliteDatabase, table: str) -> None:
    """Drop the column `gone` using a table rebuild."""
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(migrator.drop_column(table, "gone", legacy=True))


def schema(database: SqliteDatabase) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")


# Each table has a column `gone` to drop; everything else must stay the same.
FEATURES = {
    "CHECK with nested parentheses and strings": (
        "CREATE TABLE t (a TEXT CHECK (a IN ('x)', '(y', 'it''s') OR (length(a) > (1 + (2)))), gone)",
        "INSERT INTO t VALUES ('x)', 1), ('(y', 2), ('it''s', 3), ('long enough', 4)",
    ),
    "expression defaults": (
        "CREATE TABLE t (a, b TEXT DEFAULT (lower('A, B) ' || 'c')), c DEFAULT CURRENT_TIMESTAMP, gone)",
        "INSERT INTO t (a, gone) VALUES (1, 1)",
    ),
    "quoted and reserved names": (
        'CREATE TABLE "my ""t"" (odd)" ("select" TEXT, [group by] INT, `a``b` REAL, gone)',
        """INSERT INTO "my ""t"" (odd)" VALUES ('s', 2, 0.5, 1)""",
    ),
    "collations": (
        "CREATE TABLE t (a TEXT COLLATE NOCASE UNIQUE, b TEXT COLLATE RTRIM, gone)",
        "INSERT INTO t VALUES ('A', 'b  ', 1), ('b', 'B', 2)",
    ),
    "generated columns": (
        "CREATE TABLE t (a INT, v INT GENERATED ALWAYS AS (a * 2) VIRTUAL, s TEXT AS (a || '!') STORED, gone)",
        "INSERT INTO t (a, gone) VALUES (1, 1), (2, 2)",
    ),
    "composite and named constraints": (
        "CREATE TABLE t (a, b, c, gone, CONSTRAINT pk PRIMARY KEY (a, b), CONSTRAINT u UNIQUE (c, a),"
        " CONSTRAINT ck CHECK (c <> a))",
        "INSERT INTO t VALUES (1, 2, 3, 4), (2, 2, 9, 4)",
    ),
    "indexes of every kind": (
        "CREATE TABLE t (a TEXT, b INT, gone)",
        "CREATE INDEX partial ON t (a) WHERE b > 1",
        "CREATE UNIQUE INDEX expression ON t (lower(a), b DESC)",
        "CREATE INDEX collated ON t (a COLLATE NOCASE DESC)",
        "INSERT INTO t VALUES ('X', 1, 1), ('y', 2, 2)",
    ),
    "triggers": (
        "CREATE TABLE t (a, gone)",
        "CREATE TABLE log (x)",
        "CREATE TRIGGER one AFTER INSERT ON t WHEN new.a > 0 BEGIN INSERT INTO log VALUES ('ins;' || new.a); END",
        "CREATE TRIGGER two BEFORE UPDATE OF a ON t BEGIN SELECT RAISE(ABORT, 'no') WHERE new.a < 0; END",
        "INSERT INTO t VALUES (1, 1), (2, 2)",
    ),
    "a trigger on another table": (
        "CREATE TABLE t (a, gone)",
        "CREATE TABLE other (x)",
        "CREATE TRIGGER mirror AFTER INSERT ON other BEGIN INSERT INTO t (a) VALUES (new.x); END",
        "INSERT INTO other VALUES (7)",
    ),
    "views over the table": (
        "CREATE TABLE t (a, gone)",
        "CREATE VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a",
        "CREATE VIEW w AS SELECT n FROM v",
        "CREATE TRIGGER instead INSTEAD OF INSERT ON v BEGIN INSERT INTO t (a) VALUES (new.a); END",
        "INSERT INTO t VALUES (1, 1), (1, 2)",
    ),
    "WITHOUT ROWID": (
        "CREATE TABLE t (a TEXT, b, gone, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "INSERT INTO t VALUES ('x', 2, 1), ('x', 1, 1)",
    ),
    "STRICT": (
        "CREATE TABLE t (a INTEGER, b ANY, gone TEXT) STRICT",
        "INSERT INTO t VALUES (1, '007', 'g'), (2, 7, 'g')",
    ),
    "both options": (
        "CREATE TABLE t (a INTEGER PRIMARY KEY, gone TEXT) WITHOUT ROWID, STRICT",
        "INSERT INTO t VALUES (5, 'g')",
    ),
    "the AUTOINCREMENT high-water mark": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, gone)",
        "INSERT INTO t VALUES (1, 1), (90, 1)",
        "DELETE FROM t WHERE id = 90",
    ),
    "an AUTOINCREMENT mark set by hand": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, gone)",
        "INSERT INTO sqlite_sequence VALUES ('t', 41)",
    ),
    "self-references": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up INT REFERENCES t (id) ON DELETE CASCADE, gone)",
        "INSERT INTO t VALUES (1, NULL, 1), (2, 1, 1), (3, 2, 1)",
    ),
    "deferrable keys with actions": (
        OWNER,
        "CREATE TABLE t (a INT REFERENCES owner (id) ON UPDATE CASCADE ON DELETE SET NULL"
        " DEFERRABLE INITIALLY DEFERRED, b INT, gone,"
        " FOREIGN KEY (b) REFERENCES owner ON DELETE RESTRICT NOT DEFERRABLE)",
        "INSERT INTO owner VALUES (1), (2)",
        "INSERT INTO t VALUES (1, 2, 3)",
    ),
    "children with rows": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY, gone)",
        "CREATE TABLE child (t INT REFERENCES t (id) ON DELETE CASCADE)",
        "CREATE TABLE other_child (t INT REFERENCES T (ID) ON DELETE SET NULL)",
        "INSERT INTO t VALUES (1, 1), (2, 2)",
        "INSERT INTO child VALUES (1), (2), (2)",
        "INSERT INTO other_child VALUES (1)",
    ),
    "comments in the definition": (
        "CREATE TABLE t ( -- what ( it is, in short\n  a TEXT, /* a, b */ b INT -- the b\n, gone)",
        "INSERT INTO t VALUES ('a', 1, 2)",
    ),
    "names in another letter case": (
        "CREATE TABLE Tee (Ay TEXT, GONE)",
        "CREATE INDEX Ix ON TEE (AY)",
        "INSERT INTO tee VALUES ('a', 2)",
    ),
    "ON CONFLICT clauses": (
        "CREATE TABLE t (a INT UNIQUE ON CONFLICT REPLACE, b TEXT NOT NULL ON CONFLICT REPLACE DEFAULT 'x', gone)",
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
    ),
    "blob and literal defaults with double spaces": (
        "CREATE TABLE t (a BLOB DEFAULT x'00ff', b TEXT DEFAULT 'two  spaces', c DEFAULT -1.5e3, gone)",
        "INSERT INTO t (gone) VALUES (1)",
    ),
    "columns without a type and big integers": (
        "CREATE TABLE t (a, b NUMERIC, c REAL, gone)",
        "INSERT INTO t VALUES (9007199254740993, 9223372036854775807, 0.1, 1), ('007', '007', 3, 2)",
        "INSERT INTO t VALUES (x'00', 1e400, -0.0, 3)",
    ),
    "hidden rowids": (
        "CREATE TABLE t (a TEXT, gone)",
        "INSERT INTO t (rowid, a) VALUES (7, 'x'), (-3, 'y'), (9223372036854775807, 'z')",
    ),
    "rowids hidden by a column named rowid": (
        "CREATE TABLE t (rowid TEXT, _rowid_ TEXT, gone)",
        "INSERT INTO t (oid, rowid) VALUES (7, 'x'), (-3, 'y')",
    ),
    "a rowid that no name reaches": (
        "CREATE TABLE t (rowid TEXT, _rowid_ TEXT, oid TEXT, gone)",
        "INSERT INTO t VALUES ('x', 'y', 'z', 1)",
    ),
    "a key that is not an alias of the rowid": (
        "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, gone)",
        "INSERT INTO t (rowid, id) VALUES (7, 1), (3, 2)",
    ),
    "the planner's statistics": (
        "CREATE TABLE t (a INT, gone)",
        "CREATE INDEX ix ON t (a)",
        "INSERT INTO t VALUES (1, 1), (1, 2), (2, 3)",
        "ANALYZE",
    ),
}  # fmt: skip


def content(database: SqliteDatabase) -> dict[str, list[tuple[Any, ...]]]:
    """Return every table's rows with types and rowids, and SQLite's own tables, without the column `gone`."""
    found = {}
    for (name,) in rows(database, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        columns = [c for _, c, *_ in rows(database, f"PRAGMA table_xinfo({quote(name)})") if c.lower() != "gone"]
        shown = [f"{quote(column)}, typeof({quote(column)})" for column in columns]
        hidden = next((r for r in ("rowid", "_rowid_", "oid") if r not in columns), "rowid")
        (sql,) = rows(database, f"SELECT sql FROM sqlite_master WHERE name = '{name.replace(chr(39), chr(39) * 2)}'")[
            0
        ]
        if "WITHOUT ROWID" not in sql and not name.startswith("sqlite_"):
            shown.append(hidden)
        found[name] = sorted(rows(database, f"SELECT {', '.join(shown)} FROM {quote(name)}"), key=repr)
    return found


def table_with_gone(database: SqliteDatabase) -> str:
    tables = rows(database, "SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return str(next(name for name, sql in tables if "gone" in sql.lower()))


def objects(database: SqliteDatabase) -> list[tuple[Any, ...]]:
    return rows(
        database, "SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL ORDER BY name"
    )


def tokens_without_gone(database: SqliteDatabase) -> list[str]:
    texts = [sql for (sql,) in rows(database, "SELECT sql FROM sqlite_master WHERE type = 'table' AND sql > ''")]
    words = [token.name or token.text for sql in texts for token in tokens(sql)]
    noted = [text for sql in texts for _, text in comments(sql)]
    return sorted([word for word in words if word not in ("gone", ",", "text")] + noted)


@pytest.mark.parametrize("statements", FEATURES.values(), ids=FEATURES)
def test_a_column_is_dropped_and_everything_else_is_kept(statements: tuple[str, ...]) -> None:
    """Rows, types, rowids, definitions, indexes, triggers, views, sequence and statistics are unchanged."""
    database = made(*statements)
    table = table_with_gone(database)
    before = content(database), objects(database), tokens_without_gone(database)
    drop_gone(database, table)
    assert (content(database), objects(database), tokens_without_gone(database)) == before
    assert "gone" not in {c.lower() for _, c, *_ in rows(database, f"PRAGMA table_xinfo({quote(table)})")}
    assert rows(database, "PRAGMA foreign_key_check") == []
    assert rows(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("statements", FEATURES.values(), ids=FEATURES)
def test_a_rebuild_into_the_same_definition_changes_nothing(statements: tuple[str, ...]) -> None:
    """A table rebuilt from its own definition is unchanged, and so is everything around it."""
    database = made(*statements)
    before = content(database), objects(database), tokens_without_gone(database)
    rebuild(database, table_with_gone(database))
    assert (content(database), objects(database), tokens_without_gone(database)) == before


def test_the_sequence_continues() -> None:
    """After a rebuild, AUTOINCREMENT does not reuse the id of a deleted row."""
    database = made(*FEATURES["the AUTOINCREMENT high-water mark"])
    drop_gone(database, "t")
    database.execute_sql("INSERT INTO t DEFAULT VALUES")
    assert rows(database, "SELECT max(id) FROM t") == [(91,)]


def test_triggers_fire_as_before() -> None:
    """After a rebuild the table's triggers fire; copying rows fires none."""
    database = made(*FEATURES["triggers"])
    drop_gone(database, "t")
    assert rows(database, "SELECT x FROM log") == [("ins;1",), ("ins;2",)]
    database.execute_sql("INSERT INTO t VALUES (3)")
    assert rows(database, "SELECT count(*) FROM log") == [(3,)]
    with pytest.raises(Exception, match="no"):
        database.execute_sql("UPDATE t SET a = -1")


T = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INT DEFAULT 1 CHECK (b > 0), UNIQUE (a, b))"
LOSSES = {
    "a column": ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, UNIQUE (a))", "b"),
    "a CHECK": (T.replace(" CHECK (b > 0)", ""), "CHECK"),
    "a default": (T.replace(" DEFAULT 1", ""), "DEFAULT 1"),
    "NOT NULL": (T.replace(" NOT NULL", ""), "NOT NULL"),
    "a constraint": (T.replace(", UNIQUE (a, b)", ""), "UNIQUE (a, b)"),
    "the key": (T.replace(" PRIMARY KEY", ""), "PRIMARY KEY"),
}


@pytest.mark.parametrize(("definition", "named"), LOSSES.values(), ids=LOSSES)
def test_a_definition_that_loses_something_is_refused(definition: str, named: str) -> None:
    """A new definition without a part of the old one, not listed to be dropped, is refused and the part named."""
    database = made(T, "INSERT INTO t VALUES (1, 'x', 2)")
    error = refused(database, lambda: rebuild(database, "t", definition))
    assert error.reason == "rebuild_refused"
    assert (error.details or {})["table"] == "t"
    assert named in str(error)


@pytest.mark.parametrize(
    ("statement", "definition", "named"),
    [
        ("CREATE TABLE t (a INT) STRICT", "CREATE TABLE t (a INT)", "STRICT"),
        ("CREATE TABLE t (a INT PRIMARY KEY) WITHOUT ROWID", "CREATE TABLE t (a INT PRIMARY KEY)", "WITHOUT ROWID"),
        ("CREATE TABLE t (a /* mine */ INT)", "CREATE TABLE t (a INT)", "/* mine */"),
        ("CREATE TABLE t (a INT, CONSTRAINT c CHECK (a > 0))", "CREATE TABLE t (a INT)", "CONSTRAINT c"),
        (
            "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)",
            "CREATE TABLE t (a INTEGER PRIMARY KEY)",
            "AUTOINCREMENT",
        ),
    ],
)
def test_lost_options_and_comments_are_named(statement: str, definition: str, named: str) -> None:
    """A missing STRICT, WITHOUT ROWID, AUTOINCREMENT, named constraint or comment is reported by name."""
    database = made(statement)
    assert named in str(refused(database, lambda: rebuild(database, "t", definition)))


def test_listed_parts_are_dropped() -> None:
    """A column or named constraint listed in `drop`, and a column in `change`, may differ."""
    database = made("CREATE TABLE t (a INT, b TEXT, c, CONSTRAINT u UNIQUE (a))", "INSERT INTO t VALUES (1, 'x', 2)")
    rebuild(database, "t", "CREATE TABLE t (a INT, b TEXT DEFAULT 'y')", drop=["c", "u"], change=["b"])
    assert rows(database, "SELECT * FROM t") == [(1, "x")]
    assert rows(database, "PRAGMA index_list(t)") == []


def test_columns_can_be_computed() -> None:
    """A column mapped to an expression is computed from the old row, including dropped columns."""
    database = made("CREATE TABLE t (first TEXT, last TEXT)", "INSERT INTO t VALUES ('Ada', 'Lovelace')")
    copy = {"name": "first || ' ' || last"}
    rebuild(database, "t", "CREATE TABLE t (name TEXT NOT NULL)", copy=copy, drop=["first", "last"])
    assert rows(database, "SELECT * FROM t") == [("Ada Lovelace",)]


@pytest.mark.parametrize(
    ("definition", "column", "values", "ids"),
    [
        ("CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT CHECK (a IN ('x', 'y')))", "a", ["'z'"], ["two", "three"]),
        ("CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT NOT NULL)", "a", ["None"], ["four"]),
    ],
)
def test_rows_that_violate_a_constraint_are_named(
    definition: str, column: str, values: list[str], ids: list[str]
) -> None:
    """If rows violate a new CHECK or NOT NULL, the error contains table, column, values and row ids."""
    database = made(
        "CREATE TABLE t (id TEXT PRIMARY KEY, a TEXT)",
        "INSERT INTO t VALUES ('one', 'x'), ('two', 'z'), ('three', 'z'), ('four', NULL)",
    )
    error = refused(database, lambda: rebuild(database, "t", definition, change=["a"]))
    assert error.reason == "value_not_allowed"
    assert error.details is not None
    assert {key: error.details[key] for key in ("table", "column", "values", "rows", "count")} == {
        "table": "t",
        "column": column,
        "values": values,
        "rows": ids,
        "count": len(ids),
    }


def test_values_that_a_new_type_would_change_are_refused() -> None:
    """A column whose new type would convert '007' to 7 is refused, but not if all values stay the same."""
    database = made("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", "INSERT INTO t VALUES (1, '007'), (2, 'x')")
    number = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)"
    error = refused(database, lambda: rebuild(database, "t", number, change=["a"]))
    assert "1 values of column a" in str(error)
    rebuild(database, "t", number.replace("INTEGER)", "BLOB)"), change=["a"])
    assert rows(database, "SELECT a FROM t") == [("007",), ("x",)]


def test_duplicates_under_a_new_key_are_refused() -> None:
    """Rows that a new UNIQUE ON CONFLICT REPLACE would silently drop are named instead."""
    database = made("CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1), (1)")
    new = "CREATE TABLE t (a INT UNIQUE ON CONFLICT REPLACE)"
    error = refused(database, lambda: rebuild(database, "t", new, change=["a"]))
    assert error.reason == "value_not_allowed"
    assert isinstance(error, IntegrityError)
    details = error.details or {}
    assert {key: details[key] for key in ("table", "column", "rows")} == {"table": "t", "column": "a", "rows": [1, 2]}


@pytest.mark.parametrize(
    "dependent",
    [
        "CREATE INDEX mine ON t (b)",
        "CREATE VIEW mine AS SELECT b FROM t",
        "CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT new.b; END",
        "CREATE TRIGGER mine AFTER INSERT ON other BEGIN UPDATE t SET b = 1; END",
    ],
)
def test_objects_that_would_break_are_refused(dependent: str) -> None:
    """An index, view or trigger that needs a dropped column is refused by name."""
    database = made("CREATE TABLE t (a INT, b INT)", "CREATE TABLE other (x)", dependent)
    error = refused(database, lambda: rebuild(database, "t", "CREATE TABLE t (a INT)", drop=["b"]))
    assert error.reason == "dependent_object"
    assert "mine" in str(error)


def test_objects_that_were_already_broken_are_kept() -> None:
    """A view that did not work before the rebuild does not block it, and is kept."""
    database = made("CREATE TABLE t (a INT, gone)", "CREATE TABLE x (y)", "CREATE VIEW broken AS SELECT absent FROM x")
    rebuild(database, "t")
    assert ("view", "broken", "broken", "CREATE VIEW broken AS SELECT absent FROM x") in schema(database)


def test_foreign_keys_must_be_off() -> None:
    """In a caller's transaction with foreign keys on, a rebuild is refused, because it would delete children."""
    database = made(*FEATURES["children with rows"], "PRAGMA foreign_keys = ON")
    migrator = LosslessMigrator(database)
    before = list(database.connection().iterdump())
    with database.atomic(), pytest.raises(WAIaaSError) as caught:
        migrator.rebuild_table("t", migrator.table("t").sql).run()
    assert list(database.connection().iterdump()) == before
    error = caught.value
    assert (error.reason, (error.details or {})["table"]) == ("rebuild_refused", "t")
    assert "foreign keys" in str(error)


def test_a_temporary_trigger_is_refused() -> None:
    """A temporary trigger on the table, which DROP TABLE would delete, is refused by name."""
    database = made("CREATE TABLE t (a INT)", "CREATE TEMP TRIGGER mine AFTER INSERT ON main.t BEGIN SELECT 1; END")
    assert "mine" in str(refused(database, lambda: rebuild(database, "t")))


def test_an_existing_temporary_name_is_refused() -> None:
    """A table with the rebuild's temporary name is refused, never overwritten."""
    name = REBUILD_NAME.format("t")
    database = made("CREATE TABLE t (a INT)", f"CREATE TABLE {name} (precious)")
    error = refused(database, lambda: rebuild(database, "t"))
    assert (error.reason, name in str(error)) == ("leftover_table", True)


def test_a_missing_table_is_refused() -> None:
    """A missing table is named."""
    database = made(OWNER)
    assert "nowhere" in str(refused(database, lambda: rebuild(database, "nowhere", "CREATE TABLE nowhere (a)")))


def test_a_rename_updates_every_reference() -> None:
    """Foreign keys of children and of the table itself, triggers and views follow a rename."""
    database = made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, up INT REFERENCES t)",
        "CREATE TABLE child (t INT REFERENCES t ON DELETE CASCADE)",
        "CREATE VIEW v AS SELECT id FROM t",
        "INSERT INTO t VALUES (1, NULL)",
        "INSERT INTO child VALUES (1)",
    )
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(migrator.rename_table("t", "u"))
    assert rows(database, "PRAGMA foreign_key_list(child)")[0][2] == "u"
    assert rows(database, "PRAGMA foreign_key_list(u)")[0][2] == "u"
    assert rows(database, "SELECT id FROM v") == [(1,)]


def test_a_view_that_becomes_ambiguous_is_refused() -> None:
    """A view in which a new column makes a name ambiguous is named, and nothing changes."""
    database = made("CREATE TABLE t (a, x, y)", "CREATE TABLE u (b)", "CREATE VIEW mine AS SELECT a, b FROM t, u")
    error = refused(database, lambda: rebuild(database, "t", "CREATE TABLE t (a, b)", drop=["y", "x"]))
    assert error.reason == "dependent_object"
    assert error.details is not None
    assert {key: error.details[key] for key in ("kind", "name", "table", "column")} == {
        "kind": "view",
        "name": "mine",
        "table": "t",
        "column": "x, y",
    }


def test_an_index_that_the_new_values_break_is_refused() -> None:
    """A unique index that the computed values violate is named, and nothing changes."""
    database = made("CREATE TABLE t (a, b, c)", "CREATE UNIQUE INDEX mine ON t (a)")
    database.execute_sql("INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)")
    error = refused(database, lambda: rebuild(database, "t", "CREATE TABLE t (a)", copy={"a": "7"}, drop=["c", "b"]))
    assert error.reason == "dependent_object"
    assert error.details is not None
    assert (error.details["kind"], error.details["name"], error.details["table"]) == ("index", "mine", "t")
    assert error.details["column"] == "b, c"


def test_lost_rows_are_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new table has fewer rows than the old one, everything is rolled back."""
    database = made("CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2)")
    count = LosslessMigrator.count
    monkeypatch.setattr(
        LosslessMigrator, "count", lambda self, table, where="1": count(self, table, where) - (table != "t")
    )
    error = refused(database, lambda: rebuild(database, "t"))
    assert error.reason == "rows_lost"
    assert error.details is not None
    assert (error.details["table"], error.details["before"], error.details["after"]) == ("t", 2, 1)


def test_a_child_that_references_another_table_after_a_rename_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the foreign key of an empty child no longer refers to the table, the rename is refused."""
    database = made(OWNER, "CREATE TABLE pet (owner INT REFERENCES owner (id))")
    rename = TableRebuild._rename_without_rewriting

    def rename_and_lose(self: TableRebuild, name: str) -> None:
        rename(self, name)
        database.execute_sql("DROP TABLE pet")
        database.execute_sql("CREATE TABLE pet (owner INT REFERENCES waiaas_rebuild_owner (id))")

    monkeypatch.setattr(TableRebuild, "_rename_without_rewriting", rename_and_lose)
    error = refused(database, lambda: rebuild(database, "owner"))
    assert error.reason == "rebuild_refused"
    assert "no longer refers to it" in str(error)


@pytest.mark.parametrize(
    ("statement", "definition", "change", "named"),
    [
        ("CREATE TABLE t (a, b)", "CREATE TABLE t (b)", ["a"], "lacks its column a"),
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)",
            "CREATE TABLE t (id INTEGER PRIMARY KEY)",
            ["id"],
            "AUTOINCREMENT",
        ),
        (
            "CREATE TABLE t (a, b INT, FOREIGN KEY (b) REFERENCES owner (id))",
            "CREATE TABLE t (a TEXT, b INT)",
            ["a"],
            "FOREIGN KEY (b)",
        ),
    ],
    ids=["a column", "AUTOINCREMENT", "another column's foreign key"],
)
def test_a_change_may_not_drop_more_than_listed(
    statement: str, definition: str, change: list[str], named: str
) -> None:
    """A changed column may not disappear, lose AUTOINCREMENT, or drop another column's key."""
    database = made(OWNER, statement)
    error = refused(database, lambda: rebuild(database, "t", definition, change=change))
    assert (error.reason, (error.details or {})["table"]) == ("rebuild_refused", "t")
    assert named in str(error)


def test_a_constraint_is_dropped_with_its_column() -> None:
    """A constraint on a column does not block dropping it if both are listed in `drop`."""
    database = made("CREATE TABLE t (a, b, CONSTRAINT u UNIQUE (a, b))", "INSERT INTO t VALUES (1, 2)")
    rebuild(database, "t", "CREATE TABLE t (a)", drop=["b", "u"])
    assert rows(database, "SELECT * FROM t") == [(1,)]


def test_a_comment_is_dropped_with_its_column() -> None:
    """A comment inside the definition of a dropped column is dropped with it; one before the next column is kept."""
    database = made("CREATE TABLE t (a, gone /* going */ TEXT, /* staying */ b)", "INSERT INTO t VALUES (1, 2, 3)")
    drop_gone(database, "t")
    ((sql,),) = rows(database, "SELECT sql FROM sqlite_master")
    assert "going" not in sql
    assert "/* staying */ b" in sql
    assert rows(database, "SELECT * FROM t") == [(1, 3)]


def test_a_dependency_of_a_dropped_column_is_named() -> None:
    """The refusal of a dependency names the table and the column that it needs."""
    database = made("CREATE TABLE t (a, b)", "CREATE INDEX mine ON t (b)")
    details = refused(database, lambda: rebuild(database, "t", "CREATE TABLE t (a)", drop=["b"])).details or {}
    assert {key: details[key] for key in ("kind", "name", "table", "column")} == {
        "kind": "index",
        "name": "mine",
        "table": "t",
        "column": "b",
    }


@pytest.mark.parametrize(
    ("options", "ids"), [("", [11, 12]), (" WITHOUT ROWID", ["y", "z"])], ids=["by rowid", "by the key's first column"]
)
def test_rows_of_a_composite_key_are_named(options: str, ids: list[object]) -> None:
    """Rows that violate a table's CHECK are named by rowid, or by the first key column if there is no rowid."""
    database = made(f"CREATE TABLE t (a TEXT, b INT, PRIMARY KEY (a, b)){options}")
    rowid, values = ("rowid, ", ["10, ", "11, ", "12, "]) if not options else ("", ["", "", ""])
    for start, name, number in zip(values, "xyz", (1, 2, 3), strict=True):
        database.execute_sql(f"INSERT INTO t ({rowid}a, b) VALUES ({start}'{name}', {number})")
    definition = f"CREATE TABLE t (a TEXT, b INT, PRIMARY KEY (a, b), CHECK (b < 2)){options}"
    error = refused(database, lambda: rebuild(database, "t", definition))
    assert error.reason == "value_not_allowed"
    assert error.details is not None
    assert {key: error.details[key] for key in ("table", "column", "values", "rows")} == {
        "table": "t",
        "column": "NOT (b < 2)",
        "values": ["None"],
        "rows": ids,
    }


def test_progress_and_rows_are_reported() -> None:
    """A rebuild reports what it copies, the number of rows, and adds up the counts."""
    reported: list[Progress] = []
    database = made("CREATE TABLE t (a)", "CREATE TABLE u (a)", "INSERT INTO t VALUES (1), (2)")
    database.execute_sql("INSERT INTO u VALUES (1)")
    migrator = LosslessMigrator(database, progress=reported.append)
    with migrator.migration_context():
        for table in ("t", "u"):
            migrator.migrate(migrator.rebuild_table(table, migrator.table(table).sql))
    assert reported == [
        Progress("copying t", None, 0, 2),
        Progress("copying t", None, 2, 2),
        Progress("replacing t"),
        Progress("copying u", None, 0, 1),
        Progress("copying u", None, 1, 1),
        Progress("replacing u"),
        Progress("checking the foreign keys of t"),
        Progress("checking the foreign keys of u"),
        Progress("committing"),
    ]
    assert migrator.result.rows_written == 3


def test_a_rename_after_a_rebuild_updates_views() -> None:
    """After a rebuild SQLite's way of renaming is restored: a later rename still updates references."""
    database = made("CREATE TABLE t (a)", "CREATE VIEW v AS SELECT a FROM t")
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(migrator.rebuild_table("t", migrator.table("t").sql), migrator.rename_table("t", "u"))
    assert rows(database, "SELECT a FROM v") == []


GENERATED = {
    "virtual": "b INT AS (a * 2)",
    "stored": "b INT GENERATED ALWAYS AS (a * 2) STORED",
    "of another type": "b TEXT AS (a || '')",
}


@pytest.mark.parametrize("definition", GENERATED.values(), ids=GENERATED)
@pytest.mark.parametrize("key", ["id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY", "id"])
def test_stored_values_are_not_replaced_by_generated_ones(key: str, definition: str) -> None:
    """A column whose stored values differ from its generated values is refused, with their number."""
    database = made(f"CREATE TABLE t ({key}, a INT, b INT)", "INSERT INTO t VALUES (1, 5, 77), (NULL, 3, 6)")
    change = {"b": definition}
    error = refused(database, lambda: change_columns(database, change))
    assert error.reason == "rebuild_refused"
    assert "values of column b would" in str(error)


def change_columns(database: SqliteDatabase, definitions: dict[str, str], **options: Any) -> None:
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(migrator.change_columns("t", definitions, **options))


def test_a_column_becomes_generated_and_stored_again() -> None:
    """If every stored value equals its generated value, a column can become generated, and stored again."""
    database = made("CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT)", "INSERT INTO t VALUES (1, 5, 10)")
    change_columns(database, {"b": "b INT AS (a * 2)"})
    assert rows(database, "SELECT * FROM t") == [(1, 5, 10)]
    rebuild(database, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT)", change=["b"])
    database.execute_sql("UPDATE t SET b = 11")
    assert rows(database, "SELECT * FROM t") == [(1, 5, 11)]


CONVERTED = {
    "a hidden rowid": "CREATE TABLE t (v TEXT)",
    "a key that may be NULL": "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)",
    "a key of two columns": "CREATE TABLE t (k TEXT NOT NULL DEFAULT 'k', l INTEGER, v TEXT, PRIMARY KEY (k, l))",
    "no rowid": "CREATE TABLE t (k TEXT DEFAULT 'k', l TEXT DEFAULT (hex(randomblob(4))), v TEXT,"
    " PRIMARY KEY (k, l)) WITHOUT ROWID",
    "a hidden rowid that no name reaches": "CREATE TABLE t (rowid, oid, _rowid_, v TEXT)",
}


@pytest.mark.parametrize("statement", CONVERTED.values(), ids=CONVERTED)
def test_each_row_is_compared_with_itself(statement: str) -> None:
    """A value that the column's new type would change is found with any kind of key."""
    database = made(statement, "INSERT INTO t (v) VALUES ('7')", "INSERT INTO t (v) VALUES ('007')")
    assert "v" in str(refused(database, lambda: change_columns(database, {"v": "v INTEGER"})))


def test_rowids_are_kept_when_the_key_changes() -> None:
    """A full-text index still finds the rows of a table whose INTEGER PRIMARY KEY becomes another key."""
    database = made(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE VIRTUAL TABLE f USING fts5 (v, content='t')",
        "INSERT INTO t VALUES (7, 'seven'), (3, 'three')",
        "INSERT INTO f (f) VALUES ('rebuild')",
    )
    change_columns(database, {"id": "id INT PRIMARY KEY"})
    assert rows(database, "SELECT rowid, v FROM f WHERE f MATCH 'seven'") == [(7, "seven")]
    assert rows(database, "SELECT rowid, id FROM t ORDER BY 1") == [(3, 3), (7, 7)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIRTUAL TABLE mine USING fts5 (v, content='t')",
        "CREATE VIEW mine AS SELECT rowid, v FROM t",
        "CREATE TRIGGER mine AFTER INSERT ON t BEGIN DELETE FROM log WHERE t = new._rowid_; END",
    ],
)
def test_objects_that_depend_on_changed_rowids_are_refused(statement: str) -> None:
    """A column that becomes the rowid changes the rowids: an object that depends on them is refused by name."""
    setting = ("CREATE TABLE log (t)", "CREATE TABLE t (id INT, v TEXT)", "INSERT INTO t VALUES (7, 'seven')")
    change = {"id": "id INTEGER PRIMARY KEY"}
    database = made(*setting, statement)
    error = refused(database, lambda: change_columns(database, change))
    assert (error.reason, (error.details or {})["name"]) == ("dependent_object", "mine")
    database = made(*setting)
    change_columns(database, change)
    assert rows(database, "SELECT rowid, v FROM t") == [(7, "seven")]


def test_a_trigger_that_would_miss_new_values_is_refused() -> None:
    """A rebuild fires no trigger: one that must see each update of the column is refused by name."""
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT)"
    for head, is_refused in (("UPDATE", True), ("UPDATE OF v", True), ("UPDATE OF w", False), ("INSERT", False)):
        database = made(table, "INSERT INTO t VALUES (1, NULL, 'w')", "CREATE TABLE log (v)")
        database.execute_sql(f"CREATE TRIGGER mine AFTER {head} ON t BEGIN INSERT INTO log VALUES (new.v); END")
        fill = {"definitions": {"v": "v TEXT NOT NULL"}, "copy": {"v": "ifnull(v, '')"}}
        if is_refused:
            error = refused(database, lambda opened=database, options=fill: change_columns(opened, **options))
            assert (error.reason, (error.details or {})["name"]) == ("dependent_object", "mine")
        else:
            change_columns(database, **fill)
            assert rows(database, "SELECT v FROM t") == [("",)]


def test_no_trigger_fires_for_rows_that_are_copied() -> None:
    """A rebuild neither adds nor deletes a row, even though it copies them between two tables."""
    trigger = "CREATE TRIGGER on_{0} AFTER {0} ON t BEGIN INSERT INTO log VALUES ('{0}'); END"
    database = made(
        "CREATE TABLE t (a)",
        "CREATE TABLE log (event)",
        "INSERT INTO t VALUES (1), (2)",
        *(trigger.format(event) for event in ("INSERT", "UPDATE", "DELETE")),
    )
    rebuild(database, "t", change=["a"], definition="CREATE TABLE t (a NOT NULL)")
    assert database.execute_sql("SELECT * FROM log").fetchall() == []
    assert database.execute_sql("SELECT count(*) FROM t").fetchone() == (2,)
