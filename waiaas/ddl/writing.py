"""Writes rows in a migration. The user's triggers fire, as for any other program.

A trigger may maintain a full-text index or an archive, which would not match the rows if it did not fire. A write is
refused if a trigger stops it or changes the written rows; the refusal names the trigger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from peewee import PeeweeException

from waiaas.ddl.context import MigrationContext
from waiaas.ddl.dependencies import Dependent, broken_objects, fires_on
from waiaas.ddl.schema import StoredObject, Table, stored_objects, temporary_triggers, virtual_tables
from waiaas.ddl.sql import first_name, names, quote
from waiaas.errors import WAIaaSError
from waiaas.errors.sqlite import reason_for

_EXPECTED = "waiaas_expected"


def update(migrator: MigrationContext, table: Table, assignment: str, where: str) -> int:
    """Change one column of the rows that satisfy an SQL condition, and return their number."""
    name, key, column, database = quote(table.name), table.rowid, first_name(assignment), migrator.database
    value = assignment[assignment.index("=") + 1 :]
    with _triggers(migrator, table, "update", column) as firing:
        if firing:
            database.execute_sql(
                f"CREATE TEMP TABLE {_EXPECTED} AS SELECT {key} AS waiaas_row, {value} AS waiaas_value"
                f" FROM main.{name} NOT INDEXED WHERE {where}"
            )
        # NOT INDEXED: the rows must not be selected by an index that may be corrupt.
        changed = database.execute_sql(f"UPDATE main.{name} NOT INDEXED SET {assignment} WHERE {where}").rowcount
        if firing:
            (other,) = database.execute_sql(
                f"SELECT count(*) FROM temp.{_EXPECTED} LEFT JOIN main.{name} AS now ON now.{key} = waiaas_row"
                f" WHERE now.{key} IS NULL OR now.{quote(column)} IS NOT waiaas_value"
            ).fetchone()
            database.execute_sql(f"DROP TABLE temp.{_EXPECTED}")
            if other:
                raise _interfering(firing, table, column)
    return int(changed)


def insert(migrator: MigrationContext, table: Table, row: Mapping[str, object]) -> None:
    """Add one row."""
    columns, marks = ", ".join(map(quote, row)), ", ".join("?" for _ in row)
    with _triggers(migrator, table, "insert") as firing:
        migrator.database.execute_sql(
            f"INSERT INTO main.{quote(table.name)} ({columns}) VALUES ({marks})", tuple(row.values())
        )
        if _count(migrator, table, row) != 1:
            raise _interfering(firing, table, "*")


def delete(migrator: MigrationContext, table: Table, row: Mapping[str, object]) -> None:
    """Delete the rows with these values."""
    condition = " AND ".join(f"{quote(column)} = ?" for column in row)
    with _triggers(migrator, table, "delete") as firing:
        migrator.database.execute_sql(f"DELETE FROM main.{quote(table.name)} WHERE {condition}", tuple(row.values()))
        if _count(migrator, table, row):
            raise _interfering(firing, table, "*")


def _count(migrator: MigrationContext, table: Table, row: Mapping[str, object]) -> int:
    condition = " AND ".join(f"{quote(column)} IS ?" for column in row)
    (count,) = migrator.database.execute_sql(
        f"SELECT count(*) FROM main.{quote(table.name)} WHERE {condition}", tuple(row.values())
    ).fetchone()
    return int(count)


@contextmanager
def _triggers(migrator: MigrationContext, table: Table, event: str, column: str | None = None) -> Iterator[list[str]]:
    """Yield the names of the triggers that a write fires; if the write fails, refuse it with these names.

    A trigger that does not compile would make the write fail, so it is dropped and created again afterwards.
    """
    firing = [each for each in stored_objects(migrator.database, "trigger") if fires_on(each, table, event, column)]
    broken = _broken(migrator, firing) if firing else []
    named = [each.name for each in firing if each not in broken] + temporary_triggers(migrator.database, table.name)
    try:
        with migrator.dropped_during(broken):
            yield named
    except PeeweeException as error:
        if not named or reason_for(error):
            raise
        raise _interfering(named, table, column or "*") from error


def _broken(migrator: MigrationContext, triggers: list[StoredObject]) -> list[StoredObject]:
    """Return the triggers that do not compile, except because of a module that only the user's program has."""
    broken = broken_objects(migrator.database)
    virtual = [each.name for each in virtual_tables(migrator.database)]
    return [
        each
        for each in triggers
        if Dependent("trigger", each.name) in broken and not any(names(each.sql, name) for name in virtual)
    ]


def _interfering(triggers: list[str], table: Table, column: str) -> WAIaaSError:
    return Dependent("trigger", ", ".join(triggers)).refusal(table.name, column)
