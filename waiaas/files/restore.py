"""Puts a backup in the place of a database file: all or nothing, and never into a file that is in use.

The new file is complete, verified and on the disk before it takes the name, by one rename. Before that the old file is
made complete in itself: a log or journal next to it would be taken for one of the new file. The old file stays, as a
backup with the name of one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import close_reader_of, explain, keeps_reader_of
from waiaas.errors.sqlite import reason_for
from waiaas.files.backup import copy_verified
from waiaas.files.opening import SIDECARS, DatabaseFile, descriptors_of
from waiaas.files.other_programs import programs_with
from waiaas.files.private_folder import PrivateFolder, remove_leftovers
from waiaas.files.rights import has_access_list, share_like
from waiaas.progress import ProgressReporter

_LOG = logging.getLogger("waiaas")
# What a file cannot be opened for that is damaged, or not a database at all.
_DAMAGED = ("corrupt", "not_a_database")


def restore_file(file: DatabaseFile, backup: DatabaseFile, kept: Path, reporter: ProgressReporter) -> Path | None:
    """Replace a database file by a verified copy of a backup.

    :param file: the database; its file may be missing, empty or damaged.
    :param kept: the path that the old file gets; if it exists, ``-2``, ``-3``, … is added.
    :returns: the path that the old file has; None if there was none.
    :raises WAIaaSError: with the file unchanged: ``file_open`` if another program, or this one, has it open;
        ``database_busy``; ``corrupt`` if the backup is damaged; ``restore_failed`` or what the system reports.
    """
    name = os.path.basename(file.real)
    parent, prefix = Path(file.real).parent, f".{file.path.name}.partial-"
    try:
        remove_leftovers(parent, prefix)
        with PrivateFolder(parent, prefix) as folder:
            copy_verified(backup, folder, reporter)
            with _alone(file):
                exists = os.path.exists(file.real)
                model = file.real if exists else backup.real
                share_like(folder.descriptor, os.stat(model), has_list=has_access_list(model))
                os.fsync(folder.descriptor)
                replaced = _keep(file.real, kept) if exists else None
                for suffix in SIDECARS:
                    with suppress(FileNotFoundError):
                        os.unlink(f"{file.real}{suffix}")
                # The log must be gone before there is a file that it does not belong to.
                folder.flush_parent()
                folder.replace(name)
                folder.flush_parent()
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
    return replaced


def _failed(file: DatabaseFile, backup: DatabaseFile, cause: str) -> WAIaaSError:
    return refusal("restore_failed", path=file.name, backup=backup.name, cause=cause)


def _keep(real: str, kept: Path) -> Path:
    """Give a file a second name that is free."""
    target, number = kept, 1
    while True:
        try:
            os.link(real, target)
        except FileExistsError:
            number += 1
            target = kept.with_name(f"{kept.name}-{number}")
        else:
            return target


@contextmanager
def _alone(file: DatabaseFile) -> Iterator[None]:
    """Hold the lock of a database file, which is complete in itself then: no log or journal is part of it.

    A damaged file has no such state. Only what the system knows of other programs counts there.
    """
    if not os.path.exists(file.real):
        file.refuse_sidecars(None)
        yield
        return
    status = file.inspect()
    _refuse_own(file, status)
    if status.st_size == 0:
        yield
        return
    with closing(file.connect("rw", timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            # Writes the log back, if there is one, and removes it: possible only without another connection.
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            _refuse_programs(file)
            if reason_for(error) not in _DAMAGED:
                raise
        _refuse_programs(file)
        yield


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
