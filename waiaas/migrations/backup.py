"""A copy of a database file, taken through SQLite's online backup (https://www.sqlite.org/backup.html)."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from waiaas.errors import refusal
from waiaas.errors.sqlite import is_failed_read
from waiaas.faults import uri
from waiaas.files.probe import explain, read_error
from waiaas.migrations.damage import damage_of, refuse_unreadable
from waiaas.migrations.pulse import Pulse
from waiaas.migrations.report import Progress

_PAGES_AT_ONCE = 4096
_CANNOT_FLUSH_FOLDERS = (errno.EINVAL, errno.ENOTSUP)


def write_backup(path: Path, target: Path, name: str, pulse: Pulse) -> Path:
    """Write a verified copy of a database file, committed rows of its write-ahead log included, and return its path.

    The copy has the original's file mode, is on the disk when this returns, and never takes the place of another
    file: where `target` exists, `-2`, `-3`, … is added. It has its name only once it is whole: a crash leaves a file
    named `.NAME.partial` at most, which the next backup of the file removes. The caller holds the database's write
    lock, so that there is one backup of it at a time. Refusals call the file by `name`, as its owner does.
    `pulse` is told the pages done and in all.

    Raises WAIaaSError with the reason `backup_failed`, or `corrupt` where it is the original
    that is damaged, and leaves nothing of a copy then.
    """
    partial = target.with_name(f".{path.name}.partial")
    try:
        remove(partial)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy_pages(path, partial, pulse)
        with ThreadPoolExecutor(1) as threads:
            # The disk writes while the processor checks: each takes about as long as the copying did.
            flushed = threads.submit(_flush, partial)
            _verify(partial, path, name, pulse)
            flushed.result()
        os.chmod(partial, stat.S_IMODE(path.stat().st_mode))
        _flush(partial)
        copy = _publish(partial, target)
        _flush_folder(copy.parent)
    except (sqlite3.Error, OSError) as error:
        found = explain(error, path)
        is_the_originals = found.reason == "corrupt" or is_failed_read(error) or read_error(path) is not None
        reason = found.reason if is_the_originals and found.reason else "backup_failed"
        raise refusal(reason, path=name, target=str(target), cause=found.cause) from error
    finally:
        with contextlib.suppress(OSError):
            remove(partial)
    return copy


def remove(copy: Path) -> None:
    """Remove a backup and what SQLite may have put beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{copy}{suffix}")


def _publish(partial: Path, target: Path) -> Path:
    """Give a finished copy the first name that is free."""
    name, number = target, 1
    while True:
        try:
            _rename_to_new(partial, name)
        except FileExistsError:
            number += 1
            name = target.with_name(f"{target.name}-{number}")
        else:
            return name


def _rename_to_new(old: Path, new: Path) -> None:
    """Rename a file, but never onto another one, which `os.rename` would replace."""
    try:
        os.link(old, new)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(old, new)
    else:
        os.unlink(old)


def _copy_pages(path: Path, copy: Path, pulse: Pulse) -> None:
    def tell(_: int, left: int, total: int) -> None:
        pulse(Progress("backing up", None, total - left, total))

    with (
        closing(sqlite3.connect(uri(path, "ro"), uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        # One reading transaction: the copy is of one moment, whoever writes meanwhile.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        # The copy is made anew where it fails, so it needs neither journal nor waiting for the disk meanwhile.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target, pages=_PAGES_AT_ONCE, progress=tell)


def _verify(copy: Path, path: Path, name: str, pulse: Pulse) -> None:
    pulse(Progress("verifying the backup"))
    wrong = damage_of(copy, "ro&immutable=1", pulse)
    if wrong:
        refuse_unreadable(name)
        reason = "corrupt" if damage_of(path, "ro", pulse) else "backup_failed"
        raise refusal(reason, path=name, target=str(copy), cause=wrong[0])


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder durable, where its file system can do that: others refuse with EINVAL."""
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH_FOLDERS:
            raise


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
