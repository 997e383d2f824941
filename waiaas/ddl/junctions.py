"""Operations that replace a foreign-key column with a junction table, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from peewee import IntegrityError

from waiaas.ddl.connection import read
from waiaas.ddl.dependencies import dependents_on_table, objects_over
from waiaas.ddl.operation import operation
from waiaas.ddl.row_checks import duplicates, value_not_allowed
from waiaas.ddl.schema import Table, described
from waiaas.ddl.sql import first_name, fold, quote
from waiaas.ddl.tables import TableOperations
from waiaas.errors import refusal


class JunctionOperations(TableOperations):
    """Operations that replace a column with a junction table, and the reverse."""

    @operation
    def extract_junction(
        self,
        table: str,
        column: str,
        *,
        junction: str,
        definition: str,
        indexes: Sequence[str],
        fill: Mapping[str, str],
        where: str = "1",
        drop_indexes: Sequence[str] = (),
    ) -> None:
        """Replace a foreign-key column with a junction table: create the table, fill it, drop the column.

        A row whose column is NULL gets no link. An existing empty table with the right definition is used.
        ``result.links_created`` is increased by the number of links.

        :param table: the table that has the column.
        :param junction: the name of the junction table.
        :param definition: its CREATE TABLE statement.
        :param indexes: the CREATE INDEX statements of its indexes.
        :param fill: its columns, starting with the first key column, each with an SQL expression over the old row.
        :param where: an SQL condition on the old row; rows that do not satisfy it get no link.
        :param drop_indexes: indexes to drop with the column, if they are over no other column.
        :raises WAIaaSError: ``leftover_table`` if a different table of that name exists, ``value_not_allowed`` with
            the rows whose links the junction table does not allow, ``rows_lost``, and the refusals of `drop_column`.
        """
        source = self.table(table)
        name = self.column_of(source, column)
        self._refuse_to_drop(source, name)
        self._create_or_use(junction, definition, indexes)
        # The new table can reuse the pages of an index that is dropped first.
        for index in drop_indexes:
            self.drop_index_over(source.name, index, [name]).run()
        self.watch_foreign_keys(junction, new=True)
        self._fill(source, junction, fill, f"{quote(name)} IS NOT NULL AND ({where})")
        self.report_progress(f"indexing {junction}")
        for statement in indexes:
            # Sorting the whole index once takes less time than inserting each row into it.
            self.database.execute_sql(statement)
        source = self.table(source.name)
        if objects_over(self.database, junction):
            # They may compile only now. Any other object compiles as before.
            self._refuse_to_drop(source, name)
        self._drop_unneeded(source, name)

    def _fill(self, source: Table, junction: str, fill: Mapping[str, str], wanted: str) -> None:
        expected = self.count(source.name, wanted)
        self.report_progress(f"filling {junction}", 0, expected)
        # In key order, every page of the new table and of the index of its key is written only once.
        # NOT INDEXED: values are read from the rows, never from an index that may be corrupt.
        rows = f"main.{quote(source.name)} NOT INDEXED"
        with self._name_refused_links(source, junction, fill, wanted):
            self.database.execute_sql(
                f"INSERT INTO main.{quote(junction)} ({', '.join(map(quote, fill))}) "
                f"SELECT {', '.join(fill.values())} FROM {rows} WHERE {wanted} ORDER BY 1"
            )
        created = self.count(junction)
        self.report_progress(f"filling {junction}", created, expected)
        if created != expected:
            raise refusal("rows_lost", table=junction, before=expected, after=created)
        self.result.links_created += created
        self.result.rows_written += created

    @operation
    def absorb_junction(
        self,
        junction: str,
        *,
        definition: Sequence[str],
        into: str,
        column: str,
        after: str,
        value: str,
        indexes: Sequence[str],
    ) -> None:
        """Replace a junction table with a column: the reverse of `extract_junction`.

        :param junction: the junction table, which is dropped.
        :param definition: the CREATE statements of the junction table and its indexes.
        :param into: the table that gets the column.
        :param column: the SQL of the column's definition.
        :param after: the column before the new one.
        :param value: an SQL expression over a row of the table, which fills the column.
        :param indexes: the CREATE INDEX statements to run on the table afterwards.
        :raises WAIaaSError: ``dependent_on_table`` if the junction table has more than its definition, and the
            refusals of `rebuild_table` and `drop_table`.
        """
        existing = self.table(junction)
        for dependent in dependents_on_table(self.database, existing, described(*definition)):
            raise dependent.refusal_of_table(existing.name)
        target = self.table(into)
        widened = target.definition.with_column_after(after, column)
        self.rebuild_table(target.name, widened, copy={first_name(column): value}).run()
        for index in indexes:
            self.database.execute_sql(index)
        self.drop_table(existing.name).run()

    @contextmanager
    def _name_refused_links(self, source: Table, junction: str, fill: Mapping[str, str], where: str) -> Iterator[None]:
        """Refuse with the rows whose links a junction table does not allow: duplicates and NULLs."""
        try:
            yield
        except IntegrityError:
            expressions = {fold(column): expression for column, expression in fill.items()}
            table, name, rows_of = self.table(junction), source.row_name, f"main.{quote(source.name)}"
            for index in table.indexes:
                terms = [expressions[c] for c in (fold(column or "") for column in index.columns) if c in expressions]
                if index.unique and len(terms) == len(index.columns):
                    rows = duplicates(self.database, rows_of, name, terms, where)
                    if rows:
                        raise value_not_allowed(source.name, ", ".join(terms), rows) from None
            for column in table.columns:
                expression = expressions.get(fold(column.name), "NULL")
                query = f"SELECT {name}, NULL FROM {rows_of} WHERE ({where}) AND ({expression}) IS NULL"
                rows = read(self.database, query) if column.not_null else []
                if rows:
                    raise value_not_allowed(source.name, expression, rows) from None
            raise
