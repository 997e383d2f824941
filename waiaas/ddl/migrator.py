"""Schema operations for SQLite that are lossless or refused.

`LosslessMigrator` is playhouse's `SqliteMigrator` with additional operations: a table rebuild by SQLite's documented
twelve steps (https://www.sqlite.org/lang_altertable.html#otheralter), foreign-key reconnection, and replacing a
foreign-key column with a junction table. Renames, added columns and indexes, and a DROP COLUMN that SQLite can make in
place, are playhouse's own operations.
"""

from __future__ import annotations

from collections.abc import Mapping

from peewee import Proxy, SqliteDatabase

from waiaas.ddl import writing
from waiaas.ddl.alterations import Alterations
from waiaas.ddl.connection import read
from waiaas.ddl.foreign_keys import ForeignKeyOperations
from waiaas.ddl.junctions import JunctionOperations
from waiaas.ddl.operation import operation
from waiaas.ddl.row_checks import value_not_allowed
from waiaas.ddl.sql import fold, quote


class LosslessMigrator(Alterations, ForeignKeyOperations, JunctionOperations):
    """Schema operations on one SQLite database, each lossless or refused.

    It has the operations of `playhouse.migrate.SqliteMigrator`, with the same arguments, and some more. Its arguments
    are an open `peewee.SqliteDatabase`, and optionally a callback that is called with each `Progress`.

    Inside `migration_context` all operations are one transaction. Otherwise each operation is a transaction, or a
    savepoint inside a transaction of the caller:

    >>> database = SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, draft INTEGER)")
    >>> migrator = LosslessMigrator(database)
    >>> with migrator.migration_context():
    ...     migrator.migrate(migrator.drop_column("note", "draft"))
    >>> [column.name for column in database.get_columns("note")]
    ['id', 'body']
    >>> database.close()
    True

    ``result`` records what the operations did. Every refusal is a WAIaaSError with a reason, and leaves the schema and
    every row unchanged. It is also one of Peewee's errors, so that code written for playhouse catches it: an
    ``IntegrityError`` if rows prevent the change, otherwise an ``OperationalError``.
    """

    @classmethod
    def from_database(cls, database: SqliteDatabase | Proxy, schema: str | None = None) -> LosslessMigrator:
        """Return a migrator for a database, as playhouse's `SchemaMigrator.from_database` does.

        :param database: an open database, or a proxy of one.
        :param schema: must be None: only tables of the main database can be changed.
        :returns: the migrator.
        :raises ValueError: for an uninitialized proxy, for a database other than SQLite, and if a schema is given.
        """
        if isinstance(database, Proxy):
            if database.obj is None:
                raise ValueError("Database proxy is uninitialized.")
            database = database.obj
        if not isinstance(database, SqliteDatabase):
            raise ValueError(f"Unsupported database: {type(database).__name__}")
        if schema is not None:
            raise ValueError("only tables of the main database can be changed: schema must be None")
        return cls(database)

    @operation
    def update(self, table: str, assignment: str, where: str) -> None:
        """Change a column of some rows, and count them in ``result.rows_changed``. Triggers on the table fire.

        :param assignment: ``column = expression``.
        :param where: an SQL condition on the rows.
        :raises WAIaaSError: ``dependent_object`` for a trigger that stops the change, or changes the written values.
        """
        changed = writing.update(self, self.table(table), assignment, where)
        self.result.rows_written += changed
        self.result.rows_changed[fold(table)] = self.result.rows_changed.get(fold(table), 0) + changed

    def insert(self, table: str, row: Mapping[str, object]) -> None:
        """Add a row. Triggers on the table fire.

        :param row: the values by their columns.
        :raises WAIaaSError: ``dependent_object`` as for `update`.
        """
        writing.insert(self, self.table(table), row)

    def delete(self, table: str, row: Mapping[str, object]) -> None:
        """Delete rows. Triggers on the table fire.

        :param row: the values of the rows, by their columns.
        :raises WAIaaSError: ``dependent_object`` as for `update`.
        """
        writing.delete(self, self.table(table), row)

    def refuse_values(self, table: str, column: str, condition: str) -> None:
        """Refuse rows that satisfy an SQL condition.

        :param table: the table, which has a column ``id``.
        :param column: the column whose values are reported.
        :param condition: the condition.
        :raises WAIaaSError: ``value_not_allowed`` with the ids and values of the rows.
        """
        name = quote(self.table(table).name)
        rows = read(self.database, f"SELECT id, {quote(column)} FROM main.{name} WHERE {condition}")
        if rows:
            raise value_not_allowed(table, column, rows)
