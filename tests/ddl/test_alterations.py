"""The operations of playhouse's SqliteMigrator, run with LosslessMigrator instead."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peewee import (
    SQL,
    AnyField,
    CharField,
    Check,
    DateTimeField,
    FloatField,
    ForeignKeyField,
    IntegerField,
    IntegrityError,
    Model,
    OperationalError,
    SqliteDatabase,
    Table,
    TextField,
)
from playhouse.migrate import Operation, SchemaMigrator, SqliteMigrator, migrate
from support import refusals
from support.memory_databases import made, rows

from waiaas import WAIaaSError
from waiaas.ddl import LosslessMigrator

Change = Callable[[LosslessMigrator], Operation]
PETS = (
    "CREATE TABLE owner (id INTEGER PRIMARY KEY, name TEXT CONSTRAINT named NOT NULL DEFAULT 'nobody')",
    "CREATE TABLE pet (\n  id INTEGER PRIMARY KEY AUTOINCREMENT, -- its number\n  owner_id INT REFERENCES owner (id)"
    " ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,\n  name TEXT DEFAULT 'x' CHECK (name <> 'NOT NULL'),\n"
    "  age REAL /* years */ NOT NULL ON CONFLICT ABORT DEFAULT (1 + 1),\n  CONSTRAINT old CHECK (age < 99)\n)",
    "CREATE INDEX pet_owner ON pet (owner_id)",
    "CREATE TABLE log (what TEXT)",
    "CREATE TRIGGER watch AFTER UPDATE ON pet BEGIN INSERT INTO log VALUES (new.name); END",
    "CREATE VIEW old_pets AS SELECT id FROM pet WHERE age > 9",
    "INSERT INTO owner VALUES (1, 'Kim'), (2, 'Lee')",
    "INSERT INTO pet VALUES (1, 1, 'Bello', 3), (2, 1, 'Minka', 10), (7, NULL, NULL, 4)",
    "DELETE FROM pet WHERE id = 7",
    "INSERT INTO pet VALUES (5, NULL, NULL, 4)",
)


class Owner(Model):
    """A model of the table that `pet` references."""

    name = TextField()

    class Meta:
        """The table."""

        table_name = "owner"


def schema(database: SqliteDatabase) -> list[tuple[Any, ...]]:
    return rows(database, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")


def everything(database: SqliteDatabase) -> object:
    return schema(database), [rows(database, f"SELECT rowid, * FROM {t}") for t in ("owner", "pet", "log")]


def refused(database: SqliteDatabase, change: Change, kind: type[Exception] = OperationalError) -> WAIaaSError:
    """Assert that an operation is refused as one of Peewee's errors and changes nothing."""
    error = refusals.refused(database, lambda: migrate(change(LosslessMigrator(database))))
    assert isinstance(error, kind)
    return error


def details(error: WAIaaSError, *names: str) -> tuple[object, ...]:
    assert error.details is not None
    return tuple(error.details[name] for name in names)


def definition(database: SqliteDatabase, table: str) -> str:
    ((sql,),) = rows(database, f"SELECT sql FROM sqlite_master WHERE type = 'table' AND name = '{table}'")
    return str(sql)


