"""The runner: `upgrade`, `downgrade` and `plan`.

The whole upgrade, including its checks and its `schema_version` rows, is one transaction, so that the file is always
completely at the old version or completely at the newest. Each version module defines its own change; the runner does
not know any of them by name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from peewee import PeeweeException, SqliteDatabase

from waiaas.ddl.result import Result
from waiaas.ddl.schema import foreign_key_violations
from waiaas.ddl.schema_rows import refuse_strange_rows
from waiaas.ddl.untrusted import inspecting
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.errors.translation import translate_errors
from waiaas.files.opening import path_of
from waiaas.migrations import LATEST_SCHEMA_VERSION, history
from waiaas.migrations.dry_run import obstacles_ahead
from waiaas.migrations.history import Migration
from waiaas.migrations.migrator import VersionMigrator
from waiaas.migrations.report import (
    Backup,
    DowngradeReport,
    Facts,
    Forecast,
    Options,
    Plan,
    PlannedStep,
    Step,
    UpgradeReport,
    report_of,
)
from waiaas.migrations.run import MigrationRun, migration_run
from waiaas.migrations.version import existing_version
from waiaas.paths import file_of
from waiaas.progress import ProgressCallback, ProgressReporter
from waiaas.settings import seconds_of

if TYPE_CHECKING:
    from peewee import Database

_LOG = logging.getLogger("waiaas")
_Undo = Callable[[VersionMigrator], "Facts | None"]


def upgrade(
    database: Database,
    *,
    backup: Backup = True,
    skip_orphans: bool = False,
    progress: ProgressCallback | None = None,
    clock: Callable[[], float] = time.time,
) -> UpgradeReport:
    """Upgrade an open SQLite database, as documented in `waiaas.upgrade`."""
    started = time.perf_counter()
    _require_backup(backup)
    now, reporter = partial(seconds_of, clock), ProgressReporter(progress)
    migrator = _migrator(database, Options(skip_orphans=skip_orphans), reporter)
    steps, facts = list[Step](), list[Facts]()
    with migration_run(migrator, reporter) as run:
        for migration in history.pending(run.version):
            migrator.report_progress("looking for obstacles")
            for obstacle in history.obstacles(migration, migrator):
                raise obstacle
            run.start_backup(backup, now)
            with _step(migrator, migration.VERSION, migration.DESCRIPTION, steps):
                facts.append(migration.up(migrator) or {})
            row = {"version": migration.VERSION, "applied_at": now(), "description": migration.DESCRIPTION}
            migrator.insert("schema_version", row)
    if steps:
        _LOG.info(
            "Upgraded %s from schema version %d to %d; backup: %s",
            *(file_of(database), run.version, LATEST_SCHEMA_VERSION, run.backup),
        )
    return _report(run, migrator.result, steps, facts, time.perf_counter() - started)


def _report(run: MigrationRun, result: Result, steps: list[Step], facts: list[Facts], seconds: float) -> UpgradeReport:
    return report_of(
        UpgradeReport,
        facts,
        from_version=run.version,
        to_version=LATEST_SCHEMA_VERSION,
        applied=[step.version for step in steps],
        steps=steps,
        links_created=result.links_created,
        leftovers_used=result.leftovers_used,
        foreign_keys_reconnected=result.foreign_keys_reconnected,
        backup=run.backup,
        backup_is_earlier=run.copy is not None and not run.copy.is_new,
        seconds=seconds,
        rows_changed=result.rows_changed,
        warnings=result.warnings,
    )


def nothing_to_do(warnings: Sequence[WAIaaSError] = ()) -> UpgradeReport:
    """Return the report of an upgrade of a database that is at the latest version."""
    return UpgradeReport(from_version=LATEST_SCHEMA_VERSION, to_version=LATEST_SCHEMA_VERSION, warnings=list(warnings))


def downgrade(
    database: Database,
    to_version: int,
    *,
    drop_links: bool = False,
    backup: Backup = True,
    progress: ProgressCallback | None = None,
    clock: Callable[[], float] = time.time,
) -> DowngradeReport:
    """Downgrade an open SQLite database, as documented in `waiaas.downgrade`."""
    started = time.perf_counter()
    _require_backup(backup)
    now, reporter = partial(seconds_of, clock), ProgressReporter(progress)
    migrator = _migrator(database, Options(drop_links=drop_links), reporter)
    steps, facts = list[Step](), list[Facts]()
    with migration_run(migrator, reporter) as run:
        for migration, undo in _undoable(run.version, to_version):
            run.start_backup(backup, now)
            with _step(migrator, migration.VERSION, f"undo: {migration.DESCRIPTION}", steps):
                facts.append(undo(migrator) or {})
            migrator.delete("schema_version", {"version": migration.VERSION})
    return report_of(
        DowngradeReport,
        facts,
        from_version=run.version,
        to_version=to_version,
        undone=[step.version for step in steps],
        steps=steps,
        backup=run.backup,
        backup_is_earlier=run.copy is not None and not run.copy.is_new,
        seconds=time.perf_counter() - started,
        warnings=migrator.result.warnings,
    )


def plan(database: Database, *, skip_orphans: bool = False) -> Plan:
    """Return what `upgrade` would do to an open SQLite database, as documented in `waiaas.plan`."""
    migrator = _migrator(database, Options(skip_orphans=skip_orphans))
    with translate_errors(migrator.database), inspecting(migrator.database), _snapshot(migrator.database):
        refuse_strange_rows(migrator.database)
        version = existing_version(migrator.database)
        pending = history.pending(version)
        forecasts = [found for each in pending if (found := history.forecast(each, migrator))]
        dropped = {column for forecast in forecasts for column in forecast.dropped_columns}
        return report_of(
            Plan,
            [forecast.facts for forecast in forecasts],
            from_version=version,
            to_version=LATEST_SCHEMA_VERSION,
            steps=[PlannedStep(migration.VERSION, migration.DESCRIPTION) for migration in pending],
            foreign_key_violations=foreign_key_violations(migrator.database, apart_from=dropped),
            obstacles=_all_obstacles(migrator, pending, forecasts),
        )


def _all_obstacles(
    migrator: VersionMigrator, pending: Sequence[Migration], forecasts: Sequence[Forecast]
) -> list[WAIaaSError]:
    """Return the obstacles to the first step, those of existing rows, and those of the schema in any step."""
    found = [obstacle for migration in pending[:1] for obstacle in history.obstacles(migration, migrator)]
    foreseen = [obstacle for forecast in forecasts for obstacle in forecast.obstacles]
    ahead = obstacles_ahead(migrator.database, pending, migrator.options) if pending else []
    for more in (foreseen, ahead):
        known = [_place(obstacle) for obstacle in found]
        found += [_without_peewee(obstacle) for obstacle in more if _place(obstacle) not in known]
    return found


def _without_peewee(error: WAIaaSError) -> WAIaaSError:
    """Return a refusal without Peewee's class, which is for programs that run a schema operation themselves."""
    return WAIaaSError(error.code, details=error.details)


