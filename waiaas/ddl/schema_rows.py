"""Checks that sqlite_master contains only rows that SQLite itself writes.

A program that has set `writable_schema` can write anything into that table
(https://www.sqlite.org/pragma.html#pragma_writable_schema). SQLite still opens many such files, but ALTER TABLE finds
its rows by `tbl_name` and misses different ones: it then changes the rows of a table but not its definition. The rules
are those of https://www.sqlite.org/schematab.html.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from peewee import SqliteDatabase

from waiaas.ddl.connection import read
from waiaas.ddl.sql import Token, fold, tokens, unquote
from waiaas.errors import refusal
from waiaas.paths import file_of

# How SQLite starts the SQL that it stores for each kind of object (sqlite3EndTable and others in its build.c).
_BEGINNINGS = {
    "table": ("CREATE TABLE ", "CREATE VIRTUAL TABLE "),
    "index": ("CREATE INDEX ", "CREATE UNIQUE INDEX "),
    "view": ("CREATE VIEW ",),
    "trigger": ("CREATE TRIGGER ",),
}
# SQLite's internal tables; their prefix is reserved.
_INTERNAL_TABLES = frozenset({"sqlite_sequence", "sqlite_stat1", "sqlite_stat2", "sqlite_stat3", "sqlite_stat4"})
_INTERNAL, _AUTOMATIC = "sqlite_", "sqlite_autoindex_"
_COLUMNS = ("type", "name", "tbl_name", "sql")


class _Row(NamedTuple):
    """A row of sqlite_master whose values have valid types."""

    kind: str
    name: str
    table: str
    root: int
    sql: str | None

    @property
    def has_pages(self) -> bool:
        return self.kind in ("table", "index") and not (self.sql or "").startswith("CREATE VIRTUAL")


class _StrangeRowError(Exception):
    """A row that SQLite does not write; the message gives the reason."""


def refuse_strange_rows(database: SqliteDatabase) -> None:
    """Refuse (`strange_schema`) a database with a row in sqlite_master that SQLite itself would not write.

    Values are read as bytes, because a name that is not UTF-8 is also refused.
    """
    ((encoding,),) = read(database, "PRAGMA encoding")
    ((page_count,),) = read(database, "PRAGMA page_count")
    columns = ", ".join(f"typeof({name}), CAST({name} AS BLOB)" for name in _COLUMNS)
    stored = read(
        database, f"SELECT {columns}, CASE typeof(rootpage) WHEN 'integer' THEN rootpage END FROM main.sqlite_master"
    )
    try:
        rows = [_row(values, encoding) for values in stored]
        _refuse_duplicate_names(rows)
        tables = {fold(row.name): row for row in rows if row.kind in ("table", "view")}
        for row in rows:
            _refuse_other_table(row, tables)
        _refuse_wrong_pages(rows, page_count)
    except _StrangeRowError as error:
        raise refusal("strange_schema", path=file_of(database), problem=str(error)) from None


# The rows are checked again under the lock, where most are the same.
@lru_cache(maxsize=512)
def _row(values: tuple[object, ...], encoding: str) -> _Row:
    *texts, root = values
    decoded = [_text(column, texts[2 * i], texts[2 * i + 1], encoding) for i, column in enumerate(_COLUMNS)]
    kind, name, table, sql = decoded
    where = f"the row of {kind} {name}"
    if kind not in _BEGINNINGS:
        raise _StrangeRowError(f"the row of {name} has the type {kind!r}")
    if name is None or table is None:
        raise _StrangeRowError(f"{where} has no name or no table")
    if not isinstance(root, int):
        raise _StrangeRowError(f"{where} has a page number that is not an integer")
    if sql is None and not (kind == "index" and fold(name).startswith(f"{_AUTOMATIC}{fold(table)}_")):
        raise _StrangeRowError(f"{where} has no SQL")
    if sql is not None:
        _refuse_other_text(kind, name, table, sql)
    return _Row(kind, name, table, root, sql)


def _text(column: str, storage: object, value: object, encoding: str) -> str | None:
    if storage == "null":
        return None
    if storage != "text" or not isinstance(value, bytes):
        raise _StrangeRowError(f"a value of the column {column} is a {storage}, not text: {value!r:.80}")
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError:
        raise _StrangeRowError(f"a value of the column {column} is not valid {encoding} text: {value!r:.80}") from None
    if "\0" in text:
        raise _StrangeRowError(f"a value of the column {column} contains a NUL character: {text!r:.80}")
    return text


def _refuse_other_text(kind: str, name: str, table: str, sql: str) -> None:
    """Refuse SQL that does not define the object that the row names."""
    where = f"the row of {kind} {name}"
    if not sql.startswith(_BEGINNINGS[kind]):
        raise _StrangeRowError(f"{where} has SQL that defines something else: {sql!r:.80}")
    words = tokens(sql)
    for word in words:
        if word.is_word(kind):
            break
    if _next_name(words) != fold(name):
        raise _StrangeRowError(f"{where} has SQL with another name: {sql!r:.80}")
    if kind in ("index", "trigger"):
        for word in words:
            if word.is_word("on"):
                break
        if _next_name(words) != fold(table):
            raise _StrangeRowError(f"{where} has SQL for a table other than {table}: {sql!r:.80}")
    internal = fold(name).startswith(_INTERNAL)
    if internal and not (kind == "table" and fold(name) in _INTERNAL_TABLES):
        raise _StrangeRowError(f"{where} has a name that is reserved for SQLite")


def _next_name(words: Iterator[Token]) -> str | None:
    token = next(words, None)
    return None if token is None else fold(unquote(token.text))


def _refuse_duplicate_names(rows: list[_Row]) -> None:
    """Refuse duplicate names; triggers have a separate namespace."""
    seen: set[tuple[bool, str]] = set()
    for row in rows:
        key = (row.kind == "trigger", fold(row.name))
        if key in seen:
            raise _StrangeRowError(f"there are two rows with the name {row.name}")
        seen.add(key)


def _refuse_other_table(row: _Row, tables: dict[str, _Row]) -> None:
    if row.kind in ("table", "view"):
        if row.table != row.name:
            raise _StrangeRowError(f"the row of {row.kind} {row.name} names the table {row.table}")
    elif fold(row.table) not in tables:
        raise _StrangeRowError(f"the row of {row.kind} {row.name} names a missing table: {row.table}")


def _refuse_wrong_pages(rows: list[_Row], page_count: int) -> None:
    """Refuse shared or invalid root pages: only tables and indexes have one, and page 1 is sqlite_master's."""
    roots = sorted((row.root, row.name) for row in rows if row.has_pages)
    for (root, name), (other, other_name) in itertools.pairwise(roots):
        if root == other:
            raise _StrangeRowError(f"{name} and {other_name} have the same page {root}")
    for row in rows:
        if row.has_pages != (row.root != 0) or not 0 <= row.root <= page_count or row.root == 1:
            raise _StrangeRowError(f"the row of {row.kind} {row.name} has the page {row.root}")