CHANGES: dict[str, tuple[Change, str, str]] = {
    "add_not_null": (lambda m: m.add_not_null("pet", "id"), "KEY AUTOINCREMENT", "KEY AUTOINCREMENT NOT NULL"),
    "drop_not_null": (lambda m: m.drop_not_null("PET", "Age"), " NOT NULL ON CONFLICT ABORT", ""),
    "drop_not_null of a named one": (
        lambda m: m.drop_not_null("owner", "name", legacy=True),
        " CONSTRAINT named NOT NULL",
        "",
    ),
    "add_column_default replaces one": (
        lambda m: m.add_column_default("pet", "name", "it's"),
        "DEFAULT 'x' CHECK (name <> 'NOT NULL')",
        "CHECK (name <> 'NOT NULL') DEFAULT 'it''s'",
    ),
    "add_column_default of an expression": (
        lambda m: m.add_column_default("pet", "name", "lower('X')"),
        "DEFAULT 'x' CHECK (name <> 'NOT NULL')",
        "CHECK (name <> 'NOT NULL') DEFAULT (lower('X'))",
    ),
    "add_column_default of a literal": (
        lambda m: m.add_column_default("pet", "name", "'y'"),
        "DEFAULT 'x' CHECK (name <> 'NOT NULL')",
        "CHECK (name <> 'NOT NULL') DEFAULT 'y'",
    ),
    "add_column_default of a number, called": (
        lambda m: m.add_column_default("pet", "age", lambda: 7),
        "DEFAULT (1 + 1)",
        "DEFAULT 7",
    ),
    "drop_column_default": (lambda m: m.drop_column_default("pet", "age"), " DEFAULT (1 + 1)", ""),
    "alter_column_type": (lambda m: m.alter_column_type("pet", "name", CharField()), "name TEXT", "name VARCHAR(255)"),
    "add_constraint": (
        lambda m: m.add_constraint("pet", "young", Check("age < 50")),
        "(age < 99)",
        '(age < 99), CONSTRAINT "young" CHECK (age < 50)',
    ),
    "drop_constraint of the table": (
        lambda m: m.drop_constraint("pet", "OLD"),
        ",\n  CONSTRAINT old CHECK (age < 99)",
        "",
    ),
    "drop_constraint of a column": (
        lambda m: m.drop_constraint("owner", "named"),
        " CONSTRAINT named NOT NULL",
        "",
    ),
    "add_unique": (
        lambda m: m.add_unique("pet", "name", "age"),
        "(age < 99)",
        '(age < 99), CONSTRAINT "uniq_name_age" UNIQUE ("name", "age")',
    ),
    "add_foreign_key_constraint": (
        lambda m: m.add_foreign_key_constraint("pet", "id", "pet", "id", on_delete="CASCADE", on_update="SET NULL"),
        "(age < 99)",
        '(age < 99), CONSTRAINT "fk_pet_id_refs_pet" FOREIGN KEY ("id") REFERENCES "pet" ("id")'
        " ON DELETE CASCADE ON UPDATE SET NULL",
    ),
    "drop_foreign_key_constraint": (
        lambda m: m.drop_foreign_key_constraint("pet", "owner_id"),
        " REFERENCES owner (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED",
        "",
    ),
    "add_column that is NOT NULL": (
        lambda m: m.add_column("pet", "kind", CharField(default="dog")),
        "(1 + 1)",
        '(1 + 1), "kind" VARCHAR(255) NOT NULL',
    ),
    "add_column": (
        lambda m: m.add_column("pet", "kind", TextField(null=True)),
        "(1 + 1)",
        '(1 + 1), "kind" TEXT',
    ),
    "add_column with a default that SQLite cannot add": (
        lambda m: m.add_column("pet", "at", TextField(null=True, constraints=[SQL("DEFAULT CURRENT_TIMESTAMP")])),
        "(1 + 1)",
        '(1 + 1), "at" TEXT DEFAULT CURRENT_TIMESTAMP',
    ),
}


@pytest.mark.parametrize("how", ["alone", "context", "caller's transaction"])
@pytest.mark.parametrize(("change", "old", "new"), CHANGES.values(), ids=CHANGES)
def test_only_the_given_definition_changes(change: Change, old: str, new: str, how: str) -> None:
    """An operation changes only its part of one definition; rows, ids, triggers, indexes and views are kept."""
    database = made(*PETS)
    migrator = LosslessMigrator(database)
    before_schema, before_rows = (
        schema(database),
        [rows(database, f"SELECT rowid, * FROM {t}") for t in ("owner", "pet")],
    )
    table = "owner" if "named" in old else "pet"
    wanted = definition(database, table).replace(old, new)
    assert wanted != definition(database, table)
    if how == "alone":
        migrate(change(migrator))
    elif how == "context":
        with migrator.migration_context():
            migrator.migrate(change(migrator))
    else:
        with database.atomic():
            migrate(change(migrator))
    squeeze = str.maketrans("", "", ' "\n')
    assert definition(database, table).translate(squeeze) == wanted.translate(squeeze)
    others = [row for row in before_schema if row[1] != table]
    assert [row for row in schema(database) if row[1] not in (table, "sqlite_autoindex_pet_1")] == others
    for name, kept in zip(("owner", "pet"), before_rows, strict=True):
        width = len(kept[0])
        assert [row[:width] for row in rows(database, f"SELECT rowid, * FROM {name}")] == kept
    assert rows(database, "SELECT seq FROM sqlite_sequence") == [(7,)]
    assert rows(database, "SELECT * FROM log") == []


