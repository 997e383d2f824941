"""Dropping an indexed foreign-key column, as in each tool's documentation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

Drop = Callable[[Path, str, str, str], None]


def waiaas(path: Path, table: str, column: str, index: str, *, rebuild: bool = False) -> None:
    from peewee import SqliteDatabase

    from waiaas.ddl import LosslessMigrator

    database = SqliteDatabase(path, pragmas={"foreign_keys": 1})
    migrator = LosslessMigrator(database)
    with closing(database), migrator.migration_context():
        migrator.migrate(migrator.drop_index(table, index), migrator.drop_column(table, column, legacy=rebuild))


def playhouse(path: Path, table: str, column: str, index: str, *, legacy: bool = False) -> None:
    from peewee import SqliteDatabase
    from playhouse.migrate import SqliteMigrator

    database = SqliteDatabase(path, pragmas={"foreign_keys": 1})
    migrator = SqliteMigrator(database)
    with migrator.migration_context():
        migrator.migrate(migrator.drop_index(table, index), migrator.drop_column(table, column, legacy=legacy))
    database.close()


def playhouse_bare(path: Path, table: str, column: str, index: str) -> None:
    from peewee import SqliteDatabase
    from playhouse.migrate import SqliteMigrator, migrate

    database = SqliteDatabase(path, pragmas={"foreign_keys": 1})
    migrator = SqliteMigrator(database)
    migrate(migrator.drop_index(table, index), migrator.drop_column(table, column, legacy=True))
    database.close()


def alembic(path: Path, table: str, column: str, index: str) -> None:
    import sqlalchemy as sa
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        with context.begin_transaction(), Operations(context).batch_alter_table(table) as batch:
            batch.drop_index(index)
            batch.drop_column(column)
        connection.commit()
    engine.dispose()


def django(path: Path, table: str, column: str, index: str) -> None:
    from django_models import connection, inspected_models

    database = connection(path)
    models = inspected_models(database)
    if table not in models:
        raise LookupError(f"inspectdb cannot describe the table {table}")
    model = models[table]
    field = next(field for field in model._meta.local_fields if field.column == column)
    with database.schema_editor() as editor:
        editor.remove_field(model, field)
    database.close()


def sqlite_utils(path: Path, table: str, column: str, index: str) -> None:
    from sqlite_utils import Database

    database = Database(path)
    database.execute("PRAGMA foreign_keys = ON")
    database.execute(f'DROP INDEX "{index}"')
    database[table].transform(drop={column})
    database.close()


class Tool(NamedTuple):
    """How a tool is named in a table, how it drops a column, and the module that it needs."""

    title: str
    drop: Drop
    needs: str | None = None


def _with(function: Any, **options: Any) -> Drop:
    return lambda *arguments: function(*arguments, **options)


TOOLS = {
    "waiaas": Tool("waiaas", waiaas),
    "waiaas-rebuild": Tool("waiaas, rebuild", _with(waiaas, rebuild=True)),
    "playhouse": Tool("playhouse", playhouse),
    "alembic": Tool("Alembic", alembic, "alembic"),
    "django": Tool("Django", django, "django"),
    "sqlite-utils": Tool("sqlite-utils", sqlite_utils, "sqlite_utils"),
    "playhouse-rebuild": Tool("playhouse, rebuild", _with(playhouse, legacy=True)),
    "playhouse-bare": Tool("playhouse, rebuild, no context", playhouse_bare),
}
