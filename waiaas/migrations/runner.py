"""The runner: the one place that takes the lock, backs up, runs the steps, records them and commits.

The whole of an upgrade, its checks and its `schema_version` rows included, is one transaction, so that at any
moment the file is wholly at the version that it had or wholly at the newest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from peewee import OperationalError, PeeweeException, SqliteDatabase

from waiaas.ddl.connection import plain_rows
from waiaas.ddl.migrator import LosslessMigrator
from waiaas.ddl.schema import foreign_key_check, ordinary_tables
from waiaas.ddl.schema_rows import refuse_strange_rows
from waiaas.ddl.sql import fold, quote
from waiaas.ddl.untrusted import inspecting
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.sqlite import cause_of, is_mismatch, reason_for
from waiaas.errors.translation import translate_errors
from waiaas.files.background import Background, can_read_beside
from waiaas.files.backup import Copy, remove, write_backup
from waiaas.files.opening import DatabaseFile, file_behind, path_of
from waiaas.files.other_programs import programs_with
from waiaas.files.page_check import refuse_cut_off, refuse_damage, refuse_damaged_file, refuse_damaged_indexes
from waiaas.files.upgrade_lock import upgrade_lock
from waiaas.migrations.differences import refuse_other_tables
from waiaas.migrations.dry_run import obstacles_ahead
from waiaas.migrations.history import LATEST_SCHEMA_VERSION, MIGRATIONS, Migration
from waiaas.migrations.report import Backup, DowngradeReport, Options, Plan, PlannedStep, Step, UpgradeReport
from waiaas.migrations.version import schema_version
from waiaas.migrations.versions import v19_session_wallets as v19
from waiaas.paths import file_of
from waiaas.progress import Progress, ProgressCallback, Pulse

if TYPE_CHECKING:
    from peewee import Database

Clock = Callable[[], float]
# The end of the year 9999: no later time has a name in the backup's form, nor can the services read it.
_LAST_SECOND = 253_402_300_799
# After these the original itself may be in danger, so that a good copy beside it is kept.
_KEEP_BACKUP_AFTER = frozenset({"io_error", "corrupt"})
# The column that goes, and its name before version 3: its foreign-key violations, the orphan sessions, go with it.
_GOING = frozenset({("sessions", "wallet_id"), ("sessions", "agent_id")})


def upgrade(
    database: Database,
    *,
    backup: Backup = True,
    skip_orphans: bool = False,
    progress: ProgressCallback | None = None,
    clock: Clock = time.time,
) -> UpgradeReport:
    """Bring a WAIaaS database to the latest schema version, wholly or not at all.

    Takes an open Peewee SQLite database outside any transaction. `backup` writes a verified copy beside the file
    before anything is committed (`FILE.v18-20260102T030405Z.backup`), True by default; a path puts it there, and
    that of a folder into it, under the same name. False writes none, and a database in memory has none.
    `skip_orphans` leaves sessions that name a missing wallet without one instead of refusing. `progress` is called
    with a `Progress` at each sign of life, again and again while one statement runs for long; what it raises stops
    the upgrade. It takes the place of a progress handler that the connection has. `clock` gives the time (Unix
    seconds) that goes into `schema_version` and the backup's name.

    Returns an `UpgradeReport`; for a database that is at the latest version already, one without steps.

    Raises WAIaaSError, with the database as it was. Its `reason` says why: among others
    `inside_transaction`, `database_busy`, `code_too_old`, `orphan_sessions` (ids in `details["sessions"]`),
    `leftover_table`, `dependent_object`, `backup_failed`, `disk_full`. Raises ValueError where `backup` is an empty
    path.
    """
    started = time.perf_counter()
    _refuse_nameless(backup)
    pulse = Pulse(progress)
    migrator = _migrator(database, Options(skip_orphans=skip_orphans), pulse)
    steps: list[Step] = []
    with _change(migrator, pulse) as change:
        for migration in _pending(change.version):
            migrator.tell("looking for what is in the way")
            for obstacle in _obstacles(migrator, migration):
                raise obstacle
            change.make_safe_once(backup, clock)
            steps.append(_step(migrator, migration.VERSION, migration.DESCRIPTION, migration.up))
            _record(migrator, migration, clock)
    told = migrator.told
    return UpgradeReport(
        from_version=change.version,
        to_version=LATEST_SCHEMA_VERSION,
        applied=[step.version for step in steps],
        steps=steps,
        links_created=told.links_created,
        sessions_without_wallet=told.sessions_without_wallet,
        orphans_skipped=told.orphans_skipped,
        leftovers_used=told.leftovers_used,
        foreign_keys_reconnected=told.foreign_keys_reconnected,
        backup=change.backup,
        seconds=time.perf_counter() - started,
        rows_changed=told.rows_changed,
        warnings=told.warnings,
    )


def nothing_to_do(warnings: Sequence[WAIaaSError] = ()) -> UpgradeReport:
    """Return the report of an upgrade of a database that is at the latest version."""
    return UpgradeReport(
        from_version=LATEST_SCHEMA_VERSION,
        to_version=LATEST_SCHEMA_VERSION,
        applied=[],
        steps=[],
        links_created=0,
        sessions_without_wallet=[],
        orphans_skipped=[],
        leftovers_used=[],
        foreign_keys_reconnected=[],
        backup=None,
        seconds=0.0,
        warnings=list(warnings),
    )


def downgrade(
    database: Database,
    to_version: int,
    *,
    drop_links: bool = False,
    backup: Backup = True,
    progress: ProgressCallback | None = None,
    clock: Clock = time.time,
) -> DowngradeReport:
    """Take a database back to version 18, for a daemon that knows no later one; wholly or not at all.

    Each session keeps its default wallet. Links that version 18 cannot hold (a session's second wallet and
    further ones) are refused unless `drop_links` says to drop them; the report then names each. When a link was
    made version 18 does not record. A session without a wallet keeps none and is reported: its `wallet_id` is NULL,
    which the column allows in such a file alone, for the daemon's own version 18 has it NOT NULL. The other arguments
    are those of `upgrade`. A database that is at `to_version` already is left alone.

    Raises WAIaaSError, with the database as it was: `links_lost` (the sessions' ids in
    `details["sessions"]`), `cannot_downgrade` for any other version, `dependent_on_table` where a view,
    trigger, index or column of your own needs the table `session_wallets`, and what `upgrade` raises.
    """
    started = time.perf_counter()
    _refuse_nameless(backup)
    pulse = Pulse(progress)
    migrator = _migrator(database, Options(drop_links=drop_links), pulse)
    steps: list[Step] = []
    with _change(migrator, pulse) as change:
        for version, description, down in _undoable(change.version, to_version):
            change.make_safe_once(backup, clock)
            steps.append(_step(migrator, version, f"undo: {description}", down))
            migrator.delete("schema_version", {"version": version})
    return DowngradeReport(
        from_version=change.version,
        to_version=to_version,
        undone=[step.version for step in steps],
        steps=steps,
        links_dropped=migrator.told.links_dropped,
        sessions_without_wallet=migrator.told.sessions_without_wallet,
        backup=change.backup,
        seconds=time.perf_counter() - started,
        warnings=migrator.told.warnings,
    )


def plan(database: Database, *, skip_orphans: bool = False) -> Plan:
    """Tell what `upgrade` would do to a database as it stands, and what stands in its way; nothing is changed.

    Takes an open Peewee SQLite database and `upgrade`'s `skip_orphans`. Returns a `Plan`; for a database at the
    latest version, one without steps. The obstacles are all that the schema causes in any step, and what rows cause
    in the first. A value that a later step does not allow shows in a rehearsal.

    Raises WAIaaSError for what this library cannot upgrade at all (as `compatibility` says).
    """
    migrator = _migrator(database, Options(skip_orphans=skip_orphans))
    with translate_errors(migrator.database), inspecting(migrator.database), _snapshot(migrator.database):
        refuse_strange_rows(migrator.database)
        version = _version_to_upgrade(migrator)
        pending = _pending(version)
        forecast = v19.forecast(migrator) if pending else v19.NOTHING_TO_DO
        return Plan(
            from_version=version,
            to_version=LATEST_SCHEMA_VERSION,
            steps=[PlannedStep(migration.VERSION, migration.DESCRIPTION) for migration in pending],
            foreign_key_violations=foreign_key_violations(migrator.database, apart_from=_GOING),
            obstacles=_all_obstacles(migrator, pending, forecast),
            **forecast,
        )


def _all_obstacles(
    migrator: LosslessMigrator, pending: Sequence[Migration], forecast: Mapping[str, Any]
) -> list[WAIaaSError]:
    """What stops the first step, with the rows that the file has, and what stops any step for its schema."""
    now = [obstacle for migration in pending[:1] for obstacle in _obstacles(migrator, migration)]
    reasons = {obstacle.reason for obstacle in now}
    if forecast["orphan_sessions"] and not migrator.options.skip_orphans and "orphan_sessions" not in reasons:
        orphans = forecast["orphan_sessions"]
        ids = [orphan["session_id"] for orphan in orphans]
        now.append(refusal("orphan_sessions", sessions=ids, count=len(ids), orphans=orphans))
    ahead = obstacles_ahead(migrator.database, pending, migrator.options) if pending else []
    told = [_place(obstacle) for obstacle in now]
    return now + [_without_peewee(obstacle) for obstacle in ahead if _place(obstacle) not in told]


def _without_peewee(error: WAIaaSError) -> WAIaaSError:
    """Return a refusal without Peewee's class, which is for programs that run a schema operation themselves."""
    return WAIaaSError(error.code, details=error.details)


