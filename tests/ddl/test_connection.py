"""The settings and unfinished queries of the caller's connection during a table change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from peewee import Check, IntegrityError, OperationalError, SqliteDatabase
from playhouse.migrate import Operation, migrate
from playhouse.pool import PooledSqliteDatabase
from playhouse.sqliteq import SqliteQueueDatabase
from support.memory_databases import made
from support.old_files import make_file

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator

LATEST = waiaas.LATEST_SCHEMA_VERSION

PETS = (
    "CREATE TABLE pet (id INTEGER PRIMARY KEY, age INT CHECK (age < 99))",
    "INSERT INTO pet VALUES (1, 3), (2, 10)",
)
Change = Callable[[LosslessMigrator], Operation]


def succeed(migrator: LosslessMigrator) -> Operation:
    return migrator.add_not_null("pet", "age")


def fail(migrator: LosslessMigrator) -> Operation:
    return migrator.add_constraint("pet", "young", Check("age < 9"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """An open database with a table."""
    database = SqliteDatabase(tmp_path / "pets.db", timeout=0)
    for statement in PETS:
        database.execute_sql(statement)
    yield database
    database.close()


def content(database: SqliteDatabase) -> object:
    """Return what another connection reads from the file."""
    database.close()
    other = SqliteDatabase(database.database)
    found = (
        other.execute_sql("SELECT sql FROM sqlite_master").fetchall(),
        other.execute_sql("SELECT * FROM pet").fetchall(),
    )
    assert other.execute_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()
    return found


SET_ASIDE = {
    "journal_mode OFF": ("journal_mode", "off"),
    "journal_mode MEMORY": ("journal_mode", "memory"),
    "synchronous OFF": ("synchronous", 0),
    "no CHECKs": ("ignore_check_constraints", 1),
    "a writable schema": ("writable_schema", 1),
    "the legacy ALTER TABLE": ("legacy_alter_table", 1),
    "foreign keys": ("foreign_keys", 1),
    "exclusive locking": ("locking_mode", "exclusive"),
    "memory for temporary files": ("temp_store", 2),
    "rows in reverse": ("reverse_unordered_selects", 1),
}


@pytest.mark.parametrize(("name", "value"), SET_ASIDE.values(), ids=SET_ASIDE)
def test_a_change_is_safe_with_any_connection_setting(name: str, value: object, database: SqliteDatabase) -> None:
    """A refused change leaves the file unchanged, a successful one is complete, and the setting is restored."""
    before = content(database)
    database.pragma(name, value)
    with pytest.raises(IntegrityError, match="age < 9"):
        migrate(fail(LosslessMigrator(database)))
    assert str(database.pragma(name)) == str(value)
    assert content(database) == before
    database.pragma(name, value)
    migrate(succeed(LosslessMigrator(database)))
    assert str(database.pragma(name)) == str(value)
    assert content(database) != before


def test_a_change_in_memory_can_be_rolled_back_without_a_journal() -> None:
    """An in-memory database without a journal gets one for the duration of the change."""
    database = made(*PETS, "PRAGMA journal_mode = OFF")
    before = list(database.connection().iterdump())
    with pytest.raises(IntegrityError, match="age < 9"):
        migrate(fail(LosslessMigrator(database)))
    assert list(database.connection().iterdump()) == before
    assert database.pragma("journal_mode") == "off"


@pytest.mark.parametrize("factory", ["row_factory", "text_factory"])
def test_row_and_text_factories_do_not_matter(factory: str, database: SqliteDatabase) -> None:
    """A connection that returns dictionaries as rows, or bytes as text, works and keeps its factories."""

    def as_dictionary(cursor: Any, row: tuple[Any, ...]) -> dict[str, Any]:
        return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}

    wanted = as_dictionary if factory == "row_factory" else bytes
    setattr(database.connection(), factory, wanted)
    migrate(succeed(LosslessMigrator(database)))
    assert getattr(database.connection(), factory) is wanted


REFUSED: dict[str, Callable[[SqliteDatabase], object]] = {
    "query_only": lambda database: database.pragma("query_only", 1),
    "no journal in a transaction": lambda database: (
        database.pragma("journal_mode", "off"),
        database.connection().execute("BEGIN"),
    ),
    "a journal in memory in a transaction": lambda database: (
        database.pragma("journal_mode", "memory"),
        database.connection().execute("BEGIN"),
    ),
}


@pytest.mark.parametrize("change", [succeed, fail])
@pytest.mark.parametrize("set_up", REFUSED.values(), ids=REFUSED)
def test_a_connection_that_cannot_be_made_safe_is_refused(
    set_up: Callable[[SqliteDatabase], object], change: Change, database: SqliteDatabase
) -> None:
    """The refusal names the setting before anything is changed."""
    before = content(database)
    set_up(database)
    with pytest.raises(OperationalError) as caught:
        migrate(change(LosslessMigrator(database)))
    assert isinstance(caught.value, WAIaaSError)
    assert caught.value.reason == "connection_settings"
    assert content(database) == before


def test_a_queue_database_is_refused(tmp_path: Path, database: SqliteDatabase) -> None:
    """A database that writes in another thread without transactions is refused by operations and upgrades."""
    database.pragma("journal_mode", "wal")
    queue = SqliteQueueDatabase(database.database)
    with pytest.raises(WAIaaSError, match="SqliteQueueDatabase"):
        migrate(succeed(LosslessMigrator(queue)))
    queue.stop()
    queue.close()
    path = make_file(tmp_path / "wallets.db")
    wallets = SqliteQueueDatabase(path)
    with pytest.raises(WAIaaSError, match="SqliteQueueDatabase"):
        waiaas.upgrade(wallets, backup=False)
    wallets.stop()
    wallets.close()


def test_a_pooled_connection_is_used_like_any_other(tmp_path: Path, database: SqliteDatabase) -> None:
    """A connection of a pool is returned with its original settings."""
    pool = PooledSqliteDatabase(database.database, pragmas={"foreign_keys": 1})
    with pool.connection_context():
        migrate(succeed(LosslessMigrator(pool)))
        assert pool.foreign_keys == 1
    pool.close_all()


@pytest.mark.parametrize("is_held", [True, False], ids=["in a transaction", "outside of one"])
def test_an_unfinished_query_is_refused(is_held: bool, database: SqliteDatabase) -> None:
    """The change is refused before it begins, the query continues, and after it ends the change succeeds."""
    if is_held:
        database.connection().execute("BEGIN")
    cursor = database.execute_sql("SELECT id FROM pet")
    assert cursor.fetchone() == (1,)
    for _ in range(2):
        with pytest.raises(OperationalError) as caught:
            migrate(succeed(LosslessMigrator(database)))
        assert isinstance(caught.value, WAIaaSError)
        assert caught.value.reason == "unfinished_query"
    assert cursor.fetchall() == [(2,)]
    migrate(succeed(LosslessMigrator(database)))
    if is_held:
        database.connection().execute("COMMIT")
    with pytest.raises(IntegrityError):
        database.execute_sql("INSERT INTO pet VALUES (3, NULL)")


def test_an_upgrade_refuses_an_unfinished_query(v18: Path) -> None:
    """An upgrade is refused with the same reason, and the file is unchanged byte for byte."""
    before = v18.read_bytes()
    database = SqliteDatabase(v18)
    cursor = database.execute_sql("SELECT id FROM sessions")
    with pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert caught.value.reason == "unfinished_query"
    cursor.close()
    database.close()
    assert v18.read_bytes() == before


@pytest.mark.parametrize(("name", "value"), SET_ASIDE.values(), ids=SET_ASIDE)
def test_an_upgrade_works_with_any_connection_setting(name: str, value: object, v18: Path) -> None:
    """An upgrade succeeds, with its backup, and the setting is restored."""
    database = SqliteDatabase(v18, timeout=0)
    database.pragma(name, value)
    report = waiaas.upgrade(database)
    assert str(database.pragma(name)) == str(value)
    database.close()
    assert report.to_version == LATEST
    assert report.backup is not None
    assert waiaas.check(database).findings == []
    database.close()
