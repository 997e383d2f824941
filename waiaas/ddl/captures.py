"""Name capture: views and triggers that still compile after a rename or a new column, but with another meaning.

SQLite resolves names each time it compiles a view or trigger. A double-quoted token is a string only while no column
has that name (https://www.sqlite.org/quirks.html#double_quoted_string_literals_are_accepted), a subquery resolves a
name in its own tables first, NATURAL JOIN compares all columns with the same name, and `SELECT *` and an INSERT
without a column list depend on the order of columns. So the schema is copied twice without rows, once with the new
name and once with an unused name. If the bytecode of an object differs (https://www.sqlite.org/lang_explain.html), it
captures the new name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from waiaas.ddl.dependencies import Dependent, compiles, is_over, objects_over, program
from waiaas.ddl.schema import StoredObject, Table, canonical, expressions, virtual_tables
from waiaas.ddl.schema_copy import SchemaCopy, schema_copy, works
from waiaas.ddl.sql import CreateTable, after_on, fold, names, quote, tokens
from waiaas.errors.driver import sqlite3

if TYPE_CHECKING:
    from peewee import SqliteDatabase

_UNUSED = "waiaas_unused_{}"
_OBJECT_IN_ERROR = re.compile(r"error in (view|trigger|index|table) (.+?)(?: after [\w ]+)?: ")


def captured_by_new_columns(
    database: SqliteDatabase,
    table: Table,
    columns: Sequence[str],
    shapes: Mapping[str, str],
    changes: Sequence[str] = (),
) -> list[Dependent]:
    """Return the views and triggers in which a name would resolve to a new column.

    `shapes` and `changes` add the new columns in a copy of the schema.
    """
    suspects = _objects_naming(database, table.name, *columns) if columns else []
    if not suspects:
        return []
    unused = {column: _UNUSED.format(number) for number, column in enumerate(columns)}
    renames = [
        f"ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(column)} TO {name}" for column, name in unused.items()
    ]
    with (
        closing(schema_copy(database, shapes, changes)) as named,
        closing(schema_copy(database, shapes, [*changes, *renames])) as unnamed,
    ):
        return [
            Dependent(each.kind, each.name)
            for each in suspects
            if _differ(program(unnamed, each), program(named, each), unused)
        ]


def strings_captured_by_new_columns(
    table: Table, columns: Collection[str], kept: CreateTable | None = None
) -> Iterator[Dependent]:
    """Yield the indexes, CHECKs and generated columns in which a double-quoted string would become a new column.

    `kept` is the new definition of the table, if there is one: expressions that it no longer has are skipped.
    """
    wanted = {fold(column) for column in columns}
    for index in table.indexes:
        if index.sql and _has_string(after_on(index.sql), wanted):
            yield Dependent("index", index.name)
    still_there = {canonical(clause.expression) for clause in expressions(kept or table.definition)}
    for clause in expressions(table.definition):
        if canonical(clause.expression) in still_there and _has_string(clause.expression, wanted):
            yield Dependent("constraint", clause.expression)


def _has_string(sql: str, wanted: Collection[str]) -> bool:
    before = ""
    for token in tokens(sql):
        if token.text.startswith('"') and token.name in wanted and fold(before) != "collate":
            return True
        before = token.text
    return False


def captured_by_rename(
    database: SqliteDatabase, table: str, name: str, rename: Callable[[str], str]
) -> list[Dependent]:
    """Return the views and triggers in which the new name of a table or column would capture another name.

    `rename` returns the ALTER TABLE statement for a name.
    """
    suspects = _objects_naming(database, table, name)
    if not suspects:
        return []
    unused = _UNUSED.format(0)
    named, named_objects = altered_copy(database, table, rename(name))
    unnamed, unnamed_objects = altered_copy(database, table, rename(unused))
    with closing(named), closing(unnamed):
        return [
            Dependent(each.kind, each.name)
            for each in suspects
            if _differ(
                _program_in(unnamed, unnamed_objects, each), _program_in(named, named_objects, each), {name: unused}
            )
        ]


def broken_virtual_tables(
    database: SqliteDatabase, change: Callable[[], SchemaCopy], table: str, columns: Collection[str] = ()
) -> list[Dependent]:
    """Return the virtual tables that a change would break, such as an FTS5 table with `content='…'`.

    `change` returns a copy of the schema after a change of the table, or of some of its columns. SQLite does not check
    whether the names in the definition of a virtual table exist; reading it in the copy does. If its module is not
    available here, its SQL text is searched for the names.
    """
    stored = virtual_tables(database)
    if not stored:
        return []
    with closing(schema_copy(database)) as now, closing(change()) as changed:
        return [
            Dependent("virtual table", each.name)
            for each in stored
            if (
                is_over(each.sql, table, columns)
                if (before := _columns(now, each)) is None
                else _columns(changed, each) != before
            )
        ]


def _columns(copy: SchemaCopy, stored: StoredObject) -> list[str] | None:
    """Return the columns of a virtual table, or None if it cannot be read in the copy."""
    try:
        return [name for name, *_ in copy.execute(f"SELECT * FROM {quote(stored.name)}").description]
    except sqlite3.Error:
        return None


def dependent_on_order(database: SqliteDatabase, shapes: Mapping[str, str], table: str) -> list[Dependent]:
    """Return the views and triggers that depend on the order of the columns of a table.

    An additional column breaks an INSERT without a column list, and `SELECT *` where the number of columns is fixed.
    Only ORDER BY and GROUP BY can refer to a column of `SELECT *` by number.
    """
    stored = objects_over(database, table)
    if not stored:
        return []
    more = f"ALTER TABLE {quote(table)} ADD COLUMN {_UNUSED.format(0)}"
    with closing(schema_copy(database, shapes)) as copy, closing(schema_copy(database, shapes, [more])) as wider:
        return [
            Dependent(each.kind, each.name)
            for each in stored
            if compiles(copy, each) and (not compiles(wider, each) or _orders_by_number(copy, wider, each))
        ]


def _orders_by_number(copy: SchemaCopy, wider: SchemaCopy, stored: StoredObject) -> bool:
    pairs = list(itertools.pairwise(tokens(stored.sql)))
    by_number = any(word.is_word("by") and after.kind == "number" for word, after in pairs)
    takes_all = any(
        after.text == "*" and (before.text in (",", ".") or before.is_word("select", "distinct", "all"))
        for before, after in pairs
    )
    return by_number and takes_all and program(copy, stored) != program(wider, stored)


def is_reordered(old: Table, new: CreateTable) -> bool:
    """Return whether a new definition does more to the columns than add some after the old ones."""
    before = [fold(column.name) for column in old.columns]
    after = [item.name for item in new.items if item.kind == "column"]
    return after[: len(before)] != before


def object_in(error: Exception) -> Dependent | None:
    """Return the object that SQLite's ALTER TABLE names in its error message; None for another error."""
    found = _OBJECT_IN_ERROR.match(str(error))
    return Dependent(found[1], found[2]) if found else None