def test_a_new_column_has_the_default_in_every_row() -> None:
    """A NOT NULL column gets the field's default as Peewee would store it: texts, times, blobs, floats."""
    database = made(*PETS)
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5)
    defaults: dict[str, Any] = {
        "a": TextField(default="it's \0 a 'text'"),
        "b": DateTimeField(default=lambda: moment),
        "c": AnyField(default=b"\x00\xff"),
        "d": FloatField(default=0.1),
        "e": IntegerField(default=0, unique=False, index=True),
    }
    migrator = LosslessMigrator(database)
    migrate(*(migrator.add_column("pet", name, field) for name, field in defaults.items()))
    wanted = ("it's \0 a 'text'", str(moment), b"\x00\xff", 0.1, 0)
    assert rows(database, "SELECT DISTINCT a, b, c, d, e FROM pet") == [wanted]
    assert rows(database, "SELECT name FROM pragma_index_list('pet') WHERE name = 'pet_e'") == [("pet_e",)]
    with pytest.raises(IntegrityError):
        database.execute_sql("INSERT INTO pet (name, a, b, c, d) VALUES ('no e', '', '', '', 1)")


def test_a_foreign_key_column_is_added_with_its_index() -> None:
    """A foreign-key field adds a column with REFERENCES and an index, in two statements that Peewee logs."""
    database = made(*PETS)
    field = ForeignKeyField(Owner, Owner.id, null=True, on_delete="CASCADE")
    migrate(LosslessMigrator(database).add_column("pet", "keeper_id", field))
    keys = rows(database, 'SELECT "from", "table", on_delete FROM pragma_foreign_key_list(\'pet\') ORDER BY 1')
    assert keys == [("keeper_id", "owner", "CASCADE"), ("owner_id", "owner", "SET NULL")]
    assert ("pet_keeper_id",) in rows(database, "SELECT name FROM pragma_index_list('pet')")


