"""The table rebuild: SQLite's twelve steps for a change that ALTER TABLE cannot make.

The steps are those of https://www.sqlite.org/lang_altertable.html#otheralter; the transaction, the foreign-key
pragma and the foreign-key check around them (steps 1, 2, 10, 11, 12) are the migrator's `migration_context`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from peewee import PeeweeException

from waiaas.errors import refusal
from waiaas.migrations.dependents import broken_objects
from waiaas.migrations.schema import ForeignKey, StoredObject, Table, children, find_table, stored_objects
from waiaas.migrations.sql import fold, parse_create_table, quote, tokens

if TYPE_CHECKING:
    from waiaas.migrations.operations import WaiaasMigrator

#: The name of the new table until it takes the old one's place.
REBUILD_NAME = "waiaas_rebuild_{}"
_ROWID_NAMES = ("rowid", "_rowid_", "oid")
_STATISTICS_TABLES = ("sqlite_stat1", "sqlite_stat4")


class TableRebuild:
    """One rebuild of one table, from `run`'s first step to its last."""

    def __init__(
        self,
        migrator: WaiaasMigrator,
        old: Table,
        definition: str,
        copy: Mapping[str, str],
        drop: Sequence[str],
    ) -> None:
        """Take the table as it is, its new definition, expressions for columns, and the columns to leave out."""
        self._migrator = migrator
        self._database = migrator.database
        self._old = old
        self._definition = definition
        self._copy = {fold(name): expression for name, expression in copy.items()}
        self._drop = {fold(name) for name in drop}

    def run(self) -> None:
        """Rebuild the table, or raise a refusal; the caller's transaction takes back what was begun."""
        table = self._old.name
        # Step 3: remember the format of all indexes, triggers, and views associated with table X.
        stored = [o for o in stored_objects(self._database, "index", "trigger") if fold(o.table) == fold(table)]
        broken = broken_objects(self._database)
        children_before = self._children()
        sequence = self._sequence()
        statistics = self._statistics()
        # Step 4: construct a new table "new_X" that is in the desired revised format of table X.
        new = self._create_new()
        self._refuse_loss(new)
        # Step 5: transfer content from X into new_X.
        self._copy_rows(new)
        # Step 6: drop the old table X.
        self._migrator.tell(f"replacing {table}")
        self._database.execute_sql(f"DROP TABLE main.{quote(table)}")
        # Step 7: change the name of new_X to X.
        self._rename_without_rewriting(new.name)
        # Step 8: reconstruct indexes, triggers, and views associated with table X.
        for each in stored:
            self._restore(each)
        self._restore_sequence(sequence)
        self._restore_statistics(statistics)
        # Step 9: if any views refer to table X in a way that is affected by the schema change, …
        for kind, name in sorted(broken_objects(self._database) - broken):
            raise refusal("dependent_object", kind=kind, name=name, table=table, column=", ".join(sorted(self._drop)))
        if self._children() != children_before:
            self._refuse("a foreign key of another table no longer names it")

    def _children(self) -> dict[str, list[ForeignKey]]:
        named_by = children(self._database, self._old.name)
        return {child: keys for child, keys in named_by.items() if child != self._old.name}

    def _create_new(self) -> Table:
        name = REBUILD_NAME.format(self._old.name)
        if find_table(self._database, name) is not None:
            raise self._migrator.leftover(name)
        self._database.execute_sql(parse_create_table(self._definition).renamed(name))
        return self._migrator.table(name)

    def _refuse_loss(self, new: Table) -> None:
        read = {token.name for expression in self._copy.values() for token in tokens(expression)}
        for column in self._old.columns:
            if new.column(column.name) is None and fold(column.name) not in self._drop | read:
                self._refuse(f"its column {column.name} has no place in the new definition")
        for option in sorted(self._old.definition.options - new.definition.options):
            self._refuse(f"the new definition is not {option.upper()}")
        if self._old.autoincrement and not new.autoincrement:
            self._refuse("the new definition is not AUTOINCREMENT")
        for name, table in self._database.execute_sql(
            "SELECT name, tbl_name FROM temp.sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            if fold(table) == fold(self._old.name):
                self._refuse(f"it has the temporary trigger {name}")

    def _refuse(self, problem: str) -> None:
        raise refusal("rebuild_refused", table=self._old.name, problem=problem)

    def _copy_rows(self, new: Table) -> None:
        pairs = [
            (quote(column.name), self._copy.get(fold(column.name), quote(column.name)))
            for column in new.columns
            # A generated column is computed, never written.
            if column.hidden == 0 and (fold(column.name) in self._copy or self._old.column(column.name) is not None)
        ]
        rowid = _hidden_rowid(self._old)
        if rowid and rowid == _hidden_rowid(new):
            pairs.insert(0, (rowid, rowid))
        columns, values = (", ".join(side) for side in zip(*pairs, strict=True))
        total = self._migrator.count(self._old.name)
        self._migrator.tell(f"copying {self._old.name}", 0, total)
        self._database.execute_sql(
            f"INSERT INTO main.{quote(new.name)} ({columns}) SELECT {values} FROM main.{quote(self._old.name)}"
        )
        copied = self._migrator.count(new.name)
        if copied != total:
            raise refusal("rows_lost", table=self._old.name, before=total, after=copied)
        self._migrator.told.rows += copied
        self._migrator.tell(f"copying {self._old.name}", copied, total)

    def _rename_without_rewriting(self, name: str) -> None:
        """Rename without SQLite's look at views and triggers, which name a table that is not there just now."""
        (legacy,) = self._database.execute_sql("PRAGMA legacy_alter_table").fetchone()
        self._database.execute_sql("PRAGMA legacy_alter_table = ON")
        try:
            self._migrator.rename_table(name, self._old.name).run()
        finally:
            self._database.execute_sql(f"PRAGMA legacy_alter_table = {legacy}")

    def _restore(self, stored: StoredObject) -> None:
        try:
            self._database.execute_sql(stored.sql)
        except PeeweeException as error:
            raise refusal(
                "dependent_object",
                kind=stored.kind,
                name=stored.name,
                table=self._old.name,
                column=", ".join(sorted(self._drop)),
            ) from error

    def _sequence(self) -> int | None:
        """The AUTOINCREMENT high-water mark (https://www.sqlite.org/autoinc.html), which DROP TABLE deletes."""
        if not self._old.autoincrement:
            return None
        row = self._database.execute_sql(
            "SELECT seq FROM main.sqlite_sequence WHERE name = ?", (self._old.name,)
        ).fetchone()
        return int(row[0]) if row else None

    def _restore_sequence(self, sequence: int | None) -> None:
        if sequence is not None:
            self._database.execute_sql("DELETE FROM main.sqlite_sequence WHERE name = ?", (self._old.name,))
            self._database.execute_sql(
                "INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", (self._old.name, sequence)
            )

    def _statistics(self) -> dict[str, list[tuple[object, ...]]]:
        """The planner's statistics (https://www.sqlite.org/fileformat2.html#stat1tab), which DROP TABLE deletes."""
        existing = self._database.execute_sql("SELECT name FROM main.sqlite_master WHERE name LIKE 'sqlite_stat_'")
        return {
            name: self._database.execute_sql(
                f"SELECT * FROM main.{quote(name)} WHERE lower(tbl) = lower(?)", (self._old.name,)
            ).fetchall()
            for (name,) in existing.fetchall()
            if name in _STATISTICS_TABLES
        }

    def _restore_statistics(self, statistics: dict[str, list[tuple[object, ...]]]) -> None:
        for name, rows in statistics.items():
            for row in rows:
                marks = ", ".join("?" for _ in row)
                self._database.execute_sql(f"INSERT INTO main.{quote(name)} VALUES ({marks})", row)


def _hidden_rowid(table: Table) -> str | None:
    """A name by which the rowid can be reached that is no column of the table; None where there is none."""
    keys = [column for column in table.columns if column.primary_key]
    is_the_key = len(keys) == 1 and fold(keys[0].type) == "integer"
    if "without rowid" in table.definition.options or is_the_key:
        return None
    return next((name for name in _ROWID_NAMES if table.column(name) is None), None)
