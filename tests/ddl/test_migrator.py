"""The schema operations by themselves, as any Peewee user may use them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peewee import IntegrityError, OperationalError, SqliteDatabase
from playhouse.migrate import Operation, migrate
from support.memory_databases import made, rows
from support.refusals import refusal_of

from waiaas import Progress, WAIaaSError
from waiaas.ddl import LosslessMigrator

OWNERS = (
    "CREATE TABLE owner (id INTEGER PRIMARY KEY)",
    "CREATE TABLE pet (id INTEGER PRIMARY KEY, owner_id INT REFERENCES owner (id), name TEXT)",
    "CREATE INDEX pet_owner ON pet (owner_id)",
    "INSERT INTO owner VALUES (1), (2)",
    "INSERT INTO pet VALUES (1, 1, 'Bello'), (2, 1, 'Minka'), (3, NULL, 'stray')",
)
JUNCTION = (
    "CREATE TABLE pet_owner_link (pet_id INT NOT NULL REFERENCES pet (id),"
    " owner_id INT NOT NULL REFERENCES owner (id), PRIMARY KEY (pet_id, owner_id))"
)
LINK_INDEX = "CREATE INDEX link_owner ON pet_owner_link (owner_id)"


def run(database: SqliteDatabase, change: Callable[[LosslessMigrator], Operation]) -> LosslessMigrator:
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(change(migrator))
    return migrator


def refused(database: SqliteDatabase, change: Callable[[LosslessMigrator], Operation]) -> WAIaaSError:
    return refusal_of(lambda: run(database, change), lambda: list(database.connection().iterdump()))


def extract(migrator: LosslessMigrator, where: str = "1") -> Operation:
    return migrator.extract_junction(
        "pet",
        "owner_id",
        junction="pet_owner_link",
        definition=JUNCTION,
        indexes=[LINK_INDEX],
        fill={"pet_id": "id", "owner_id": "owner_id"},
        where=where,
        drop_indexes=["pet_owner"],
    )


def absorb(migrator: LosslessMigrator) -> Operation:
    return migrator.absorb_junction(
        "pet_owner_link",
        definition=[JUNCTION, LINK_INDEX],
        into="pet",
        column="owner_id INT REFERENCES owner (id)",
        after="id",
        value="(SELECT owner_id FROM pet_owner_link WHERE pet_id = id)",
        indexes=["CREATE INDEX pet_owner ON pet (owner_id)"],
    )


def test_a_column_becomes_a_junction_table_and_back() -> None:
    """A foreign-key column converted to a junction table keeps each link, and converts back to the same column."""
    database = made(*OWNERS)
    before = list(database.connection().iterdump())
    assert run(database, extract).result.links_created == 2
    assert rows(database, "SELECT * FROM pet_owner_link") == [(1, 1), (2, 1)]
    assert [row[1] for row in rows(database, "PRAGMA table_info(pet)")] == ["id", "name"]
    run(database, absorb)
    after = "\n".join(database.connection().iterdump()).replace('"pet"', "pet")
    assert sorted(after.split("\n")) == sorted("\n".join(before).replace('"pet"', "pet").split("\n"))


def test_lost_links_are_detected() -> None:
    """If fewer links arrive than expected, everything is rolled back."""
    database = made(*OWNERS)
    answers = itertools.chain([1, 1], itertools.repeat(0))
    database.register_function(lambda: next(answers), "flip", 0)
    error = refused(database, lambda migrator: extract(migrator, where="flip()"))
    assert error.reason == "rows_lost"
    assert error.details is not None
    assert (error.details["table"], error.details["before"], error.details["after"]) == ("pet_owner_link", 2, 0)


def test_an_existing_junction_table_with_rows_is_refused() -> None:
    """A junction table that has rows is refused."""
    database = made(*OWNERS, JUNCTION, "INSERT INTO pet_owner_link VALUES (3, 2)")
    assert refused(database, extract).reason == "leftover_table"


def test_a_needed_column_is_found_before_the_junction_table_is_filled() -> None:
    """A dependent of the column is refused before a row is copied, which can take long."""
    database = made(*OWNERS, "CREATE VIEW owned AS SELECT owner_id FROM pet")
    phases: list[str] = []
    migrator = LosslessMigrator(database, lambda progress: phases.append(progress.phase))
    with pytest.raises(WAIaaSError) as caught, migrator.migration_context():
        migrator.migrate(extract(migrator))
    assert caught.value.reason == "dependent_object"
    assert not any("pet_owner_link" in phase for phase in phases)


@pytest.mark.parametrize(
    "view",
    [
        "CREATE VIEW own AS SELECT * FROM pet, pet_owner_link",
        "CREATE VIEW own AS SELECT p.* FROM pet p WHERE id IN (SELECT pet_id FROM pet_owner_link)",
    ],
)
def test_a_view_that_waits_for_the_junction_table_needs_the_column(view: str) -> None:
    """A view that compiles only with the new table, and reads the column, is found as any other."""
    database = made(*OWNERS, view)
    error = refused(database, extract)
    assert error.reason == "dependent_object"
    assert error.details is not None
    assert (error.details["kind"], error.details["name"], error.details["column"]) == ("view", "own", "owner_id")


def test_dependents_are_those_of_the_schema_of_the_moment() -> None:
    """An object that is created or dropped between two questions is in the answer, also within a rolled-back block."""
    database = made(*OWNERS)
    migrator = LosslessMigrator(database)

    def names() -> list[str]:
        return [each.name for each in migrator.dependents(migrator.table("pet"), "name")]

    assert names() == names() == []
    for statement in ("CREATE VIEW named AS SELECT name FROM pet", "CREATE VIEW other AS SELECT name FROM pet"):
        with database.atomic() as transaction:
            database.execute_sql(statement)
            assert names() == [statement.split()[2]]
            transaction.rollback()
        assert names() == []
    database.execute_sql("CREATE INDEX by_name ON pet (name)")
    assert names() == ["by_name"]
    assert migrator.dependents(migrator.table("pet"), "name", ["by_name"]) == []


def test_a_missing_column_is_named() -> None:
    """Dropping or changing a missing column is refused with its name."""
    database = made(*OWNERS)
    for change in (
        lambda migrator: migrator.drop_column("pet", "colour"),
        lambda migrator: migrator.change_columns("pet", {"colour": "colour TEXT"}),
    ):
        assert "colour" in str(refused(database, change))


@pytest.mark.parametrize(
    ("statements", "named"),
    [
        (["CREATE INDEX mine ON pet (name, id)"], "mine"),
        (["CREATE TABLE tag (pet TEXT REFERENCES pet (name))", "CREATE UNIQUE INDEX u ON pet (name)"], "tag.pet"),
    ],
)
def test_a_needed_column_is_not_dropped(statements: list[str], named: str) -> None:
    """A dependency of the column is named: an index, or another table's foreign key."""
    database = made(*OWNERS, *statements)
    error = refused(database, lambda migrator: migrator.drop_column("Pet", "NAME"))
    assert error.reason == "dependent_object"
    assert error.details is not None
    assert (error.details["table"], error.details["column"]) == ("pet", "name")
    assert named in str(error)


