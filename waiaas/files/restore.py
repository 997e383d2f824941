"""Replaces a database file with a backup: all or nothing, and never while the file is in use.

The new file is complete, verified and on the disk before it takes the name, with a single rename. Before that the old
file is made complete in itself: SQLite would apply a log or journal next to it to the new file. The old file stays,
as a backup with the name of one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import close_reader_of, explain, keeps_reader_of
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.files.backup import copy_verified, first_free
from waiaas.files.opening import SIDECARS, DatabaseFile, descriptors_of
from waiaas.files.other_programs import programs_with
from waiaas.files.page_check import has_log
from waiaas.files.private_folder import PrivateFolder, remove_unused_folders
from waiaas.files.rights import has_access_list, share_like
from waiaas.progress import ProgressReporter

_LOG = logging.getLogger("waiaas")
# The reasons why a corrupt file, or one that is not a database, cannot be opened.
_DAMAGED = ("corrupt", "not_a_database")


class Restored(NamedTuple):
    """Where the file before is now (None: there was none), and the error after the rename, if any."""

    kept: Path | None
    warning: WAIaaSError | None


def restore_file(file: DatabaseFile, backup: DatabaseFile, kept: Path, reporter: ProgressReporter) -> Restored:
    """Replace a database file with a verified copy of a backup.

    :param file: the database; its file may be missing, empty or damaged.
    :param kept: the path that the old file gets; if it exists, ``-2``, ``-3``, … is added.
    :raises WAIaaSError: with the file unchanged: ``file_open`` if another program, or this one, has it open;
        ``database_busy``; ``corrupt`` if the backup is damaged; ``restore_failed`` or an error of the system.
    """
    name = os.path.basename(file.real)
    parent, prefix = Path(file.real).parent, f".{file.path.name}.partial-"
    try:
        remove_unused_folders(parent, prefix)
        with PrivateFolder(parent, prefix) as folder:
            copy_verified(backup, folder, reporter)
            with _alone(file) as is_whole:
                exists = os.path.exists(file.real)
                model = file.real if exists else backup.real
                share_like(folder.descriptor, os.stat(model), has_list=has_access_list(model))
                os.fsync(folder.descriptor)
                with _renamed(file.real, kept if exists else None, with_log=not is_whole) as replaced:
                    # The log must be gone before there is a file that it does not belong to.
                    folder.flush_parent()
                    folder.replace(name)
                warning = _flush(folder, file)
    except WAIaaSError as error:
        if error.reason == "backup_failed":
            raise _failed(file, backup, str((error.details or {}).get("cause"))) from error
        raise
    except (sqlite3.Error, OSError) as error:
        found = explain(error, file.real)
        if found.reason in (None, "sqlite_error"):
            raise _failed(file, backup, found.cause) from error
        raise refusal(str(found.reason), path=file.name, cause=found.cause, seconds=0) from error
    _LOG.info("Restored %s from %s; the file before: %s", file.name, backup.name, replaced)
    return Restored(replaced, warning)


def _flush(folder: PrivateFolder, file: DatabaseFile) -> WAIaaSError | None:
    """Write the new name to the disk; the file is replaced already, so an error is a warning."""
    try:
        folder.flush_parent()
    except OSError as error:
        return refusal("not_synced", path=file.name, cause=cause_of(error))
    return None


def _failed(file: DatabaseFile, backup: DatabaseFile, cause: str) -> WAIaaSError:
    return refusal("restore_failed", path=file.name, backup=backup.name, cause=cause)


@contextmanager
def _renamed(real: str, kept: Path | None, *, with_log: bool) -> Iterator[Path | None]:
    """Give a file a second name that is free, and take the files away that SQLite would read with the first one.

    A log or journal that is part of the file is renamed with it. If the block fails, everything is undone.
    """
    target = None if kept is None else _link(real, kept)
    moved: list[tuple[str, str]] = []
    try:
        for suffix in SIDECARS:
            sidecar = f"{real}{suffix}"
            if target is None or suffix == "-shm" or not with_log:
                with suppress(FileNotFoundError):
                    os.unlink(sidecar)
            elif os.path.exists(sidecar):
                moved.append((sidecar, f"{target}{suffix}"))
                os.replace(*moved[-1])
        yield target
    except BaseException:
        # Ctrl-C can come after the first name is that of the new file.
        if target is not None and os.path.samefile(real, target):
            for sidecar, name in moved:
                with suppress(FileNotFoundError):
                    os.replace(name, sidecar)
            os.unlink(target)
        raise


def _link(real: str, kept: Path) -> Path:
    """Give a file a second name that is free."""
    return first_free(kept, lambda name: os.link(real, kept.with_name(name)))


@contextmanager
def _alone(file: DatabaseFile) -> Iterator[bool]:
    """Hold the lock of a database file, and yield whether it is complete in itself: no log or journal is part of it.

    A damaged file may have a log that cannot be written back. Only what the system knows of other programs counts
    there.
    """
    if not os.path.exists(file.real):
        file.refuse_sidecars(None)
        yield True
        return
    status = file.inspect()
    _refuse_own(file, status)
    if status.st_size == 0:
        yield True
        return
    with ExitStack() as last, closing(file.connect("rw", timeout=0, isolation_level=None)) as connection:
        is_whole = _lock(file, connection)
        _refuse_programs(file)
        if not is_whole and has_log(file.real):
            # The last connection to close would write the log into the damaged file and delete it; this one cannot.
            reader = last.enter_context(closing(file.connect("ro")))
            with suppress(sqlite3.Error):
                reader.execute("SELECT 1 FROM sqlite_master").fetchone()
        yield is_whole


def _lock(file: DatabaseFile, connection: sqlite3.Connection) -> bool:
    """Write the log back, remove it, and take the lock; False if the file is too damaged for that."""
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # Possible only without another connection.
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        _refuse_programs(file)
        if reason_for(error) not in _DAMAGED:
            raise
        return False
    return True


def _refuse_own(file: DatabaseFile, status: os.stat_result) -> None:
    """Refuse a file that this process has open, but not for the descriptor that an earlier backup keeps."""
    count = descriptors_of((status.st_dev, status.st_ino))
    is_kept = keeps_reader_of(status)
    if count is not None and count > is_kept:
        raise refusal("file_open", path=file.name, programs="this one")
    if is_kept:
        close_reader_of(status)


def _refuse_programs(file: DatabaseFile) -> None:
    if programs := sorted(programs_with(file)):
        raise refusal("file_open", path=file.name, programs=programs)
