"""Copies the schema of a file into memory, without rows and triggers, to compile views and triggers there.

SQLite reads all of sqlite_master after each CREATE statement, so running all statements would take quadratic time.
Instead, sqlite_master is written at once, and SQLite reads it once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from waiaas.ddl.connection import read
from waiaas.ddl.expansion import LARGEST_EXPANSION, expansion, expansions
from waiaas.ddl.schema import StoredObject, is_virtual, stored_objects
from waiaas.ddl.sql import fold, may_contain, tokens, without_argument
from waiaas.ddl.stubs import stub_missing
from waiaas.ddl.untrusted import SCHEMA_LIMITS, lower_limits
from waiaas.errors.driver import sqlite3

if TYPE_CHECKING:
    from peewee import SqliteDatabase

_HELPER = "waiaas_helper"
# The messages of SQLITE_AUTH (https://www.sqlite.org/rescode.html#auth); a name can contain any characters.
_DENIED = re.compile(r"not authorized|access to .+\..+ is prohibited|not authorized to use function: .+", re.DOTALL)


class SchemaCopy(sqlite3.Connection):
    """An in-memory database with the schema of a file, and the sizes of its expanded views."""

    expansions: Mapping[str, int]

    def can_compile(self, sql: str) -> bool:
        """Return whether SQL is small enough to compile after its views are expanded."""
        if not self.expansions and not may_contain(sql, "with") and len(sql) <= LARGEST_EXPANSION:
            return True  # there is nothing to expand, and it has no more names than letters
        return expansion(sql, self.expansions) <= LARGEST_EXPANSION


def schema_copy(
    database: SqliteDatabase,
    shapes: Mapping[str, str] | None = None,
    changes: Sequence[str] = (),
    kept: Collection[str] | None = None,
) -> SchemaCopy:
    """Copy the schema without its triggers into memory.

    `shapes` replaces the definitions of tables (in lower case), or omits a table with "". `changes` are statements to
    run after the tables are created, before the indexes and views. `kept` are the only tables and views to copy.
    """
    new = shapes or {}

    def is_kept(each: StoredObject) -> bool:
        return kept is None or fold(each.table) in kept

    tables = [
        each._replace(sql=new.get(fold(each.name), each.sql))
        for each in filter(is_kept, stored_objects(database, "table"))
        if not fold(each.name).startswith("sqlite_") and new.get(fold(each.name)) != ""
    ]
    others = list(filter(is_kept, [*stored_objects(database, "index"), *stored_objects(database, "view")]))
    automatic = list(filter(is_kept, _automatic_indexes(database)))
    touched = {*new, *(token.name for statement in changes for token in tokens(statement) if token.name)}
    try:
        copy = _loaded(tables, others, automatic, touched, changes)
    except sqlite3.DatabaseError:
        # A single invalid definition, such as one that was edited, makes SQLite refuse all of them.
        copy = _memory()
        # If an object cannot be created (a virtual table of a missing module), its dependents do not compile either.
        for statement in (*(each.sql for each in tables), *changes, *(each.sql for each in others)):
            works(copy, statement)
    copy.expansions = expansions(each for each in others if each.kind == "view")
    return copy


def works(copy: sqlite3.Connection, sql: str) -> bool:
    """Return whether a statement runs, with stubs for functions and collations of the user's program.

    :raises KeyboardInterrupt: if a signal arrived in a callback of SQLite: `sqlite3` ignores exceptions of a callback,
        but an authorizer that allows everything then denies something.
    """
    try:
        copy.execute(sql)
    except sqlite3.Error as error:
        if _DENIED.fullmatch(str(error)):
            raise KeyboardInterrupt from error
        if stub_missing(copy, error) is not None:
            return works(copy, sql)
        if "tokenizer" in str(error) and (plain := without_argument(sql, "tokenize")) != sql:
            return works(copy, plain)
        return False
    return True


def _memory() -> SchemaCopy:
    copy = sqlite3.connect(":memory:", isolation_level=None, factory=SchemaCopy)
    lower_limits(copy, SCHEMA_LIMITS)
    return copy


def _loaded(
    tables: Sequence[StoredObject],
    others: Sequence[StoredObject],
    automatic: Sequence[StoredObject],
    touched: set[str],
    changes: Sequence[str],
) -> SchemaCopy:
    """Return a copy that was loaded at once, except for the objects that must be created one by one."""
    alone = _created_alone(tables, touched)
    together = [each for each in tables if fold(each.name) not in alone]
    automatic = [each for each in automatic if fold(each.table) not in alone]
    indexes = [each for each in others if each.kind == "index" and fold(each.table) not in alone]
    copy = _memory()
    try:
        pages = _Pages(copy, [*automatic, *indexes])
        _load(copy, [(*each[:3], pages.of(each), each.sql or None) for each in (*together, *automatic)])
        for each in tables:
            if fold(each.name) in alone:
                works(copy, each.sql)
        for statement in changes:
            works(copy, statement)
        views = [each for each in others if each.kind == "view"]
        _load(copy, [(*each[:3], pages.of(each), each.sql) for each in (*indexes, *views)])
        for each in others:
            if each.kind == "index" and fold(each.table) in alone:
                works(copy, each.sql)
    except BaseException:
        copy.close()
        raise
    return copy


def _created_alone(tables: Iterable[StoredObject], touched: set[str]) -> set[str]:
    """Return the tables (in lower case) that must be created one by one.

    A virtual table creates its own tables. A changed table may need other indexes, and a WITHOUT ROWID table needs
    another kind of page.
    """
    virtual = tuple(f"{fold(each.name)}_" for each in tables if is_virtual(each.sql))
    return {
        name
        for name, sql in ((fold(each.name), each.sql) for each in tables)
        if name in touched or is_virtual(sql) or name.startswith(virtual) or "rowid" in fold(sql)
    }


def _automatic_indexes(database: SqliteDatabase) -> list[StoredObject]:
    """Return the indexes of PRIMARY KEY and UNIQUE constraints, which have no SQL."""
    rows = read(
        database, "SELECT name, tbl_name FROM main.sqlite_master WHERE type = 'index' AND sql IS NULL ORDER BY rowid"
    )
    return [StoredObject("index", name, table, "") for name, table in rows]


class _Pages:
    """Empty root pages: one for all tables, and one for each index of the same table."""

    def __init__(self, copy: sqlite3.Connection, indexes: Iterable[StoredObject]) -> None:
        """Create as many pages as the table with the most indexes needs, and the table `sqlite_sequence`."""
        most = max(Counter(fold(each.table) for each in indexes).values(), default=0)
        copy.execute(f"CREATE TABLE {_HELPER} (a INTEGER PRIMARY KEY AUTOINCREMENT, b)")
        for number in range(most):
            copy.execute(f"CREATE INDEX {_HELPER}_{number} ON {_HELPER} (b)")
        rows = copy.execute(f"SELECT type, rootpage FROM sqlite_master WHERE tbl_name = '{_HELPER}'").fetchall()
        (self._of_tables,) = (page for kind, page in rows if kind == "table")
        self._of_indexes = [page for kind, page in rows if kind == "index"]
        self._given: Counter[str] = Counter()
        copy.execute("PRAGMA writable_schema = ON")
        copy.execute(f"DELETE FROM sqlite_master WHERE tbl_name = '{_HELPER}'")
        copy.execute("PRAGMA writable_schema = RESET")

    def of(self, stored: StoredObject) -> int:
        """Return the root page of an object; 0 for a view."""
        if stored.kind != "index":
            return self._of_tables if stored.kind == "table" else 0
        table = fold(stored.table)
        self._given[table] += 1
        return int(self._of_indexes[self._given[table] - 1])


def _load(copy: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows into sqlite_master and make SQLite read it (https://www.sqlite.org/pragma.html)."""
    copy.execute("PRAGMA writable_schema = ON")
    copy.executemany("INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES (?, ?, ?, ?, ?)", rows)
    copy.execute("PRAGMA writable_schema = RESET")
    copy.execute("SELECT 1 FROM sqlite_master").fetchone()