@pytest.mark.parametrize("clause", ["UNIQUE", "PRIMARY KEY"])
def test_a_key_is_not_dropped(clause: str) -> None:
    """A column that is a key, or UNIQUE by itself, is refused."""
    database = made(f"CREATE TABLE t (a TEXT {clause}, b)")
    assert clause in str(refused(database, lambda migrator: migrator.drop_column("t", "a")))


def test_a_trigger_that_cannot_be_compiled_is_checked_by_its_text() -> None:
    """A trigger that uses a program's function is refused if it names table and column, and kept otherwise."""
    kept = "CREATE TRIGGER kept AFTER INSERT ON owner BEGIN SELECT mine(new.id); END"
    database = made(*OWNERS, kept)
    run(database, lambda migrator: migrator.drop_column("pet", "name"))
    for name, text in (("one", "SELECT mine(name) FROM pet"), ("two", "UPDATE pet SET name = mine()")):
        database = made(*OWNERS, kept, f"CREATE TRIGGER {name} AFTER INSERT ON owner BEGIN {text}; END")
        assert name in str(refused(database, lambda migrator: migrator.drop_column("pet", "name")))


def test_a_trigger_that_cannot_be_created_is_checked_by_its_text() -> None:
    """A trigger on a virtual table of an unknown module does not block an unrelated change."""
    database = made(*OWNERS, "CREATE VIRTUAL TABLE f USING fts5 (name)")
    run(database, lambda migrator: migrator.drop_column("pet", "name"))
    assert rows(database, "SELECT count(*) FROM f") == [(0,)]