REFUSED: dict[str, tuple[Change, str, type[Exception], str]] = {
    "a NULL where none may be": (
        lambda m: m.add_not_null("pet", "name"),
        "value_not_allowed",
        IntegrityError,
        "('pet', 'name', [5])",
    ),
    "a row against a new CHECK": (
        lambda m: m.add_constraint("pet", "young", Check("age < 9")),
        "value_not_allowed",
        IntegrityError,
        "('pet', 'NOT (age < 9)', [2])",
    ),
    "rows that are not unique": (
        lambda m: m.add_unique("pet", "owner_id"),
        "value_not_allowed",
        IntegrityError,
        "('pet', 'owner_id', [1, 2])",
    ),
    "rows that are not unique for an index": (
        lambda m: m.add_index("pet", ("owner_id",), unique=True),
        "value_not_allowed",
        IntegrityError,
        "('pet', '\"owner_id\"', [1, 2])",
    ),
    "rows that are not unique for an index by a statement": (
        lambda m: m.create_index("pet", "CREATE UNIQUE INDEX u ON pet (owner_id DESC, age > 0) WHERE age < 50"),
        "value_not_allowed",
        IntegrityError,
        "('pet', 'owner_id, age > 0', [1, 2])",
    ),
    "rows without a value for a new column": (
        lambda m: m.add_column("pet", "size", IntegerField(), allow_not_null=True),
        "value_not_allowed",
        IntegrityError,
        "('pet', 'size', [1, 2, 5])",
    ),
    "a default that is not unique": (
        lambda m: m.add_column("pet", "tag", CharField(default="", unique=True)),
        "value_not_allowed",
        IntegrityError,
        "('pet', '\"tag\"', [1, 2, 5])",
    ),
    "rows without a parent": (
        lambda m: m.add_foreign_key_constraint("pet", "age", "owner", "id"),
        "foreign_key_violations",
        IntegrityError,
        "",
    ),
    "values that a type would change": (
        lambda m: m.alter_column_type("pet", "age", TextField()),
        "rebuild_refused",
        OperationalError,
        "",
    ),
    "a foreign key to a column that is not a key": (
        lambda m: m.add_foreign_key_constraint("pet", "age", "owner", "name"),
        "unexpected_schema",
        OperationalError,
        "",
    ),
    "a foreign key that does not exist": (
        lambda m: m.drop_foreign_key_constraint("pet", "age"),
        "unexpected_schema",
        OperationalError,
        "",
    ),
    "no such table": (lambda m: m.rename_table("cat", "dog"), "unexpected_schema", OperationalError, ""),
    "no such column": (lambda m: m.rename_column("pet", "colour", "x"), "unexpected_schema", OperationalError, ""),
    "no such column for an index": (lambda m: m.add_index("pet", ("x",)), "unexpected_schema", OperationalError, ""),
    "no such column for a default": (
        lambda m: m.apply_default("pet", "x", IntegerField(default=1)),
        "unexpected_schema",
        OperationalError,
        "",
    ),
    "no such index": (lambda m: m.drop_index("owner", "pet_owner"), "unexpected_schema", OperationalError, ""),
    "no such constraint": (lambda m: m.drop_constraint("pet", "x"), "unexpected_schema", OperationalError, ""),
    "a table of that name": (lambda m: m.rename_table("pet", "OWNER"), "name_exists", OperationalError, ""),
    "a view of that name": (lambda m: m.rename_table("pet", "old_pets"), "name_exists", OperationalError, ""),
    "a column of that name": (lambda m: m.rename_column("pet", "name", "AGE"), "name_exists", OperationalError, ""),
    "an index of that name": (
        lambda m: m.add_index("owner", ("name",), name="pet_owner"),
        "name_exists",
        OperationalError,
        "",
    ),
    "a constraint of that name": (
        lambda m: m.add_constraint("pet", "OLD", Check("1")),
        "name_exists",
        OperationalError,
        "",
    ),
    "a constraint of a column of that name": (
        lambda m: m.add_constraint("owner", "named", Check("1")),
        "name_exists",
        OperationalError,
        "",
    ),
    "a new column of that name": (
        lambda m: m.add_column("pet", "NAME", TextField(null=True)),
        "name_exists",
        OperationalError,
        "",
    ),
    "a new NOT NULL column of that name": (
        lambda m: m.add_column("pet", "NAME", TextField(default="")),
        "name_exists",
        OperationalError,
        "",
    ),
    "an appended column of that name": (
        lambda m: m.append_column("pet", "[Name] INT"),
        "name_exists",
        OperationalError,
        "",
    ),
    "a name that is reserved for SQLite": (
        lambda m: m.rename_table("pet", "sqlite_pet"),
        "alter_refused",
        OperationalError,
        "",
    ),
    "a definition that is not SQL": (
        lambda m: m.add_constraint("pet", "x", SQL("CHECK (((")),
        "alter_refused",
        OperationalError,
        "",
    ),
    "a primary key that is a second one": (
        lambda m: m.add_column("pet", "x", IntegerField(null=True, primary_key=True)),
        "alter_refused",
        OperationalError,
        "",
    ),
    "invalid SQL": (lambda m: m.sql("SELECT FROM"), "sqlite_error", OperationalError, ""),
    "SQL that breaks a constraint": (
        lambda m: m.sql("INSERT INTO owner VALUES (?, 'x')", (1,)),
        "sqlite_error",
        IntegrityError,
        "",
    ),
}


