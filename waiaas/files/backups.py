"""The backups of a database file that are next to it."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from waiaas.files.opening import is_same_file
from waiaas.report import Report

_NAME = re.compile(r"\.v(?P<version>\d+)-(?P<moment>\d{8}T\d{6}Z)\.backup(-(?P<number>\d+))?")


@dataclass(frozen=True)
class BackupFile(Report):
    """A backup of a database file, next to it.

    :ivar version: the schema version of its content.
    :ivar made_at: when it was made (UTC), by its name.
    :ivar size: its size in bytes.
    :ivar is_removed: whether this call has removed it.
    :ivar is_earlier: whether a call that would write a backup has found this one, with the same content, instead.
    """

    path: Path
    version: int
    made_at: datetime
    size: int
    is_removed: bool = False
    is_earlier: bool = False


def backups_of(path: Path, keep: int | None = None) -> list[BackupFile]:
    """Return the backups of a file by their names, newest first; all but the newest ``keep`` are removed.

    Another name of the file itself is not a backup: a killed restore can leave one.
    """
    found = [backup for name in os.listdir(path.parent) if (backup := _backup(path, name)) is not None]
    found.sort(key=lambda backup: (backup.made_at, len(backup.path.name), backup.path.name), reverse=True)
    kept = len(found) if keep is None else keep
    return found[:kept] + [_removed(backup) for backup in found[kept:]]


def _backup(path: Path, name: str) -> BackupFile | None:
    match = _NAME.fullmatch(name.removeprefix(path.name)) if name.startswith(path.name) else None
    if match is None:
        return None
    try:
        status = os.lstat(path.with_name(name))
    except FileNotFoundError:  # another process has just removed it
        return None
    if not stat.S_ISREG(status.st_mode) or is_same_file(path, status):
        return None
    made_at = moment_of(path.with_name(name))
    if made_at is None:
        return None
    return BackupFile(path.with_name(name), int(match["version"]), made_at, status.st_size)


def moment_of(path: Path) -> datetime | None:
    """Return when a backup was made, by its name; None if the name contains no such time."""
    match = re.search(rf"{_NAME.pattern}$", path.name)
    try:
        return match and datetime.strptime(match["moment"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:  # not a time: the name of something else
        return None


def _removed(backup: BackupFile) -> BackupFile:
    from waiaas.files.backup import remove  # a program that only opens a database need not wait for it

    remove(backup.path)
    return replace(backup, is_removed=True)