def test_create_table_uses_an_empty_one_and_refuses_another() -> None:
    """An existing empty table with the right definition is used; one with another definition is refused."""
    statement, index = "CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT)", "CREATE INDEX note_body ON note (body)"
    for before in ([], [statement], [statement, index]):
        database = made(*before)
        run(database, lambda migrator: migrator.create_table(statement, [index]))
        assert rows(database, "SELECT name FROM sqlite_master ORDER BY name") == [("note",), ("note_body",)]
    for before in (["CREATE TABLE note (id)"], [statement, "INSERT INTO note VALUES (1, 'x')"]):
        assert refused(made(*before), lambda m: m.create_table(statement, [index])).reason == "leftover_table"


def test_create_index_replaces_its_own_only() -> None:
    """The replaced index is dropped if it has the same columns; a user's index of that name is kept."""
    statement = "CREATE INDEX new_name ON pet (name)"
    for old, stays in (("(name)", False), ("(name, id)", True)):
        database = made(*OWNERS, f"CREATE INDEX old_name ON pet {old}")
        run(database, lambda migrator: migrator.create_index("pet", statement, replaces="old_name"))
        names = {name for (name,) in rows(database, "SELECT name FROM sqlite_master WHERE type = 'index'")}
        assert names == {"new_name", "pet_owner"} | ({"old_name"} if stays else set())


def test_create_index_uses_the_same_one_and_refuses_another() -> None:
    """An existing index of that name is used if it is equal, and refused by name otherwise."""
    statement = "CREATE INDEX taken ON pet (name)"
    run(made(*OWNERS, statement), lambda migrator: migrator.create_index("pet", statement))
    error = refused(made(*OWNERS, "CREATE INDEX taken ON pet (id)"), lambda m: m.create_index("pet", statement))
    assert depended(error) == ("index", "taken", "pet", "name")


def test_values_are_refused_before_any_change() -> None:
    """`refuse_values` names the rows that satisfy its condition."""
    migrator = LosslessMigrator(made(*OWNERS))
    migrator.refuse_values("pet", "name", "name = 'Rex'")
    with pytest.raises(WAIaaSError) as caught:
        migrator.refuse_values("pet", "name", "name LIKE 'M%'")
    assert caught.value.details is not None
    assert (caught.value.details["rows"], caught.value.details["values"]) == ([2], ["'Minka'"])
    assert (caught.value.details["table"], caught.value.details["column"]) == ("pet", "name")


def test_a_rename_that_does_not_update_a_foreign_key_is_refused() -> None:
    """If SQLite does not update foreign keys, as before 3.26, the rename is rolled back."""
    database = made(*OWNERS)

    def rename_as_of_old(migrator: LosslessMigrator) -> Operation:
        database.execute_sql("PRAGMA legacy_alter_table = ON")
        return migrator.rename_table("owner", "keeper")

    assert refused(database, rename_as_of_old).reason == "foreign_key_elsewhere"


def test_a_misdirected_foreign_key_is_refused() -> None:
    """A foreign key that should reference a table, but references another existing one, is refused."""
    database = made(*OWNERS, "CREATE TABLE keeper (id INTEGER PRIMARY KEY)")
    error = refused(database, lambda m: m.reconnect_foreign_keys("keeper", {"pet": ["owner_id"]}))
    assert error.reason == "foreign_key_elsewhere"


def test_a_plan_can_be_made_inside_a_transaction(v18: Any) -> None:
    """`plan` reads within the caller's transaction, which stays open."""
    import waiaas
    from waiaas.migrations.opening import open_to_change

    with open_to_change(v18) as database:
        database.execute_sql("BEGIN")
        database.execute_sql("DELETE FROM sessions")
        assert waiaas.plan(database).sessions == 0
        database.execute_sql("ROLLBACK")
        assert waiaas.plan(database).sessions == 12


def test_a_virtual_table_is_refused() -> None:
    """A virtual table, whose columns belong to its module, is refused as such."""
    database = made("CREATE VIRTUAL TABLE note USING fts5 (body)")
    for change in (
        lambda migrator: migrator.drop_column("note", "body"),
        lambda migrator: migrator.append_column("note", "more TEXT"),
    ):
        error = refused(database, change)
        assert error.reason == "unexpected_schema"
        assert error.details is not None
        assert error.details["table"] == "note"
        assert "virtual" in str(error)


