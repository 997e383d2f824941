"""The operations of playhouse's `SqliteMigrator` that change a column or a constraint of a table that exists.

Playhouse parses the table's definition with regular expressions for most of them. Here the definition is parsed into
tokens, and changes that SQLite cannot make in place use the lossless table rebuild, on every version of SQLite.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from peewee import SQL, Field, ForeignKeyField, Node, ValueLiterals
from playhouse.migrate import SchemaMigrator

from waiaas.ddl.column_text import Clause, ColumnText, column_text
from waiaas.ddl.connection import read
from waiaas.ddl.dependencies import foreign_keys_of
from waiaas.ddl.operation import Statement, operation
from waiaas.ddl.row_checks import value_not_allowed
from waiaas.ddl.schema import ForeignKey, Table, canonical
from waiaas.ddl.sql import CreateTable, Item, fold, parse_create_table, quote, unquote
from waiaas.ddl.tables import TableOperations
from waiaas.errors import refusal

_NEVER_IN_PLACE = ("primary", "unique")
_CHANGING_DEFAULTS = ("current_time", "current_date", "current_timestamp")


class Alterations(TableOperations):
    """Playhouse's operations on columns, constraints and indexes, each lossless or refused."""

    @operation
    def add_column(self, table: str, column_name: str, field: Field, allow_not_null: bool = False) -> None:
        """Add a column after the others, made from a Peewee field.

        A nullable column is added in place, or using a table rebuild if SQLite's ADD COLUMN cannot add it
        (https://www.sqlite.org/lang_altertable.html#altertabaddcol). A NOT NULL column gets the field's default in
        every row but no DEFAULT in the schema, as with playhouse. An index is created if the field asks for one.

        :param allow_not_null: whether the field's own `constraints` give the rows a value (`DEFAULT 0`).
        :raises ValueError: if the field is NOT NULL and has no default, and `allow_not_null` is not set.
        :raises WAIaaSError: ``name_exists``; ``value_not_allowed`` if existing rows would be left without a value.
        """
        if not field.null and field.default is None and not allow_not_null:
            raise ValueError(f"{column_name} is not null but has no default")
        if isinstance(field, ForeignKeyField) and not field.rel_field:
            raise ValueError("Foreign keys must specify a `field`.")
        field = field.clone()
        if field.null or allow_not_null:
            self.alter_add_column(table, column_name, field, allow_not_null).run()
        else:
            value = self._literal(field.db_value(_value_of(field.default)))
            definition = self._definition(column_name, field, null=False)
            self._add_by_rebuild(self.table(table), column_name, definition, {column_name: value})
        if field.index or field.unique:
            using = getattr(field, "index_type", None)
            self.add_index(table, (column_name,), field.unique, using).run()

    @operation
    def alter_add_column(self, table: str, column_name: str, field: Field, allow_not_null: bool = False) -> None:
        """Add a column without its index; it is nullable unless `allow_not_null` is set and the field is not."""
        found = self.table(table)
        definition = self._definition(column_name, field, null=field.null or not allow_not_null)
        text = column_text(parse_create_table(f"CREATE TABLE entries ({definition})"), column_name)
        if _can_be_added_in_place(text):
            self._refuse_rows_without_value(found, column_name, text)
            self.add_in_place(found, column_name, definition)
        else:
            self._add_by_rebuild(found, column_name, definition, {})

    @operation
    def apply_default(self, table: str, column_name: str, field: Field) -> None:
        """Set a column to the field's default in every row; the table's own UPDATE triggers fire."""
        found = self.table(table)
        self.migrate(super().apply_default(found.name, self.column_of(found, column_name), field))

    @operation
    def add_not_null(self, table: str, column: str, legacy: bool = False) -> None:
        """Make a column NOT NULL, using a table rebuild; `legacy` is playhouse's and has no effect here.

        :raises WAIaaSError: ``value_not_allowed`` with the rows in which the column is NULL.
        """
        text = self._text(table, column)
        if not text.has("not null"):
            self._redefine(table, text.with_clause("NOT NULL"), column)

    @operation
    def drop_not_null(self, table: str, column: str, legacy: bool = False) -> None:
        """Allow NULL in a column, using a table rebuild; `legacy` is playhouse's and has no effect here."""
        text = self._text(table, column)
        self._redefine(table, text.without(lambda clause: clause.kind == "not null"), column)

    @operation
    def add_column_default(self, table: str, column: str, default: object) -> None:
        """Give a column another default, using a table rebuild; no row changes.

        As with playhouse, a string that ends with `)` is an SQL expression, one that ends with `'` is an SQL literal,
        and one of digits is a number.

        :raises ValueError: if `default` is None.
        """
        if default is None:
            raise ValueError("`default` must be not None/NULL.")
        text = self._text(table, column)
        bare = column_text(text.without(lambda clause: clause.kind == "default"), column)
        self._redefine(table, bare.with_clause(f"DEFAULT {self._default(_value_of(default))}"), column)

    @operation
    def drop_column_default(self, table: str, column: str) -> None:
        """Drop the default of a column, using a table rebuild; no row changes."""
        text = self._text(table, column)
        self._redefine(table, text.without(lambda clause: clause.kind == "default"), column)

    @operation
    def alter_column_type(self, table: str, column: str, field: Field, cast: object = None) -> None:
        """Give a column the type of a field, using a table rebuild; its constraints and default are kept.

        :raises ValueError: if `cast` is given, as with playhouse; `change_columns` takes an expression.
        :raises WAIaaSError: ``rebuild_refused`` if a value would change, as '007' would in an INTEGER column.
        """
        if cast is not None:
            raise ValueError("alter_column_type() does not support cast with Sqlite: use change_columns(copy=...)")
        context = self.database.get_sql_context()
        type_, _ = context.sql(field.ddl_datatype(context)).query()
        self._redefine(table, self._text(table, column).with_type(type_), column)

    @operation
    def add_constraint(self, table: str, name: str, constraint: Node) -> None:
        """Add a named constraint to a table, using a table rebuild, such as `Check("price >= 0")`.

        :raises WAIaaSError: ``name_exists``; ``value_not_allowed`` with the rows that violate it.
        """
        found = self.table(table)
        if _named_constraint(found.definition, name) is not None:
            raise refusal("name_exists", kind="constraint", name=name)
        sql, _ = self.database.get_sql_context().sql(ValueLiterals(constraint)).query()
        end = found.definition.items[-1].end
        added = f"{found.sql[:end]}, CONSTRAINT {quote(name)} {sql}{found.sql[end:]}"
        self.rebuild_table(found.name, added).run()

    @operation
    def add_unique(self, table: str, *column_names: str) -> None:
        """Add a UNIQUE constraint over columns, using a table rebuild; its name is `uniq_` and the columns' names."""
        columns = ", ".join(quote(self.column_of(self.table(table), name)) for name in column_names)
        self.add_constraint(table, f"uniq_{'_'.join(column_names)}", SQL(f"UNIQUE ({columns})")).run()

    @operation
    def drop_constraint(self, table: str, name: str) -> None:
        """Drop a named constraint of a table or of one of its columns, using a table rebuild.

        :raises WAIaaSError: ``unexpected_schema`` if there is no constraint of this name, ``dependent_object`` for a
            key that another table's foreign key needs.
        """
        found = self.table(table)
        new, columns = _without_constraint(found.definition, name)
        if new.sql == found.sql:
            raise refusal("unexpected_schema", table=found.name, problem=f"it has no constraint {name}")
        with self.keep_keys(found):
            self.rebuild_table(found.name, new.sql, drop=(name,), change=columns).run()

    @operation
    def add_foreign_key_constraint(
        self,
        table: str,
        column_name: str,
        rel: str,
        rel_column: str,
        on_delete: str | None = None,
        on_update: str | None = None,
        constraint_name: str | None = None,
        rel_schema: str | None = None,
    ) -> None:
        """Make a column a foreign key to a column of another table, using a table rebuild.

        :raises WAIaaSError: ``foreign_key_violations`` if rows refer to a missing row, ``unexpected_schema`` if the
            other column is not a key.
        """
        found, parent = self.table(table), self.table(rel)
        column, key = self.column_of(found, column_name), self.column_of(parent, rel_column)
        wanted = ForeignKey((column,), parent.name, (key,), "NO ACTION", "NO ACTION", False)
        if parent.key_columns(wanted) is None:
            raise refusal("unexpected_schema", table=parent.name, problem=f"its column {key} is not UNIQUE")
        reference = f"FOREIGN KEY ({quote(column)}) REFERENCES {quote(parent.name)} ({quote(key)})"
        for event, action in (("DELETE", on_delete), ("UPDATE", on_update)):
            reference += f" ON {event} {action}" if action is not None else ""
        name = constraint_name or f"fk_{table}_{column_name}_refs_{rel}"
        self.add_constraint(found.name, name, SQL(reference)).run()

    @operation
    def drop_foreign_key_constraint(self, table: str, column_name: str) -> None:
        """Drop the foreign key of a column, using a table rebuild.

        :raises WAIaaSError: ``unexpected_schema`` if the column alone is not a foreign key.
        """
        found = self.table(table)
        column = self.column_of(found, column_name)
        new = column_text(found.definition, column).without(lambda c: c.kind in ("references", "deferrable"))
        for item in foreign_keys_of(new, column):
            new = new.without(item)
        if new.sql == found.sql:
            raise refusal("unexpected_schema", table=found.name, problem=f"its column {column} is not a foreign key")
        self._redefine(found.name, new, column)

    def sql(self, sql: str, params: Sequence[object] | None = None) -> Statement:
        """Run any SQL as an operation, without checks.

        Outside `migration_context` it runs in no transaction, so it can be a VACUUM or a PRAGMA.
        """
        return Statement(self, lambda _: SQL(sql, params))

    def _text(self, table: str, column: str) -> ColumnText:
        found = self.table(table)
        return column_text(found.definition, self.column_of(found, column))

    def _redefine(self, table: str, new: CreateTable, column: str) -> None:
        """Rebuild a table with another definition of one column, unless that definition is unchanged."""
        found = self.table(table)
        if canonical(new.sql) != canonical(found.sql):
            self.rebuild_table(found.name, new.sql, change=(column,)).run()

    def _add_by_rebuild(self, table: Table, column: str, definition: str, values: dict[str, str]) -> None:
        if table.column(column) is not None:
            raise refusal("name_exists", kind="column", name=column)
        last = [item for item in table.definition.items if item.kind == "column"][-1]
        widened = f"{table.sql[: last.end]}, {definition}{table.sql[last.end :]}"
        self.rebuild_table(table.name, widened, copy=values).run()

    def _refuse_rows_without_value(self, table: Table, column: str, text: ColumnText) -> None:
        if text.has("not null") and not text.has("default") and not text.has("as"):
            rows = read(self.database, f"SELECT {table.row_name}, NULL FROM main.{quote(table.name)} ORDER BY 1")
            if rows:
                raise value_not_allowed(table.name, column, rows)

    def _definition(self, column_name: str, field: Field, null: bool) -> str:
        field.name = field.column_name = column_name
        stored, field.null = field.null, null
        context = self.database.get_sql_context()
        with context(value_literals=True):
            context.sql(field.ddl(context))
        field.null = stored
        if isinstance(field, ForeignKeyField):
            SchemaMigrator.add_inline_fk_sql(self, context, field)
        sql, _ = context.query()
        return str(sql)

    def _default(self, default: object) -> str:
        if not isinstance(default, str):
            return str(default) if isinstance(default, (int, float, Decimal)) else self._literal(default)
        if default.endswith(")"):
            return default if default.startswith("(") else f"({default})"
        return default if default.endswith("'") or default.isdigit() else self._literal(default)

    def _literal(self, value: object) -> str:
        """Return a value as the SQL literal that SQLite's quote() makes of it."""
        if isinstance(value, str) and "\0" in value:
            return f"CAST(x'{value.encode().hex()}' AS TEXT)"
        ((literal,),) = read(self.database, "SELECT quote(?)", (value,))
        return str(literal)