@pytest.mark.parametrize(("change", "reason", "kind", "named"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("how", ["alone", "caller's transaction"])
def test_impossible_operations_are_refused(
    change: Change, reason: str, kind: type[Exception], named: str, how: str
) -> None:
    """Each refusal is a WAIaaSError and a Peewee error, names the obstacle, and leaves everything unchanged."""
    database = made(*PETS)
    if how == "alone":
        error = refused(database, change, kind)
    else:
        with database.atomic():
            database.execute_sql("INSERT INTO log VALUES ('the caller''s own')")
            before = everything(database)
            with pytest.raises(WAIaaSError) as caught:
                migrate(change(LosslessMigrator(database)))
            assert everything(database) == before
        assert everything(database) == before
        error = caught.value
        assert isinstance(error, kind)
    assert error.reason == reason
    if named:
        assert repr(details(error, "table", "column", "rows")) == named


def test_invalid_arguments_raise_the_same_errors_as_in_playhouse() -> None:
    """Invalid arguments raise ValueError, and operations that SQLite does not have raise NotImplementedError."""
    database = made(*PETS)
    migrator = LosslessMigrator(database)
    before = everything(database)
    mistakes: tuple[Change, ...] = (
        lambda m: m.add_column("pet", "size", IntegerField()),
        lambda m: m.add_column_default("pet", "name", None),
        lambda m: m.alter_column_type("pet", "name", IntegerField(), cast="(name)"),
    )
    for mistake in mistakes:
        with pytest.raises(ValueError, match=r"default|cast"):
            migrate(mistake(migrator))
    with pytest.raises(NotImplementedError):
        migrate(migrator.drop_table("pet", cascade=True))
    assert everything(database) == before


def test_a_key_that_a_foreign_key_needs_is_not_dropped() -> None:
    """A UNIQUE index or constraint that a foreign key references is kept, because the key would fail without it."""
    database = made(
        "CREATE TABLE owner (a INT, b INT, CONSTRAINT both UNIQUE (a, b))",
        "CREATE UNIQUE INDEX own ON owner (b)",
        "CREATE TABLE pet (x INT, y INT, FOREIGN KEY (x, y) REFERENCES owner (a, b))",
        "CREATE TABLE cat (z INT REFERENCES owner (b))",
    )
    error = refused(database, lambda m: m.drop_index("owner", "own"))
    assert details(error, "kind", "name", "table") == ("foreign key", "cat.z", "owner")
    error = refused(database, lambda m: m.drop_constraint("owner", "both"))
    assert details(error, "kind", "name", "table") == ("foreign key", "pet.x, y", "owner")
    database.execute_sql("CREATE UNIQUE INDEX own_too ON owner (b)")
    migrate(LosslessMigrator(database).drop_index("owner", "own"))


def test_an_index_on_only_the_column_is_dropped_with_it() -> None:
    """The index is dropped with its column and reported; an index that also has another column blocks the drop."""
    database = made("CREATE TABLE t (a, b, c)", "CREATE UNIQUE INDEX one ON t (b)", "INSERT INTO t VALUES (1, 2, 3)")
    migrator = LosslessMigrator(database)
    migrate(migrator.drop_column("t", "b"))
    assert migrator.result.indexes_dropped == ["one"]
    assert rows(database, "SELECT * FROM t") == [(1, 3)]
    database.execute_sql("CREATE INDEX two ON t (a, c)")
    assert details(refused(database, lambda m: m.drop_column("t", "a")), "kind", "name") == ("index", "two")


@pytest.mark.parametrize("change", ["table", "column"])
def test_a_rename_can_change_only_the_case(change: str) -> None:
    """A rename that only changes the case, which SQLite does not support, also changes every reference."""
    database = made(*PETS)
    before = rows(database, "SELECT id, owner_id, name, age FROM pet")
    migrator = LosslessMigrator(database)
    if change == "table":
        migrate(migrator.rename_table("PET", "Pet"), migrator.rename_table("owner", "owner"))
        assert rows(database, "SELECT name FROM sqlite_master WHERE name LIKE 'pet'") == [("Pet",)]
    else:
        migrate(migrator.rename_column("pet", "NAME", "Name"), migrator.rename_column("pet", "age", "age"))
        assert "Name" in [row[1] for row in rows(database, "PRAGMA table_info(pet)")]
    assert rows(database, "SELECT id, owner_id, name, age FROM pet") == before
    database.execute_sql("UPDATE pet SET name = 'Rex' WHERE id = 1")
    assert rows(database, "SELECT what FROM log") == [("Rex",)]
    assert rows(database, "SELECT * FROM old_pets") == [(2,)]
    assert rows(database, "SELECT name FROM sqlite_master WHERE name LIKE 'waiaas%'") == []


def test_types_of_strict_tables_are_checked() -> None:
    """A table that becomes STRICT names the rows that it cannot store, and a STRICT table an unknown type."""
    database = made("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", "INSERT INTO t VALUES (1, 'x'), (2, x'00')")
    strict = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT) STRICT"
    error = refused(database, lambda m: m.rebuild_table("t", strict), IntegrityError)
    assert (error.reason, *details(error, "table", "column", "rows")) == ("value_not_allowed", "t", "a", [2])
    database.execute_sql("DELETE FROM t WHERE id = 2")
    migrate(LosslessMigrator(database).rebuild_table("t", strict))
    error = refused(database, lambda m: m.alter_column_type("t", "a", CharField()))
    assert (error.reason, *details(error, "table")) == ("alter_refused", "t")
    error = refused(database, lambda m: m.change_columns("t", {"a": "a INTEGER"}), IntegrityError)
    assert (error.reason, *details(error, "column", "rows")) == ("value_not_allowed", "a", [1])


def test_rows_that_violate_a_new_primary_key_are_named() -> None:
    """Duplicate values and non-integers in an INTEGER PRIMARY KEY, which has no index, are listed."""
    database = made("CREATE TABLE t (a INT, b TEXT)", "INSERT INTO t VALUES (1, 'x'), (1, 'y')")
    definition = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)"
    error = refused(database, lambda m: m.rebuild_table("t", definition, change=["a"]), IntegrityError)
    assert (error.reason, *details(error, "column", "rows")) == ("value_not_allowed", "a", [1, 2])
    database.execute_sql("UPDATE t SET a = 'z' WHERE b = 'y'")
    error = refused(database, lambda m: m.rebuild_table("t", definition, change=["a"]), IntegrityError)
    assert (error.reason, *details(error, "column", "rows")) == ("value_not_allowed", "a", [2])


