"""Operations that create and drop indexes, with the effects of unique indexes on rows and foreign keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from peewee import IntegrityError, Node
from playhouse.migrate import make_index_name

from waiaas.ddl.connection import read
from waiaas.ddl.context import MigrationContext
from waiaas.ddl.dependencies import Dependent
from waiaas.ddl.in_place import rename_index
from waiaas.ddl.operation import operation
from waiaas.ddl.row_checks import duplicates_of, value_not_allowed
from waiaas.ddl.schema import Table, children, described, same_index
from waiaas.ddl.sql import fold
from waiaas.errors import refusal


class IndexOperations(MigrationContext):
    """Operations that create and drop indexes."""

    @operation
    def add_index(
        self,
        table: str,
        columns: Sequence[str],
        unique: bool = False,
        using: str | None = None,
        where: Node | None = None,
        nulls_distinct: bool | None = None,
        name: str | None = None,
    ) -> None:
        """Create an index over columns of a table; the arguments are playhouse's.

        :param columns: the names of its columns.
        :param unique: whether no two rows may be equal in them.
        :param using: playhouse's; SQLite has one kind of index.
        :param where: the condition of a partial index.
        :param nulls_distinct: playhouse's; SQLite does not have it.
        :param name: the index's name; the default combines the names of the table and the columns.
        :raises WAIaaSError: ``value_not_allowed`` with the rows that are not unique, ``name_exists``.
        """
        found = self.table(table)
        own_columns = [self.column_of(found, column) for column in columns]
        index_name = name or make_index_name(table, columns)
        self.refuse_existing(index_name)
        made = super().add_index(found.name, own_columns, unique, using, where, nulls_distinct, index_name)
        sql, parameters = made.fn(self, *made.args, **made.kwargs).query()
        with self._name_duplicates(found, sql):
            self.database.execute_sql(sql, parameters)

    @operation
    def create_index(self, table: str, statement: str, replaces: str | None = None) -> None:
        """Create an index from its SQL; an identical index is kept.

        :param statement: the CREATE INDEX statement.
        :param replaces: the name of an index to rename or drop, if it is over the same columns; an index over other
            columns is kept, because it belongs to the user.
        :raises WAIaaSError: ``dependent_object`` if there is a different index of that name, ``name_exists`` if there
            is another object, ``value_not_allowed`` with the rows that are not unique.
        """
        found = self.table(table)
        (wanted,) = (index for index in described(found.sql, statement).indexes if index.sql)
        existing, replaced = found.index(wanted.name), found.index(replaces) if replaces else None
        if existing is None:
            self.refuse_existing(wanted.name)
            if replaced is not None and rename_index(self.database, replaced, wanted):
                return
            with self._name_duplicates(found, statement):
                self.database.execute_sql(statement)
        elif not same_index(existing, wanted):
            raise Dependent("index", existing.name).refusal(found.name, ", ".join(map(str, wanted.columns)))
        if replaced is not None:
            self.drop_index_over(table, replaced.name, [str(column) for column in wanted.columns]).run()

    @operation
    def drop_index(self, table: str, index_name: str) -> None:
        """Drop an index of a table.

        :raises WAIaaSError: ``unexpected_schema`` if the table has no such index, ``dependent_object`` for a UNIQUE
            one that another table's foreign key needs.
        """
        found = self.table(table)
        index = found.index(index_name)
        if index is None:
            raise refusal("unexpected_schema", table=found.name, problem=f"it has no index {index_name}")
        # A foreign key never refers to the columns of an index that allows duplicates.
        with self.keep_keys(found) if index.unique else nullcontext():
            self.migrate(super().drop_index(found.name, index.name))

    @operation
    def drop_index_over(self, table: str, name: str, columns: Sequence[str]) -> None:
        """Drop an index if it exists and is over exactly these columns, in this order.

        :param name: the index; an index over other columns is kept, because it belongs to the user.
        :raises WAIaaSError: as `drop_index` does.
        """
        index = self.table(table).index(name)
        if index is not None and index.is_over(*columns):
            self.drop_index(table, index.name).run()

    def refuse_existing(self, name: str) -> None:
        """Refuse (`name_exists`) a name that a table, view or index has; they share one namespace."""
        query = "SELECT type, name FROM main.sqlite_master WHERE type IN ('table', 'view', 'index')"
        for kind, existing in read(self.database, query):
            if fold(existing) == fold(name):
                raise refusal("name_exists", kind=kind, name=existing)

    @contextmanager
    def _name_duplicates(self, table: Table, create_index: str) -> Iterator[None]:
        """Refuse a UNIQUE index with the rows that are not unique."""
        try:
            yield
        except IntegrityError:
            columns, rows = duplicates_of(self.database, table.name, table.row_name, create_index)
            raise value_not_allowed(table.name, columns, rows) from None

    @contextmanager
    def keep_keys(self, table: Table) -> Iterator[None]:
        """Refuse a change after which a foreign key of another table would refer to columns that are not a key."""
        before = self._children_with_key(table)
        yield
        for child in sorted(before - self._children_with_key(self.table(table.name))):
            raise Dependent("foreign key", child).refusal(table.name, "*")

    def _children_with_key(self, table: Table) -> set[str]:
        return {
            f"{child}.{', '.join(key.columns)}"
            for child, foreign_keys in children(self.database, table.name).items()
            for key in foreign_keys
            if table.key_columns(key) is not None
        }