def _objects_naming(database: SqliteDatabase, table: str, *new_names: str) -> list[StoredObject]:
    """Return the views and triggers over a table whose SQL contains one of some names, or a NATURAL JOIN."""
    return [
        each
        for each in objects_over(database, table)
        if any(names(each.sql, name) for name in (*new_names, "natural"))
    ]


def _differ(before: list[object] | None, after: list[object] | None, unused: Mapping[str, str]) -> bool:
    """Return whether two programs differ in more than the renamed columns or tables.

    An object that does not compile is broken, which is checked elsewhere.
    """
    if before is None or after is None:
        return False
    texts = [repr(before), repr(after)]
    for name, other in unused.items():
        texts = [fold(text).replace(other, fold(name)) for text in texts]
    return texts[0] != texts[1]


def altered_copy(
    database: SqliteDatabase, table: str, statement: str
) -> tuple[SchemaCopy, dict[Dependent, StoredObject]]:
    """Run ALTER TABLE in a copy of the schema; return the copy, and the altered views and triggers over the table.

    Unrelated objects are left out, and so are those that do not compile, because ALTER TABLE would stop at them. The
    triggers are dropped from the copy, so that each can be compiled alone.
    """
    copy = schema_copy(database)
    stored = objects_over(database, table)
    views = [each.name for each in stored if each.kind == "view"]
    copy.execute("PRAGMA writable_schema = ON")
    copy.execute(
        f"DELETE FROM sqlite_master WHERE type = 'view' AND name NOT IN ({', '.join('?' for _ in views)})", views
    )
    copy.execute("PRAGMA writable_schema = RESET")
    working = [each for each in stored if compiles(copy, each)]
    for each in stored:
        if each.kind == "view" and each not in working:
            works(copy, f"DROP VIEW {quote(each.name)}")
    for each in working:
        if each.kind == "trigger":
            works(copy, each.sql)
    works(copy, statement)
    rows = copy.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('view', 'trigger')")
    objects = {Dependent(row[0], row[1]): StoredObject(*row) for row in rows.fetchall()}
    for each in objects.values():
        if each.kind == "trigger":
            works(copy, f"DROP TRIGGER {quote(each.name)}")
    return copy, objects


def _program_in(
    copy: SchemaCopy, objects: Mapping[Dependent, StoredObject], stored: StoredObject
) -> list[object] | None:
    found = objects.get(Dependent(stored.kind, stored.name))
    return program(copy, found) if found else None
