"""Opens SQLite files: at the latest version, to be changed, or only to be read."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

from peewee import DatabaseError, OperationalError, SchemaManager, SqliteDatabase

from waiaas.backends.sqlite import IN_MEMORY, LOG, WaiaasDatabase
from waiaas.ddl.commit import immediate_transaction
from waiaas.ddl.connection import pragmas, read
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import is_unsafe_use, reason_for
from waiaas.errors.translation import translate_errors
from waiaas.files.leftovers import remove_leftovers
from waiaas.files.opening import DatabaseFile, path_of
from waiaas.files.page_check import has_log, refuse_damage
from waiaas.files.upgrade_lock import after_upgrades, has_lock_file, upgrade_lock
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.report import Backup, UpgradeReport
from waiaas.migrations.version import schema_version
from waiaas.models import MODELS
from waiaas.paths import file_of, size_of
from waiaas.progress import ProgressReporter

if TYPE_CHECKING:
    from waiaas.progress import ProgressCallback

#: Seconds that a statement waits for another connection's lock, by default.
BUSY_TIMEOUT = 5.0
# SQLite takes milliseconds as a 32-bit number.
_LONGEST_TIMEOUT = 2_147_483
# A mode of SQLite's URIs in which a file is read without locks and without looking for its log.
_IMMUTABLE = "ro&immutable=1"
# The daemon's settings of each connection, except busy_timeout, which is Peewee's `timeout`, and journal_mode: that
# one changes the file itself, so it is only set when the file is known to be ours and at the latest version.
_PRAGMAS: dict[str, str | int] = {
    "synchronous": "NORMAL",
    "foreign_keys": "ON",
    "cache_size": -64000,
    "mmap_size": 268435456,
    "temp_store": "MEMORY",
    # Not a setting of the daemon, which leaves a log as large as its largest transaction (64 MiB, in bytes).
    "journal_size_limit": 67108864,
}
# `synchronous=NORMAL` is for a write-ahead log. In rollback-journal mode a power failure could leave a journal with a
# missing sector that its checksum, a sum of every 200th byte, does not show (pager_cksum in SQLite's pager.c), and
# rolling it back would destroy the file. EXTRA (3) also syncs the folder once the journal is gone, before COMMIT ends.
_SAFE_WITH_A_JOURNAL = {"synchronous": 3}
# A bad sector of a memory-mapped file ends the process with SIGBUS (https://www.sqlite.org/mmap.html). So a file is
# only mapped to serve requests, which it makes faster, and not while it is changed or inspected.
_WHILE_CHANGED = {**_PRAGMAS, "mmap_size": 0}
_OF_REQUESTS = {"mmap_size", *_SAFE_WITH_A_JOURNAL}

# https://www.sqlite.org/security.html: the file's own definitions may only use functions without side effects, and
# each page is checked when it is read.
_PRAGMAS_TO_INSPECT = {"trusted_schema": "OFF", "cell_size_check": "ON"}


class Opened(NamedTuple):
    """A database at the latest version, and the report of its upgrade; None if there was nothing to upgrade."""

    database: WaiaasDatabase
    report: UpgradeReport | None


def open_latest(
    path: str | bytes | PathLike[str],
    *,
    create: bool = True,
    upgrade: bool = True,
    backup: Backup = True,
    skip_orphans: bool = False,
    clock: Callable[[], float] = time.time,
    busy_timeout: float = BUSY_TIMEOUT,
    progress: ProgressCallback | None = None,
) -> Opened:
    """Open a file at the latest schema version, as documented in `waiaas.connect`."""
    if not isinstance(busy_timeout, (int, float)):
        raise TypeError(f"busy_timeout is a number of seconds, not {busy_timeout!r}")
    if not 0 <= busy_timeout <= _LONGEST_TIMEOUT:
        raise ValueError(f"busy_timeout is a number of seconds from 0 to {_LONGEST_TIMEOUT}, not {busy_timeout!r}")
    name, reporter = path_of(path), ProgressReporter(progress)
    create_or_upgrade = partial(
        _create_or_upgrade, upgrade=upgrade, backup=backup, skip_orphans=skip_orphans, clock=clock, progress=progress
    )
    if name == IN_MEMORY:
        return _prepared(WaiaasDatabase(name, pragmas=_WHILE_CHANGED, timeout=busy_timeout), create_or_upgrade)
    file = DatabaseFile(name)
    _ensure_private_file(file, create=create and upgrade)
    version = _inspect(file, busy_timeout, reporter, to_upgrade=upgrade)
    if version == 0 and not (create and upgrade):
        raise refusal("empty_database", path=name)
    if _is_old(version) and not upgrade:
        raise _upgrade_pending(name, version)
    if version < LATEST_SCHEMA_VERSION and not os.access(file.real, os.W_OK):
        raise refusal("read_only", path=name)
    # A lock file that a killed upgrade has left is removed by taking the lock.
    needs_lock = upgrade and (_is_old(version) or has_lock_file(file))
    with upgrade_lock(file, reporter) if needs_lock else nullcontext():
        return _prepared(_database(file, busy_timeout), create_or_upgrade)


def create(path: str | bytes | PathLike[str]) -> list[WAIaaSError]:
    """Create a database and close it; return the error after the tables were committed, if any."""
    database, _ = open_latest(path)
    try:
        database.close_all()
    except WAIaaSError as error:
        database.warn(_warning("log_not_written_back", file_of(database), error))
    return database.warnings


def refuse_existing(path: str | PathLike[str]) -> None:
    """Refuse a path at which there is a file that is not empty.

    A database without tables counts as empty: a power failure during `init` can leave one, which the next `init`
    fills. Raises WAIaaSError with the reason `file_exists`.
    """
    if os.path.isfile(path) and size_of(path) and not _has_no_tables(path):
        raise refusal("file_exists", path=os.fspath(path))


def is_new(path: str | PathLike[str]) -> bool:
    """Return whether a file is exactly what `create` makes: accessible only by its owner, latest version, no rows.

    A power failure can leave such a file before `init` has reported it as created.
    """
    try:
        with open_read_only(path) as database, translate_errors(database):
            is_private = sys.platform == "win32" or stat.S_IMODE(os.stat(path).st_mode) == 0o600
            return is_private and _has_new_content(database)
    except WAIaaSError:
        return False


def _has_new_content(database: SqliteDatabase) -> bool:
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    versions = "SELECT version, description FROM schema_version ORDER BY version"
    with closing(open_latest(IN_MEMORY).database) as new:
        objects = read(new, schema)
        if read(database, schema) != objects or read(database, versions) != read(new, versions):
            return False
    tables = [name for kind, name, *_ in objects if kind == "table" and name != "schema_version"]
    return not any(read(database, f'SELECT 1 FROM "{name}" LIMIT 1') for name in tables)


def _has_no_tables(path: str | PathLike[str]) -> bool:
    try:
        with open_read_only(path) as database:
            return schema_version(database) == 0
    except WAIaaSError:
        return False


@contextmanager
def open_read_only(
    path: str | bytes | PathLike[str], busy_timeout: float = BUSY_TIMEOUT, progress: ProgressCallback | None = None
) -> Iterator[SqliteDatabase]:
    """Open any file to inspect it: nothing is created or changed.

    Waits, calling `progress`, while an upgrade by another process blocks readers. For a write-ahead log of a killed
    daemon, SQLite recreates the log's index (`-shm`). Raises WAIaaSError with the reason `file_not_found` if there is
    no file, and `log_unreadable` if that index is needed and the folder is read-only.
    """
    database = _open_to_read(DatabaseFile(path_of(path)), busy_timeout, ProgressReporter(progress))
    try:
        yield database
    finally:
        database.close()


@contextmanager
def open_to_change(
    path: str | bytes | PathLike[str],
    warn: Callable[[WAIaaSError], None] | None = None,
    progress: ProgressCallback | None = None,
) -> Iterator[SqliteDatabase]:
    """Open an existing file for `upgrade` or `downgrade`: nothing else changes a byte.

    If the block succeeds and the file cannot be closed without an error, the change is kept. `warn` gets that error;
    without `warn` it is raised.

    Raises WAIaaSError as `connect` does, with the reason `file_not_found` if there is no file and `empty_database` if
    it is empty.
    """
    file, reporter = DatabaseFile(path_of(path)), ProgressReporter(progress)
    if _inspect(file, BUSY_TIMEOUT, reporter, to_upgrade=True) == 0:
        raise refusal("empty_database", path=file.name)
    with upgrade_lock(file, reporter):
        database = _database(file, BUSY_TIMEOUT)
        try:
            yield database
        except BaseException:
            with _last_reader(file):
                database.close()
            raise
        try:
            database.close_all()
        except WAIaaSError as error:
            if warn is None:
                raise
            warning = _warning("log_not_written_back", file.name, error)
            LOG.warning("%s", warning)
            warn(warning)


@contextmanager
def excluding_upgrades(file: DatabaseFile, reporter: ProgressReporter) -> Iterator[None]:
    """Run a block while no other process upgrades a file, after waiting for one that does."""
    with upgrade_lock(file, reporter) if os.path.exists(file.real) else nullcontext():
        yield


@contextmanager
def _last_reader(file: DatabaseFile) -> Iterator[None]:
    """Keep a read-only connection open: the last connection to close checkpoints the log, and this one cannot.

    A refused file keeps its log, which may be corrupt or belong to another file.
    """
    with ExitStack() as stack:
        with suppress(sqlite3.Error, WAIaaSError, OSError):
            if has_log(file.real):
                reader = stack.enter_context(closing(file.connect("ro")))
                reader.execute("SELECT 1 FROM sqlite_master").fetchone()
        yield


def is_empty(path: str | bytes | PathLike[str]) -> bool:
    """Return whether a file exists and is empty.

    :raises WAIaaSError: `SCHEMA_INCOMPATIBLE` with the reason `log_without_database` if there is a log next to it.
    """
    file = DatabaseFile(path_of(path))
    return os.path.isfile(file.real) and file.inspect().st_size == 0


def _database(file: DatabaseFile, busy_timeout: float) -> WaiaasDatabase:
    return WaiaasDatabase(file.name, file=file, pragmas=_WHILE_CHANGED, timeout=busy_timeout)


def _is_old(version: int) -> bool:
    return 0 < version < LATEST_SCHEMA_VERSION


def _ensure_private_file(file: DatabaseFile, *, create: bool) -> None:
    """Make sure that a file exists, and that an empty one is accessible only by its owner before it gets content.

    A file that may be in use is never opened here: closing it would drop every lock that this process has on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2). So on Linux a new file is created without opening it.
    """
    try:
        if create and os.path.basename(file.name) and not os.path.exists(file.real):
            remove_leftovers(os.path.dirname(file.real))
            file.refuse_sidecars(None)
            _make_private_file(file.real)
        if file.inspect().st_size == 0 and create:
            if not os.access(file.real, os.W_OK):
                raise refusal("read_only", path=file.name)
            os.chmod(file.real, 0o600)
    except OSError as error:
        raise file.failed(error) from error


def _make_private_file(path: str) -> None:
    """Create an empty file of mode 0600, or leave the one that another process has just created."""
    with suppress(FileExistsError):
        if sys.platform == "linux":
            os.mknod(path, 0o600 | stat.S_IFREG)
        else:  # only root may use mknod
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _open_to_read(file: DatabaseFile, busy_timeout: float, reporter: ProgressReporter) -> SqliteDatabase:
    if file.inspect().st_size == 1:
        # SQLite treats a file of one byte as an empty one (unixFileSize in its os_unix.c) and writes over it.
        raise refusal("not_a_database", path=file.name)
    return after_upgrades(file, reporter, partial(_opened_to_read, file, busy_timeout))


def _opened_to_read(file: DatabaseFile, busy_timeout: float) -> SqliteDatabase:
    real = file.real
    try:
        return _opened(file, _mode_to_read(real), busy_timeout)
    except WAIaaSError as error:
        has_log, has_index = os.path.exists(f"{real}-wal"), os.path.exists(f"{real}-shm")
        if os.access(os.path.dirname(real), os.W_OK) or os.path.exists(f"{real}-journal"):
            raise
        if error.reason == "read_only" and not has_log:
            # In write-ahead-log mode SQLite reads through a log, which it would have to create. Without one there is
            # no writer.
            return _opened(file, _IMMUTABLE, busy_timeout)
        if error.reason == "cannot_open" and has_log and not has_index and os.access(f"{real}-wal", os.R_OK):
            raise refusal("log_unreadable", path=file.name) from error
        raise


def _opened(file: DatabaseFile, mode: str, busy_timeout: float) -> SqliteDatabase:
    database = WaiaasDatabase(file.name, file=file, mode=mode, timeout=busy_timeout, pragmas=_PRAGMAS_TO_INSPECT)
    try:
        with translate_errors(database):
            _read_schema(database)
    except BaseException:
        database.close()
        raise
    return database


def _read_schema(database: SqliteDatabase) -> None:
    """Make SQLite read the schema, as trusted if a user's index needs it, which is safe on this connection."""
    read = "SELECT count(*) FROM sqlite_master"
    try:
        database.execute_sql(read)
    except DatabaseError as error:
        if not is_unsafe_use(error):
            raise
        # The connection has no function that could do harm.
        database.pragma("trusted_schema", "ON", permanent=True)
        database.execute_sql(read)