def _place(obstacle: WAIaaSError) -> tuple[object, ...]:
    details = obstacle.details or {}
    return (obstacle.reason, *(details.get(key) for key in ("kind", "name", "table", "problem")))


def _require_backup(backup: Backup) -> None:
    """Refuse an empty path, which pathlib would treat as the current folder, and values that are not a path."""
    if backup == "":
        raise ValueError("backup is True, False or a path, and this path is empty")
    if not isinstance(backup, bool):
        path_of(backup)


@contextmanager
def _snapshot(database: SqliteDatabase) -> Iterator[None]:
    """Read one snapshot of the database, in the caller's transaction if there is one."""
    if database.in_transaction() or database.connection().in_transaction:
        yield
        return
    with database.atomic():
        yield


def _migrator(database: Database, options: Options, progress: ProgressCallback | None = None) -> VersionMigrator:
    if not isinstance(database, SqliteDatabase):
        raise refusal("not_sqlite", backend=type(database).__name__)
    return VersionMigrator(database, options, progress)


def _undoable(version: int, to_version: int) -> list[tuple[Migration, _Undo]]:
    """Return the versions to undo between two, newest first; refuse if one cannot be undone."""
    undone = [each for each in reversed(history.pending(to_version)) if version >= each.VERSION]
    steps = [(each, undo) for each in undone if (undo := history.undo(each))]
    if version < to_version or len(steps) < len(undone):
        raise refusal("cannot_downgrade", version=version, target=to_version)
    return steps


@contextmanager
def _step(migrator: VersionMigrator, version: int, description: str, steps: list[Step]) -> Iterator[None]:
    """Run a version's change: measure it, and add its version to errors that it does not handle."""
    started, rows = time.perf_counter(), migrator.result.rows_written
    migrator.version = version
    try:
        migrator.report_progress("changing tables and rows")
        yield
    except WAIaaSError as error:
        raise _without_peewee(error) from error.__cause__
    except PeeweeException as error:
        if reason_for(error):
            raise
        raise refusal("migration_failed", version=version, cause=cause_of(error)) from error
    finally:
        migrator.version = None
    steps.append(Step(version, description, time.perf_counter() - started, migrator.result.rows_written - rows))
