"""One run of migrations: the lock, the transaction, the backup, and the checks before the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeGuard

from peewee import SqliteDatabase

from waiaas.ddl.connection import plain_rows
from waiaas.ddl.schema_rows import refuse_strange_rows
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.translation import translate_errors
from waiaas.files.background import Background, allows_concurrent_reader
from waiaas.files.backup import Copy, backup_path, remove, write_backup
from waiaas.files.opening import DatabaseFile, file_of_connection
from waiaas.files.other_programs import programs_with
from waiaas.files.page_check import refuse_damage, refuse_damaged_file, refuse_truncated
from waiaas.files.upgrade_lock import upgrade_lock
from waiaas.migrations.differences import refuse_other_tables
from waiaas.migrations.migrator import VersionMigrator
from waiaas.migrations.report import Backup
from waiaas.migrations.version import existing_version, schema_version
from waiaas.paths import file_of
from waiaas.progress import Progress, ProgressReporter

# After these errors the original itself may be at risk, so a valid copy is kept.
_KEEP_BACKUP_AFTER = frozenset({"io_error", "corrupt"})


class MigrationRun:
    """The version that a run found under its lock, and its backup, which a thread may write during the change."""

    def __init__(self, migrator: VersionMigrator, file: DatabaseFile | None, reporter: ProgressReporter) -> None:
        """Read the version under the lock: another process may just have upgraded the file."""
        refuse_strange_rows(migrator.database)
        self.version = existing_version(migrator.database)
        self.copy: Copy | None = None
        self._file = file
        self._programs: set[str] = set()
        self._database = migrator.database
        self._reporter = reporter
        self._has_begun = False
        self._background: Background[Copy | None] | None = None

    def __enter__(self) -> MigrationRun:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End the thread before its database changes: a backup to be kept is completed, any other is stopped."""
        if self._background is not None:
            self.copy = self._background.end(stop=not _is_to_keep_backup(error))

    @property
    def backup(self) -> str | None:
        """The path of the backup, if there is one."""
        return str(self.copy.path) if self.copy else None

    def start_backup(self, backup: Backup, now: Callable[[], int]) -> None:
        """Before the first change, start the verified backup, or a check of all pages; later calls do nothing.

        A thread does it if it can read the unchanged pages while the change is made; otherwise it is done at once.
        """
        if self._background is not None:
            self._background.raise_failure()
        if self._has_begun:
            return
        self._has_begun = True
        if self._file is not None:
            self._file.refuse_replaced()
            self._programs = programs_with(self._file)
            refuse_truncated(self._database, Path(self._file.real))
        has_readers = self._file is not None and allows_concurrent_reader(self._database)
        job = self._job(self._file, backup, now, has_readers)
        if has_readers:
            self._background = Background(job, self._reporter)
        else:
            self.copy = job(self._reporter)
            self._refuse_replaced()

    def finish(self) -> None:
        """Before the commit, wait for the backup; refuse a database that is corrupt, or was replaced."""
        if self._background is not None:
            self._background.result()
        self._refuse_replaced()

    def file_in_use(self) -> WAIaaSError | None:
        """Return a warning if programs had the file open at the start and still have."""
        if self._file is None or not self._programs:
            return None
        programs = sorted(self._programs & programs_with(self._file))
        return refusal("file_in_use", path=self._file.name, programs=programs) if programs else None

    def _refuse_replaced(self) -> None:
        if self._file is not None:
            self._file.refuse_replaced()

    def _job(
        self, file: DatabaseFile | None, backup: Backup, now: Callable[[], int], has_readers: bool
    ) -> Callable[[ProgressReporter], Copy | None]:
        if file is not None and backup is not False:
            return partial(write_backup, file, backup_path(file.path, self.version, backup, now()))
        if file is not None and has_readers:
            return partial(refuse_damaged_file, Path(file.real), file.name)
        return self._refuse_damage

    def _refuse_damage(self, reporter: ProgressReporter) -> None:
        reporter(Progress("checking the pages"))
        refuse_damage(self._database)


@contextmanager
def migration_run(migrator: VersionMigrator, reporter: ProgressReporter) -> Iterator[MigrationRun]:
    """Hold the lock and the transaction; roll back everything, and remove the backup, if the change is refused."""
    database = migrator.database
    run: MigrationRun | None = None
    try:
        with (
            translate_errors(database),
            _only_upgrade(database, reporter) as file,
            plain_rows(database.connection()),
            reporter.during(database.connection()),
            migrator.migration_context(),
            MigrationRun(migrator, file, reporter) as run,
            translate_errors(database),
        ):
            yield run
            _refuse_wrong_tables(migrator, run.version)
            _verify_foreign_keys(migrator)
            run.finish()
            if warning := run.file_in_use():
                migrator.result.warn(warning)
    except BaseException as error:
        if run is not None and run.copy is not None:
            _discard(run.copy, error, is_undone=_is_at(database, run.version))
        raise


@contextmanager
def _only_upgrade(database: SqliteDatabase, reporter: ProgressReporter) -> Iterator[DatabaseFile | None]:
    """Wait until no other process upgrades the file of a database, and keep others waiting."""
    file = file_of_connection(database, file_of(database))
    if file is None:
        yield None
        return
    with upgrade_lock(file, reporter):
        reporter(Progress("waiting for the write lock"))
        yield file


def _refuse_wrong_tables(migrator: VersionMigrator, version_before: int) -> None:
    """Refuse tables that are not those of the version that was reached, as stored in the file.

    SQLite is made to read the stored definitions again, so that they count and not its cache.
    """
    version = schema_version(migrator.database)
    if version != version_before:
        migrator.report_progress("checking the tables")
        migrator.database.execute_sql("PRAGMA writable_schema = RESET")
        refuse_other_tables(migrator.database, version)


def _verify_foreign_keys(migrator: VersionMigrator) -> None:
    """Refuse new violations; SQLite finds parents by an index, so a corrupt one appears as a violation."""
    try:
        migrator.verify_foreign_keys()
    except WAIaaSError:
        refuse_damage(migrator.database, indexes_of=None)
        raise


def _is_at(database: SqliteDatabase, version: int) -> bool:
    """Return whether the file is known to be at a version: Ctrl-C during a commit is raised after it."""
    try:
        return schema_version(database) == version
    except WAIaaSError:
        return False


def _is_to_keep_backup(error: BaseException | None) -> TypeGuard[WAIaaSError]:
    return isinstance(error, WAIaaSError) and error.reason in _KEEP_BACKUP_AFTER


def _discard(copy: Copy, error: BaseException, is_undone: bool) -> None:
    """Remove the backup of a change that was rolled back: it has the same content as the file."""
    if _is_to_keep_backup(error):
        error.details = {**(error.details or {}), "backup": str(copy.path)}
    elif is_undone and copy.is_new:
        remove(copy.path)