def _mode_to_read(path: str) -> str:
    """Return how to open a file so that closing it changes nothing.

    The last connection to close checkpoints the log into the file, so if there is one (of a killed daemon, or in use)
    the file is opened read-only. Without one, a read-only connection would leave an empty log, and could not roll back
    what a crash left unfinished; in a file that cannot be written there is then nothing to roll back, and no writer.
    """
    if os.path.exists(f"{path}-journal"):
        return "rw"
    if os.path.exists(f"{path}-wal"):
        return "ro"
    if os.access(path, os.W_OK):
        return "rw"
    return _IMMUTABLE


def _inspect(file: DatabaseFile, busy_timeout: float, reporter: ProgressReporter, *, to_upgrade: bool) -> int:
    """Return the schema version of a file that this library can work with; refuse any other.

    Nothing ties a write-ahead log to its file: one of a killed daemon, or one that was next to another file of this
    name, is checkpointed into the file by the last connection to close. So before an old file with a log is opened to
    be changed, its pages are checked together with the log.
    """
    with closing(_open_to_read(file, busy_timeout, reporter)) as database:
        version = schema_version(database)
        with translate_errors(database):
            if to_upgrade and _is_old(version) and has_log(file.real):
                refuse_damage(database)
        return version


def _prepared(database: WaiaasDatabase, create_or_upgrade: Callable[[WaiaasDatabase], UpgradeReport | None]) -> Opened:
    """Bring a database to the latest version, with the PRAGMAs of its later connections; close it after an error."""
    try:
        with translate_errors(database):
            report = create_or_upgrade(database)
    except BaseException:
        database.close()
        raise
    return Opened(database, report)