def test_a_missing_table_is_named() -> None:
    """An operation on a missing table is refused with its name."""
    error = refused(made(), lambda migrator: migrator.append_column("nowhere", "a TEXT"))
    assert error.reason == "unexpected_schema"
    assert error.details is not None
    assert (error.details["table"], error.details["problem"]) == ("nowhere", "it is missing")


def test_a_temporary_trigger_is_refused_on_its_own_table_only() -> None:
    """A temporary trigger, which a rebuild would delete, is refused by name; one on another table is not."""
    database = made(*OWNERS, "CREATE TEMP TRIGGER mine AFTER INSERT ON owner BEGIN SELECT 1; END")
    run(database, lambda migrator: migrator.drop_column("pet", "name", legacy=True))
    error = refused(database, lambda m: m.rebuild_table("owner", "CREATE TABLE owner (id INTEGER PRIMARY KEY)"))
    assert (error.reason, (error.details or {})["table"]) == ("rebuild_refused", "owner")
    assert "mine" in str(error)
    assert rows(database, "SELECT name FROM temp.sqlite_master") == [("mine",)]


def test_an_error_that_rolled_back_is_raised_unchanged() -> None:
    """If SQLite itself has rolled back, its error reaches the caller, and nothing of the change is kept."""
    database = made(*OWNERS)
    migrator = LosslessMigrator(database)
    with pytest.raises(IntegrityError, match="UNIQUE"), migrator.migration_context():
        migrator.migrate(migrator.drop_column("pet", "name"), migrator.sql("INSERT OR ROLLBACK INTO owner VALUES (1)"))
    assert rows(database, "SELECT max(name) FROM pet") == [("stray",)]


def test_a_trigger_on_a_table_without_stored_columns_is_named() -> None:
    """If only generated columns would remain, which SQLite does not allow, the triggers on the table are named."""
    database = made("CREATE TABLE t (a, b AS (1))", "CREATE TRIGGER mine AFTER DELETE ON t BEGIN SELECT 1; END")
    error = refused(database, lambda migrator: migrator.drop_column("t", "a"))
    assert error.reason == "dependent_object"
    assert "mine" in str(error)


def test_the_only_column_is_not_dropped() -> None:
    """The last column of a table cannot be dropped."""
    error = refused(made("CREATE TABLE t (a, CHECK (1))"), lambda migrator: migrator.drop_column("t", "a"))
    assert (error.reason, (error.details or {})["table"]) == ("rebuild_refused", "t")
    assert "only column" in str(error)


def test_a_generated_column_of_the_programs_own_function_is_compiled() -> None:
    """A trigger on a table whose generated column uses a program's function is checked like any other."""
    trigger = "CREATE TRIGGER mine AFTER INSERT ON calc BEGIN UPDATE pet SET {} = new.b; END"
    for column, is_kept in (("owner_id", True), ("name", False)):
        database = made(*OWNERS)
        database.register_function(lambda a: a, "twice", 1, deterministic=True)
        database.execute_sql("CREATE TABLE calc (a, b AS (twice(a)))")
        database.execute_sql(trigger.format(column))
        if is_kept:
            run(database, lambda migrator: migrator.drop_column("pet", "name"))
        else:
            assert "mine" in str(refused(database, lambda migrator: migrator.drop_column("pet", "name")))


FORMER_NAMES = (
    *("owner__tmp__", "_alembic_tmp_owner", "new__owner", "__new_owner", "new_owner", "owner_new", "Owner_Tmp"),
    *("tmp_owner", "owner_old", "old_owner", "_owner_old", "owner_backup", "owner_bak", "owner__old", "owner-2024"),
)


@pytest.mark.parametrize("former", [*FORMER_NAMES, "what_a_name", "ownership", "house_owner_old"])
def test_a_dangling_key_is_reconnected_by_its_name(former: str) -> None:
    """A dangling key is reconnected if its name contains this table's name, but not if it is another table's."""
    database = made(
        OWNERS[0],
        "CREATE TABLE house_owner (id INTEGER PRIMARY KEY)",
        f'CREATE TABLE pet (owner_id INT REFERENCES "{former}" (id) ON DELETE CASCADE)',
        "INSERT INTO pet VALUES (NULL)",
    )
    done = run(database, lambda migrator: migrator.reconnect_foreign_keys("owner")).result.foreign_keys_reconnected
    ((_, _, parent, *_, on_delete, _),) = rows(database, "PRAGMA foreign_key_list(pet)")
    assert (done, parent) == ((["pet.owner_id"], "owner") if former in FORMER_NAMES else ([], former))
    assert on_delete == "CASCADE"
    assert rows(database, "SELECT * FROM pet") == [(None,)]


