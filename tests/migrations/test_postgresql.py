"""The schema of a PostgreSQL database is created, versioned and upgraded by one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import peewee
import pytest
from support.postgresql_server import Databases

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.postgresql import PostgresqlDatabase, open_database
from waiaas.migrations.history import DESCRIPTIONS
from waiaas.migrations.postgresql import create_or_upgrade, plan, read_version
from waiaas.migrations.version import status
from waiaas.models.postgresql import statements, tables

LATEST = waiaas.LATEST_SCHEMA_VERSION
FROZEN = Path(__file__).parents[1] / "support" / "frozen"


class NextVersion:
    VERSION, DESCRIPTION = LATEST + 1, "Wallets have a remark"
    POSTGRESQL = ('ALTER TABLE wallets ADD COLUMN remark text COLLATE "C"', "UPDATE wallets SET remark = name")


class BrokenNextVersion(NextVersion):
    POSTGRESQL = (*NextVersion.POSTGRESQL, "SELECT 1 / 0")


def catalog(database: PostgresqlDatabase) -> list[tuple[object, ...]]:
    """Return what the server knows about the columns, constraints and indexes of the tables."""
    return [
        row
        for sql in (
            "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,"
            " attcollation::regcollation::text, pg_get_expr(adbin, adrelid) FROM pg_attribute"
            " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum JOIN pg_class ON pg_class.oid = attrelid"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped",
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace",
            "SELECT tablename::text, indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        )
        for row in sorted(database.execute_sql(sql).fetchall(), key=repr)
    ]


def test_the_statements_of_the_latest_version_are_these() -> None:
    """A change of the models does not change the PostgreSQL statements of a version."""
    assert ";\n".join(statements()) + ";\n" == (FROZEN / f"postgresql_v{LATEST}.sql").read_text("utf-8")


def test_an_empty_database_gets_the_tables_and_all_versions(databases: Databases) -> None:
    with databases.new(empty=True) as url:
        database = open_database(url)
        assert status(database).action == "migrate"
        report = create_or_upgrade(database, clock=lambda: 1_800_000_000.9)
        assert (report.from_version, report.to_version, report.applied) == (LATEST, LATEST, [])
        rows = database.execute_sql(
            "SELECT version, applied_at, description FROM schema_version ORDER BY 1"
        ).fetchall()
        assert rows == [(version, 1_800_000_000, text) for version, text in sorted(DESCRIPTIONS.items())]
        assert status(database).action == "ok"
        assert plan(database).steps == []
        assert {row[0] for row in catalog(database)} == {table.name for table in tables()}
        database.close_all()


def test_many_processes_create_one_schema(databases: Databases) -> None:
    """If several callers find an empty database at once, one creates the tables and the others wait."""
    with databases.new(empty=True) as url, ThreadPoolExecutor(8) as pool:
        opened = [open_database(url, pool_size=1) for _ in range(8)]
        reports = list(pool.map(create_or_upgrade, opened))
        assert {report.to_version for report in reports} == {LATEST}
        assert opened[0].fetch_latest("SELECT count(*) FROM schema_version") == (LATEST,)
        for database in opened:
            database.close_all()


def test_an_older_database_is_upgraded_once(postgresql: PostgresqlDatabase) -> None:
    """The next version runs its statements and records itself; a second call finds nothing to do."""
    postgresql.execute_sql(
        "INSERT INTO wallets VALUES ('w', 'n', 'solana', 'mainnet', NULL, 'k', 'ACTIVE', NULL, 0, 1, 1)"
    )
    report = create_or_upgrade(postgresql, migrations=[NextVersion])
    assert (report.from_version, report.applied) == (LATEST, [LATEST + 1])
    assert postgresql.execute_sql("SELECT remark FROM wallets").fetchone() == ("n",)
    assert create_or_upgrade(postgresql, migrations=[NextVersion]).applied == []
    assert read_version(postgresql, latest=LATEST + 1) == LATEST + 1


def test_an_upgraded_database_equals_a_new_one(databases: Databases) -> None:
    """From version 19, the statements of all later versions lead to the tables of a new database."""
    with databases.new() as new_url, databases.new(empty=True) as old_url:
        new, old = open_database(new_url), open_database(old_url)
        for statement in (FROZEN / "postgresql_v19.sql").read_text("utf-8").split(";\n")[:-1]:
            old.execute_sql(statement)
        old.execute_sql("INSERT INTO schema_version VALUES (19, 1, '')")
        create_or_upgrade(old)
        assert catalog(old) == catalog(new)
        assert read_version(old) == read_version(new)
        for database in (new, old):
            database.close_all()


def test_an_upgrade_is_all_or_nothing(postgresql: PostgresqlDatabase) -> None:
    """If a statement fails, the database keeps its old version and its old tables."""
    before = catalog(postgresql)
    with pytest.raises(WAIaaSError) as caught:
        create_or_upgrade(postgresql, migrations=[BrokenNextVersion])
    assert caught.value.reason == "server_error"
    assert catalog(postgresql) == before
    assert read_version(postgresql) == LATEST


def test_unusable_databases_are_refused(databases: Databases) -> None:
    """A newer version, another program's tables, a missing or empty schema_version and other encodings are refused."""

    def reason(*sql: str, options: str = "", create: bool = True) -> str | None:
        with databases.new(empty=not any("schema_version" in each for each in sql), options=options) as url:
            database = open_database(url)
            for each in sql:
                database.execute_sql(each)
            with pytest.raises(WAIaaSError) as caught:
                create_or_upgrade(database, create=create)
            assert "correct-horse" not in f"{caught.value} {caught.value.details}"
            database.close_all()
            return caught.value.reason

    assert reason(f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, 'later')") == "code_too_old"
    assert reason("DROP TABLE schema_version") == "schema_version_missing"
    assert reason("DELETE FROM schema_version") == "schema_version_empty"
    assert reason("CREATE TABLE sessions (id int)") == "other_program"
    assert reason(create=False) == "empty_database"
    assert reason(options="ENCODING LATIN1 LOCALE 'C'") == "unsuitable_database"


def test_inside_a_transaction_nothing_is_created(databases: Databases) -> None:
    with databases.new(empty=True) as url:
        database = open_database(url)
        with pytest.raises(WAIaaSError) as caught, database.atomic():
            create_or_upgrade(database)
        assert caught.value.reason == "inside_transaction"
        assert read_version(database) == 0
        database.close_all()


def test_a_database_that_is_left_unchanged(databases: Databases, postgresql: PostgresqlDatabase) -> None:
    """With `upgrade=False` an older one is refused, a plan needs tables, and no other class of Peewee is accepted."""

    def reason(call: Callable[[], object]) -> str | None:
        with pytest.raises(WAIaaSError) as caught:
            call()
        return caught.value.reason

    assert reason(lambda: create_or_upgrade(postgresql, upgrade=False, migrations=[NextVersion])) == "upgrade_pending"
    assert read_version(postgresql) == LATEST
    with databases.new(empty=True) as url:
        empty = open_database(url)
        assert reason(lambda: plan(empty)) == "empty_database"
        empty.close_all()
    assert reason(lambda: read_version(peewee.PostgresqlDatabase("wallets"))) == "not_sqlite"