def _create_or_upgrade(
    database: WaiaasDatabase,
    *,
    upgrade: bool,
    backup: Backup,
    skip_orphans: bool,
    clock: Callable[[], float],
    progress: ProgressCallback | None,
) -> UpgradeReport | None:
    report = None
    version = schema_version(database)
    if version == 0:
        with pragmas(database, _SAFE_WITH_A_JOURNAL, database.warn):
            _create(database, clock)
    elif version < LATEST_SCHEMA_VERSION:
        if not upgrade:
            raise _upgrade_pending(file_of(database), version)
        # Loaded if there is something to upgrade.
        from waiaas.migrations import runner

        report = runner.upgrade(database, backup=backup, skip_orphans=skip_orphans, progress=progress, clock=clock)
        database.warnings += report.warnings
    try:
        with translate_errors(database), pragmas(database, _SAFE_WITH_A_JOURNAL, database.warn):
            _use_write_ahead_log(database)
    except WAIaaSError as error:
        if version == LATEST_SCHEMA_VERSION:
            raise
        # The file is created or upgraded, and that is committed.
        database.warn(_warning("journal_mode_kept", file_of(database), error))
    try:
        with translate_errors(database):
            _use_settings_of_requests(database)
    except WAIaaSError as error:
        if version == LATEST_SCHEMA_VERSION:
            raise
        details = {"settings": ", ".join(sorted(_OF_REQUESTS)), "cause": error.message.rstrip(".")}
        database.warn(refusal("settings_not_restored", path=file_of(database), **details))
    return report


