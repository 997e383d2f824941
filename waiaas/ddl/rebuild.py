"""The table rebuild: SQLite's twelve steps for a change that ALTER TABLE cannot make.

The steps are those of https://www.sqlite.org/lang_altertable.html#otheralter; the transaction, the foreign-key
pragma and the foreign-key check around them (steps 1, 2, 10, 11, 12) are the migrator's `migration_context`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from peewee import IntegrityError, OperationalError, PeeweeException

from waiaas.ddl.connection import pragmas, read
from waiaas.ddl.context import MigrationContext
from waiaas.ddl.dependencies import Dependent, broken_objects, fires_on, virtual_tables_over
from waiaas.ddl.row_checks import duplicates, strict_condition, value_not_allowed
from waiaas.ddl.schema import (
    ROWID_NAMES,
    Column,
    ForeignKey,
    StoredObject,
    Table,
    canonical,
    check_clauses,
    children,
    find_table,
    foreign_key_clauses,
    statistics_tables,
    stored_objects,
    temporary_triggers,
)
from waiaas.ddl.sql import Item, comments, fold, names, parse_create_table, quote, tokens
from waiaas.ddl.stubs import missing_name, with_stubs
from waiaas.errors import refusal
from waiaas.errors.sqlite import reason_for

#: The name of the new table until it replaces the old one.
REBUILD_NAME = "waiaas_rebuild_{}"


class TableRebuild:
    """One rebuild of one table."""

    def __init__(
        self,
        migrator: MigrationContext,
        old: Table,
        definition: str,
        copy: Mapping[str, str],
        drop: Sequence[str],
        change: Sequence[str],
    ) -> None:
        """Take the table, its new definition, expressions for columns, and the names that may go or change."""
        self._migrator = migrator
        self._database = migrator.database
        self._old = old
        self._definition = definition
        self._copy = {fold(name): expression for name, expression in copy.items()}
        self._drop = {fold(name) for name in drop}
        self._change = {fold(name) for name in change}

    def run(self) -> None:
        """Rebuild the table, or raise a refusal; the caller's transaction is rolled back then."""
        table = self._old.name
        # Step 3: remember the format of all indexes, triggers, and views associated with table X.
        stored = [o for o in stored_objects(self._database, "index", "trigger") if fold(o.table) == fold(table)]
        broken = broken_objects(self._database, table)
        children_before = self._children()
        sequence = self._sequence()
        statistics = self._statistics()
        # Step 4: construct a new table "new_X" that is in the desired revised format of table X.
        new = self._create_new()
        self._refuse_loss(new)
        self._refuse_lost_clauses(new)
        self._refuse_other_rowids(new)
        self._refuse_missed_triggers()
        # Step 5: transfer content from X into new_X.
        self._copy_rows(new)
        self._refuse_changed_values(new)
        # Step 6: drop the old table X.
        self._migrator.report_progress(f"replacing {table}")
        if not any(each.kind == "trigger" for each in stored):
            # Emptied first: DROP TABLE would journal the content of each freed page, to be able to undo itself.
            self._database.execute_sql(f"DELETE FROM main.{quote(table)}")
        self._database.execute_sql(f"DROP TABLE main.{quote(table)}")
        # Step 7: change the name of new_X to X.
        self._rename_without_rewriting(new.name)
        # Step 8: reconstruct indexes, triggers, and views associated with table X.
        for each in stored:
            self._restore(each)
        self._restore_sequence(sequence)
        self._restore_statistics(statistics)
        # Step 9: if any views refer to table X in a way that is affected by the schema change, …
        for kind, name in sorted(broken_objects(self._database, table) - broken):
            raise Dependent(kind, name).refusal(table, ", ".join(sorted(self._drop)))
        if self._children() != children_before:
            self._refuse("a foreign key of another table no longer refers to it")

    def _children(self) -> dict[str, list[ForeignKey]]:
        named_by = children(self._database, self._old.name)
        return {child: keys for child, keys in named_by.items() if child != self._old.name}

    def _create_new(self) -> Table:
        name = REBUILD_NAME.format(self._old.name)
        if find_table(self._database, name) is not None:
            raise self._migrator.leftover(name)
        with self._name_missing():
            self._database.execute_sql(parse_create_table(self._definition).renamed(name))
        return self._migrator.table(name)

    @contextmanager
    def _name_missing(self) -> Iterator[None]:
        """Refuse a table that needs a collation or function of the user's program, and name it."""
        try:
            yield
        except OperationalError as error:
            if missing := missing_name(error):
                self._refuse(f"it needs the {missing}, which this connection does not have")
            raise

    def _refuse_loss(self, new: Table) -> None:
        used = {token.name for expression in self._copy.values() for token in tokens(expression)}
        for column in self._old.columns:
            if new.column(column.name) is None and fold(column.name) not in self._drop | used:
                self._refuse(f"the new definition lacks its column {column.name}")
        for option in sorted(self._old.definition.options - new.definition.options):
            self._refuse(f"the new definition is not {option.upper()}")
        if self._old.autoincrement and not new.autoincrement:
            self._refuse("the new definition is not AUTOINCREMENT")
        for name in temporary_triggers(self._database, self._old.name):
            self._refuse(f"it has the temporary trigger {name}")

    def _refuse_lost_clauses(self, new: Table) -> None:
        """Refuse a new definition that lacks an entry or a comment of the old one.

        The definition and the foreign keys of a column that is dropped or changed may differ.
        """
        definition = self._old.definition
        kept = {canonical(new.sql[item.start : item.end]) for item in new.definition.items}
        meant = [item for item in definition.items if self._is_meant_to_differ(item)]
        for item in definition.items:
            text = definition.sql[item.start : item.end]
            if item not in meant and canonical(text) not in kept:
                self._refuse(f"the new definition lacks {text}")
        for start, comment in comments(definition.sql):
            of_what_differs = any(item.start <= start < definition.end_of(item) for item in meant)
            if not of_what_differs and comment not in self._definition:
                self._refuse(f"the new definition lacks the comment {comment}")

    def _is_meant_to_differ(self, item: Item) -> bool:
        named = self._drop | self._change
        if item.name is not None:
            return item.name in named
        if item.tokens[0].is_word("constraint") and item.tokens[1].name in named:
            return True
        keys = [clause for clause in foreign_key_clauses(self._old.definition) if clause.parent in item.tokens]
        return any(set(key.columns) & named for key in keys)

    def _refuse_values(self, new: Table) -> None:
        """Refuse with the rows that a constraint does not allow, which SQLite does not report."""
        for clause in check_clauses(new.definition):
            self._refuse_rows(new, clause.column, f"NOT ({clause.expression})")
        for column in new.columns:
            name = quote(column.name)
            if column.not_null:
                self._refuse_rows(new, column.name, f"{name} IS NULL")
            if "strict" in new.definition.options:
                self._refuse_rows(new, column.name, strict_condition(column.type, name) or "0")
            if column.primary_key and not any(index.origin == "pk" for index in new.indexes):
                self._refuse_rows(new, column.name, f"typeof({name}) NOT IN ('integer', 'null')")
        self._refuse_duplicates(new)

    def _refuse_rows(self, new: Table, column: str | None, condition: str) -> None:
        value = quote(column) if column else "NULL"
        query = f"SELECT waiaas_row, {value} FROM {self._rows_to_copy(new)} WHERE {condition}"
        bad = read(self._database, query)
        if bad:
            raise value_not_allowed(self._old.name, column or condition, bad)

    def _refuse_duplicates(self, new: Table) -> None:
        # An INTEGER PRIMARY KEY is the rowid and has no index.
        keys = [{column.name: quote(column.name) for column in new.columns if column.primary_key}]
        for index in new.indexes:
            if index.unique:
                parts = read(self._database, f"PRAGMA main.index_xinfo({quote(index.name)})")
                keys.append({p[2]: f"{quote(p[2])} COLLATE {quote(p[4])}" for p in parts if p[5]})
        for key in filter(None, keys):
            bad = duplicates(self._database, self._rows_to_copy(new), "waiaas_row", key.values())
            if bad:
                raise value_not_allowed(self._old.name, ", ".join(key), bad)

    def _rows_to_copy(self, new: Table) -> str:
        """Return SQL for the rows of the new table, each with its identifier `waiaas_row`."""
        sources = self._sources(new)
        values = {column.name: sources.get(column.name, column.default or "NULL") for column in new.columns}
        mapped = ", ".join(f"{value} AS {quote(name)}" for name, value in values.items())
        return f"(SELECT {self._old.row_name} AS waiaas_row, {mapped} FROM main.{quote(self._old.name)})"

    def _refuse_changed_values(self, new: Table) -> None:
        """Refuse a change that replaced stored values: '007' becomes 7 in an INTEGER column.

        A column that is generated now is computed for each row (https://www.sqlite.org/gencol.html).
        """
        for column in new.columns:
            before = self._old.column(column.name)
            if before is None or fold(column.name) in self._copy or before.hidden:
                continue
            if fold(before.type) != fold(column.type) and (changed := self._changed_values(new, column)):
                self._refuse(f"{changed} values of column {column.name} would change with its type")
            if column.hidden and (changed := self._changed_values(new, column)):
                self._refuse(f"{changed} values of column {column.name} would be replaced by generated ones")

    def _changed_values(self, new: Table, column: Column) -> int:
        """Count the rows in which the value of a column, or its type, differs from before."""
        keys = self._keys(new)
        if not keys:
            self._refuse(f"its rows have no key, so it is unknown whether values of {column.name} would change")
        before = ", ".join(f"{source} AS waiaas_key_{n}" for n, source in enumerate(keys.values()))
        same = " AND ".join(f"new.{key} IS old.waiaas_key_{n}" for n, key in enumerate(keys))
        name = quote(column.name)
        (changed,) = self._database.execute_sql(
            f"SELECT count(*) FROM (SELECT {before}, {name} AS waiaas_value FROM main.{quote(self._old.name)}) AS old"
            f" LEFT JOIN main.{quote(new.name)} AS new ON {same}"
            f" WHERE waiaas_value IS NOT new.{name} OR typeof(waiaas_value) <> typeof(new.{name})"
        ).fetchone()
        return int(changed)

    def _keys(self, new: Table) -> dict[str, str]:
        """Return the columns that identify a row of the new table, each with its source in the old one."""
        sources = self._sources(new)
        if carried := self._carried_rowid(new):
            return dict([carried])
        keys = [column.name for column in new.columns if column.primary_key]
        return {quote(key): sources[key] for key in keys if key in sources}

    def _refuse(self, problem: str) -> None:
        raise refusal("rebuild_refused", table=self._old.name, problem=problem)

    def _copy_rows(self, new: Table) -> None:
        sources = {quote(name): source for name, source in self._sources(new).items()}
        if carried := self._carried_rowid(new):
            sources = dict([carried]) | sources
        columns, values = ", ".join(sources), ", ".join(sources.values())
        total = self._migrator.count(self._old.name)
        self._migrator.report_progress(f"copying {self._old.name}", 0, total)
        # OR ABORT overrides ON CONFLICT clauses of the table, which would make SQLite drop or change rows.
        # NOT INDEXED: values are read from the rows, never from an index that may be corrupt.
        source = f"main.{quote(self._old.name)} NOT INDEXED"
        try:
            with self._name_missing():
                self._database.execute_sql(
                    f"INSERT OR ABORT INTO main.{quote(new.name)} ({columns}) SELECT {values} FROM {source}"
                )
        except IntegrityError:
            self._refuse_values(new)
            raise
        copied = self._migrator.count(new.name)
        if copied != total:
            raise refusal("rows_lost", table=self._old.name, before=total, after=copied)
        self._migrator.result.rows_written += copied
        self._migrator.report_progress(f"copying {self._old.name}", copied, total)

    def _carried_rowid(self, new: Table) -> tuple[str, str] | None:
        """Return the hidden rowid of the new table and its source; None if a column is the rowid."""
        hidden, alias = new.hidden_rowid, self._old.rowid_alias
        source = quote(alias) if alias else self._old.hidden_rowid
        return (hidden, source) if hidden and source else None

    def _refuse_other_rowids(self, new: Table) -> None:
        """Refuse to change rowids if an object of the user depends on them, such as a full-text index."""
        alias, before = new.rowid_alias, self._old.rowid_alias or self._old.hidden_rowid
        if alias is None or before is None:
            return
        if alias == self._old.rowid_alias and fold(alias) not in self._copy:
            return
        by_rowid = virtual_tables_over(self._database, self._old.name)
        for stored in stored_objects(self._database, "view", "trigger"):
            if names(stored.sql, self._old.name) and any(names(stored.sql, name) for name in ROWID_NAMES):
                by_rowid.append(Dependent(stored.kind, stored.name))
        for dependent in by_rowid:
            raise dependent.refusal(self._old.name, "rowid")

    def _refuse_missed_triggers(self) -> None:
        """Refuse to change the values of a column if a trigger of the user would have to fire."""
        columns = [column.name for column in self._old.columns if fold(column.name) in self._copy]
        for stored in stored_objects(self._database, "trigger"):
            for column in columns:
                if fires_on(stored, self._old, "update", column):
                    raise Dependent("trigger", stored.name).refusal(self._old.name, column)

    def _sources(self, new: Table) -> dict[str, str]:
        """Return the source of each column of the new table that is written, which generated columns are not."""
        return {
            column.name: self._copy.get(fold(column.name), quote(column.name))
            for column in new.columns
            if column.hidden == 0 and (fold(column.name) in self._copy or self._old.column(column.name) is not None)
        }

    def _rename_without_rewriting(self, name: str) -> None:
        """Rename without SQLite's check of views and triggers, which refer to the dropped table."""
        rename = f"ALTER TABLE main.{quote(name)} RENAME TO {quote(self._old.name)}"
        with pragmas(self._database, {"legacy_alter_table": 1}):
            with_stubs(self._database.connection(), lambda: self._database.execute_sql(rename))

    def _restore(self, stored: StoredObject) -> None:
        try:
            self._database.execute_sql(stored.sql)
        except PeeweeException as error:
            if reason_for(error):
                raise
            dropped = ", ".join(sorted(self._drop))
            raise Dependent(stored.kind, stored.name).refusal(self._old.name, dropped) from error

    def _sequence(self) -> int | None:
        """Read the AUTOINCREMENT high-water mark (https://www.sqlite.org/autoinc.html), which DROP TABLE deletes."""
        if not self._old.autoincrement:
            return None
        rows = read(self._database, "SELECT seq FROM main.sqlite_sequence WHERE name = ?", (self._old.name,))
        return int(rows[0][0]) if rows else None

    def _restore_sequence(self, sequence: int | None) -> None:
        if sequence is not None:
            self._database.execute_sql("DELETE FROM main.sqlite_sequence WHERE name = ?", (self._old.name,))
            self._database.execute_sql(
                "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", (self._old.name, sequence)
            )

    def _statistics(self) -> dict[str, list[tuple[object, ...]]]:
        """Read the planner's statistics, which DROP TABLE deletes."""
        query = "SELECT * FROM main.{} WHERE lower(tbl) = lower(?)"
        return {
            name: read(self._database, query.format(quote(name)), (self._old.name,))
            for name in statistics_tables(self._database)
        }

    def _restore_statistics(self, statistics: dict[str, list[tuple[object, ...]]]) -> None:
        for name, rows in statistics.items():
            for row in rows:
                marks = ", ".join("?" for _ in row)
                self._database.execute_sql(f"INSERT INTO main.{quote(name)} VALUES ({marks})", row)