def _place(obstacle: WAIaaSError) -> tuple[object, ...]:
    details = obstacle.details or {}
    return (obstacle.reason, *(details.get(key) for key in ("kind", "name", "table", "problem")))


def foreign_key_violations(database: SqliteDatabase, apart_from: Collection[tuple[str, str]] = ()) -> dict[str, int]:
    """Count the rows that refer to a row which does not exist, by table, over the whole file.

    `apart_from` names columns, each as table and column in lower case, whose references are left out.
    """
    counts: dict[str, int] = {}
    for table in ordinary_tables(database):
        keys = database.execute_sql(f"PRAGMA main.foreign_key_list({quote(table)})").fetchall()
        left_out = {key for key, _, _, column, *_ in keys if (fold(table), fold(column)) in apart_from}
        try:
            broken = foreign_key_check(database, table)
            count = sum(key not in left_out for _, _, _, key in broken)
        except OperationalError as error:
            if not is_mismatch(error):
                raise
        else:
            counts |= {table: count} if count else {}
    return counts


class _Change:
    """One run under the lock: the version that it found, and the backup once there is one."""

    def __init__(self, migrator: LosslessMigrator, file: DatabaseFile | None, pulse: Pulse) -> None:
        refuse_strange_rows(migrator.database)
        self.version = _version_to_upgrade(migrator)
        self.copy: Copy | None = None
        self._file = file
        self._programs: set[str] = set()
        self._database = migrator.database
        self._pulse = pulse
        self._has_begun = False
        self._background: Background[Copy | None] | None = None

    def __enter__(self) -> _Change:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End the thread before its database changes: a backup that is to be kept is finished, any other stopped."""
        if self._background is not None:
            self.copy = self._background.end(stop=not _is_to_keep_backup(error))

    @property
    def backup(self) -> str | None:
        """The path of the backup, if there is one."""
        return str(self.copy.path) if self.copy else None

    def make_safe_once(self, backup: Backup, clock: Clock) -> None:
        """Begin, before the first change, to copy the file and verify the copy, or else to look at all of its pages.

        A thread does it where it can see the pages as they were while the change is made. Elsewhere it is done first.
        """
        if self._background is not None:
            self._background.raise_failure()
        if self._has_begun:
            return
        self._has_begun = True
        if self._file is not None:
            self._file.refuse_replaced()
            self._programs = programs_with(self._file)
            refuse_cut_off(self._database, Path(self._file.real))
        has_readers = self._file is not None and can_read_beside(self._database)
        job = self._safeguard(self._file, backup, clock, has_readers)
        if has_readers:
            self._background = Background(job, self._pulse)
        else:
            self.copy = job(self._pulse)
            self._refuse_replaced()

    def finish(self) -> None:
        """Before the commit: wait for the backup, and refuse if the database was not whole or is no longer there."""
        if self._background is not None:
            self._background.result()
        self._refuse_replaced()

    def file_in_use(self) -> WAIaaSError | None:
        """Return a warning if other programs have the file open, at the start and now: not one that merely looks."""
        if self._file is None or not self._programs:
            return None
        programs = sorted(self._programs & programs_with(self._file))
        return refusal("file_in_use", path=self._file.name, programs=programs) if programs else None

    def _refuse_replaced(self) -> None:
        if self._file is not None:
            self._file.refuse_replaced()

    def _safeguard(
        self, file: DatabaseFile | None, backup: Backup, clock: Clock, has_readers: bool
    ) -> Callable[[Pulse], Copy | None]:
        if file is not None and backup is not False:
            return partial(write_backup, file, self._target(file.path, backup, clock))
        if file is not None and has_readers:
            return partial(refuse_damaged_file, Path(file.real), file.name)
        return self._refuse_damage

    def _refuse_damage(self, pulse: Pulse) -> None:
        pulse(Progress("checking the pages"))
        refuse_damage(self._database)

    def _target(self, path: Path, backup: str | PathLike[str] | Literal[True], clock: Clock) -> Path:
        moment = datetime.fromtimestamp(_now(clock), timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        name = f"{path.name}.v{self.version}-{moment}.backup"
        if backup is True:
            return path.with_name(name)
        names_folder = os.path.isdir(backup) or not os.path.basename(backup)
        return Path(backup) / name if names_folder else Path(backup)


@contextmanager
def _change(migrator: LosslessMigrator, pulse: Pulse) -> Iterator[_Change]:
    """Hold the lock and the transaction; take back all of it, the backup too, where the change is refused."""
    database = migrator.database
    change: _Change | None = None
    try:
        with (
            translate_errors(database),
            _alone(database, pulse) as file,
            plain_rows(database.connection()),
            pulse.during(database.connection()),
            migrator.migration_context(),
            _Change(migrator, file, pulse) as change,
            translate_errors(database),
        ):
            yield change
            _refuse_wrong_tables(migrator, change.version)
            _verify_foreign_keys(migrator)
            change.finish()
            if warning := change.file_in_use():
                migrator.told.warn(warning)
    except BaseException as error:
        if change is not None and change.copy is not None:
            _discard(change.copy, error, taken_back=_is_at(database, change.version))
        raise


@contextmanager
def _alone(database: SqliteDatabase, pulse: Pulse) -> Iterator[DatabaseFile | None]:
    """Wait until no other process upgrades the file of a database, and keep others waiting."""
    file = file_behind(database, file_of(database))
    if file is None:
        yield None
        return
    waiting = partial(pulse, Progress("waiting for another process that upgrades the file"))
    with upgrade_lock(file, waiting):
        pulse(Progress("waiting for the write lock"))
        yield file


def _refuse_wrong_tables(migrator: LosslessMigrator, version_before: int) -> None:
    """Before the commit: refuse tables that are not those of the version that was reached, as the file will hold them.

    SQLite is made to read the stored definitions again, so that they count and not what it remembers.
    """
    version = schema_version(migrator.database)
    if version != version_before:
        migrator.tell("checking the tables")
        migrator.database.execute_sql("PRAGMA writable_schema = RESET")
        refuse_other_tables(migrator.database, version)


def _verify_foreign_keys(migrator: LosslessMigrator) -> None:
    """Refuse new violations; SQLite looks parents up by an index, so that a damaged one shows as a violation."""
    try:
        migrator.verify_foreign_keys()
    except WAIaaSError:
        refuse_damaged_indexes(migrator.database)
        raise


def _refuse_nameless(backup: Backup) -> None:
    # pathlib would take it for the current folder.
    if backup == "":
        raise ValueError("backup is True, False or a path, and this path is empty")
    if not isinstance(backup, bool):
        path_of(backup)


def _is_at(database: SqliteDatabase, version: int) -> bool:
    """Whether the file is known to be at a version: Ctrl-C in the middle of a commit is heard behind it."""
    try:
        return schema_version(database) == version
    except WAIaaSError:
        return False


def _is_to_keep_backup(error: BaseException | None) -> TypeGuard[WAIaaSError]:
    return isinstance(error, WAIaaSError) and error.reason in _KEEP_BACKUP_AFTER


def _discard(copy: Copy, error: BaseException, taken_back: bool) -> None:
    """Remove the backup of a change that did not happen: it holds what the file itself holds."""
    if _is_to_keep_backup(error):
        error.details = {**(error.details or {}), "backup": str(copy.path)}
    elif taken_back and copy.is_new:
        remove(copy.path)


@contextmanager
def _snapshot(database: SqliteDatabase) -> Iterator[None]:
    """Read from one moment of the database, within the caller's transaction where there is one."""
    if database.in_transaction() or database.connection().in_transaction:
        yield
        return
    with database.atomic():
        yield


