"""Schema operations for SQLite that lose nothing or refuse.

`LosslessMigrator` is playhouse's `SqliteMigrator` with what a database worth money needs on top: a table rebuild
after SQLite's documented twelve steps (https://www.sqlite.org/lang_altertable.html#otheralter), foreign-key
reconnection, and a foreign-key column turned into a junction table. Renames, added columns and indexes are
playhouse's own operations, and so is SQLite's DROP COLUMN where SQLite can do it in place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial

from peewee import SQL, IntegrityError, OperationalError, PeeweeException, Proxy, SqliteDatabase
from playhouse.migrate import Operation

from waiaas.ddl import writing
from waiaas.ddl.alterations import Alterations
from waiaas.ddl.captures import (
    altered,
    broken_virtual_tables,
    going_by_position,
    is_reordered,
    object_in,
    taken_by_new_columns,
    taken_by_rename,
    texts_taken_by_new_columns,
)
from waiaas.ddl.commit import immediate_transaction
from waiaas.ddl.connection import has_foreign_keys_on, pragmas, read, safe_settings
from waiaas.ddl.dangling import belongs_to
from waiaas.ddl.dependencies import (
    Dependent,
    broken_objects,
    compiles,
    dependents,
    dependents_on_table,
    in_table_constraint,
    objects_over,
    virtual_tables_over,
    without_column,
)
from waiaas.ddl.operation import as_refusal, is_refusal_of_an_operation, operation
from waiaas.ddl.rebuild import REBUILD_NAME, TableRebuild, row_name
from waiaas.ddl.row_checks import duplicates, value_not_allowed
from waiaas.ddl.schema import (
    ForeignKey,
    Index,
    StoredObject,
    Table,
    canonical,
    children,
    describe,
    describe_table,
    described,
    find_table,
    foreign_key_check,
    renamed_parents,
    same_index,
    same_shape,
    stored_objects,
    table_names,
)
from waiaas.ddl.schema_copy import schema_copy
from waiaas.ddl.schema_rows import refuse_strange_rows
from waiaas.ddl.sql import CreateTable, comments, fold, parse_create_table, quote, tokens, unquote
from waiaas.ddl.stubs import with_stand_ins
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import is_mismatch
from waiaas.errors.translation import safe_cause
from waiaas.migrations.report import Options, Told
from waiaas.progress import Progress, ProgressCallback

# What a column's definition may say beside its name and type.
_CLAUSE_WORDS = (
    *("constraint", "primary", "unique", "check", "default", "collate", "references"),
    *("generated", "as", "conflict", "autoincrement", "deferrable"),
)
# In the place of the rows: SQLite cannot check a foreign key that refers to columns that are no key.
_MISMATCH = "mismatch"
# https://www.sqlite.org/releaselog/3_35_0.html
_DROP_COLUMN_SINCE = (3, 35, 0)


class LosslessMigrator(Alterations):
    """Schema operations on one SQLite database, each lossless or refused.

    It takes the place of `playhouse.migrate.SqliteMigrator`: it has the same operations with the same arguments, and
    more of its own. Takes an open `peewee.SqliteDatabase`; `options` say what a migration may leave out, `progress` is
    called with each sign of life.

    Inside `migration_context` the operations are one transaction. Outside of it each is one by itself, and inside a
    transaction of the caller each is a savepoint:

    >>> database = SqliteDatabase(":memory:")
    >>> _ = database.execute_sql("CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT, draft INTEGER)")
    >>> migrator = LosslessMigrator(database)
    >>> with migrator.migration_context():
    ...     migrator.migrate(migrator.drop_column("note", "draft"))
    >>> [column.name for column in database.get_columns("note")]
    ['id', 'body']
    >>> database.close()
    True

    Every refusal is a WAIaaSError with a reason; the schema and every row are unchanged then. It
    is one of Peewee's errors too, so that code written for playhouse catches it: an `IntegrityError` if rows are in
    the way, else an `OperationalError`.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        options: Options | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Take the database, what may be left out, and whom to tell of progress."""
        super().__init__(database)  # type: ignore[no-untyped-call]
        self.options = options or Options()
        self.told = Told()
        self.version: int | None = None
        self._progress = progress
        self._violations_before: dict[str, Counter[int | str | None]] = {}
        self._dropped: dict[str, list[Dependent]] = {}
        self._is_changing = False
        self._failure: Exception | None = None

    @classmethod
    def from_database(cls, database: SqliteDatabase | Proxy, schema: str | None = None) -> LosslessMigrator:
        """Return a migrator for a database or a proxy of one, as playhouse's `SchemaMigrator.from_database` does.

        :raises ValueError: for a proxy without a database, for any database but SQLite, and if a schema is given.
        """
        if isinstance(database, Proxy):
            if database.obj is None:
                raise ValueError("Database proxy is uninitialized.")
            database = database.obj
        if not isinstance(database, SqliteDatabase):
            raise ValueError(f"Unsupported database: {type(database).__name__}")
        if schema is not None:
            raise ValueError("tables are changed in the main database: a schema cannot be given")
        return cls(database)

    def tell(self, phase: str, done: int = 0, total: int = 0) -> None:
        """Report progress to the caller of the migration; `done` and `total` are rows."""
        if self._progress is not None:
            self._progress(Progress(phase, self.version, done, total))

    def table(self, name: str) -> Table:
        """Describe a table that must be there; refuses with `unexpected_schema` where it is not."""
        table = describe_table(self.database, name)
        if table is None:
            raise refusal("unexpected_schema", table=name, problem="it is missing")
        if table.is_virtual:
            raise refusal("unexpected_schema", table=table.name, problem="it is a virtual table")
        return table

    @contextmanager
    def migration_context(self, atomic: bool = True) -> Iterator[None]:
        """Hold the one transaction of a migration: foreign keys off, write lock taken, all or nothing.

        Foreign keys are off because a table rebuild drops the table, and with them on SQLite would delete or
        change the rows that refer to it (https://www.sqlite.org/lang_droptable.html); the pragma is a no-op
        inside a transaction, so one that is open already is refused (`inside_transaction`). What the change broke
        is looked for before the commit (`foreign_key_violations`). With `atomic=False` foreign keys are off, and each
        operation is a transaction of its own. After an operation was refused, nothing is committed, even if the
        refusal was caught.

        Settings of the connection under which a change would not be safe are set aside meanwhile, or refused
        (`connection_settings`), and so is a query that has rows left (`unfinished_query`).
        """
        is_callers_own = False
        try:
            with self._transaction() if atomic else self._foreign_keys_off():
                try:
                    yield
                except BaseException:
                    is_callers_own = True
                    raise
        except (WAIaaSError, PeeweeException, sqlite3.Error, OSError, MemoryError) as error:
            if is_callers_own or is_refusal_of_an_operation(error):
                raise
            raise as_refusal(error, self, None) from safe_cause(error)

    @contextmanager
    def change(self) -> Iterator[None]:
        """Make what one operation does all or nothing: part of the transaction that is open, or one of its own."""
        if self._is_changing:
            if not self.database.connection().in_transaction:
                raise refusal("connection_settings", problem="the transaction of this migration was ended meanwhile")
            try:
                yield
            except Exception as error:
                self.note_failure(error)
                raise
        elif self._is_inside_transaction():
            refuse_strange_rows(self.database)
            self._refuse_shadows()
            with self._changing(), safe_settings(self.database), _savepoint(self.database):
                yield
                self._verify_dropped()
                self.verify_foreign_keys()
        else:
            with self._transaction():
                yield

    def note_failure(self, error: Exception) -> None:
        """Keep the transaction of `migration_context` from being committed after an operation was refused."""
        if self._is_changing and self._failure is None:
            self._failure = error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._refuse_transaction()
        refuse_strange_rows(self.database)
        self._refuse_shadows()
        with (
            self._changing(),
            safe_settings(self.database),
            _migration_pragmas(self.database, self.told.warn),
            immediate_transaction(self.database, self.told.warn),
        ):
            yield
            if self._failure is not None:
                raise self._failure
            self._verify_dropped()
            self.verify_foreign_keys()
            self.tell("committing")

    @contextmanager
    def _foreign_keys_off(self) -> Iterator[None]:
        self._refuse_transaction()
        with pragmas(self.database, {"foreign_keys": 0}):
            yield

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._violations_before.clear()
        self._dropped.clear()
        self._is_changing, self._failure = True, None
        try:
            yield
        finally:
            self._is_changing, self._failure = False, None

    def _refuse_transaction(self) -> None:
        if self._is_inside_transaction():
            raise refusal("inside_transaction")

    def _is_inside_transaction(self) -> bool:
        return bool(self.database.in_transaction() or self.database.connection().in_transaction)

    def verify_foreign_keys(self) -> None:
        """Refuse (`foreign_key_violations`) if what was changed so far has broken a foreign key.

        `migration_context` does it at its end, for what was changed since it was last done.
        """
        while self._violations_before:
            table, before = next(iter(self._violations_before.items()))
            self.tell(f"checking the foreign keys of {table}")
            new = self._violations(table) - before
            if new and _MISMATCH not in before:
                raise refusal("foreign_key_violations", table=table, count=sum(new.values()))
            del self._violations_before[table]

    def _verify_dropped(self) -> None:
        """Refuse (`dependent_on_table`) if something still needs a table that was dropped and is not there again."""
        for table, dependents_before in self._dropped.items():
            if find_table(self.database, table) is not None:
                continue
            broken = broken_objects(self.database)
            keys = {Dependent("foreign key", child) for child in children(self.database, table)}
            virtual = set(virtual_tables_over(self.database, table))
            self._refuse_drop(table, [each for each in dependents_before if each in broken | keys | virtual])

    def _refuse_shadows(self) -> None:
        """A temporary table hides the one of the same name in the file from statements that name no schema."""
        tables = {fold(name) for name in table_names(self.database)}
        for (name,) in read(self.database, "SELECT name FROM temp.sqlite_master"):
            if fold(name) in tables:
                problem = "a temporary table or view of this connection has the same name"
                raise refusal("rebuild_refused", table=name, problem=problem)

    def refuse_temporary_triggers(self, table: str) -> None:
        """Refuse with `rebuild_refused` where the connection has a temporary trigger on a table: it would be lost."""
        for name, on in read(self.database, "SELECT name, tbl_name FROM temp.sqlite_master WHERE type = 'trigger'"):
            if fold(on) == fold(table):
                raise refusal("rebuild_refused", table=table, problem=f"it has the temporary trigger {name}")

    @contextmanager
    def without(self, objects: Sequence[StoredObject]) -> Iterator[None]:
        """Set views and triggers aside while something is done that they must not be seen by."""
        views = [each for each in objects if each.kind == "view"]
        triggers = [each for each in objects if each.kind == "trigger"]
        for each in [*triggers, *views]:
            self.database.execute_sql(f"DROP {each.kind.upper()} main.{quote(each.name)}")
        yield
        self._put_back(objects)

    def _put_back(self, objects: Sequence[StoredObject]) -> None:
        for kind in ("view", "trigger"):
            for each in objects:
                if each.kind == kind:
                    self.database.execute_sql(each.sql)

    def _alter(self, table: str, change: Operation) -> None:
        """Run an ALTER TABLE of SQLite's own, which reads the whole schema, and so much that is not the table's.

        What only the user's program has, such as the collation of an index on another table, is given meanwhile:
        ALTER TABLE compares nothing by it. A view or trigger at which SQLite stops is set aside if it has been broken
        before, and else named (`dependent_object`).
        """
        aside: list[StoredObject] = []
        while True:
            try:
                with self.without(aside):
                    with_stand_ins(self.database.connection(), change.run)
                return
            except OperationalError as error:
                if (found := object_in(error)) is None:
                    raise
                self._put_back(aside)
                broken = self._broken_with(found)
                if not broken or any(each in aside for each in broken):
                    raise self.depends(found, table, "*") from error
                aside += broken

    def _broken_with(self, found: Dependent) -> list[StoredObject]:
        """A view or trigger, and the triggers on the view, if it does not compile; else nothing."""
        stored = stored_objects(self.database, "view", "trigger")
        on_it = [each for each in stored if (each.kind, fold(each.name)) == (found.kind, fold(found.name))]
        with closing(schema_copy(self.database)) as copy:
            if not on_it or compiles(copy, on_it[0]):
                return []
        if found.kind == "view":
            on_it += [each for each in stored if each.kind == "trigger" and fold(each.table) == fold(found.name)]
        return on_it

    @staticmethod
    def taken(dependent: Dependent, table: str, column: str) -> WAIaaSError:
        """Return the refusal that names what would take a new name for something else."""
        return refusal("name_taken", kind=dependent.kind, name=dependent.name, table=table, column=column)

    def _refuse_taken(self, table: Table, columns: Sequence[str], changes: Sequence[str]) -> None:
        """Refuse new columns, which `changes` add in a copy, where an object would take one for something else."""
        taken = [*texts_taken_by_new_columns(table, columns)]
        for dependent in taken or taken_by_new_columns(self.database, table, columns, {}, changes):
            raise self.taken(dependent, table.name, ", ".join(columns))
        for dependent in broken_virtual_tables(
            self.database, lambda: schema_copy(self.database, {}, changes), table.name
        ):
            raise self.depends(dependent, table.name, "*")

    @operation
    def rename_table(self, old_name: str, new_name: str) -> None:
        """Rename a table in place; every foreign key, trigger and view that names it follows.

        That foreign keys follow is looked at afterwards (`foreign_key_elsewhere`): SQLite before 3.26, or with
        `legacy_alter_table`, leaves them behind.
        """
        found = self.table(old_name)
        if fold(found.name) != fold(new_name):
            self.refuse_taken(new_name)
        named_by = children(self.database, found.name)
        if fold(found.name) == fold(new_name):
            self._rename_case(found.name, found.name, new_name, super().rename_table)
        else:
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
        """Rename a column in place; indexes, triggers and views that name it follow.

        Refuses with `name_taken` where a view or trigger would take the new name for something else, and with
        `dependent_object` where a virtual table such as FTS5's `content='…'` reads the column by its old name.
        `legacy` is playhouse's and changes nothing here.
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

    def _rename_case(self, table: str, name: str, new_name: str, rename: Callable[[str, str], Operation]) -> None:
        """Change the case of letters in a name alone: SQLite has no such rename, so it goes by another name."""
        between = REBUILD_NAME.format(name)
        if name != new_name:
            self._alter(table, rename(name, between))
            self._alter(between if table == name else table, rename(between, new_name))

    def _refuse_unintended(self, table: str, columns: Sequence[str]) -> None:
        """After an ALTER, refuse a table that does not have the columns that were intended, in their order.

        SQLite has read the stored definition again: it is not what the ALTER wrote if the row of the table in
        sqlite_master could not be found.
        """
        actual = [column.name for column in self.table(table).columns]
        if [fold(name) for name in actual] != [fold(name) for name in columns]:
            problem = f"SQLite did not change its definition: the columns are {', '.join(actual)}"
            raise refusal("unexpected_schema", table=table, problem=problem)

    def _refuse_rename(self, table: Table, column: str, name: str, statement: str) -> None:
        for dependent in taken_by_rename(self.database, table.name, name, lambda new: statement.format(quote(new))):
            raise self.taken(dependent, name if column == "*" else table.name, "*" if column == "*" else name)
        statement = statement.format(quote(name))
        if objects_over(self.database, table.name):
            changed, objects = altered(self.database, table.name, statement)
            with closing(changed):
                for each in objects.values():
                    if not compiles(changed, each):
                        raise self.depends(Dependent(each.kind, each.name), table.name, column)
        columns = () if column == "*" else (column,)
        for dependent in broken_virtual_tables(
            self.database, lambda: altered(self.database, table.name, statement)[0], table.name, columns
        ):
            raise self.depends(dependent, table.name, column)

    @operation
    def drop_column(self, table: str, column_name: str, cascade: bool = True, legacy: bool = False) -> None:
        """Drop a column: in place where SQLite can, else (or if `legacy`) by `rebuild_table`.

        The column's own REFERENCES and CHECK go with it, a table-level foreign key of that column alone, and the
        indexes over nothing but that column (`told.indexes_dropped` names them).
        Refuses with `dependent_object` where an index, trigger (on any table), view, constraint, generated column
        or another table's foreign key needs the column; SQLite's own DROP COLUMN overlooks triggers on other
        tables. `cascade` is playhouse's, and does nothing on SQLite.
        """
        found = self.table(table)
        column = self.column_of(found, column_name)
        if len(found.columns) == 1:
            raise refusal("rebuild_refused", table=found.name, problem=f"{column} is its only column")
        going = [index.name for index in found.indexes if index.sql and _is_over(index, [column])]
        for dependent in self.dependents(found, column, going):
            raise self.depends(dependent, found.name, column)
        for index in going:
            self.drop_index(found.name, index).run()
            self.told.indexes_dropped.append(index)
        found = self.table(found.name)
        self.tell(f"dropping {found.name}.{column}")
        if legacy or not self.drops_in_place(found, column):
            self._rebuild(found, without_column(found.definition, column).sql, drop=(column,))
        else:
            self._alter(found.name, super().drop_column(found.name, column))
        self._refuse_unintended(found.name, [c.name for c in found.columns if fold(c.name) != fold(column)])

    def drops_in_place(self, table: Table, column: str) -> bool:
        """Tell whether SQLite can drop a column without a table rebuild, and without a neighbour's comment.

        That is since 3.35, and not where the column stands in a table-level foreign key.
        """
        if self.sqlite_version < _DROP_COLUMN_SINCE or in_table_constraint(table, column):
            return False
        definition = table.definition
        item = definition.column(column)
        return not any(item.end <= start < definition.end_of(item) for start, _ in comments(table.sql))

    def dependents_on(self, table: Table) -> list[Dependent]:
        """Return what needs a table as it stands: views, triggers, virtual tables, other tables' foreign keys."""
        return dependents_on_table(self.database, table, table)

    def dependents(self, table: Table, column: str, drop_indexes: Sequence[str] = ()) -> list[Dependent]:
        """Return what needs a column; an index of `drop_indexes` does not count if it is of that column alone."""
        going = []
        for name in drop_indexes:
            index = table.index(name)
            if index is not None and _is_over(index, [column]):
                going.append(name)
        return dependents(self.database, table, column, going)

    def leftover(self, table: str) -> WAIaaSError:
        """Return the refusal that names a table which an interrupted tool left."""
        return refusal("leftover_table", table=table, rows=self.count(table))

    @staticmethod
    def depends(dependent: Dependent, table: str, column: str) -> WAIaaSError:
        """Return the refusal that names what depends on a column."""
        return refusal("dependent_object", kind=dependent.kind, name=dependent.name, table=table, column=column)

    @operation
    def rebuild_table(
        self,
        table: str,
        definition: str,
        copy: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        change: Sequence[str] = (),
    ) -> None:
        """Give a table a new definition by SQLite's twelve steps, and keep everything that it has.

        `definition` is the CREATE TABLE statement of the new table, under the same name. Columns are copied by
        name; `copy` maps a column to an SQL expression over the old row instead. What is meant to go, columns or
        named constraints, must be named in `drop`, and columns whose definition is meant to differ in `change`;
        all else must stand in the new definition as it stood in the old one, comments too. Indexes, triggers,
        views over the table, hidden rowids, the AUTOINCREMENT high-water mark and the planner's statistics are
        carried over.

        Refuses with `rebuild_refused` where something would be lost or a value would change with its column's
        type, `value_not_allowed` where a new CHECK or NOT NULL does not hold (table, column, values and rows in
        `details`), `dependent_object` where an index, trigger or view cannot work on the new table, and
        `rows_lost` where the counts differ.

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
                self._refuse_dependents(old, column.name)
        self._rebuild(old, definition, copy, drop, change)

    def _refuse_dependents(self, table: Table, column: str) -> None:
        """What needs a column that goes: in quotes it would silently become a text, or never fire again."""
        for dependent in self.dependents(table, column):
            if dependent.kind != "constraint":
                raise self.depends(dependent, table.name, column)

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
        self._refuse_other_meanings(old, parse_create_table(definition))
        for child in {old.name, *children(self.database, old.name)}:
            self._watch_foreign_keys(child)
        TableRebuild(self, old, definition, copy or {}, drop, change).run()

    def _refuse_other_meanings(self, old: Table, new: CreateTable) -> None:
        """Refuse a new definition with which a view, trigger, index or CHECK would go on working, but otherwise."""
        shapes = {fold(old.name): new.renamed(old.name)}
        added = [
            unquote(item.tokens[0].text)
            for item in new.items
            if item.kind == "column" and item.name not in old.column_names
        ]
        for dependent in texts_taken_by_new_columns(old, added, new):
            raise self.taken(dependent, old.name, ", ".join(added))
        for dependent in taken_by_new_columns(self.database, old, added, shapes):
            raise self.taken(dependent, old.name, ", ".join(added))
        if is_reordered(old, new):
            for dependent in going_by_position(self.database, shapes, old.name):
                raise self.depends(dependent, old.name, "*")
        for dependent in broken_virtual_tables(self.database, lambda: schema_copy(self.database, shapes), old.name):
            raise self.depends(dependent, old.name, "*")

    def _update_column(self, table: str, column_to_update: str, fn: Callable[[str, str], str | None]) -> Operation:
        """Refuse playhouse's table rebuild, which reads SQL by regular expressions; nothing here uses it."""
        problem = f"playhouse would rebuild it to change {column_to_update}: use change_columns or rebuild_table"
        raise refusal("rebuild_refused", table=table, problem=problem)

    @operation
    def change_columns(
        self, table: str, definitions: Mapping[str, str], copy: Mapping[str, str] | None = None
    ) -> None:
        """Give columns other definitions, where they stand, by a table rebuild that leaves all else as it is.

        `definitions` maps a column to the SQL of its new definition; with a comma, to those of several columns that
        take its place. `copy` gives new columns their values, as for `rebuild_table`, which also says what is
        refused. Where every definition is what the table has already, nothing is done.
        """
        old = self.table(table)
        new = old.definition
        for column, definition in definitions.items():
            item = new.column(self.column_of(old, column))
            _refuse_lost_clauses(old.name, new.sql[item.start : item.end], definition)
            new = new.with_entry(item, definition)
        if canonical(new.sql) != canonical(old.sql):
            self.rebuild_table(old.name, new.sql, copy=copy, change=tuple(definitions)).run()

    @operation
    def create_table(self, definition: str, indexes: Sequence[str] = ()) -> None:
        """Create a table and its indexes, or use an empty one of the right shape that stands there already.

        Any other table of that name is refused with `leftover_table`.
        """
        self._create_or_adopt(described(definition).name, definition, indexes)
        for statement in indexes:
            self.database.execute_sql(statement)

    @operation
    def append_column(self, table: str, definition: str) -> None:
        """Add a column behind the others, in place, from the SQL of its definition.

        What SQLite demands of such a column: https://www.sqlite.org/lang_altertable.html#altertabaddcol. Playhouse's
        `add_column` takes a Peewee field instead, and is refused for one that is NOT NULL.
        """
        found = self.table(table)
        self.add_in_place(found, unquote(next(tokens(definition)).text), definition)

    def add_in_place(self, table: Table, column: str, definition: str) -> None:
        """Add a column by SQLite's ALTER TABLE, and refuse one that would change what another object means."""
        if table.column(column) is not None:
            raise refusal("name_exists", kind="column", name=column)
        statement = f"ALTER TABLE {quote(table.name)} ADD COLUMN {definition}"
        self._refuse_taken(table, [column], [statement])
        before = broken_objects(self.database, table.name)
        self._alter(table.name, Operation(self, lambda _: SQL(statement)))
        for dependent in sorted(broken_objects(self.database, table.name) - before):
            raise self.depends(dependent, table.name, "*")

    @operation
    def drop_table(self, table: str, safe: bool = False, cascade: bool = False, schema: str | None = None) -> None:
        """Drop a table with its indexes and triggers.

        With `safe` it need not be there, and with `schema` it is that of an attached database.
        Refuses with `dependent_on_table` where a foreign key of another table, a view, a trigger on another table or a
        virtual table needs it. Inside `migration_context` that is looked for at the end, so that they may be dropped
        or changed after it.

        :raises NotImplementedError: if `cascade` is given: SQLite has no such clause.
        """
        if schema is not None or cascade:
            self.migrate(super().drop_table(table, safe, cascade, schema))
            return
        found = describe_table(self.database, table)
        if found is None and not safe:
            raise refusal("unexpected_schema", table=table, problem="it is missing")
        if found is not None and not found.is_virtual:
            own = {
                Dependent("trigger", o.name)
                for o in stored_objects(self.database, "trigger")
                if fold(o.table) == fold(table)
            }
            needed_by = [each for each in dependents_on_table(self.database, found, found) if each not in own]
            for child in children(self.database, found.name):
                self._watch_foreign_keys(child)
            self._dropped[found.name] = needed_by
        self.migrate(super().drop_table(table, safe))

    @staticmethod
    def _refuse_drop(table: str, needed_by: Sequence[Dependent]) -> None:
        for dependent in needed_by:
            raise refusal("dependent_on_table", kind=dependent.kind, name=dependent.name, table=table)

    @operation
    def create_index(self, table: str, statement: str, replaces: str | None = None) -> None:
        """Make an index, and drop the one that it replaces where that is over the same columns.

        An index `replaces` over anything else is somebody's own and stays. One that stands under the new name
        already is used where it is the same, and refused with `dependent_object` else.
        """
        found = self.table(table)
        (wanted,) = (index for index in described(found.sql, statement).indexes if index.sql)
        standing = found.index(wanted.name)
        if standing is None:
            self.refuse_taken(wanted.name)
            with self.unique_rows(found, statement):
                self.database.execute_sql(statement)
        elif not same_index(standing, wanted):
            raise self.depends(Dependent("index", standing.name), found.name, ", ".join(map(str, wanted.columns)))
        if replaces is not None:
            self.drop_index_over(table, replaces, [str(column) for column in wanted.columns]).run()

    @operation
    def drop_index_over(self, table: str, name: str, columns: Sequence[str]) -> None:
        """Drop an index if it is there and over exactly these columns; one over anything else is somebody's own."""
        index = self.table(table).index(name)
        if index is not None and _is_over(index, columns):
            self.migrate(self.drop_index(table, index.name))

    @operation
    def update(self, table: str, assignment: str, where: str) -> None:
        """Change a column of the rows that satisfy an SQL condition; `told.rows` grows by them.

        `assignment` is `column = expression`. Triggers on the table fire; one that stops the change, or changes what
        was written, is refused by its name (`dependent_object`).
        """
        changed = writing.update(self, self.table(table), assignment, where)
        self.told.rows += changed
        self.told.rows_changed[fold(table)] = self.told.rows_changed.get(fold(table), 0) + changed

    def insert(self, table: str, row: Mapping[str, object]) -> None:
        """Add a row, given by its columns; triggers on the table fire, and are refused as for `update`."""
        writing.insert(self, self.table(table), row)

    def delete(self, table: str, row: Mapping[str, object]) -> None:
        """Delete the rows that have these values; triggers on the table fire, and are refused as for `update`."""
        writing.delete(self, self.table(table), row)

    def refuse_values(self, table: str, column: str, condition: str) -> None:
        """Refuse with `value_not_allowed` where rows satisfy an SQL condition; names their ids and values."""
        name = quote(self.table(table).name)
        query = f"SELECT id, {quote(column)} FROM main.{name} WHERE {condition}"
        rows = read(self.database, query)
        if rows:
            raise value_not_allowed(table, column, rows)

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
        """Turn a foreign-key column into a junction table: create it, fill it, drop the column.

        `definition` and `indexes` are the CREATE statements of the junction table, whose name is `junction`.
        `fill` maps each of its columns, the first of its key first, to an SQL expression over the old row; a row
        whose column is NULL gets no link, nor does one that does not satisfy `where`. `drop_indexes` go with the
        column. An empty junction table of the right shape that stands there already is used; any other refuses
        with `leftover_table`. `told.links_created` grows by the links made.
        """
        source = self.table(table)
        name = self.column_of(source, column)
        wanted = f"{quote(name)} IS NOT NULL AND ({where})"
        expected = self.count(source.name, wanted)
        self._create_or_adopt(junction, definition, indexes)
        # Dropped first, the old index leaves its pages to the new table.
        for index in drop_indexes:
            self.drop_index_over(source.name, index, [name]).run()
        self._watch_foreign_keys(junction, new=True)
        self.tell(f"filling {junction}", 0, expected)
        # In key order every page of the new table and of its key's index is written once, whatever the old order.
        # NOT INDEXED: the values come from the rows, and never from an index that may be damaged.
        rows = f"main.{quote(source.name)} NOT INDEXED"
        with self._links_named(source, junction, fill, wanted):
            self.database.execute_sql(
                f"INSERT INTO main.{quote(junction)} ({', '.join(map(quote, fill))}) "
                f"SELECT {', '.join(fill.values())} FROM {rows} WHERE {wanted} ORDER BY 1"
            )
        created = self.count(junction)
        self.tell(f"filling {junction}", created, expected)
        if created != expected:
            raise refusal("rows_lost", table=junction, before=expected, after=created)
        self.tell(f"indexing {junction}")
        for statement in indexes:
            # One sort for the whole index costs less than a place in it for each row.
            self.database.execute_sql(statement)
        self.told.links_created += created
        self.told.rows += created
        self.drop_column(source.name, name).run()

    @contextmanager
    def _links_named(self, source: Table, junction: str, fill: Mapping[str, str], where: str) -> Iterator[None]:
        """Name the rows whose links a junction table does not allow: twice the same, or a NULL."""
        try:
            yield
        except IntegrityError:
            expressions = {fold(column): expression for column, expression in fill.items()}
            table, name, rows_of = self.table(junction), row_name(source), f"main.{quote(source.name)}"
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
        """Turn a junction table back into a column: the way back of `extract_junction`.

        `definition` holds the CREATE statements that made the junction table; what it has beyond them (columns,
        indexes, triggers, views over it) is refused with `dependent_on_table`. The table `into` gets `column`, the
        SQL of a column definition, behind the column `after`, filled by `value`, an SQL expression over its row;
        then `indexes` are made and the junction table is dropped.
        """
        standing = self.table(junction)
        for dependent in dependents_on_table(self.database, standing, described(*definition)):
            raise refusal("dependent_on_table", kind=dependent.kind, name=dependent.name, table=standing.name)
        target = self.table(into)
        name = unquote(next(tokens(column)).text)
        widened = target.definition.with_column_after(after, column)
        self.rebuild_table(target.name, widened, copy={name: value}).run()
        for index in indexes:
            self.database.execute_sql(index)
        self.migrate(self.drop_table(standing.name))

    @operation
    def reconnect_foreign_keys(self, table: str, expected: Mapping[str, Sequence[str]] | None = None) -> None:
        """Make every foreign key that depends on a table name it again.

        A rename keeps foreign keys pointing at the renamed table; a tool that then dropped it leaves them on a
        name that no longer exists. Such a dangling key is reconnected by rebuilding its table alone, if `expected`
        (child table to columns) says that it is this table's, if its name does (`u__old` is `u`'s), or if all of its
        rows refer to rows of this table and of no other. A key that `expected` names and that refers to another
        existing table is refused (`foreign_key_elsewhere`).
        """
        for misdirected in self.misdirected_foreign_keys(table, expected or {}):
            raise misdirected
        parent = self.table(table)
        everything = describe(self.database)
        tables = [each for each in everything.values() if not each.is_virtual]
        for child in tables:
            dangling = [
                key
                for key in child.foreign_keys
                if fold(key.parent) not in everything
                and (_is_expected(child, key, expected) or belongs_to(self.database, child, key, parent, tables))
            ]
            if dangling:
                self.tell(f"reconnecting the foreign keys of {child.name}")
                parents = {fold(key.parent) for key in dangling}
                columns = [column for key in dangling for column in key.columns]
                renamed = renamed_parents(child.definition, parents, parent.name)
                self.rebuild_table(child.name, renamed, change=columns).run()
                self.told.foreign_keys_reconnected += [f"{child.name}.{', '.join(key.columns)}" for key in dangling]

    def misdirected_foreign_keys(self, table: str, expected: Mapping[str, Sequence[str]]) -> Iterator[WAIaaSError]:
        """Yield a refusal for each expected foreign key of a table that names another existing table instead."""
        existing = {fold(name) for name in table_names(self.database)}
        for child in filter(None, (describe_table(self.database, name) for name in expected)):
            for key in child.foreign_keys:
                elsewhere = fold(key.parent) in existing and fold(key.parent) != fold(table)
                if elsewhere and _is_expected(child, key, expected):
                    column = ", ".join(key.columns)
                    yield refusal(
                        "foreign_key_elsewhere", table=child.name, column=column, parent=key.parent, expected=table
                    )

    def leftovers(self, table: str) -> list[str]:
        """Return the existing tables that have the name which a rebuild of the table gives to its new one."""
        temporary = fold(REBUILD_NAME.format(table))
        return [name for name in table_names(self.database) if fold(name) == temporary]

    def row_name(self, table: Table) -> str:
        """Return the SQL of what names a row of a table to a person."""
        return row_name(table)

    def column_of(self, table: Table, name: str) -> str:
        """Return a column's name in the file's own spelling; refuses with `unexpected_schema` if there is none."""
        column = table.column(name)
        if column is None:
            raise refusal("unexpected_schema", table=table.name, problem=f"it has no column {name}")
        return column.name

    def count(self, table: str, where: str = "1") -> int:
        """Count the rows of a table that satisfy an SQL condition."""
        ((count,),) = read(self.database, f"SELECT count(*) FROM main.{quote(table)} WHERE {where}")
        return int(count)

    def _create_or_adopt(self, name: str, definition: str, indexes: Sequence[str]) -> None:
        """Make sure that there is an empty junction table without indexes of its own."""
        standing = describe_table(self.database, name)
        if standing is None:
            self.database.execute_sql(definition)
        elif self.adoptable(standing, [definition, *indexes]):
            for index in standing.indexes:
                if index.sql:
                    self.migrate(self.drop_index(standing.name, index.name))
            self.told.leftovers_used.append(standing.name)
        else:
            raise self.leftover(standing.name)

    def adoptable(self, standing: Table, statements: Sequence[str]) -> bool:
        """Tell whether a table that stands already is what the statements would make, and empty."""
        wanted = described(*statements)
        known = {fold(index.name) for index in wanted.indexes}
        return (
            not standing.is_virtual
            and same_shape(standing, wanted)
            and all(same_index(index, wanted.index(index.name)) for index in standing.indexes if index.sql)
            and {fold(index.name) for index in standing.indexes if index.sql} <= known
            and not any(fold(o.table) == fold(standing.name) for o in stored_objects(self.database, "trigger"))
            and self.count(standing.name) == 0
        )

    def _watch_foreign_keys(self, table: str, *, new: bool = False) -> None:
        """Note the violations that a table has before the change; a new table has none."""
        if fold(table) not in self._violations_before:
            self._violations_before[fold(table)] = Counter() if new else self._violations(table)

    def _violations(self, table: str) -> Counter[int | str | None]:
        """The rows of a table that violate a foreign key, by rowid, each as often as it does."""
        if find_table(self.database, table) is None:
            return Counter()
        try:
            rows = foreign_key_check(self.database, table)
        except OperationalError as error:
            if not is_mismatch(error):
                raise
            return Counter([_MISMATCH])
        return Counter(row[1] for row in rows)


def _refuse_lost_clauses(table: str, old: str, new: str) -> None:
    """Refuse to replace a column's definition that says more than the new one: a user's own clause or comment."""
    entries = parse_create_table(f"CREATE TABLE entries ({new})").items
    column = next(tokens(old)).name
    same = [entry for entry in entries if entry.name == column] or entries
    left = Counter(t.name for entry in same for t in entry.tokens if t.is_word(*_CLAUSE_WORDS))
    left.subtract(token.name for token in tokens(old) if token.is_word(*_CLAUSE_WORDS))
    for lost in [word for word, count in left.items() if count < 0] + [c for _, c in comments(old) if c not in new]:
        raise refusal("rebuild_refused", table=table, problem=f"the new definition lacks {lost} of {old}")


def _is_over(index: Index, columns: Sequence[str]) -> bool:
    return [fold(indexed or "") for indexed in index.columns] == [fold(column) for column in columns]


def _is_expected(child: Table, key: ForeignKey, expected: Mapping[str, Sequence[str]] | None) -> bool:
    columns = next((columns for name, columns in (expected or {}).items() if fold(name) == fold(child.name)), ())
    return [fold(column) for column in key.columns] in [[fold(column)] for column in columns]


@contextmanager
def _migration_pragmas(database: SqliteDatabase, warn: Callable[[WAIaaSError], None]) -> Iterator[None]:
    """Set what holds during a migration, outside the transaction since SQLite takes it nowhere else, and restore it.

    `synchronous` is EXTRA (3): the change is on the disk once COMMIT has returned. With FULL, in rollback-journal
    mode, a power cut could bring the journal back, and with it the old version
    (https://www.sqlite.org/pragma.html#pragma_synchronous). `temp_store` is FILE: SQLite's own undo data of one big
    statement would else grow in memory with the table; a sort takes as much memory again as `cache_size` (KiB where
    negative). Changing it deletes temporary tables (https://www.sqlite.org/pragma.html#pragma_temp_store), so it
    stays where the program has any. `mmap_size` is 0: a bad sector of a mapped file ends the process with SIGBUS
    (https://www.sqlite.org/mmap.html).
    """
    wanted = {"foreign_keys": 0, "synchronous": 3, "cache_size": -32000, "mmap_size": 0}
    if not read(database, "SELECT 1 FROM temp.sqlite_master"):
        wanted["temp_store"] = 1
    with pragmas(database, wanted, warn):
        yield


@contextmanager
def _savepoint(database: SqliteDatabase) -> Iterator[None]:
    """A part of the caller's transaction that can be undone by itself; not where SQLite has rolled back everything."""
    connection = database.connection()
    connection.execute("SAVEPOINT waiaas_operation")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO waiaas_operation")
            connection.execute("RELEASE waiaas_operation")
        raise
    connection.execute("RELEASE waiaas_operation")