ROWS_OF_A_DANGLING_KEY = {
    "all in this table": ("1, 2", True),
    "one in none": ("1, 3", False),
    "all in another table too": ("1", False),
    "none": ("NULL", False),
}


@pytest.mark.parametrize(("owners", "is_reconnected"), ROWS_OF_A_DANGLING_KEY.values(), ids=ROWS_OF_A_DANGLING_KEY)
def test_a_dangling_key_of_any_name_is_reconnected_by_its_rows(owners: str, is_reconnected: bool) -> None:
    """A dangling key of another name is reconnected if its rows reference only rows of this table."""
    database = made(
        OWNERS[0],
        "CREATE TABLE house (id INTEGER PRIMARY KEY)",
        "CREATE TABLE pet (owner_id INT REFERENCES gone (id))",
        "INSERT INTO owner VALUES (1), (2)",
        "INSERT INTO house VALUES (1), (7)",
        f"INSERT INTO pet SELECT value FROM json_each('[{owners.replace('NULL', 'null')}]')",
    )
    run(database, lambda migrator: migrator.reconnect_foreign_keys("owner"))
    ((_, _, parent, *_),) = rows(database, "PRAGMA foreign_key_list(pet)")
    assert parent == ("owner" if is_reconnected else "gone")


def test_an_unrelated_dangling_key_is_kept() -> None:
    """A dangling key to a column that is not a key of the table is kept, regardless of its name."""
    database = made(OWNERS[0], "CREATE TABLE pet (name TEXT REFERENCES owner_old (name))")
    run(database, lambda migrator: migrator.reconnect_foreign_keys("owner"))
    assert rows(database, "PRAGMA foreign_key_list(pet)")[0][2] == "owner_old"


@pytest.mark.parametrize(
    ("clause", "word"),
    [
        ("CONSTRAINT mine NOT NULL", "constraint"),
        ("PRIMARY KEY", "primary"),
        ("UNIQUE", "unique"),
        ("CHECK (a > 0)", "check"),
        ("DEFAULT 1", "default"),
        ("COLLATE NOCASE", "collate"),
        ("REFERENCES owner (id)", "references"),
        ("GENERATED ALWAYS AS (1)", "generated"),
        ("AS (1)", "as"),
        ("NOT NULL ON CONFLICT IGNORE", "conflict"),
        ("REFERENCES owner (id) DEFERRABLE", "references"),
    ],
)
def test_a_lost_clause_of_a_column_is_named(clause: str, word: str) -> None:
    """A column's new definition must have every clause of the old one: a missing clause is named."""
    database = made(OWNERS[0], f"CREATE TABLE t (a INT {clause}, b)")
    error = refused(database, lambda migrator: migrator.change_columns("t", {"a": "a INT"}))
    assert error.reason == "rebuild_refused"
    assert error.details is not None
    assert error.details["table"] == "t"
    assert error.details["problem"] == f"the new definition lacks {word} of a INT {clause}"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("INTEGER PRIMARY KEY AUTOINCREMENT", "INTEGER PRIMARY KEY", "autoincrement"),
        ("INT REFERENCES owner (id) DEFERRABLE", "INT REFERENCES owner (id)", "deferrable"),
        ("INT CONSTRAINT mine UNIQUE", "INT UNIQUE", "constraint"),
        ("INT GENERATED ALWAYS AS (1)", "INT AS (1)", "generated"),
        ("INT UNIQUE ON CONFLICT IGNORE", "INT UNIQUE", "conflict"),
    ],
)
def test_a_lost_part_of_a_clause_is_named(old: str, new: str, word: str) -> None:
    """If a clause of the new definition lacks a part of the old one, that part is named."""
    database = made(OWNERS[0], f"CREATE TABLE t (a {old}, b)")
    error = refused(database, lambda migrator: migrator.change_columns("t", {"a": f"a {new}"}))
    assert error.reason == "rebuild_refused"
    assert f"lacks {word} of" in str(error)


