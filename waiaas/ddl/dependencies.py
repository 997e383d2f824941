"""Finds the objects that depend on a column or on the shape of a table: indexes, triggers, views, constraints.

SQLite does not report them, and its DROP COLUMN does not check triggers on other tables. So the schema is copied
without rows into memory, and each view and trigger is compiled there: SQLite's authorizer reports every column that it
reads (https://www.sqlite.org/c3ref/set_authorizer.html). It is compiled again in a copy with the new shape of the
table, in which it may no longer compile.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from waiaas.ddl.schema import (
    StoredObject,
    Table,
    check_clauses,
    children,
    foreign_key_clauses,
    may_name,
    stored_objects,
    virtual_tables,
)
from waiaas.ddl.schema_copy import SchemaCopy, schema_copy, works
from waiaas.ddl.sql import CreateTable, Item, Token, after_on, fold, names, quote, tokens, unquote
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3

if TYPE_CHECKING:
    from peewee import SqliteDatabase


# Instructions that contain the SQL text or the schema cookie, and do no work.
_ABOUT_THE_FILE = ("Init", "Trace", "Transaction")
# The address of a virtual table in memory.
_ADDRESS = re.compile(r"vtab:\w+")


class Dependent(NamedTuple):
    """A dependent object: its kind (index, trigger, view, constraint, foreign key) and its name."""

    kind: str
    name: str

    def refusal(self, table: str, column: str) -> WAIaaSError:
        """Return the refusal (`dependent_object`) to change a column (`*`: the table) that this depends on."""
        return refusal("dependent_object", kind=self.kind, name=self.name, table=table, column=column)

    def refusal_of_name(self, table: str, column: str) -> WAIaaSError:
        """Return the refusal (`name_taken`) of a new name that would change the meaning of this object."""
        return refusal("name_taken", kind=self.kind, name=self.name, table=table, column=column)

    def refusal_of_table(self, table: str) -> WAIaaSError:
        """Return the refusal (`dependent_on_table`) to drop a table that this depends on."""
        return refusal("dependent_on_table", kind=self.kind, name=self.name, table=table)


class _Compiled(NamedTuple):
    """Whether a stored object compiles, and the columns (in lower case) that it reads or writes."""

    works: bool
    columns: frozenset[tuple[str, str]]


def dependents(
    database: SqliteDatabase, table: Table, column: str, dropped_indexes: Collection[str]
) -> list[Dependent]:
    """Return the objects that would break, or change their meaning, without a column.

    `dropped_indexes` are dropped with the column, and so are its own CHECK and REFERENCES, and a table constraint that
    is a foreign key of this column alone.
    """
    gone = {fold(name) for name in dropped_indexes}
    found = [*_constraints(table, column), *_foreign_keys_to(database, table, column)]
    found += [
        Dependent("index", index.name)
        for index in table.indexes
        if index.sql
        and fold(index.name) not in gone
        and (names(after_on(index.sql), column) or fold(column) in map(fold, filter(None, index.columns)))
    ]
    found += virtual_tables_over(database, table.name, column)
    # If a constraint needs the column, the copy has no such table, and everything that uses it would seem to break.
    if not any(dependent.kind == "constraint" for dependent in found):
        shape = without_column(table.definition, column).sql
        found += _broken_by(database, table, column, shape)
    return found


def dependents_on_table(database: SqliteDatabase, table: Table, known: Table) -> list[Dependent]:
    """Return what would be lost with a table, except for what `known`, the expected table, has."""
    found = [Dependent("column", c.name) for c in table.columns if known.column(c.name) is None]
    found += [Dependent("index", i.name) for i in table.indexes if i.sql and known.index(i.name) is None]
    found += virtual_tables_over(database, table.name)
    found += [Dependent("foreign key", child) for child in children(database, table.name) if child != table.name]
    with closing(schema_copy(database)) as now, closing(schema_copy(database, {fold(table.name): ""})) as then:
        for stored in stored_objects(database, "view", "trigger"):
            on_it = fold(stored.table) == fold(table.name)
            if on_it or (_compile(now, stored).works and not _compile(then, stored).works):
                found.append(Dependent(stored.kind, stored.name))
    return found


def virtual_tables_over(database: SqliteDatabase, table: str, *columns: str) -> list[Dependent]:
    """Return the virtual tables whose definition, such as FTS5's `content='…'`, names a table and one of the columns.

    Without columns, the name of the table is sufficient.
    """
    return [
        Dependent("virtual table", stored.name)
        for stored in virtual_tables(database)
        if is_over(stored.sql, table, columns)
    ]


def is_over(sql: str, table: str, columns: Collection[str]) -> bool:
    """Return whether the definition of a virtual table names a table and, if columns are given, one of them."""
    named = {fold(unquote(token.text)) for token in tokens(sql)}
    return fold(table) in named and (not columns or any(fold(column) in named for column in columns))


def without_column(definition: CreateTable, column: str) -> CreateTable:
    """Return a definition without a column and without the table-level foreign key of that column alone."""
    for item in foreign_keys_of(definition, column):
        definition = definition.without(item)
    return definition.without(definition.column(column))


def foreign_keys_of(definition: CreateTable, column: str) -> list[Item]:
    """Return the table constraints that are only a foreign key of one column, last one first."""
    return [item for item in reversed(definition.items) if _is_foreign_key_of(definition, item, column)]


def objects_over(database: SqliteDatabase, table: str) -> list[StoredObject]:
    """Return the views and triggers that may use a table: their SQL contains its name, or that of a view over it."""
    stored = [(each, fold(each.sql)) for each in stored_objects(database, "view", "trigger")]
    reached, new = {fold(table)}, {fold(table)}
    while new:
        named = [each for each, sql in stored if each.kind == "view" and may_name(sql, new)]
        new = {fold(each.name) for each in named} - reached
        reached |= new
    return [each for each, sql in stored if fold(each.table) in reached or may_name(sql, reached)]


def _named_by(database: SqliteDatabase, objects: list[StoredObject]) -> set[str]:
    """Return the tables and views (in lower case) that views and triggers can name, also through other views."""
    there = {fold(each.name): each for each in stored_objects(database, "table", "view")}
    named: set[str] = set()
    texts = [fold(each.sql) for each in objects]
    while texts:
        text = texts.pop()
        new = {name for name in there.keys() - named if may_name(text, [name])}
        named |= new
        texts += [fold(there[name].sql) for name in new if there[name].kind == "view"]
    return named


def broken_objects(database: SqliteDatabase, table: str | None = None) -> set[Dependent]:
    """Return the views and triggers, of a table or of the whole schema, that do not compile."""
    compiled = stored_objects(database, "view", "trigger") if table is None else objects_over(database, table)
    if not compiled:
        return set()
    with closing(schema_copy(database)) as copy:
        return {Dependent(stored.kind, stored.name) for stored in compiled if not _compile(copy, stored).works}


def _broken_by(database: SqliteDatabase, table: Table, column: str, shape: str) -> Iterator[Dependent]:
    compiled = objects_over(database, table.name)
    if not compiled:
        return
    kept = _named_by(database, compiled)
    changed = {fold(table.name): shape}
    with closing(schema_copy(database, kept=kept)) as now, closing(schema_copy(database, changed, kept=kept)) as then:
        for stored in compiled:
            before = _compile(now, stored)
            reads = (fold(table.name), fold(column)) in before.columns
            # SQLite's authorizer does not report the columns that a NATURAL JOIN compares.
            joins = names(stored.sql, "natural") and names(stored.sql, table.name)
            breaks = before.works and not _compile(then, stored).works
            # SQLite accepts an unknown column in UPDATE OF.
            is_for_it = stored.kind == "trigger" and fold(column) in _update_of(stored)
            fires = is_for_it and fold(stored.table) == fold(table.name)
            # If it cannot be compiled here (it may need a virtual table of a missing module), its SQL is searched.
            may_read = not before.works and names(stored.sql, table.name) and names(stored.sql, column)
            if reads or joins or breaks or fires or may_read:
                yield Dependent(stored.kind, stored.name)


def _constraints(table: Table, column: str) -> Iterator[Dependent]:
    """Yield table constraints, and clauses of other columns, that name the column; and a key that it is part of."""
    definition = table.definition
    for item in definition.items:
        own = item.kind == "column" and item.name == fold(column)
        if own and any(token.is_word("primary", "unique") for token in item.tokens):
            yield Dependent("constraint", f"PRIMARY KEY or UNIQUE of column {column}")
        elif own:
            others = table.column_names - {fold(column)}
            for clause in check_clauses(definition):
                if clause.column == fold(column) and any(token.name in others for token in tokens(clause.expression)):
                    yield Dependent("constraint", f"CHECK ({clause.expression})")
        elif not own and not _is_foreign_key_of(definition, item, column):
            clauses = item.tokens[1:] if item.kind == "column" else item.tokens
            if any(token.name == fold(column) for token in _without_parents(clauses)):
                yield Dependent("constraint", definition.sql[item.start : item.end])


def _without_parents(clauses: tuple[Token, ...]) -> list[Token]:
    """Skip the names after REFERENCES, which belong to another table, and the names of constraints."""
    kept, skipping = [], False
    for previous, token in zip((None, *clauses), clauses, strict=False):
        if previous is not None and previous.is_word("constraint"):
            continue  # the name of the constraint
        if previous is not None and previous.is_word("references"):
            skipping = True
        elif skipping and token.text not in "(,)" and previous is not None and previous.text not in "(,":
            skipping = False
        if not skipping:
            kept.append(token)
    return kept


def _is_foreign_key_of(definition: CreateTable, item: Item, column: str) -> bool:
    if item.kind != "constraint" or not any(token.is_word("foreign") for token in item.tokens):
        return False
    alone = [clause.columns for clause in foreign_key_clauses(definition) if clause.parent in item.tokens]
    others = any(token.is_word("check", "unique", "primary") for token in item.tokens)
    return alone == [(fold(column),)] and not others


def _foreign_keys_to(database: SqliteDatabase, table: Table, column: str) -> Iterator[Dependent]:
    for child, keys in children(database, table.name).items():
        for key in keys:
            if any(name is not None and fold(name) == fold(column) for name in key.parent_columns):
                yield Dependent("foreign key", f"{child}.{', '.join(key.columns)}")


def fires_on(trigger: StoredObject, table: Table, event: str, column: str | None = None) -> bool:
    """Return whether a trigger fires on an event of a table (`insert`, `update`, `delete`) or of one column."""
    of = _update_of(trigger)
    is_on_it = fold(trigger.table) == fold(table.name) and _event_of(trigger) == event
    return is_on_it and (not of or column is None or fold(column) in of)


def _event_of(trigger: StoredObject) -> str:
    return fold(next(token.text for token in tokens(trigger.sql) if token.is_word("insert", "update", "delete")))


def _update_of(trigger: StoredObject) -> set[str | None]:
    """Return the names between UPDATE OF and ON in a trigger."""
    words = list(tokens(trigger.sql))
    on = next(i for i, token in enumerate(words) if token.is_word("on"))
    of = next(
        (i for i, token in enumerate(words[:on]) if token.is_word("of") and not words[i - 1].is_word("instead")), on
    )
    return {token.name for token in words[of:on]}


def _compile(copy: SchemaCopy, stored: StoredObject) -> _Compiled:
    """Compile a view or trigger in a copy of the schema, and record the columns that it reads and writes."""
    if not copy.can_compile(stored.sql):
        return _Compiled(False, frozenset())
    seen: set[tuple[str, str]] = set()

    def note(action: int, table: str | None, column: str | None, _: str | None, source: str | None) -> int:
        if action in (sqlite3.SQLITE_READ, sqlite3.SQLITE_UPDATE) and source == stored.name and table and column:
            seen.add((fold(table), fold(column)))
        return sqlite3.SQLITE_OK

    if stored.kind == "trigger" and not works(copy, _temporary(stored)):
        return _Compiled(False, frozenset())
    copy.set_authorizer(note)
    try:
        compiles = works(copy, "EXPLAIN " + statement_using(copy, stored))
    except sqlite3.Error:  # a trigger on a view that does not compile
        compiles = False
    finally:
        copy.set_authorizer(_allow_all)
        if stored.kind == "trigger":
            copy.execute(f"DROP TRIGGER temp.{quote(stored.name)}")
    return _Compiled(compiles, frozenset(seen))


def _temporary(trigger: StoredObject) -> str:
    """Return the SQL of a temporary trigger: creating it makes SQLite read only the temporary schema again."""
    return f"CREATE TEMP TRIGGER {trigger.sql.removeprefix('CREATE TRIGGER ')}"


def compiles(copy: SchemaCopy, stored: StoredObject) -> bool:
    """Return whether a view or trigger compiles in a copy of the schema."""
    return _compile(copy, stored).works


def program(copy: SchemaCopy, stored: StoredObject) -> list[object] | None:
    """Return the names of the columns and the bytecode of a view or trigger; None if it does not compile."""
    if not compiles(copy, stored):
        return None
    if stored.kind == "trigger":
        copy.execute(_temporary(stored))
    rows = copy.execute("EXPLAIN " + statement_using(copy, stored)).fetchall()
    columns = [name for _, name, *_ in copy.execute(f"PRAGMA table_info({quote(stored.name)})").fetchall()]
    if stored.kind == "trigger":
        copy.execute(f"DROP TRIGGER temp.{quote(stored.name)}")
    # The last column is a comment.
    steps = [
        (code, *numbers, _ADDRESS.sub("", str(text)), flags)
        for _, code, *numbers, text, flags, _ in rows
        if code not in _ABOUT_THE_FILE
    ]
    return [columns, *steps]


def _allow_all(*_: object) -> int:
    # Python 3.10 cannot remove an authorizer (set_authorizer(None) denies everything there).
    return sqlite3.SQLITE_OK


def statement_using(copy: SchemaCopy, stored: StoredObject) -> str:
    """Return a statement that makes SQLite compile a view, or the whole body of a trigger."""
    name = quote(stored.table)
    if stored.kind == "view":
        return f"SELECT * FROM {quote(stored.name)}"
    columns = [
        quote(column)
        for _, column, *_, hidden in copy.execute(f"PRAGMA table_xinfo({name})").fetchall()
        if hidden == 0
    ]
    return {
        "insert": f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join('NULL' for _ in columns)})",
        "update": f"UPDATE {name} SET {', '.join(f'{column} = NULL' for column in columns)}",
        "delete": f"DELETE FROM {name}",
    }[_event_of(stored)]
