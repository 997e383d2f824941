"""Tables with one feature each, from which the column `owner_id`, an indexed foreign key, is dropped.

A probe is SQL that a program runs later, whose outcome (rows, or the kind of error) must be the same before and after.
"""

from __future__ import annotations

from typing import NamedTuple

OWNER = (
    "CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT)",
    "INSERT INTO owner VALUES (1, 'one'), (2, 'two')",
)
KEY = "owner_id INTEGER REFERENCES owner (id)"


class Case(NamedTuple):
    """The statements that create the table `table` with its rows, and probes by what they show.

    `must_refuse` marks a case in which something needs the column, so that it must not be dropped.
    """

    statements: tuple[str, ...]
    probes: dict[str, tuple[str, ...]] = {}
    table: str = "t"
    column: str = "owner_id"
    must_refuse: bool = False


CASES = {
    "CHECK with nested parentheses and texts": Case(
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (a IN ('x)', '(y', 'it''s, ok')"
            f" OR (length(a) > (1 + (8)))), {KEY})",
            "INSERT INTO t VALUES (1, 'x)', 1), (2, 'it''s, ok', 2), (3, 'long enough', NULL)",
        ),
        {
            "the CHECK refuses": ("INSERT INTO t (id, a) VALUES (9, 'z')",),
            "the CHECK allows": ("INSERT INTO t (id, a) VALUES (9, '(y')",),
        },
    ),
    "expression defaults": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT (lower('A, B) ' || 'C')), {KEY},"
            " b INTEGER DEFAULT (abs(-7)), c TEXT DEFAULT ('now' || ', ' || 'then'))",
            "INSERT INTO t (id, owner_id) VALUES (1, 1), (2, 2)",
        ),
        {"the defaults": ("INSERT INTO t (id) VALUES (9)", "SELECT a, b, c FROM t WHERE id = 9")},
    ),
    "quoted and reserved names": Case(
        (
            f'CREATE TABLE "group" ("id" INTEGER PRIMARY KEY, "select" TEXT, [order by] INT, `a,b` REAL, {KEY})',
            "INSERT INTO \"group\" VALUES (1, 's', 2, 0.5, 1), (2, NULL, 3, 1.5, 2)",
        ),
        {"the names": ('SELECT "select", "order by", "a,b" FROM "group"',)},
        table="group",
    ),
    "collations": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, b TEXT COLLATE RTRIM, {KEY})",
            "INSERT INTO t VALUES (1, 'A', 'b  ', 1), (2, 'c', 'd', 2)",
        ),
        {
            "case-insensitive comparison": ("SELECT id FROM t WHERE a = 'C'", "SELECT id FROM t WHERE b = 'b'"),
            "uniqueness without case": ("INSERT INTO t (id, a) VALUES (9, 'a')",),
        },
    ),
    "generated columns": Case(
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, v INT GENERATED ALWAYS AS (a * 2) VIRTUAL,"
            f" s TEXT AS (a || '!') STORED, {KEY})",
            "INSERT INTO t (id, a, owner_id) VALUES (1, 1, 1), (2, 2, 2)",
        ),
        {"a computed value": ("UPDATE t SET a = 50 WHERE id = 1", "SELECT v, s FROM t ORDER BY id")},
    ),
    "composite and named constraints": Case(
        (
            f"CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, c INT, {KEY}, CONSTRAINT pk PRIMARY KEY (a, b),"
            " CONSTRAINT u UNIQUE (c, a), CONSTRAINT ck CHECK (c <> a))",
            "INSERT INTO t VALUES (1, 2, 3, 1), (2, 2, 9, 2)",
        ),
        {
            "the primary key refuses": ("INSERT INTO t (a, b, c) VALUES (1, 2, 5)",),
            "UNIQUE refuses": ("INSERT INTO t (a, b, c) VALUES (1, 7, 3)",),
            "CHECK refuses": ("INSERT INTO t (a, b, c) VALUES (5, 7, 5)",),
        },
    ),
    "partial, expression and descending indexes": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b INT, {KEY})",
            "CREATE INDEX plain ON t (b)",
            "CREATE INDEX partial ON t (a) WHERE b > 1",
            "CREATE UNIQUE INDEX expression ON t (lower(a), b DESC)",
            "CREATE INDEX collated ON t (a COLLATE NOCASE DESC)",
            "INSERT INTO t VALUES (1, 'X', 1, 1), (2, 'y', 2, 2)",
        ),
        {"uniqueness of an expression": ("INSERT INTO t (id, a, b) VALUES (9, 'x', 1)",)},
    ),
    "triggers": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY})",
            "CREATE TABLE log (id INTEGER PRIMARY KEY, x TEXT)",
            "CREATE TRIGGER notes AFTER INSERT ON t WHEN new.a > 0 BEGIN"
            " INSERT INTO log (x) VALUES ('a;b' || new.a); END",
            "CREATE TRIGGER guards BEFORE UPDATE OF a ON t BEGIN SELECT RAISE(ABORT, 'no') WHERE new.a < 0; END",
            "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)",
        ),
        {
            "a trigger writes": ("INSERT INTO t (id, a) VALUES (9, 9)", "SELECT x FROM log ORDER BY id"),
            "a trigger refuses": ("UPDATE t SET a = -1",),
        },
    ),
    "views over the table": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY})",
            "CREATE VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a",
            "CREATE VIEW w AS SELECT n FROM v",
            "CREATE TRIGGER through INSTEAD OF INSERT ON v BEGIN INSERT INTO t (a) VALUES (new.a); END",
            "INSERT INTO t VALUES (1, 1, 1), (2, 1, 2)",
        ),
        {
            "the views": ("SELECT * FROM v", "SELECT * FROM w"),
            "writing through a view": ("INSERT INTO v (a) VALUES (5)", "SELECT a FROM t ORDER BY id"),
        },
    ),
    "WITHOUT ROWID": Case(
        (
            f"CREATE TABLE t (a TEXT PRIMARY KEY, b INT, {KEY}) WITHOUT ROWID",
            "INSERT INTO t VALUES ('x', 2, 1), ('w', 1, 2)",
        ),
        {"there is no rowid": ("SELECT rowid FROM t",), "a NULL key": ("INSERT INTO t (a) VALUES (NULL)",)},
    ),
    "STRICT": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b ANY, {KEY}) STRICT",
            "INSERT INTO t VALUES (1, 1, '007', 1), (2, 2, 7, 2)",
        ),
        {
            "a text for a number": ("INSERT INTO t (id, a) VALUES (9, 'many')",),
            "a text of digits": ("INSERT INTO t (id, b) VALUES (9, '007')", "SELECT b, typeof(b) FROM t"),
        },
    ),
    "the AUTOINCREMENT high-water mark": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT, {KEY})",
            "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (90, 'gone', 1)",
            "DELETE FROM t WHERE id = 90",
        ),
        {"the next id": ("INSERT INTO t (a) VALUES ('next')", "SELECT max(id) FROM t")},
    ),
    "self-references": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, up INTEGER REFERENCES t (id) ON DELETE CASCADE, {KEY})",
            "INSERT INTO t VALUES (1, NULL, 1), (2, 1, 2), (3, 2, 1)",
        ),
        {
            "a deletion goes down the tree": ("DELETE FROM t WHERE id = 1", "SELECT count(*) FROM t"),
            "an unknown parent": ("INSERT INTO t (id, up) VALUES (9, 77)",),
        },
    ),
    "deferrable keys": Case(
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES owner (id)"
            f" DEFERRABLE INITIALLY DEFERRED, {KEY})",
            "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)",
        ),
        {
            "the child first": (
                "INSERT INTO t (id, boss) VALUES (9, 7)",
                "INSERT INTO owner VALUES (7, 'late')",
                "RELEASE probe",
                "SELECT count(*) FROM t",
            )
        },
    ),
    "ON UPDATE and ON DELETE actions": Case(
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES owner (id) ON UPDATE CASCADE"
            f" ON DELETE SET NULL, {KEY})",
            "INSERT INTO t VALUES (1, 1, 2), (2, 2, 2)",
        ),
        {
            "ON UPDATE": ("UPDATE owner SET id = 5 WHERE id = 1", "SELECT boss FROM t ORDER BY id"),
            "ON DELETE": ("DELETE FROM owner WHERE id = 1", "SELECT boss FROM t ORDER BY id"),
        },
    ),
    "children with rows": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, {KEY})",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER NOT NULL REFERENCES t (id) ON DELETE CASCADE)",
            "CREATE TABLE guest (id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES T (ID) ON DELETE SET NULL)",
            "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
            "INSERT INTO child VALUES (1, 1), (2, 2), (3, 2)",
            "INSERT INTO guest VALUES (1, 1)",
        ),
        {
            "a deletion reaches the children": (
                "DELETE FROM t WHERE id = 1",
                "SELECT t_id FROM child ORDER BY id",
                "SELECT t_id FROM guest",
            ),
            "a child without a parent": ("INSERT INTO child (id, t_id) VALUES (9, 99)",),
        },
    ),
    "comments in the definition": Case(
        (
            "CREATE TABLE t ( -- what ( it is, in short\n  id INTEGER PRIMARY KEY, /* a, b */ a TEXT, -- the a's\n"
            f"  {KEY},\n  b INT /* ) */\n)",
            "INSERT INTO t VALUES (1, 'a', 1, 2), (2, 'b', 2, 3)",
        ),
    ),
    "triggers on other tables": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY})",
            "CREATE TABLE other (id INTEGER PRIMARY KEY, x INT)",
            "CREATE TRIGGER mirror AFTER INSERT ON other BEGIN INSERT INTO t (a) VALUES (new.x); END",
            "INSERT INTO t VALUES (1, 1, 1)",
        ),
        {"the trigger writes": ("INSERT INTO other (x) VALUES (7)", "SELECT a FROM t ORDER BY id")},
    ),
    "names in another letter case": Case(
        (
            "CREATE TABLE Tee (Id INTEGER PRIMARY KEY, Ay TEXT, Owner_ID INTEGER REFERENCES OWNER (ID))",
            "CREATE INDEX Ix ON TEE (AY)",
            "CREATE TRIGGER Tr AFTER INSERT ON TEE BEGIN UPDATE tEE SET aY = upper(AY) WHERE iD = new.ID; END",
            "INSERT INTO tee VALUES (1, 'a', 1), (2, 'b', 2)",
        ),
        {"the trigger fires": ("INSERT INTO tee (id, ay) VALUES (9, 'nine')", "SELECT ay FROM tee ORDER BY id")},
        table="Tee",
        column="Owner_ID",
    ),
    "ON CONFLICT clauses": Case(
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE ON CONFLICT REPLACE,"
            f" b INT NOT NULL ON CONFLICT IGNORE, {KEY})",
            "INSERT INTO t VALUES (1, 'a', 1, 1), (2, 'b', 2, 2)",
        ),
        {
            "REPLACE": ("INSERT INTO t (id, a, b) VALUES (9, 'a', 9)", "SELECT id, a, b FROM t ORDER BY id"),
            "IGNORE": ("INSERT INTO t (id, a, b) VALUES (9, 'z', NULL)", "SELECT id, a, b FROM t ORDER BY id"),
        },
    ),
    "blob and literal defaults with double spaces": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB DEFAULT X'00FF', {KEY},"
            " b TEXT DEFAULT 'two  spaces', c TEXT DEFAULT '-- no comment', d INTEGER DEFAULT -5)",
            "INSERT INTO t (id, owner_id) VALUES (1, 1), (2, 2)",
        ),
        {"the defaults": ("INSERT INTO t (id) VALUES (9)", "SELECT quote(a), b, c, d FROM t WHERE id = 9")},
    ),
    "columns without a type": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a, {KEY})",
            "INSERT INTO t VALUES (1, '007', 1), (2, 7, 2), (3, x'0007', 1), (4, 7.0, 2), (5, '1e3', NULL)",
        ),
        {"a text of digits": ("INSERT INTO t (id, a) VALUES (9, '007')", "SELECT typeof(a), a FROM t WHERE id = 9")},
    ),
    "NUMERIC with integers past 2^53": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a NUMERIC, b DECIMAL(30, 0), {KEY})",
            "INSERT INTO t VALUES (1, 9007199254740993, 9223372036854775807, 1), (2, -9007199254740993, 0.5, 2)",
        ),
        {
            "a new one": (
                "INSERT INTO t (id, a) VALUES (9, '9007199254740995')",
                "SELECT typeof(a), a FROM t WHERE id = 9",
            )
        },
    ),
    "hidden rowids": Case(
        (
            f"CREATE TABLE t (id TEXT PRIMARY KEY, {KEY})",
            "INSERT INTO t (rowid, id, owner_id) VALUES (10, 'a', 1), (20, 'b', 2), (5, 'c', 1)",
        ),
        {"the rowids": ("SELECT rowid, id FROM t ORDER BY id",)},
    ),
    "sqlite_stat1": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, {KEY})",
            "CREATE INDEX t_a ON t (a)",
            "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'b', 2)",
            "ANALYZE",
        ),
    ),
    "the key as a table constraint": Case(
        (
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, owner_id INTEGER,"
            " FOREIGN KEY (owner_id) REFERENCES owner (id) ON DELETE CASCADE)",
            "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2)",
        ),
    ),
    "a row that breaks its table's own CHECK": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT CHECK (a > 0), {KEY})",
            "CREATE TABLE child (id INTEGER PRIMARY KEY, t_id INTEGER NOT NULL REFERENCES t (id) ON DELETE CASCADE)",
            "PRAGMA ignore_check_constraints = ON",
            "INSERT INTO t VALUES (1, 1, 1), (2, -1, 2)",
            "PRAGMA ignore_check_constraints = OFF",
            "INSERT INTO child VALUES (1, 1), (2, 2)",
        ),
        {"the CHECK refuses": ("INSERT INTO t (id, a) VALUES (9, -9)",)},
    ),
    "needed: by a trigger on another table": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY})",
            "CREATE TABLE other (id INTEGER PRIMARY KEY, x INT)",
            "CREATE TRIGGER mirror AFTER INSERT ON other BEGIN INSERT INTO t (a, owner_id) VALUES (new.x, 1); END",
            "INSERT INTO t VALUES (1, 1, 1)",
        ),
        {"writing to the other table": ("INSERT INTO other (x) VALUES (7)", "SELECT a FROM t ORDER BY id")},
        must_refuse=True,
    ),
    "needed: by a view": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY})",
            "CREATE VIEW v AS SELECT a, name FROM t JOIN owner ON owner.id = t.owner_id",
            "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)",
        ),
        {"the view": ("SELECT * FROM v",)},
        must_refuse=True,
    ),
    "needed: by a CHECK of the table": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY}, CHECK (a > 0 OR owner_id IS NULL))",
            "INSERT INTO t VALUES (1, 1, 1), (2, 0, NULL)",
        ),
        must_refuse=True,
    ),
    "needed: by a composite UNIQUE": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY}, UNIQUE (a, owner_id))",
            "INSERT INTO t VALUES (1, 1, 1), (2, 1, 2)",
        ),
        must_refuse=True,
    ),
    "needed: by another index": Case(
        (
            f"CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, {KEY})",
            "CREATE UNIQUE INDEX both_of_them ON t (a, owner_id)",
            "INSERT INTO t VALUES (1, 1, 1), (2, 1, 2)",
        ),
        must_refuse=True,
    ),
}