def _migrator(database: Database, options: Options, progress: ProgressCallback | None = None) -> LosslessMigrator:
    if not isinstance(database, SqliteDatabase):
        raise refusal("not_sqlite", backend=type(database).__name__)
    return LosslessMigrator(database, options, progress)


def _version_to_upgrade(migrator: LosslessMigrator) -> int:
    """Read the version under the lock: another process may just have upgraded the file."""
    version = schema_version(migrator.database)
    if version == 0:
        raise refusal("empty_database", path=file_of(migrator.database))
    return version


def _pending(version: int) -> list[Migration]:
    return [migration for migration in MIGRATIONS if version < migration.VERSION]


def _undoable(version: int, to_version: int) -> list[tuple[int, str, Callable[[LosslessMigrator], None]]]:
    """The steps back from a version to another, newest first; refuses where one cannot be undone."""
    undone = [migration for migration in reversed(MIGRATIONS) if to_version < migration.VERSION <= version]
    steps = [(each.VERSION, each.DESCRIPTION, each.down) for each in undone if hasattr(each, "down")]
    if version < to_version or len(steps) < len(undone):
        raise refusal("cannot_downgrade", version=version, target=to_version)
    return steps


def _obstacles(migrator: LosslessMigrator, migration: Migration) -> Iterable[WAIaaSError]:
    obstacles: Callable[[LosslessMigrator], Iterable[WAIaaSError]] | None = getattr(migration, "obstacles", None)
    return obstacles(migrator) if obstacles else ()


def _step(
    migrator: LosslessMigrator, version: int, description: str, change: Callable[[LosslessMigrator], None]
) -> Step:
    started, rows = time.perf_counter(), migrator.told.rows
    migrator.version = version
    try:
        migrator.tell("changing tables and rows")
        change(migrator)
    except WAIaaSError as error:
        raise _without_peewee(error) from error.__cause__
    except PeeweeException as error:
        if reason_for(error):
            raise
        raise refusal("migration_failed", version=version, cause=cause_of(error)) from error
    finally:
        migrator.version = None
    return Step(version, description, time.perf_counter() - started, migrator.told.rows - rows)


def _record(migrator: LosslessMigrator, migration: Migration, clock: Clock) -> None:
    row = {"version": migration.VERSION, "applied_at": _now(clock), "description": migration.DESCRIPTION}
    migrator.insert("schema_version", row)


def _now(clock: Clock) -> int:
    """Read the clock (Unix seconds), which must give a time of the years 1970 to 9999."""
    now = clock()
    if not 0 <= now <= _LAST_SECOND:
        raise refusal("clock_unusable", time=now)
    return int(now)