def test_more_than_one_clause_of_a_kind_is_counted() -> None:
    """Each of several CHECKs must be kept, and a clause of another column does not replace it."""
    database = made("CREATE TABLE t (a INT CHECK (a > 0) CHECK (a < 9), b)")
    for definition in ("a INT CHECK (a > 0)", "a INT CHECK (a > 0), c INT CHECK (c < 9)"):
        error = refused(database, lambda migrator, new=definition: migrator.change_columns("t", {"a": new}))
        assert "lacks check" in str(error)


def test_a_migrator_can_be_used_again() -> None:
    """A problem from before a second migration is not attributed to it, even if the first did not see it."""
    database = made(*OWNERS)
    migrator = LosslessMigrator(database)
    for _ in range(2):
        with migrator.migration_context():
            migrator.migrate(migrator.rebuild_table("pet", migrator.table("pet").sql))
        database.execute_sql("INSERT INTO pet (owner_id) VALUES (99)")
    assert [row[1] for row in rows(database, "PRAGMA foreign_key_check")] == [4, 5]


def test_a_new_violation_is_refused() -> None:
    """A change that leaves a child without its parent is rolled back, and the error has the table and the count."""
    database = made(*OWNERS, "INSERT INTO pet VALUES (4, 99, 'lost before')")
    error = refused(
        database,
        lambda m: m.rebuild_table("pet", m.table("pet").sql, copy={"owner_id": "owner_id + 7"}),
    )
    assert error.reason == "foreign_key_violations"
    assert error.details is not None
    assert (error.details["table"], error.details["count"]) == ("pet", 2)


def test_an_update_fires_triggers_and_counts_its_rows() -> None:
    """Triggers on the table fire, including temporary ones; those on other columns and tables do not."""
    database = made(
        *OWNERS,
        "CREATE TABLE log (x)",
        "CREATE TRIGGER mine BEFORE UPDATE ON Pet BEGIN INSERT INTO log VALUES ('fired'); END",
        "CREATE TRIGGER of_name AFTER UPDATE OF name ON Pet BEGIN INSERT INTO log VALUES ('name'); END",
        "CREATE TRIGGER of_owner AFTER UPDATE OF owner_id ON Pet BEGIN INSERT INTO log VALUES ('owner'); END",
        "CREATE TEMP TRIGGER passing AFTER UPDATE ON main.pet BEGIN INSERT INTO log VALUES ('passing'); END",
    )
    before = rows(database, "SELECT type, name, sql FROM sqlite_master ORDER BY name")
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(
            migrator.update("PET", "name = 'Rex'", "owner_id = 1"),
            migrator.update("pet", "name = 'Rex'", "owner_id IS NULL"),
        )
    assert migrator.result.rows_written == 3
    assert rows(database, "SELECT DISTINCT name FROM pet") == [("Rex",)]
    assert rows(database, "SELECT x, count(*) FROM log GROUP BY x") == [("fired", 3), ("name", 3), ("passing", 3)]
    assert rows(database, "SELECT type, name, sql FROM sqlite_master ORDER BY name") == before


def test_a_temporary_trigger_that_changes_a_written_row_is_refused() -> None:
    """A temporary trigger that changes a written row is refused by name."""
    database = made(
        *OWNERS,
        "CREATE TEMP TRIGGER passing AFTER UPDATE OF name ON main.pet WHEN new.name <> ''"
        " BEGIN UPDATE pet SET name = ''; END",
    )
    with pytest.raises(WAIaaSError, match="passing"), LosslessMigrator(database).migration_context() as _:
        migrate(LosslessMigrator(database).update("pet", "name = 'Rex'", "1"))
    assert rows(database, "SELECT max(name) FROM pet") == [("stray",)]


DROPS_NOTHING_NEEDED: dict[str, Callable[[LosslessMigrator], list[Operation]]] = {
    "the child after it": lambda m: [m.drop_table("owner"), m.drop_table("pet"), m.drop_table("log")],
    "the child before it": lambda m: [m.drop_table("pet"), m.drop_table("owner"), m.drop_table("log")],
    "a new one of its name": lambda m: [
        m.create_table("CREATE TABLE owner_2 (id INTEGER PRIMARY KEY)"),
        m.sql("INSERT INTO owner_2 SELECT id FROM owner"),
        m.drop_table("owner"),
        m.rename_table("owner_2", "owner"),
    ],
}