def test_links_that_a_junction_table_does_not_allow_are_named() -> None:
    """Two rows that would become the same link, or a link without a value, are refused by their ids."""
    statements = (
        "CREATE TABLE pet (id INTEGER PRIMARY KEY, tag TEXT, owner TEXT)",
        "INSERT INTO pet VALUES (1, 'a', 'Kim'), (2, 'a', 'Kim'), (3, NULL, 'Lee')",
    )

    def extract(where: str) -> Change:
        return lambda m: m.extract_junction(
            "pet",
            "owner",
            junction="link",
            definition="CREATE TABLE link (tag TEXT NOT NULL, owner TEXT, PRIMARY KEY (tag, owner))",
            indexes=[],
            fill={"tag": "tag", "owner": "owner"},
            where=where,
        )

    for where, named in (("id < 3", [1, 2]), ("id > 2", [3])):
        error = refused(made(*statements), extract(where), IntegrityError)
        assert (error.reason, *details(error, "table", "rows")) == ("value_not_allowed", "pet", named)


def test_operations_run_in_order() -> None:
    """`update` and plain SQL run in order with every other operation."""
    database = made(*PETS)
    migrator = LosslessMigrator(database)
    migrate(
        migrator.append_column("pet", "size INT"),
        migrator.update("pet", "size = 1", "id < 5"),
        migrator.sql("UPDATE pet SET size = ? WHERE size IS NULL", (2,)),
        migrator.add_not_null("pet", "size"),
    )
    assert rows(database, "SELECT id, size FROM pet") == [(1, 1), (2, 1), (5, 2)]


def test_after_a_refusal_nothing_of_a_migration_is_committed() -> None:
    """A refusal that is caught inside `migration_context` still ends the migration."""
    database = made(*PETS)
    before = everything(database)
    migrator = LosslessMigrator(database)

    def migration() -> None:
        with migrator.migration_context():
            migrate(migrator.add_column("pet", "size", IntegerField(null=True)))
            with pytest.raises(IntegrityError):
                migrate(migrator.add_not_null("pet", "name"))

    with pytest.raises(WAIaaSError, match="pet"):
        migration()
    assert everything(database) == before


def test_a_commit_by_the_caller_is_detected() -> None:
    """After a COMMIT of the caller inside `migration_context`, no operation runs outside the transaction."""
    database = made(*PETS)
    migrator = LosslessMigrator(database)
    with pytest.raises(WAIaaSError) as caught, migrator.migration_context():
        migrate(migrator.sql("COMMIT"), migrator.drop_index("pet", "pet_owner"))
    assert caught.value.reason == "connection_settings"
    assert ("pet_owner",) in rows(database, "SELECT name FROM sqlite_master")


