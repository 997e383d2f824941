"""What would still compile, but mean another thing, when a table or column gets a new name or place.

SQLite resolves names again each time that it compiles a view or trigger. A text in double quotes is a string only as
long as no column has that name (https://www.sqlite.org/quirks.html#double_quoted_string_literals_are_accepted), a
subquery finds a name in its own tables before it finds it outside, NATURAL JOIN compares the columns that happen to
have the same name, and `SELECT *` and an INSERT without a column list go by position. So the schema is copied twice,
without rows: once with the new name and once with a name that is not used. An object whose programs differ
(https://www.sqlite.org/lang_explain.html) has taken the new name for something else.
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

# A name that is not used.
_UNUSED = "waiaas_unused_{}"
_OBJECT_IN_ERROR = re.compile(r"error in (view|trigger|index|table) (.+?)(?: after [\w ]+)?: ")


def taken_by_new_columns(
    database: SqliteDatabase,
    table: Table,
    columns: Sequence[str],
    shapes: Mapping[str, str],
    changes: Sequence[str] = (),
) -> list[Dependent]:
    """Return the views and triggers that would read new columns of a table instead of what they read now.

    `shapes` and `changes` make the table with its new columns in a copy of the schema.
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


def texts_taken_by_new_columns(
    table: Table, columns: Collection[str], kept: CreateTable | None = None
) -> Iterator[Dependent]:
    """Yield the indexes, CHECKs and generated columns of a table in which a text would become a new column.

    No name in them could have meant anything but a text in double quotes. `kept` is the table's new definition, if it
    gets one: what is no longer in it does not count.
    """
    wanted = {fold(column) for column in columns}
    for index in table.indexes:
        if index.sql and _holds_text(after_on(index.sql), wanted):
            yield Dependent("index", index.name)
    still_there = {canonical(clause.expression) for clause in expressions(kept or table.definition)}
    for clause in expressions(table.definition):
        if canonical(clause.expression) in still_there and _holds_text(clause.expression, wanted):
            yield Dependent("constraint", clause.expression)


def _holds_text(sql: str, wanted: Collection[str]) -> bool:
    before = ""
    for token in tokens(sql):
        if token.text.startswith('"') and token.name in wanted and fold(before) != "collate":
            return True
        before = token.text
    return False


def taken_by_rename(database: SqliteDatabase, table: str, name: str, rename: Callable[[str], str]) -> list[Dependent]:
    """Return the views and triggers that would take a new name of a table or column for something else.

    `rename` makes the ALTER TABLE statement for a name.
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

    `change` makes a copy of the schema after the change of a table, or of some of its columns. SQLite does not check
    whether a virtual table finds what its definition names; reading it in the copy does. If its module is missing
    here, its text decides.
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
    """The columns of a virtual table that can be read in a copy; None for one that cannot."""
    try:
        return [name for name, *_ in copy.execute(f"SELECT * FROM {quote(stored.name)}").description]
    except sqlite3.Error:
        return None


def dependent_on_order(database: SqliteDatabase, shapes: Mapping[str, str], table: str) -> list[Dependent]:
    """Return the views and triggers that use columns of a table by their number, and so depend on their order.

    One more column breaks an INSERT without a column list, and `SELECT *` wherever it must have as many columns as
    something else. Only ORDER BY and GROUP BY take a column of `SELECT *` by its number alone.
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
    """Return whether the columns of a new definition are anything but the old ones with others after them."""
    before = [fold(column.name) for column in old.columns]
    after = [item.name for item in new.items if item.kind == "column"]
    return after[: len(before)] != before


def object_in(error: Exception) -> Dependent | None:
    """Return the object at which SQLite's ALTER TABLE stopped, by its message; None for another error."""
    found = _OBJECT_IN_ERROR.match(str(error))
    return Dependent(found[1], found[2]) if found else None


def _objects_naming(database: SqliteDatabase, table: str, *new_names: str) -> list[StoredObject]:
    """The views and triggers over a table whose text has one of some names in it, or a NATURAL JOIN."""
    return [
        each
        for each in objects_over(database, table)
        if any(names(each.sql, name) for name in (*new_names, "natural"))
    ]


def _differ(before: list[object] | None, after: list[object] | None, unused: Mapping[str, str]) -> bool:
    """Whether two programs differ in more than the names that were given to columns or tables.

    What does not compile is broken, which is checked elsewhere.
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
    """Copy the schema into memory and change a table there by ALTER TABLE; return the views and triggers over it too.

    What does not compile, at which ALTER TABLE would stop, is left out, and so is what has nothing to do with the
    table. The triggers are not in the copy itself, so that each can be compiled alone.
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