def _value_of(default: object) -> object:
    return default() if callable(default) else default


def _can_be_added_in_place(text: ColumnText) -> bool:
    for clause in text.clauses:
        words = [token for token in text.item.tokens if clause.start <= token.start < clause.end]
        if clause.kind in _NEVER_IN_PLACE or words[-1].is_word("stored"):
            return False
        if clause.kind == "default" and any(w.text == "(" or w.is_word(*_CHANGING_DEFAULTS) for w in words):
            return False
    return True


def _named_constraint(definition: CreateTable, name: str) -> Item | None:
    """Return the table constraint of a name, or the column that has a constraint of that name."""
    for item in definition.items:
        if item.name is not None:
            if any(_is_named(clause, name) for clause in column_text(definition, item.name).clauses):
                return item
        elif item.tokens[0].is_word("constraint") and fold(unquote(item.tokens[1].text)) == fold(name):
            return item
    return None


def _without_constraint(definition: CreateTable, name: str) -> tuple[CreateTable, Sequence[str]]:
    """Return the definition without the first constraint of a name, and the column that had it."""
    item = _named_constraint(definition, name)
    if item is None or item.name is None:
        return definition.without(item) if item else definition, ()
    return column_text(definition, item.name).without(lambda clause: _is_named(clause, name)), (item.name,)


def _is_named(clause: Clause, name: str) -> bool:
    return clause.name is not None and fold(clause.name) == fold(name)