def _use_settings_of_requests(database: WaiaasDatabase) -> None:
    """Set the PRAGMAs with which requests are served: the strict ones until the mode of the journal is known."""
    for name, value in _SAFE_WITH_A_JOURNAL.items():
        database.pragma(name, value, permanent=True)
    has_log = database.pragma("journal_mode") in ("wal", "memory")
    for name in _OF_REQUESTS if has_log else _OF_REQUESTS - _SAFE_WITH_A_JOURNAL.keys():
        database.pragma(name, _PRAGMAS[name], permanent=True)


def _upgrade_pending(path: str, version: int) -> WAIaaSError:
    return refusal("upgrade_pending", path=path, version=version, latest=LATEST_SCHEMA_VERSION)


def _warning(reason: str, path: str, error: WAIaaSError) -> WAIaaSError:
    """Return the warning that an error happened after a change was committed."""
    return refusal(reason, path=path, cause=error.message.rstrip("."))


def _create(database: WaiaasDatabase, clock: Callable[[], float]) -> None:
    """Create every table and index of the latest version, unless another process has just done so."""
    from waiaas.migrations.history import version_rows

    with immediate_transaction(database, database.warn):
        if schema_version(database) != 0:
            return
        for model in MODELS:
            SchemaManager(model, database).create_all(safe=False)
        for row in version_rows(int(clock())):
            database.execute_sql("INSERT INTO schema_version (version, applied_at, description) VALUES (?, ?, ?)", row)


def _use_write_ahead_log(database: SqliteDatabase) -> None:
    """Convert the file, and each later connection, to write-ahead-log mode.

    This needs the file exclusively for a moment, and SQLite does not wait for that
    (https://www.sqlite.org/wal.html#activating_and_configuring_wal_mode), so this does.
    """
    deadline = time.monotonic() + database.timeout
    while True:
        try:
            database.pragma("journal_mode", "wal", permanent=True)
            return
        except (OperationalError, sqlite3.OperationalError) as error:
            # Peewee's error comes from executing the statement, and the driver's from fetching its row.
            if reason_for(error) != "database_busy" or time.monotonic() > deadline:
                raise
        time.sleep(0.01)
