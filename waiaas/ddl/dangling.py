"""Foreign keys that name a table which does not exist, and the table that they belong to.

A rename keeps foreign keys pointing at the renamed table. A tool that then drops it leaves them on a name that no
longer exists, and SQLite does not say so before the next row is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from waiaas.ddl.schema import ForeignKey, Table
from waiaas.ddl.sql import fold, quote

if TYPE_CHECKING:
    from peewee import SqliteDatabase

_BETWEEN_WORDS = re.compile(r"[\W_]+")


def belongs_to(
    database: SqliteDatabase, child: Table, key: ForeignKey, parent: Table, tables: Sequence[Table]
) -> bool:
    """Tell whether a dangling foreign key must once have named a table.

    Its name says so if it is that of the table with something before or after it (`u__old`, `_alembic_tmp_u`), and not
    more like that of another table. Any other name is judged by the rows: there must be some, each of them must refer
    to a row of this table, and no other table may fit them as well.
    """
    if not _referenced(parent, key):
        return False
    named = [table for table in tables if _is_part(_words(table.name), _words(key.parent))]
    if named:
        return max(named, key=lambda table: len(_words(table.name))).name == parent.name
    return [table.name for table in tables if _fits(database, child, key, table)] == [parent.name]


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(fold(name)) if word]


def _is_part(words: Sequence[str], of: Sequence[str]) -> bool:
    return any(of[start : start + len(words)] == words for start in range(len(of) - len(words) + 1))


def _referenced(parent: Table, key: ForeignKey) -> list[str] | None:
    """The columns that the key refers to, if they are a key of the table; else None."""
    primary = [column.name for column in sorted(parent.columns, key=lambda c: c.primary_key) if column.primary_key]
    columns = [name for name in key.parent_columns if name is not None] or primary
    unique = [[fold(column or "") for column in index.columns] for index in parent.indexes if index.unique]
    wanted = sorted(map(fold, columns))
    is_key = len(columns) == len(key.columns) and wanted in [sorted(each) for each in [*unique, map(fold, primary)]]
    return columns if is_key else None


def _fits(database: SqliteDatabase, child: Table, key: ForeignKey, parent: Table) -> bool:
    referenced = _referenced(parent, key)
    if referenced is None:
        return False
    pairs = " AND ".join(
        f"parent.{quote(there)} = child.{quote(here)}" for here, there in zip(key.columns, referenced, strict=True)
    )
    filled = " AND ".join(f"child.{quote(here)} IS NOT NULL" for here in key.columns)
    rows, found = database.execute_sql(
        f"SELECT count(*), total(EXISTS (SELECT 1 FROM main.{quote(parent.name)} AS parent WHERE {pairs}))"
        f" FROM main.{quote(child.name)} AS child WHERE {filled}"
    ).fetchone()
    return bool(rows) and rows == found