@pytest.mark.parametrize("drops", DROPS_NOTHING_NEEDED.values(), ids=DROPS_NOTHING_NEEDED)
def test_a_table_is_dropped_if_nothing_needs_it_in_the_end(
    drops: Callable[[LosslessMigrator], list[Operation]],
) -> None:
    """A needed table may be dropped if it is recreated, or no longer needed, at the end of the migration."""
    database = made(*OWNERS, "CREATE TABLE log (x)", "CREATE TRIGGER own AFTER INSERT ON owner BEGIN SELECT 1; END")
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(*drops(migrator))
    assert rows(database, "PRAGMA foreign_key_check") == []


NEEDS_THE_TABLE = {
    "a child with rows": ("INSERT INTO log VALUES ('x')", "foreign key", "pet"),
    "a child without rows": ("DELETE FROM pet", "foreign key", "pet"),
    "a view": ("DROP TABLE pet; CREATE VIEW mine AS SELECT id FROM owner", "view", "mine"),
    "a view of a view": (
        "DROP TABLE pet; CREATE VIEW mine AS SELECT id FROM owner; CREATE VIEW other AS SELECT id FROM mine",
        "view", "mine"
    ),
    "a trigger on another table": (
        "DROP TABLE pet; CREATE TRIGGER mine AFTER INSERT ON log BEGIN DELETE FROM owner; END", "trigger", "mine"
    ),
    "a full-text index": (
        "DROP TABLE pet; CREATE VIRTUAL TABLE mine USING fts5 (id, content='owner')", "virtual table", "mine"
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_held", [True, False], ids=["in the context", "outside of it"])
@pytest.mark.parametrize(("statements", "kind", "name"), NEEDS_THE_TABLE.values(), ids=NEEDS_THE_TABLE)
def test_a_needed_table_is_not_dropped(statements: str, kind: str, name: str, is_held: bool) -> None:
    """An object that would lose the table that it needs is named, with or without rows."""
    database = made(*OWNERS, "CREATE TABLE log (x)")
    database.connection().executescript(statements)
    if is_held:
        error = refused(database, lambda m: m.drop_table("Owner"))
    else:
        with pytest.raises(WAIaaSError) as caught:
            LosslessMigrator(database).drop_table("Owner").run()
        error = caught.value
    assert error.reason == "dependent_on_table"
    details = error.details or {}
    assert (details["kind"], details["name"], details["table"]) == (kind, name, "owner")
    assert rows(database, "SELECT count(*) FROM owner") == [(2,)]


@pytest.mark.parametrize("operation", ["rename_column", "rename_table", "drop_column"])
def test_broken_views_and_triggers_are_kept_over_a_change_in_place(operation: str) -> None:
    """Broken views and triggers, which stop SQLite's ALTER TABLE, are kept, and so are the valid ones."""
    kept = (
        "CREATE VIEW works AS SELECT id FROM owner",
        "CREATE TRIGGER on_works INSTEAD OF INSERT ON works BEGIN SELECT 1; END",
        "CREATE VIEW stale AS SELECT * FROM gone",
        "CREATE TRIGGER on_stale INSTEAD OF INSERT ON Stale BEGIN SELECT 1; END",
        "CREATE TRIGGER stale_too AFTER INSERT ON owner BEGIN INSERT INTO gone VALUES (1); END",
        "CREATE TRIGGER works_too AFTER DELETE ON owner BEGIN SELECT 1; END",
    )
    database = made(*OWNERS, *kept)
    changes: dict[str, Callable[[LosslessMigrator], Operation]] = {
        "rename_column": lambda m: m.rename_column("pet", "name", "title"),
        "rename_table": lambda m: m.rename_table("pet", "animal"),
        "drop_column": lambda m: m.drop_column("pet", "name"),
    }
    run(database, changes[operation])
    left = rows(database, "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger')")
    assert sorted(sql for (sql,) in left) == sorted(kept)


def test_a_refused_rename_names_the_foreign_key() -> None:
    """A refused rename names the child, its columns, the table that they reference and the expected one."""
    database = made("CREATE TABLE owner (a, b, UNIQUE (a, b))", "CREATE TABLE pet (x, y, FOREIGN KEY (x, y) REFERENCES"
                    " owner (a, b))")  # fmt: skip

    def rename_as_of_old(migrator: LosslessMigrator) -> Operation:
        database.execute_sql("PRAGMA legacy_alter_table = ON")
        return migrator.rename_table("owner", "keeper")

    details = refused(database, rename_as_of_old).details or {}
    assert {key: details[key] for key in ("table", "column", "parent", "expected")} == {
        "table": "pet",
        "column": "x, y",
        "parent": "owner",
        "expected": "keeper",
    }


@pytest.mark.parametrize("legacy", [False, True], ids=["in place", "by a rebuild"])
def test_the_progress_of_a_dropped_column_is_reported(legacy: bool) -> None:
    """Dropping a column reports the table and the column as spelled in the file."""
    reported: list[str] = []
    migrator = LosslessMigrator(made(*OWNERS), progress=lambda progress: reported.append(progress.phase))
    with migrator.migration_context():
        migrator.migrate(migrator.drop_column("PET", "Name", legacy=legacy))
    assert reported[0] == "dropping pet.name"
    assert ("replacing pet" in reported) == legacy
    assert reported[-1] == "committing"


def depended(error: WAIaaSError) -> tuple[object, ...]:
    """Return what the refusal of a dependency names."""
    assert error.reason == "dependent_object"
    return tuple((error.details or {})[key] for key in ("kind", "name", "table", "column"))


def test_an_added_column_names_what_it_would_break() -> None:
    """A trigger that copies whole rows is named with the table, and with all of its columns."""
    trigger = "CREATE TRIGGER mine AFTER INSERT ON owner BEGIN INSERT INTO old SELECT * FROM pet; END"
    database = made(*OWNERS, "CREATE TABLE old AS SELECT * FROM pet WHERE 0", trigger)
    error = refused(database, lambda migrator: migrator.append_column("PET", "age INT"))
    assert depended(error) == ("trigger", "mine", "pet", "*")


def test_a_junction_table_reports_its_progress() -> None:
    """Filling a junction table reports the table and the number of links, in order, and adds up the counts."""
    reported: list[Progress] = []
    database = made(*OWNERS)
    migrator = LosslessMigrator(database, progress=reported.append)
    migrator.result.links_created = migrator.result.rows_written = 10
    with migrator.migration_context():
        migrator.migrate(extract(migrator))
    assert reported == [
        Progress("filling pet_owner_link", None, 0, 2),
        Progress("filling pet_owner_link", None, 2, 2),
        Progress("indexing pet_owner_link"),
        Progress("dropping pet.owner_id"),
        Progress("checking the foreign keys of pet_owner_link"),
        Progress("committing"),
    ]
    assert (migrator.result.links_created, migrator.result.rows_written) == (12, 12)


def test_a_link_to_a_missing_row_is_refused() -> None:
    """A junction table whose links would violate a foreign key is refused, even if the column already did."""
    database = made(*OWNERS, "INSERT INTO pet VALUES (4, 99, 'lost before')")
    error = refused(database, extract)
    assert error.reason == "foreign_key_violations"
    assert error.details is not None
    assert (error.details["table"], error.details["count"]) == ("pet_owner_link", 1)


def test_dependencies_of_a_junction_table_are_named() -> None:
    """The refusal to convert a junction table back names its dependencies with their kind, and the table."""
    database = made(*OWNERS)
    run(database, extract)
    database.execute_sql("CREATE VIEW mine AS SELECT pet_id FROM pet_owner_link")
    error = refused(database, absorb)
    assert error.reason == "dependent_on_table"
    assert error.details is not None
    assert {key: error.details[key] for key in ("kind", "name", "table")} == {
        "kind": "view",
        "name": "mine",
        "table": "pet_owner_link",
    }


def test_the_context_locks_and_restores_the_pragmas(tmp_path: Path) -> None:
    """The context locks the database and sets the pragmas, and restores them afterwards."""
    path = tmp_path / "t.db"
    database = SqliteDatabase(
        path, pragmas={"foreign_keys": 1, "synchronous": 1, "cache_size": -64000, "temp_store": 2}
    )
    database.execute_sql("CREATE TABLE t (id)")
    names = ("foreign_keys", "synchronous", "cache_size", "legacy_alter_table", "temp_store")
    before = [database.pragma(name) for name in names]
    other = SqliteDatabase(path, timeout=0)
    with LosslessMigrator(database).migration_context():
        assert [database.pragma(name) for name in names] == [0, 3, -32000, 0, 1]
        with pytest.raises(OperationalError, match="locked"):
            other.begin("IMMEDIATE")
    assert [database.pragma(name) for name in names] == before == [1, 1, -64000, 0, 2]
    other.begin("IMMEDIATE")
    other.rollback()
    other.close()
    database.close()
