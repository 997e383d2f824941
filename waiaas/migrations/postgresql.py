"""The schema of a PostgreSQL database: which version it has, its creation, and its upgrades.

PostgreSQL begins at version 19. A later version module also has a tuple ``POSTGRESQL`` of statements. Creation or
upgrade is one transaction, and one at a time: the others wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from peewee import Database

from waiaas.backends.postgresql import SERVICES_LOCK, PostgresqlDatabase
from waiaas.errors import refusal
from waiaas.errors.translation import translate_errors
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.history import MIGRATIONS, version_rows
from waiaas.migrations.report import Plan, PlannedStep, Step, UpgradeReport
from waiaas.models import postgresql as schema
from waiaas.progress import Progress, ProgressCallback, ProgressReporter

#: The first schema version that PostgreSQL has.
FIRST_VERSION = 19

_TABLES = tuple(table.name for table in schema.tables())
# One creation or upgrade at a time; a number of this library.
_LOCK = SERVICES_LOCK + 1
# Seconds between two attempts to take the lock, at random.
_POLL_INTERVAL = (0.02, 0.05)


class PostgresqlMigration(Protocol):
    """The parts of a version module that PostgreSQL needs."""

    VERSION: int
    DESCRIPTION: str
    #: The statements that bring the database from the version before to this one, without parameters.
    POSTGRESQL: tuple[str, ...]


def postgresql_migrations() -> tuple[PostgresqlMigration, ...]:
    """Return the version modules that PostgreSQL needs, oldest first."""
    newer: list[Any] = [migration for migration in MIGRATIONS if migration.VERSION > FIRST_VERSION]
    return tuple(newer)


def read_version(database: Database, latest: int = LATEST_SCHEMA_VERSION) -> int:
    """Return the schema version of a database; 0 if it has no table of the library.

    :raises WAIaaSError: ``not_sqlite`` for a database of another class of Peewee; ``other_program``,
        ``schema_version_missing``, ``schema_version_empty`` or ``code_too_old``; or why it cannot be read.
    """
    if not isinstance(database, PostgresqlDatabase):
        raise refusal("not_sqlite", backend=type(database).__name__)
    return database.read(lambda: _version(database, latest))


def create_or_upgrade(
    database: PostgresqlDatabase,
    *,
    create: bool = True,
    upgrade: bool = True,
    clock: Callable[[], float] = time.time,
    progress: ProgressCallback | None = None,
    migrations: Sequence[PostgresqlMigration] | None = None,
) -> UpgradeReport:
    """Bring a database to the latest version: create the tables in an empty one, upgrade an older one.

    While another process does so, this one waits and calls ``progress``.

    :param create: whether to create the tables in an empty database; otherwise it is refused.
    :param upgrade: whether to upgrade an older database; otherwise it is refused.
    :returns: the report of the upgrade; its ``applied`` is empty if there was nothing to do.
    :raises WAIaaSError: ``empty_database``, ``upgrade_pending``, ``unsuitable_database``, the refusals of
        `read_version`, or those of the server, such as ``insufficient_privilege``. Nothing was changed then.
    """
    pending = postgresql_migrations() if migrations is None else migrations
    latest = pending[-1].VERSION if pending else FIRST_VERSION
    started = time.perf_counter()
    version = read_version(database, latest)
    if version == 0 and not create:
        raise refusal("empty_database", path=database.address)
    if 0 < version < latest and not upgrade:
        raise refusal("upgrade_pending", path=database.address, version=version, latest=latest)
    if version == latest:
        return _report(version, version, [], started)
    with translate_errors(database), upgrade_alone(database, ProgressReporter(progress)):
        # Another process may have just done it.
        before = _version(database, latest)
        if before == 0:
            refuse_unsuitable(database)
            _create(database, int(clock()))
            return _report(latest, latest, [], started)
        steps = [_step(database, each, int(clock())) for each in pending if before < each.VERSION]
    return _report(before, latest, steps, started)


def plan(database: PostgresqlDatabase) -> Plan:
    """Return what `create_or_upgrade` would do to a database; nothing is changed."""
    version = read_version(database)
    if version == 0:
        raise refusal("empty_database", path=database.address)
    return Plan(
        from_version=version,
        to_version=LATEST_SCHEMA_VERSION,
        steps=[
            PlannedStep(each.VERSION, each.DESCRIPTION) for each in postgresql_migrations() if version < each.VERSION
        ],
    )


def _version(database: PostgresqlDatabase, latest: int) -> int:
    names = ", ".join(f"to_regclass('{table}') IS NOT NULL" for table in _TABLES)
    row = database.execute_sql(f"SELECT {names}").fetchone()
    found = {table for table, is_there in zip(_TABLES, row, strict=True) if is_there}
    if not found:
        return 0
    if missing := {"wallets", "sessions", "transactions"} - found:
        raise refusal("other_program", path=database.address, tables=sorted(missing))
    if "schema_version" not in found:
        raise refusal("schema_version_missing", path=database.address)
    (version,) = database.execute_sql("SELECT max(version) FROM schema_version WHERE version > 0").fetchone()
    if version is None:
        raise refusal("schema_version_empty", path=database.address)
    if version > latest:
        raise refusal("code_too_old", path=database.address, version=version, latest=latest)
    return int(version)


@contextmanager
def upgrade_alone(database: PostgresqlDatabase, reporter: ProgressReporter) -> Iterator[None]:
    """Run a block in a transaction while no other upgrade and no service runs.

    :raises WAIaaSError: ``inside_transaction`` if the caller has begun a transaction.
    """
    if database.in_transaction():
        raise refusal("inside_transaction")
    with database.borrowed_connection(), database.atomic():
        while not database.execute_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})").fetchone()[0]:
            reporter(Progress("waiting for another process that upgrades the database"))
            time.sleep(random.uniform(*_POLL_INTERVAL))
        with database.exclusive_transaction():
            yield


def refuse_unsuitable(database: PostgresqlDatabase) -> None:
    """Refuse a database that cannot hold every text.

    :raises WAIaaSError: ``unsuitable_database`` if its encoding is not UTF-8.
    """
    (encoding,) = database.execute_sql("SHOW server_encoding").fetchone()
    if encoding != "UTF8":
        raise refusal("unsuitable_database", path=database.address, problem=f"its encoding is {encoding}, not UTF8")


def _create(database: PostgresqlDatabase, now: int) -> None:
    for statement in schema.statements():
        database.execute_sql(statement)
    _record(database, version_rows(now))


def _step(database: PostgresqlDatabase, migration: PostgresqlMigration, now: int) -> Step:
    started = time.perf_counter()
    for statement in migration.POSTGRESQL:
        database.execute_sql(statement)
    _record(database, [(migration.VERSION, now, migration.DESCRIPTION)])
    return Step(migration.VERSION, migration.DESCRIPTION, time.perf_counter() - started, 0)


def _record(database: PostgresqlDatabase, rows: Sequence[tuple[int, int, str]]) -> None:
    for row in rows:
        database.execute_sql("INSERT INTO schema_version (version, applied_at, description) VALUES (%s, %s, %s)", row)


def _report(before: int, after: int, steps: list[Step], started: float) -> UpgradeReport:
    return UpgradeReport(
        from_version=before,
        to_version=after,
        applied=[step.version for step in steps],
        steps=steps,
        seconds=time.perf_counter() - started,
    )
