"""Operations on tables and their columns: create, rename, drop, append, and the table rebuild."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial

from peewee import SQL, OperationalError
from playhouse.migrate import Operation

from waiaas.ddl.captures import (
    altered_copy,
    broken_virtual_tables,
    captured_by_new_columns,
    captured_by_rename,
    dependent_on_order,
    is_reordered,
    object_in,
    strings_captured_by_new_columns,
)
from waiaas.ddl.connection import has_foreign_keys_on
from waiaas.ddl.context import savepoint
from waiaas.ddl.dependencies import (
    Dependent,
    broken_objects,
    compiles,
    dependents,
    dependents_on_table,
    foreign_keys_of,
    objects_over,
    without_column,
)
from waiaas.ddl.in_place import replace_checks, without_checks
from waiaas.ddl.indexes import IndexOperations
from waiaas.ddl.operation import operation
from waiaas.ddl.rebuild import REBUILD_NAME, TableRebuild
from waiaas.ddl.schema import (
    StoredObject,
    Table,
    canonical,
    children,
    describe_table,
    described,
    find_table,
    same_index,
    same_shape,
    stored_objects,
)
from waiaas.ddl.schema_copy import SchemaCopy, schema_copy
from waiaas.ddl.sql import CreateTable, comments, first_name, fold, parse_create_table, quote, tokens, unquote
from waiaas.ddl.stubs import with_stubs
from waiaas.errors import refusal

# The clauses of a column definition after its name and type.
_CLAUSE_WORDS = (
    *("constraint", "primary", "unique", "check", "default", "collate", "references"),
    *("generated", "as", "conflict", "autoincrement", "deferrable"),
)
# https://www.sqlite.org/releaselog/3_35_0.html
_DROP_COLUMN_SINCE = (3, 35, 0)


class _UndoneError(Exception):
    """Rolls a savepoint back."""


class TableOperations(IndexOperations):
    """Operations that create, rename, drop and rebuild tables, and rename, append or drop columns."""

    _dependents: tuple[object, list[Dependent]] | None = None

    @operation
    def rename_table(self, old_name: str, new_name: str) -> None:
        """Rename a table in place, and in every foreign key, trigger and view.

        :raises WAIaaSError: ``name_exists``; ``name_taken`` or ``dependent_object`` if the new name would change the
            meaning of a view or trigger, or break a virtual table; ``foreign_key_elsewhere`` if a foreign key was not
            renamed, as with SQLite before 3.26.
        """
        found = self.table(old_name)
        named_by = children(self.database, found.name)
        if fold(found.name) == fold(new_name):
            self._rename_case(found.name, found.name, new_name, super().rename_table)
        else:
            self.refuse_existing(new_name)
            self._refuse_rename(found, "*", new_name, f"ALTER TABLE {quote(found.name)} RENAME TO {{}}")
            self._alter(found.name, super().rename_table(found.name, new_name))
        self._refuse_unintended(new_name, [column.name for column in found.columns])
        for child, keys in named_by.items():
            child_now = new_name if fold(child) == fold(old_name) else child
            if len(children(self.database, new_name).get(child_now, ())) != len(keys):
                columns = ", ".join(keys[0].columns)
                raise refusal("foreign_key_elsewhere", table=child, column=columns, parent=old_name, expected=new_name)

    @operation
    def rename_column(self, table: str, old_name: str, new_name: str, legacy: bool = False) -> None:
        """Rename a column in place, and in indexes, triggers and views.

        :param legacy: playhouse's; it has no effect here.
        :raises WAIaaSError: ``name_exists``; ``name_taken`` if the new name would change the meaning of a view or
            trigger; ``dependent_object`` if a virtual table such as FTS5's ``content='…'`` reads the column.
        """
        found = self.table(table)
        old = self.column_of(found, old_name)
        rename = partial(super().rename_column, found.name)
        if fold(old) == fold(new_name):
            self._rename_case(found.name, old, new_name, rename)
        else:
            if found.column(new_name) is not None:
                raise refusal("name_exists", kind="column", name=new_name)
            statement = f"ALTER TABLE {quote(found.name)} RENAME COLUMN {quote(old)} TO {{}}"
            self._refuse_rename(found, old, new_name, statement)
            self._alter(found.name, rename(old, new_name))
        renamed = [new_name if column.name == old else column.name for column in found.columns]
        self._refuse_unintended(found.name, renamed)

    @operation
    def drop_column(self, table: str, column_name: str, cascade: bool = True, legacy: bool = False) -> None:
        """Drop a column, in place if SQLite can, otherwise using a table rebuild.

        Also dropped are the column's own REFERENCES and CHECK, a table-level foreign key on that column only, and the
        indexes on that column only (``result.indexes_dropped`` lists them).

        :param cascade: playhouse's; it has no effect on SQLite.
        :param legacy: whether to rebuild the table even if SQLite can drop the column in place.
        :raises WAIaaSError: ``dependent_object`` if an index, trigger (on any table), view, constraint, generated
            column or another table's foreign key needs the column.
        """
        found = self.table(table)
        column = self.column_of(found, column_name)
        self._refuse_to_drop(found, column)
        self._drop_unneeded(found, column, legacy=legacy)

    def _refuse_to_drop(self, table: Table, column: str) -> None:
        """Refuse to drop a column that something needs, apart from the indexes that go with it."""
        if len(table.columns) == 1:
            raise refusal("rebuild_refused", table=table.name, problem=f"{column} is its only column")
        for dependent in self.dependents(table, column, _indexes_over(table, column)):
            raise dependent.refusal(table.name, column)

    def _drop_unneeded(self, table: Table, column: str, *, legacy: bool = False) -> None:
        """Drop a column that nothing needs, with the indexes on it."""
        going = _indexes_over(table, column)
        for index in going:
            self.drop_index(table.name, index).run()
            self.result.indexes_dropped.append(index)
        found = self.table(table.name) if going else table
        self.report_progress(f"dropping {found.name}.{column}")
        if legacy or not self.drops_in_place(found, column):
            self._rebuild(found, without_column(found.definition, column).sql, drop=(column,))
        else:
            self._alter(found.name, super().drop_column(found.name, column))
        self._refuse_unintended(found.name, [c.name for c in found.columns if fold(c.name) != fold(column)])

    @operation
    def rebuild_table(
        self,
        table: str,
        definition: str,
        copy: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        change: Sequence[str] = (),
    ) -> None:
        """Give a table a new definition by SQLite's twelve steps, and keep everything else.

        Indexes, triggers, views over the table, hidden rowids, the AUTOINCREMENT high-water mark and the planner's
        statistics are kept. Everything that is not named in ``drop`` or ``change`` must be unchanged in the new
        definition, including comments.

        :param definition: the new CREATE TABLE statement, with the same name.
        :param copy: columns with an SQL expression over the old row for their values; the others are copied by name.
        :param drop: the columns and named constraints to drop.
        :param change: the columns whose definition may differ.
        :raises WAIaaSError: ``rebuild_refused`` if something would be lost or a value would change with its column's
            type; ``value_not_allowed`` if rows violate a new CHECK or NOT NULL (table, column, values and rows in
            ``details``); ``dependent_object`` if an index, trigger or view cannot work on the new table;
            ``rows_lost`` if the counts differ.

        >>> from peewee import SqliteDatabase
        >>> from waiaas.ddl import LosslessMigrator
        >>> database = SqliteDatabase(":memory:")
        >>> _ = database.execute_sql("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)")
        >>> migrator = LosslessMigrator(database)
        >>> with migrator.migration_context():
        ...     migrator.migrate(
        ...         migrator.rebuild_table(
        ...             "note",
        ...             "CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT NOT NULL)",
        ...             copy={"body": "coalesce(body, '')"},
        ...             change=["body"],
        ...         )
        ...     )
        >>> database.close()
        True
        """
        old = self.table(table)
        kept = {item.name for item in parse_create_table(definition).items}
        for column in old.columns:
            if fold(column.name) not in kept:
                # A quoted name of the column would silently become a string.
                for dependent in self.dependents(old, column.name):
                    if dependent.kind != "constraint":
                        raise dependent.refusal(old.name, column.name)
        self._rebuild(old, definition, copy, drop, change)

    @operation
    def change_columns(
        self, table: str, definitions: Mapping[str, str], copy: Mapping[str, str] | None = None
    ) -> None:
        """Change the definitions of columns, and keep everything else.

        If the table already has these definitions, nothing is done. If only CHECKs differ, the rows are checked and
        the definition is changed in place. Otherwise the table is rebuilt.

        :param definitions: columns, each with the SQL of its new definition; to split a column, several definitions
            separated by commas.
        :param copy: columns with an SQL expression over the old row for their values.
        :raises WAIaaSError: as `rebuild_table` does.
        """
        old = self.table(table)
        new = old.definition
        for column, definition in definitions.items():
            item = new.column(self.column_of(old, column))
            _refuse_lost_clauses(old.name, new.sql[item.start : item.end], definition)
            new = new.with_entry(item, definition)
        if canonical(new.sql) == canonical(old.sql):
            return
        self.report_progress(f"changing the definition of {old.name}")
        if copy or not replace_checks(self.database, old, new):
            self.rebuild_table(old.name, new.sql, copy=copy, change=tuple(definitions)).run()

    @operation
    def create_table(self, definition: str, indexes: Sequence[str] = ()) -> None:
        """Create a table and its indexes, or use an existing empty table with the same definition.

        :param definition: the CREATE TABLE statement.
        :param indexes: the CREATE INDEX statements.
        :raises WAIaaSError: ``leftover_table`` if there is a different table of that name.
        """
        self._create_or_use(described(definition).name, definition, indexes)
        for statement in indexes:
            self.database.execute_sql(statement)

    @operation
    def append_column(self, table: str, definition: str) -> None:
        """Add a column after the others, in place, from the SQL of its definition; `add_column` takes a Peewee field.

        :param definition: the column's definition (https://www.sqlite.org/lang_altertable.html#altertabaddcol).
        :raises WAIaaSError: ``name_exists``; ``name_taken`` if the column would change the meaning of a view or
            trigger; ``dependent_object`` if one would no longer compile.
        """
        self.add_in_place(self.table(table), first_name(definition), definition)

    @operation
    def drop_table(self, table: str, safe: bool = False, cascade: bool = False, schema: str | None = None) -> None:
        """Drop a table with its indexes and triggers.

        :param safe: True to do nothing if the table does not exist.
        :param cascade: must be False: SQLite has no such clause.
        :param schema: the name of an attached database that has the table.
        :raises WAIaaSError: ``dependent_on_table`` if a foreign key of another table, a view, a trigger on another
            table or a virtual table needs it; inside `migration_context`, if it still does at the end.
        :raises NotImplementedError: if ``cascade`` is given.
        """
        if schema is not None or cascade:
            self.migrate(super().drop_table(table, safe, cascade, schema))
            return
        found = describe_table(self.database, table)
        if found is None and not safe:
            raise refusal("unexpected_schema", table=table, problem="it is missing")
        if found is not None and not found.is_virtual:
            triggers = stored_objects(self.database, "trigger")
            own = {Dependent("trigger", each.name) for each in triggers if fold(each.table) == fold(table)}
            needed_by = [each for each in dependents_on_table(self.database, found, found) if each not in own]
            for child in children(self.database, found.name):
                self.watch_foreign_keys(child)
            self.watch_dropped(found.name, needed_by)
        self.migrate(super().drop_table(table, safe))

    def add_in_place(self, table: Table, column: str, definition: str) -> None:
        """Add a column by SQLite's ALTER TABLE; refuse one that would change the meaning of another object."""
        if table.column(column) is not None:
            raise refusal("name_exists", kind="column", name=column)
        statement = f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}"
        self._refuse_captures(table, [column], {}, [statement])
        before = broken_objects(self.database, table.name)
        if not self._add_unchecked(table, column, definition):
            self._alter(table.name, Operation(self, lambda _: SQL(statement)))
        for dependent in sorted(broken_objects(self.database, table.name) - before):
            raise dependent.refusal(table.name, "*")

    def _add_unchecked(self, table: Table, column: str, definition: str) -> bool:
        """Add a column without its CHECK, and then the CHECK in place; return False if that cannot be done.

        With a CHECK, SQLite's own ADD COLUMN reads the whole table, as PRAGMA quick_check does.
        """
        entries = parse_create_table(f"CREATE TABLE entries ({definition}\n)")
        bare = without_checks(entries)
        if bare == entries or any(comments(definition)):
            return False
        statement = f"ALTER TABLE {quote(table.name)} ADD COLUMN {bare.sql[bare.items[0].start : bare.items[0].end]}"
        with suppress(_UndoneError), savepoint(self.database):
            self._alter(table.name, Operation(self, lambda _: SQL(statement)))
            added = self.table(table.name)
            wanted = added.definition.with_entry(added.definition.column(column), definition)
            if replace_checks(self.database, added, wanted):
                return True
            raise _UndoneError
        return False

    def drops_in_place(self, table: Table, column: str) -> bool:
        """Return whether SQLite can drop a column in place without removing the comment of the next column.

        It can since 3.35, except for a column in a table-level foreign key.
        """
        if self.sqlite_version < _DROP_COLUMN_SINCE or foreign_keys_of(table.definition, column):
            return False
        definition = table.definition
        item = definition.column(column)
        return not any(item.end <= start < definition.end_of(item) for start, _ in comments(table.sql))

    def dependents_on(self, table: Table) -> list[Dependent]:
        """Return the dependents of a table: views, triggers, virtual tables, foreign keys of other tables."""
        return dependents_on_table(self.database, table, table)

    def dependents(self, table: Table, column: str, drop_indexes: Sequence[str] = ()) -> list[Dependent]:
        """Return the dependents of a column, except for indexes in `drop_indexes` that are over this column alone.

        The last answer is kept for as long as the schema is the same: compiling views and triggers takes milliseconds.
        """
        found = filter(None, map(table.index, drop_indexes))
        gone = [index.name for index in found if index.is_over(column)]
        question = (table.name, column, gone, stored_objects(self.database, "table", "index", "view", "trigger"))
        if self._dependents is None or self._dependents[0] != question:
            self._dependents = question, dependents(self.database, table, column, gone)
        return self._dependents[1]

    def is_usable(self, existing: Table, statements: Sequence[str]) -> bool:
        """Return whether a table is empty and matches what the statements create; indexes may be missing."""
        wanted = described(*statements)
        return (
            not existing.is_virtual
            and same_shape(existing, wanted)
            and all(same_index(index, wanted.index(index.name)) for index in existing.indexes if index.sql)
            and not any(fold(o.table) == fold(existing.name) for o in stored_objects(self.database, "trigger"))
            and self.count(existing.name) == 0
        )

    def _create_or_use(self, name: str, definition: str, indexes: Sequence[str]) -> None:
        """Ensure that there is an empty table without its indexes."""
        existing = describe_table(self.database, name)
        if existing is None:
            self.database.execute_sql(definition)
        elif self.is_usable(existing, [definition, *indexes]):
            for index in existing.indexes:
                if index.sql:
                    self.drop_index(existing.name, index.name).run()
            self.result.leftovers_used.append(existing.name)
        else:
            raise self.leftover(existing.name)

    def leftovers(self, table: str) -> list[str]:
        """Return the table, if any, that has the temporary name of a rebuild."""
        return [*filter(None, [find_table(self.database, REBUILD_NAME.format(table))])]

    def _alter(self, table: str, change: Operation) -> None:
        """Run SQLite's ALTER TABLE, which reads the whole schema, including objects of other tables.

        Functions and collations that only the user's program has, such as the collation of an index on another table,
        are stubbed: ALTER TABLE does not use them. A view or trigger at which SQLite stops is dropped and created
        again if it was already broken; otherwise the operation is refused (`dependent_object`).
        """
        aside: list[StoredObject] = []
        while True:
            try:
                with self.dropped_during(aside):
                    with_stubs(self.database.connection(), change.run)
                return
            except OperationalError as error:
                if (found := object_in(error)) is None:
                    raise
                self.recreate(aside)
                broken = self._broken_with(found)
                if not broken or any(each in aside for each in broken):
                    raise found.refusal(table, "*") from error
                aside += broken

    def _broken_with(self, found: Dependent) -> list[StoredObject]:
        """Return a view or trigger, and the triggers on the view, if it does not compile; otherwise nothing."""
        stored = stored_objects(self.database, "view", "trigger")
        on_it = [each for each in stored if (each.kind, fold(each.name)) == (found.kind, fold(found.name))]
        with closing(schema_copy(self.database)) as copy:
            if not on_it or compiles(copy, on_it[0]):
                return []
        if found.kind == "view":
            on_it += [each for each in stored if each.kind == "trigger" and fold(each.table) == fold(found.name)]
        return on_it

    def _refuse_captures(
        self,
        table: Table,
        columns: Sequence[str],
        shapes: Mapping[str, str],
        changes: Sequence[str] = (),
        new: CreateTable | None = None,
    ) -> None:
        """Refuse new columns (added by `shapes` or `changes` in a copy) that change the meaning of an object."""
        taken = [*strings_captured_by_new_columns(table, columns, new)]
        for dependent in taken or captured_by_new_columns(self.database, table, columns, shapes, changes):
            raise dependent.refusal_of_name(table.name, ", ".join(columns))
        self._refuse_broken_virtual_tables(lambda: schema_copy(self.database, shapes, changes), table)

    def _refuse_broken_virtual_tables(self, change: Callable[[], SchemaCopy], table: Table, *columns: str) -> None:
        for dependent in broken_virtual_tables(self.database, change, table.name, columns):
            raise dependent.refusal(table.name, columns[0] if columns else "*")

    def _rename_case(self, table: str, name: str, new_name: str, rename: Callable[[str, str], Operation]) -> None:
        """Rename via a temporary name, because SQLite cannot change only the case of a name."""
        between = REBUILD_NAME.format(name)
        if name != new_name:
            self._alter(table, rename(name, between))
            self._alter(between if table == name else table, rename(between, new_name))

    def _refuse_unintended(self, table: str, columns: Sequence[str]) -> None:
        """After an ALTER, refuse a table that does not have the intended columns in the intended order.

        This happens if the ALTER did not find the row of the table in sqlite_master.
        """
        actual = [column.name for column in self.table(table).columns]
        if [fold(name) for name in actual] != [fold(name) for name in columns]:
            problem = f"SQLite did not change its definition: the columns are {', '.join(actual)}"
            raise refusal("unexpected_schema", table=table, problem=problem)

    def _refuse_rename(self, table: Table, column: str, name: str, statement: str) -> None:
        for dependent in captured_by_rename(self.database, table.name, name, lambda new: statement.format(quote(new))):
            raise dependent.refusal_of_name(name if column == "*" else table.name, "*" if column == "*" else name)
        statement = statement.format(quote(name))
        if objects_over(self.database, table.name):
            changed, objects = altered_copy(self.database, table.name, statement)
            with closing(changed):
                for each in objects.values():
                    if not compiles(changed, each):
                        raise Dependent(each.kind, each.name).refusal(table.name, column)
        columns = () if column == "*" else (column,)
        self._refuse_broken_virtual_tables(
            lambda: altered_copy(self.database, table.name, statement)[0], table, *columns
        )

    def _rebuild(
        self,
        old: Table,
        definition: str,
        copy: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        change: Sequence[str] = (),
    ) -> None:
        if has_foreign_keys_on(self.database) and children(self.database, old.name):
            problem = "a table refers to it, and foreign keys are on inside this transaction: use migration_context"
            raise refusal("rebuild_refused", table=old.name, problem=problem)
        self._refuse_changed_meanings(old, parse_create_table(definition))
        for child in {old.name, *children(self.database, old.name)}:
            self.watch_foreign_keys(child)
        TableRebuild(self, old, definition, copy or {}, drop, change).run()

    def _refuse_changed_meanings(self, old: Table, new: CreateTable) -> None:
        """Refuse a new definition that would change the meaning of a view, trigger, index or CHECK."""
        shapes = {fold(old.name): new.renamed(old.name)}
        added = [
            unquote(item.tokens[0].text)
            for item in new.items
            if item.kind == "column" and item.name not in old.column_names
        ]
        self._refuse_captures(old, added, shapes, new=new)
        if is_reordered(old, new):
            for dependent in dependent_on_order(self.database, shapes, old.name):
                raise dependent.refusal(old.name, "*")


def _indexes_over(table: Table, column: str) -> list[str]:
    """Return the indexes that were created on a column alone."""
    return [index.name for index in table.indexes if index.sql and index.is_over(column)]


def _refuse_lost_clauses(table: str, old: str, new: str) -> None:
    """Refuse a new definition of a column that lacks a clause or comment of the old one."""
    entries = parse_create_table(f"CREATE TABLE entries ({new})").items
    column = next(tokens(old)).name
    same = [entry for entry in entries if entry.name == column] or entries
    left = Counter(t.name for entry in same for t in entry.tokens if t.is_word(*_CLAUSE_WORDS))
    left.subtract(token.name for token in tokens(old) if token.is_word(*_CLAUSE_WORDS))
    for lost in [word for word, count in left.items() if count < 0] + [c for _, c in comments(old) if c not in new]:
        raise refusal("rebuild_refused", table=table, problem=f"the new definition lacks {lost} of {old}")