def test_without_atomic_each_operation_is_a_transaction() -> None:
    """With `atomic=False` foreign keys are off, earlier operations survive a refusal, and the caller may commit."""
    database = made(*PETS, "PRAGMA foreign_keys = ON")
    migrator = LosslessMigrator(database)

    def migration() -> None:
        with migrator.migration_context(atomic=False):
            assert (database.foreign_keys, database.connection().in_transaction) == (0, False)
            migrate(migrator.drop_not_null("owner", "name"), migrator.add_not_null("pet", "name"))

    with pytest.raises(IntegrityError):
        migration()
    assert "named" not in definition(database, "owner")
    assert database.foreign_keys == 1


def test_a_parent_is_rebuilt_outside_of_a_transaction_with_foreign_keys_on() -> None:
    """Playhouse's rebuild would delete the child rows in this case; here they are kept."""
    database = made(*PETS, "PRAGMA foreign_keys = ON")
    migrate(LosslessMigrator(database).drop_not_null("owner", "name"))
    assert rows(database, "SELECT id, owner_id FROM pet ORDER BY id") == [(1, 1), (2, 1), (5, None)]
    assert database.foreign_keys == 1


def test_a_migrator_is_created_from_a_proxy() -> None:
    """`from_database` returns a migrator of this library and accepts what playhouse's accepts."""
    from peewee import DatabaseProxy, PostgresqlDatabase

    proxy = DatabaseProxy()
    with pytest.raises(ValueError, match="uninitialized"):
        LosslessMigrator.from_database(proxy)
    proxy.initialize(made())
    assert type(LosslessMigrator.from_database(proxy)) is LosslessMigrator
    with pytest.raises(ValueError, match="Unsupported"):
        LosslessMigrator.from_database(PostgresqlDatabase("x"))
    with pytest.raises(ValueError, match="schema"):
        LosslessMigrator.from_database(proxy, schema="other")


def test_no_operation_of_playhouse_is_inherited() -> None:
    """Each public operation of playhouse's SqliteMigrator is overridden by this library."""
    inherited = [
        name
        for name in dir(SqliteMigrator)
        if not name.startswith("_") and getattr(LosslessMigrator, name) is getattr(SqliteMigrator, name)
    ]
    assert set(inherited) <= {
        *("add_inline_fk_sql", "get_foreign_key_constraint", "make_context", "migrate"),
        *("explicit_create_foreign_key", "explicit_delete_foreign_key", "supports_schema", "transactional_ddl"),
        *("column_name_re", "column_re", "column_split_re", "fk_re"),
    }
    assert not hasattr(SchemaMigrator, "change")


def test_peewee_s_log_shows_what_changes_the_database(caplog: pytest.LogCaptureFixture) -> None:
    """Queries with which the library inspects the schema are not logged as the program's."""
    database = made(*PETS)
    with caplog.at_level("DEBUG", logger="peewee"):
        migrate(LosslessMigrator(database).add_column("owner", "at", IntegerField(null=True)))
        migrate(LosslessMigrator(database).add_index("owner", ("at",), where=(Table("owner").c.at == 1)))
    assert [record.msg for record in caplog.records] == [
        ('ALTER TABLE "owner" ADD COLUMN "at" INTEGER', []),
        ('CREATE INDEX "owner_at" ON "owner" ("at") WHERE ("at" = 1)', []),
    ]


def test_a_locked_or_read_only_file_is_refused(tmp_path: Path) -> None:
    """A locked or read-only file is refused with that reason."""
    path = tmp_path / "pets.db"
    database = SqliteDatabase(path, timeout=0)
    for statement in PETS:
        database.execute_sql(statement)
    other = SqliteDatabase(path)
    other.begin("IMMEDIATE")
    assert refused(database, lambda m: m.drop_index("pet", "pet_owner")).reason == "database_busy"
    other.rollback()
    other.close()
    read_only = SqliteDatabase(f"file:{path}?mode=ro", uri=True)
    assert refused(read_only, lambda m: m.drop_index("pet", "pet_owner")).reason == "read_only"
    read_only.close()
    database.close()
