"""The functions that mirror the commands: each takes a path, a URL, or an open database.

Modules are imported on first use, so that a program that only opens a database does not wait for them.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from peewee import Database as PeeweeDatabase
from peewee import SqliteDatabase

from waiaas.backends.sqlite import IN_MEMORY, LOG
from waiaas.database import Database
from waiaas.errors import WAIaaSError, refusal
from waiaas.files.opening import DatabaseFile, path_of
from waiaas.migrations import LATEST_SCHEMA_VERSION, version
from waiaas.migrations.opening import create, excluding_upgrades, is_empty, open_read_only, open_to_change
from waiaas.paths import file_of, is_postgresql_url, path_to_open
from waiaas.progress import Progress, ProgressReporter
from waiaas.settings import Clock, seconds_of

if TYPE_CHECKING:
    from waiaas.backends.postgresql import PostgresqlDatabase
    from waiaas.files.backups import BackupFile
    from waiaas.inspection.report import CheckReport, Health, Rehearsal, RestoreReport
    from waiaas.migrations.report import Backup, DowngradeReport, Plan, UpgradeReport
    from waiaas.migrations.version import Status
    from waiaas.progress import ProgressCallback
    from waiaas.transfer.moving import MoveReport

#: What names a database: the path of a SQLite file, the URL of a PostgreSQL database, or an open database.
Target = str | bytes | PathLike[str] | Database | PeeweeDatabase


def status(target: Target) -> Status:
    """Return which schema version a database has, and whether this library can work with it; nothing is changed.

    :returns: its ``action`` is ``ok`` at the latest version, ``migrate`` at an older one or for an empty database,
        and ``refuse`` for one that is newer than this library, is not a WAIaaS database or cannot be read; then
        ``error`` is the refusal.
    """
    try:
        with _opened_to_read(target) as database:
            return version.status(database)
    except WAIaaSError as error:
        return version.refused(error)


def plan(target: Target, *, skip_orphans: bool = False, progress: ProgressCallback | None = None) -> Plan:
    """Return what :func:`upgrade` would do to a database, and what blocks it; nothing is changed.

    The obstacles are every schema problem in any step, and every row problem in the first step. A value that a later
    step does not allow is found by a rehearsal.

    :param skip_orphans: plan for an upgrade with ``skip_orphans``.
    :param progress: called while the plan is made; if it raises, the plan stops.
    :raises WAIaaSError: this library cannot upgrade the database at all: see :func:`status`.
    """
    with _opened_to_read(target, progress) as database, _reported(database, "planning", progress):
        if isinstance(database, SqliteDatabase):
            from waiaas.migrations import runner

            return runner.plan(database, skip_orphans=skip_orphans)
        from waiaas.migrations import postgresql

        return postgresql.plan(_on_server(database))


def upgrade(
    target: Target,
    *,
    backup: Backup = True,
    skip_orphans: bool = False,
    progress: ProgressCallback | None = None,
    clock: Clock = time.time,
) -> UpgradeReport:
    """Upgrade a database to the latest schema version, all or nothing.

    If the file is empty, the tables are created in it.

    :param target: an open database must not be in a transaction.
    :param backup: whether to write a verified backup next to the file before anything is committed
        (``FILE.v18-20260102T030405Z.backup``); or the path of the backup, or of the folder for it. There is none for
        a database in memory or on a server.
    :param skip_orphans: upgrade although sessions refer to a missing wallet; these sessions end up without a wallet,
        and the report lists them.
    :param progress: called with a :class:`waiaas.Progress` repeatedly; if it raises, the upgrade stops. It
        replaces the progress handler of an open database.
    :param clock: returns the time in Unix seconds, for ``schema_version`` and the name of the backup.
    :returns: the report; its ``applied`` is empty if the database was already at the latest version.
    :raises WAIaaSError: with the database unchanged; its ``reason`` is, among others, ``inside_transaction``,
        ``database_busy``, ``code_too_old``, ``orphan_sessions`` (ids in ``details["sessions"]``), ``leftover_table``,
        ``dependent_object``, ``backup_failed`` or ``disk_full``.
    :raises ValueError: ``backup`` is an empty path.
    """
    from waiaas.migrations import runner

    with _resolved(target) as found:
        if isinstance(found, SqliteDatabase):
            return runner.upgrade(found, backup=backup, skip_orphans=skip_orphans, progress=progress, clock=clock)
        if isinstance(found, PeeweeDatabase):
            from waiaas.migrations import postgresql

            return postgresql.create_or_upgrade(_on_server(found), create=False, progress=progress, clock=clock)
        if is_empty(found):
            return runner.nothing_to_do(create(found))
        late: list[WAIaaSError] = []
        with open_to_change(found, late.append, progress) as database:
            report = runner.upgrade(database, backup=backup, skip_orphans=skip_orphans, progress=progress, clock=clock)
        report.warnings.extend(late)
        return report


def downgrade(
    target: Target,
    to: int = LATEST_SCHEMA_VERSION - 1,
    *,
    drop_links: bool = False,
    backup: Backup = True,
    progress: ProgressCallback | None = None,
    clock: Clock = time.time,
) -> DowngradeReport:
    """Take a file back to schema version 18, for a daemon that does not support later versions; all or nothing.

    Each session keeps its default wallet. Version 18 does not record when a link was made. A session without a wallet
    still has no wallet: its ``wallet_id`` is NULL, and the report lists it.

    :param target: an open database must not be in a transaction.
    :param to: the version to go back to. A database that is already at it is unchanged.
    :param drop_links: drop the links that version 18 cannot hold (all but each session's default wallet), instead of
        refusing; the report lists each.
    :param backup: as for :func:`upgrade`, and so are ``progress`` and ``clock``.
    :raises WAIaaSError: with the database unchanged; its ``reason`` is, among others, ``links_lost`` (ids in
        ``details["sessions"]``), ``cannot_downgrade`` for any other version, ``dependent_on_table`` if a view,
        trigger, index or column that you added needs the table ``session_wallets``, ``needs_file`` for a database on a
        server, and what :func:`upgrade` refuses.
    """
    from waiaas.migrations import runner

    with _resolved(target) as found:
        if isinstance(found, PeeweeDatabase):
            opened = _sqlite(found)
            return runner.downgrade(opened, to, drop_links=drop_links, backup=backup, progress=progress, clock=clock)
        late: list[WAIaaSError] = []
        with open_to_change(found, late.append, progress) as database:
            report = runner.downgrade(
                database, to, drop_links=drop_links, backup=backup, progress=progress, clock=clock
            )
        report.warnings.extend(late)
        return report


def check(target: Target, *, progress: ProgressCallback | None = None) -> CheckReport:
    """Check a database for corruption, schema drift and broken links; nothing is changed.

    Pages, indexes, foreign keys, text, times and JSON are checked at any schema version. At the latest one, every
    table is also compared with the models (columns, types, NOT NULL, defaults, keys, actions, indexes, CHECKs,
    AUTOINCREMENT, objects that are not the library's), and a session that is not revoked must have at least one
    wallet and exactly one default.

    :param progress: called while the check runs; if it raises, the check stops.
    :raises WAIaaSError: this library cannot work with the database: see :func:`status`.
    """
    from waiaas.inspection.check import check as check_open

    with _opened_to_read(target, progress) as database, _reported(database, "checking the file", progress):
        return check_open(database)


def rehearse(target: Target, *, skip_orphans: bool = False, progress: ProgressCallback | None = None) -> Rehearsal:
    """Upgrade a copy of a file, compare it with the file, and remove it; the file itself is not changed.

    The file may be in use. The copy is in a folder next to the file that only you can enter (mode 0700, the copy
    0600): the content stays on the file system that it is on, and an upgrade needs as much space there. The folder is
    removed at the end, also after an error or Ctrl-C.

    A file of the latest version is copied and checked too. A write-ahead log that a killed daemon left stays
    unchanged; a rollback journal that a crash left is rolled back, as by any program that opens the file.

    :param skip_orphans: as for :func:`upgrade`, and so is ``progress``.
    :raises WAIaaSError: as :func:`upgrade` refuses; ``no_room_to_rehearse`` or ``copy_failed`` if the copy cannot be
        made; ``needs_file`` for a database in memory or on a server.
    """
    from waiaas.inspection.rehearsal import rehearse as rehearse_file

    with _resolved(target) as found:
        path = found if isinstance(found, str) else _path_of_open(found)
        return rehearse_file(path, skip_orphans=skip_orphans, progress=progress)


def backup(
    target: Target,
    to: str | PathLike[str] | None = None,
    *,
    progress: ProgressCallback | None = None,
    clock: Clock = time.time,
) -> BackupFile:
    """Write a verified backup of a file, which may be in use.

    The backup contains every committed row, those in the write-ahead log included. It has the permissions and the
    group of the file, never more, and is on the disk when this returns. If a backup with the same content is there
    already, that one is returned.

    :param to: the path of the backup, or of the folder for it; without it the backup is next to the file
        (``FILE.v19-20260102T030405Z.backup``). If that exists, ``-2``, ``-3``, … is added.
    :param progress: as for :func:`upgrade`.
    :param clock: returns the time in Unix seconds, for the name.
    :raises WAIaaSError: ``backup_failed``; ``corrupt`` or ``io_error`` if the file is damaged or cannot be read;
        ``needs_file`` for a database in memory or on a server.
    """
    from waiaas.files.backup import backup_path, write_backup
    from waiaas.files.backups import BackupFile, moment_of

    with _resolved(target) as found:
        path = found if isinstance(found, str) else _path_of_open(found)
        if to is not None:
            path_of(to)
        # As long as this connection is open, the one that copies is not the last, which would leave an empty log.
        with open_read_only(path, progress=progress) as database:
            schema = version.schema_version(database)
            if schema == 0:
                raise refusal("empty_database", path=path)
            file, now = DatabaseFile(path), seconds_of(clock)
            copy = write_backup(file, backup_path(file.path, schema, to or True, now), ProgressReporter(progress))
    made_at = None if copy.is_new else moment_of(copy.path)
    made_at = made_at or datetime.fromtimestamp(now, timezone.utc)
    return BackupFile(copy.path, schema, made_at, os.path.getsize(copy.path), is_earlier=not copy.is_new)


def restore(
    path: str | bytes | PathLike[str],
    backup: str | bytes | PathLike[str],
    *,
    progress: ProgressCallback | None = None,
    clock: Clock = time.time,
) -> RestoreReport:
    """Put a backup in the place of a database file, all or nothing.

    The backup is copied, verified and written to the disk before the copy gets the name of the file, with a single
    rename: after a power failure the file is either the old one or the new one, complete. The file that it replaces is
    kept next to it as a backup at its schema version; a damaged one as ``FILE.damaged-20260102T030405Z``. The backup
    stays, too.

    Rights that were removed after the backup was made come back with it: sessions that were revoked, links, suspended
    wallets, a rotated key, the kill switch. A warning of the report names them: remove them again before a service
    uses the file.

    Stop every program that uses the file first. One that has it open is found by its lock, or where the system lists
    the open files of other processes (Linux, for the same user and for root).

    :param path: the file; it may be missing, empty or damaged.
    :param backup: the backup: a WAIaaS database of any schema version that this library knows.
    :param progress: as for :func:`upgrade`.
    :param clock: returns the time in Unix seconds, for the name of the file that is kept.
    :raises WAIaaSError: with the file unchanged: ``file_open`` or ``database_busy`` if a program has the file open;
        ``corrupt`` if the backup is damaged; ``restore_failed``, ``disk_full`` or another reason; and what
        :func:`status` refuses in the backup.
    """
    from waiaas.files.restore import restore_file
    from waiaas.inspection.report import RestoreReport
    from waiaas.inspection.returned_rights import returned_rights

    started = time.perf_counter()
    file, source = DatabaseFile(path_of(path)), DatabaseFile(path_of(backup))
    with open_read_only(source.name, progress=progress) as database:
        after = version.schema_version(database)
        if after == 0:
            raise refusal("empty_database", path=source.name)
        reporter = ProgressReporter(progress)
        with excluding_upgrades(file, reporter):
            before = _version_before(file)
            now = seconds_of(clock)
            kept, late = restore_file(file, source, _kept_path(file, before, now), reporter)
    warnings = [] if late is None else [late]
    warnings += returned_rights(file.name, None if before is None else str(kept), now)
    for warning in warnings:
        LOG.warning("%s", warning)
    return RestoreReport(
        path=file.name,
        backup=source.name,
        version=after,
        version_before=before,
        kept=None if kept is None else str(kept),
        seconds=time.perf_counter() - started,
        warnings=warnings,
    )


def backups(path: str | bytes | PathLike[str], *, keep: int | None = None) -> list[BackupFile]:
    """Return the backups that are next to a file, newest first, by their names.

    :param keep: how many to keep, the newest; all others are removed, and returned with ``is_removed``. None: all.
    :raises ValueError: ``keep`` is less than 1.
    :raises WAIaaSError: ``not_a_file`` if the path leads to a folder or a device; ``cannot_open`` or another reason if
        the folder cannot be read, or a backup not removed. The file itself may be missing.
    """
    from waiaas.files.backups import backups_of

    if keep is not None and keep < 1:
        raise ValueError(f"keep is an integer of 1 or more, not {keep!r}")
    file = DatabaseFile(path_of(path))
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(file.real).st_mode):
                raise refusal("not_a_file", path=file.name)
        return backups_of(file.path, keep)
    except OSError as error:
        raise file.failed(error) from error


def health(target: Target, *, clock: Clock = time.time) -> Health:
    """Return the health of a database for a monitor; nothing is changed.

    :param clock: returns the time in Unix seconds.
    :returns: see :class:`waiaas.Health`. A database that cannot be used is not an exception: ``error`` is its refusal,
        and ``ok`` is False.
    """
    from waiaas.inspection.health import health_of
    from waiaas.inspection.report import Health

    try:
        with _resolved(target) as found:
            if isinstance(found, PeeweeDatabase):
                return health_of(found, clock)
            with open_read_only(found) as database:
                return health_of(database, clock)
    except WAIaaSError as error:
        return Health(error=error)


def move(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    rehearse: bool = False,
    skip_orphans: bool = False,
    progress: ProgressCallback | None = None,
) -> MoveReport:
    """Move a database from a SQLite file to an empty PostgreSQL database, or back into a new file.

    Stop the service first: what it writes during the move would stay in the source. The source is not changed. A file
    of an older version is upgraded on the way, in a copy. The target is filled in one transaction, which is committed
    only if every row that is read back from it equals that of the source.

    :param source: the path of a file, or the URL of a PostgreSQL database.
    :param target: the other kind: a PostgreSQL database without the library's tables, or a path where no file exists.
    :param rehearse: do everything except the commit.
    :param skip_orphans: as for :func:`upgrade`, and so is ``progress``.
    :raises WAIaaSError: with the target empty; its ``reason`` is, among others, ``move_refused`` (values that
        PostgreSQL cannot hold, with table, column and rows in ``details["obstacles"]``), ``target_not_empty``,
        ``file_exists``, ``source_changed`` (something was written to the source during the move) or ``copy_differs``.
    :raises ValueError: unless exactly one of ``source`` and ``target`` is a URL.
    """
    from waiaas.transfer.moving import move as move_rows

    return move_rows(source, target, rehearse=rehearse, skip_orphans=skip_orphans, progress=progress)


@contextmanager
def _resolved(target: Target) -> Iterator[str | PeeweeDatabase]:
    """Return the path of a file, or an open database: the one given, or that of a URL, closed at the end."""
    if isinstance(target, Database):
        yield target.peewee
    elif isinstance(target, PeeweeDatabase):
        yield target
    elif is_postgresql_url(target):
        from waiaas.backends.postgresql import open_database

        server = open_database(target)
        try:
            yield server
        finally:
            server.close_all()
    else:
        yield path_of(target)


@contextmanager
def _opened_to_read(target: Target, progress: ProgressCallback | None = None) -> Iterator[PeeweeDatabase]:
    with _resolved(target) as found:
        if isinstance(found, PeeweeDatabase):
            yield found
        else:
            with open_read_only(found, progress=progress) as database:
                yield database


def _version_before(file: DatabaseFile) -> int | None:
    """Return the schema version of the file that is to be replaced; None if it is missing, empty or damaged."""
    try:
        with open_read_only(file.name) as database:
            return version.schema_version(database) or None
    except WAIaaSError as error:
        if error.reason == "code_too_old":
            return version.refused(error).version
        if error.reason in ("file_not_found", "corrupt", "not_a_database", "io_error"):
            return None
        raise


def _kept_path(file: DatabaseFile, version_before: int | None, now: int) -> Path:
    """Return the path for the file that is replaced: that of a backup, unless it is damaged."""
    from waiaas.files.backup import backup_path

    if version_before is not None:
        return Path(os.path.realpath(file.path)).with_name(backup_path(file.path, version_before, True, now).name)
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return Path(file.real).with_name(f"{file.path.name}.damaged-{moment}")


@contextmanager
def _reported(database: PeeweeDatabase, phase: str, progress: ProgressCallback | None) -> Iterator[None]:
    """Report progress while the statements of a block run."""
    if progress is None or not isinstance(database, SqliteDatabase):
        yield
        return
    reporter = ProgressReporter(progress)
    reporter(Progress(phase))
    with reporter.during(database.connection()):
        yield


def _sqlite(database: PeeweeDatabase) -> SqliteDatabase:
    if not isinstance(database, SqliteDatabase):
        raise refusal("needs_file", path=file_of(database))
    return database


def _on_server(database: PeeweeDatabase) -> PostgresqlDatabase:
    from waiaas.backends.postgresql import PostgresqlDatabase

    if not isinstance(database, PostgresqlDatabase):
        raise refusal("not_sqlite", backend=type(database).__name__)
    return database


def _path_of_open(database: PeeweeDatabase) -> str:
    path = path_to_open(_sqlite(database))
    if path == IN_MEMORY:
        raise refusal("needs_file", path=path)
    return path
