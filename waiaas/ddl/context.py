"""The transaction of a migration, and the helpers that every schema operation uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from peewee import OperationalError, PeeweeException, SqliteDatabase
from playhouse.migrate import Operation, SqliteMigrator

from waiaas.ddl.commit import immediate_transaction
from waiaas.ddl.connection import pragmas, read, safe_settings
from waiaas.ddl.dependencies import Dependent, broken_objects, virtual_tables_over
from waiaas.ddl.refusals import is_operation_refusal, operation_refusal
from waiaas.ddl.result import Result
from waiaas.ddl.schema import (
    StoredObject,
    Table,
    children,
    describe_table,
    find_table,
    foreign_key_check,
    table_names,
)
from waiaas.ddl.schema_rows import refuse_strange_rows
from waiaas.ddl.sql import fold, quote
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import is_mismatch
from waiaas.errors.translation import safe_cause
from waiaas.progress import Progress, ProgressCallback

# Counted instead of rows: SQLite cannot check a foreign key whose parent columns are not a key.
_MISMATCH = "mismatch"


class MigrationContext(SqliteMigrator):
    """One migration of a database: its transaction, the checks before the commit, progress and result."""

    database: SqliteDatabase

    def __init__(self, database: SqliteDatabase, progress: ProgressCallback | None = None) -> None:
        """Prepare the migration of an open database; `progress` is called with each `waiaas.progress.Progress`."""
        super().__init__(database)  # type: ignore[no-untyped-call]
        self.result = Result()
        self._progress = progress
        self._violations_before: dict[str, Counter[int | str | None]] = {}
        self._dropped: dict[str, list[Dependent]] = {}
        self._is_changing = False
        self._failure: Exception | None = None

    def report_progress(self, phase: str, done: int = 0, total: int = 0) -> None:
        """Report what is being done, and how many rows of `total` (0 if unknown) are done."""
        if self._progress is not None:
            self._progress(Progress(phase, None, done, total))

    def migrate(self, *operations: Operation) -> None:
        """Run operations one after the other.

        :param operations: the return values of a migrator's methods.
        :raises WAIaaSError: ``SCHEMA_INCOMPATIBLE`` with the reason why one is refused.
        """
        for operation in operations:
            operation.run()

    @contextmanager
    def migration_context(self, atomic: bool = True) -> Iterator[None]:
        """Run a block as one migration: foreign keys off, write lock held from the start, one transaction.

        Foreign keys are off because a table rebuild drops the table, and SQLite would otherwise delete or change the
        rows that refer to it (https://www.sqlite.org/lang_droptable.html). New violations are refused before the
        commit. After a refused operation nothing is committed, even if the refusal was caught.

        Unsafe settings of the connection are overridden during the block.

        :param atomic: whether the block is one transaction; otherwise each operation is a separate one.
        :raises WAIaaSError: ``inside_transaction`` if one is open; ``connection_settings`` if a setting cannot be
            changed; ``unfinished_query`` if a query has unread rows; ``foreign_key_violations``,
            ``dependent_on_table``, or another reason if the transaction cannot be committed.
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
            if is_callers_own or is_operation_refusal(error):
                raise
            raise operation_refusal(error, self.database) from safe_cause(error)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Run one operation in the migration's transaction, a savepoint of the caller's, or a new transaction."""
        if self._is_changing:
            if not self.database.connection().in_transaction:
                raise refusal("connection_settings", problem="the transaction of this migration has ended already")
            try:
                yield
            except Exception as error:
                self.note_failure(error)
                raise
        elif self._is_inside_transaction():
            self._refuse_unsafe_schema()
            with self._changing(), safe_settings(self.database), savepoint(self.database):
                yield
                self._verify_dropped()
                self.verify_foreign_keys()
        else:
            with self._transaction():
                yield

    def note_failure(self, error: Exception) -> None:
        """Prevent the commit of `migration_context` after an operation was refused."""
        if self._is_changing and self._failure is None:
            self._failure = error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._refuse_transaction()
        self._refuse_unsafe_schema()
        with (
            self._changing(),
            safe_settings(self.database),
            _migration_pragmas(self.database, self.result.warn),
            immediate_transaction(self.database, self.result.warn),
        ):
            yield
            if self._failure is not None:
                raise self._failure
            self._verify_dropped()
            self.verify_foreign_keys()
            self.report_progress("committing")

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

    def _refuse_unsafe_schema(self) -> None:
        """Refuse schema rows that SQLite does not write, and temporary tables that hide a table of the file."""
        refuse_strange_rows(self.database)
        tables = {fold(name) for name in table_names(self.database)}
        for (name,) in read(self.database, "SELECT name FROM temp.sqlite_master"):
            if fold(name) in tables:
                problem = "a temporary table or view of this connection has the same name"
                raise refusal("rebuild_refused", table=name, problem=problem)

    def verify_foreign_keys(self) -> None:
        """Check that there are no new foreign-key violations since the last check; `migration_context` ends with it.

        :raises WAIaaSError: ``SCHEMA_INCOMPATIBLE`` with the reason ``foreign_key_violations``.
        """
        while self._violations_before:
            table, before = next(iter(self._violations_before.items()))
            self.report_progress(f"checking the foreign keys of {table}")
            new = self._violations(table) - before
            if new and _MISMATCH not in before:
                raise refusal("foreign_key_violations", table=table, count=sum(new.values()))
            del self._violations_before[table]

    def watch_foreign_keys(self, table: str, *, new: bool = False) -> None:
        """Record the violations in a table before the change, for `verify_foreign_keys`."""
        if fold(table) not in self._violations_before:
            self._violations_before[fold(table)] = Counter() if new else self._violations(table)

    def _violations(self, table: str) -> Counter[int | str | None]:
        """Count the foreign-key violations of a table by rowid."""
        if find_table(self.database, table) is None:
            return Counter()
        try:
            rows = foreign_key_check(self.database, table)
        except OperationalError as error:
            if not is_mismatch(error):
                raise
            return Counter([_MISMATCH])
        return Counter(row[1] for row in rows)

    def watch_dropped(self, table: str, dependents: list[Dependent]) -> None:
        """Record the dependents of a dropped table; the commit is refused if one still needs it."""
        self._dropped[table] = dependents

    def _verify_dropped(self) -> None:
        for table, dependents_before in self._dropped.items():
            if find_table(self.database, table) is not None:
                continue
            still_there = broken_objects(self.database) | set(virtual_tables_over(self.database, table))
            still_there |= {Dependent("foreign key", child) for child in children(self.database, table)}
            for dependent in dependents_before:
                if dependent in still_there:
                    raise dependent.refusal_of_table(table)

    @contextmanager
    def dropped_during(self, objects: Sequence[StoredObject]) -> Iterator[None]:
        """Drop views and triggers, and create them again after the block."""
        for each in sorted(objects, key=lambda each: each.kind == "view"):
            self.database.execute_sql(f"DROP {each.kind.upper()} main.{quote(each.name)}")
        yield
        self.recreate(objects)

    def recreate(self, objects: Sequence[StoredObject]) -> None:
        """Create views, and then triggers, which may be on one of the views."""
        for each in sorted(objects, key=lambda each: each.kind == "trigger"):
            self.database.execute_sql(each.sql)

    def table(self, name: str) -> Table:
        """Describe a table of the file.

        :raises WAIaaSError: ``unexpected_schema`` if there is no such table, or it is virtual.
        """
        table = describe_table(self.database, name)
        if table is None:
            raise refusal("unexpected_schema", table=name, problem="it is missing")
        if table.is_virtual:
            raise refusal("unexpected_schema", table=table.name, problem="it is a virtual table")
        return table

    def column_of(self, table: Table, name: str) -> str:
        """Return a column's name as spelled in the file; refuse (`unexpected_schema`) if there is no such column."""
        column = table.column(name)
        if column is None:
            raise refusal("unexpected_schema", table=table.name, problem=f"it has no column {name}")
        return column.name

    def count(self, table: str, where: str = "1") -> int:
        """Count the rows of a table that satisfy an SQL condition."""
        ((count,),) = read(self.database, f"SELECT count(*) FROM main.{quote(table)} WHERE {where}")
        return int(count)

    def leftover(self, table: str) -> WAIaaSError:
        """Return the refusal of a table that an interrupted tool has left."""
        return refusal("leftover_table", table=table, rows=self.count(table))


@contextmanager
def _migration_pragmas(database: SqliteDatabase, warn: Callable[[WAIaaSError], None]) -> Iterator[None]:
    """Set PRAGMAs for a migration, which must happen outside its transaction, and restore them.

    `synchronous` is EXTRA (3): the change is on disk when COMMIT returns. With FULL, in rollback-journal mode, a power
    failure could restore the journal, and with it the old version
    (https://www.sqlite.org/pragma.html#pragma_synchronous). `temp_store` is FILE: otherwise SQLite's undo data of one
    large statement would grow in memory with the table, and a sort uses as much memory again as `cache_size` (KiB if
    negative). Changing it deletes temporary tables (https://www.sqlite.org/pragma.html#pragma_temp_store), so it is
    kept if the program has any. `mmap_size` is 0: a bad sector of a mapped file ends the process with SIGBUS
    (https://www.sqlite.org/mmap.html).
    """
    wanted = {"foreign_keys": 0, "synchronous": 3, "cache_size": -32000, "mmap_size": 0}
    if not read(database, "SELECT 1 FROM temp.sqlite_master"):
        wanted["temp_store"] = 1
    with pragmas(database, wanted, warn):
        yield


@contextmanager
def savepoint(database: SqliteDatabase) -> Iterator[None]:
    """Run a block in a savepoint of the caller's transaction, unless SQLite has rolled everything back."""
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
