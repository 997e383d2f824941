"""Reconnects dangling foreign keys, which name a missing table, to the table that they belong to.

A rename updates the foreign keys that refer to the table. If a tool renames a table and then drops it, they name a
missing table, which SQLite reports only when the next row is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from waiaas.ddl.connection import read
from waiaas.ddl.operation import operation
from waiaas.ddl.schema import (
    ForeignKey,
    Table,
    describe,
    describe_table,
    has_dangling_key,
    renamed_parents,
    table_names,
)
from waiaas.ddl.sql import fold, quote
from waiaas.ddl.tables import TableOperations
from waiaas.errors import WAIaaSError, refusal

_BETWEEN_WORDS = re.compile(r"[\W_]+")


class ForeignKeyOperations(TableOperations):
    """The operation that reconnects foreign keys."""

    @operation
    def reconnect_foreign_keys(self, table: str, expected: Mapping[str, Sequence[str]] | None = None) -> None:
        """Reconnect the dangling foreign keys that belong to a table, by rebuilding their tables.

        A foreign key belongs to the table if ``expected`` lists it, if the missing name is derived from the table's
        (``u__old`` from ``u``), or if all of its rows refer to rows of this table and of no other.
        ``result.foreign_keys_reconnected`` lists those that were reconnected.

        :param expected: child tables, each with the columns that are known to be foreign keys to the table.
        :raises WAIaaSError: ``foreign_key_elsewhere`` if an expected one names another existing table; and the
            refusals of `rebuild_table`.
        """
        for misdirected in self.misdirected_foreign_keys(table, expected or {}):
            raise misdirected
        parent = self.table(table)
        if not has_dangling_key(self.database):
            return
        everything = describe(self.database)
        tables = [each for each in everything.values() if not each.is_virtual]
        for child in tables:
            dangling = [
                key
                for key in child.foreign_keys
                if fold(key.parent) not in everything
                and (_is_expected(child, key, expected or {}) or self._belongs_to(child, key, parent, tables))
            ]
            if dangling:
                self.report_progress(f"reconnecting the foreign keys of {child.name}")
                parents = {fold(key.parent) for key in dangling}
                columns = [column for key in dangling for column in key.columns]
                renamed = renamed_parents(child.definition, parents, parent.name)
                self.rebuild_table(child.name, renamed, change=columns).run()
                self.result.foreign_keys_reconnected += [f"{child.name}.{', '.join(key.columns)}" for key in dangling]

    def misdirected_foreign_keys(self, table: str, expected: Mapping[str, Sequence[str]]) -> Iterator[WAIaaSError]:
        """Yield a refusal for each expected foreign key that names another existing table."""
        existing = {fold(name) for name in table_names(self.database)}
        for child in filter(None, (describe_table(self.database, name) for name in expected)):
            for key in child.foreign_keys:
                elsewhere = fold(key.parent) in existing and fold(key.parent) != fold(table)
                if elsewhere and _is_expected(child, key, expected):
                    details = {"table": child.name, "column": ", ".join(key.columns), "parent": key.parent}
                    yield refusal("foreign_key_elsewhere", **details, expected=table)

    def _belongs_to(self, child: Table, key: ForeignKey, parent: Table, tables: Sequence[Table]) -> bool:
        """Return whether a dangling foreign key must once have referred to a table.

        If the missing name is derived from a table's (`u__old`, `_alembic_tmp_u`), the longest such name decides.
        Otherwise the rows do: there must be some, all must refer to rows of this table, and no other table may fit.
        """
        if parent.key_columns(key) is None:
            return False
        named = [table for table in tables if _is_part(_words(table.name), _words(key.parent))]
        if named:
            return max(named, key=lambda table: len(_words(table.name))).name == parent.name
        return [table.name for table in tables if self._fits(child, key, table)] == [parent.name]

    def _fits(self, child: Table, key: ForeignKey, parent: Table) -> bool:
        referenced = parent.key_columns(key)
        if referenced is None:
            return False
        pairs = " AND ".join(
            f"parent.{quote(there)} = child.{quote(here)}" for here, there in zip(key.columns, referenced, strict=True)
        )
        filled = " AND ".join(f"child.{quote(here)} IS NOT NULL" for here in key.columns)
        ((rows, found),) = read(
            self.database,
            f"SELECT count(*), total(EXISTS (SELECT 1 FROM main.{quote(parent.name)} AS parent WHERE {pairs}))"
            f" FROM main.{quote(child.name)} AS child WHERE {filled}",
        )
        return bool(rows) and bool(rows == found)


def _is_expected(child: Table, key: ForeignKey, expected: Mapping[str, Sequence[str]]) -> bool:
    columns = next((columns for name, columns in expected.items() if fold(name) == fold(child.name)), ())
    return [fold(column) for column in key.columns] in [[fold(column)] for column in columns]


def _words(name: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(fold(name)) if word]


def _is_part(words: Sequence[str], of: Sequence[str]) -> bool:
    return any(of[start : start + len(words)] == words for start in range(len(of) - len(words) + 1))
