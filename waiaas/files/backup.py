"""A verified copy of a database file.

While a reading transaction is open, no process writes the file of a database that has no log: a rollback journal makes
writers wait for the reader, and a log is not checkpointed as long as its reader needs no page of it
(https://www.sqlite.org/lockingv3.html, https://www.sqlite.org/wal.html#concurrency). So the bytes of such a file are
copied. Otherwise SQLite's online backup copies page by page (https://www.sqlite.org/backup.html), which takes four
times as long.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import explain, lasting_reader, read_error
from waiaas.errors.sqlite import is_failed_read
from waiaas.files.background import submit
from waiaas.files.opening import DatabaseFile, is_same_file
from waiaas.files.page_check import damage_of, has_log, refuse_unreadable
from waiaas.files.private_folder import PrivateFolder, remove_unused_folders
from waiaas.files.rights import has_access_list, share_like
from waiaas.paths import uri
from waiaas.progress import Progress, ProgressReporter

_PAGES_AT_ONCE = 4096
# https://www.sqlite.org/rescode.html
_BUSY, _LOCKED = 5, 6
_SECONDS_TO_WAIT = 5.0
_BYTES_AT_ONCE = 1 << 18
# Names of backups of one version differ in the time, and in a number if that is the same.
_MOMENT = re.compile(r"\d{8}T\d{6}Z")
# https://www.sqlite.org/fileformat.html#the_database_header: the file change counter; the schema cookie; the counter
# and the version of SQLite at the last write. An online backup has its own, so copies of the same pages differ here.
_NOT_COMPARED = (slice(24, 28), slice(40, 44), slice(92, 100))
_FOR_READING = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
# Errors that cannot be the backup's alone.
_PROCESS_REASONS = ("too_many_files", "out_of_memory")
_NO_ROOM = "the disk is full, or a quota or a file-size limit was reached"


class Copy(NamedTuple):
    """A finished backup, and whether this run has written or found it."""

    path: Path
    is_new: bool


def backup_path(path: Path, version: int, to: str | PathLike[str] | Literal[True], now: int) -> Path:
    """Return the path of a backup: next to the file, in the given folder, or the given path."""
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    name = f"{path.name}.v{version}-{moment}.backup"
    if to is True:
        return path.with_name(name)
    names_folder = os.path.isdir(to) or not os.path.basename(to)
    return Path(to) / name if names_folder else Path(to)


def write_backup(file: DatabaseFile, target: Path, reporter: ProgressReporter) -> Copy:
    """Write a verified copy of a database file, committed rows of its write-ahead log included.

    The copy is made in a folder that only this user can enter, next to `target`, and moved out when it is finished:
    with the original's permissions and group (see `share_like`), and on the disk when this returns. It never
    replaces another file: if `target` exists, `-2`, `-3`, … is added. If an earlier backup, from an upgrade that was
    killed, has the same content, it is returned and the new copy is removed.

    A process that is killed leaves at most its folder, named `.NAME.partial-…`, which the next backup of the file
    removes. The caller holds the database's write lock, so that there is one backup of it at a time.

    :param reporter: gets the number of copied pages and of all pages.
    :raises WAIaaSError: with the reason `backup_failed`; `corrupt` or `io_error` if the original is damaged or cannot
        be read; `file_replaced` if it is no longer at its path. Nothing is left of the copy.
    """
    original = file.inspect()
    prefix = f".{file.path.name}.partial-"
    try:
        remove_unused_folders(target.parent, prefix)
        with PrivateFolder(target.parent, prefix) as folder:
            copy_verified(file, folder, reporter)
            share_like(folder.descriptor, original, has_list=has_access_list(file.real))
            os.fsync(folder.descriptor)
            copy = _existing(folder.descriptor, target, original)
            copy = copy or Copy(first_free(target, folder.move_out), is_new=True)
            # After a power failure there must be no second copy, because nothing would remove it.
            folder.remove()
            folder.flush_parent()
    except (sqlite3.Error, OSError, WAIaaSError) as error:
        # A copy of a file that is being replaced can fail in many ways.
        file.refuse_replaced()
        if isinstance(error, WAIaaSError):
            raise
        raise copy_refusal(error, file, target) from error
    return copy


def copy_verified(file: DatabaseFile, folder: PrivateFolder, reporter: ProgressReporter) -> None:
    """Copy a database into the file of a private folder, check the copy, and write it to the disk."""
    _copy(file, folder, reporter)
    with ThreadPoolExecutor(1) as threads:
        # The disk writes while the processor checks: each takes about as long as the copying did.
        flushed = submit(threads, os.fsync, folder.descriptor)
        _verify(folder, file, reporter)
        flushed.result()


def copy_refusal(error: Exception, file: DatabaseFile, target: Path) -> WAIaaSError:
    """Return the refusal of a copy, which names the original, the process or the copy as the cause."""
    found = explain(error, file.real, written=target)
    is_the_originals = found.reason == "corrupt" or is_failed_read(error) or read_error(file.real) is not None
    if found.reason and (is_the_originals or found.reason in _PROCESS_REASONS):
        return refusal(found.reason, path=file.name, target=str(target), cause=found.cause)
    cause = f"{found.cause} ({_NO_ROOM})" if found.reason == "disk_full" else found.cause
    return refusal("backup_failed", path=file.name, target=str(target), cause=cause)


def remove(copy: Path) -> None:
    """Remove a backup and the files that SQLite may have created next to it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{copy}{suffix}")


def first_free(target: Path, take: Callable[[str], None]) -> Path:
    """Give a file the first free name of `target`, `target-2`, `target-3`, …; `take` raises FileExistsError."""
    for number in itertools.count(1):
        name = target.name if number == 1 else f"{target.name}-{number}"
        with contextlib.suppress(FileExistsError):
            take(name)
            break
    return target.with_name(name)


def _existing(descriptor: int, target: Path, original: os.stat_result) -> Copy | None:
    """Find an earlier backup that is the same, byte for byte, and that no more users can read.

    Another name of the original is not a backup: it changes with the original, and closing it would drop the locks of
    this process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    for path in _earlier_backups(target):
        if is_same_file(path, original):
            continue
        try:
            other = os.open(path, _FOR_READING)
        except OSError:
            continue
        try:
            if _is_as_private(os.fstat(other), os.fstat(descriptor)) and _is_equal(other, descriptor):
                os.fsync(other)
                return Copy(path, is_new=False)
        finally:
            os.close(other)
    return None


def _earlier_backups(target: Path) -> list[Path]:
    """Return the files whose names `target` could have had at another time, newest first."""
    any_moment = r"\d{8}T\d{6}Z".join(re.escape(part) for part in _MOMENT.split(target.name))
    pattern = re.compile(rf"{any_moment}(-\d+)?")
    return sorted((path for path in target.parent.iterdir() if pattern.fullmatch(path.name)), reverse=True)


def _is_as_private(other: os.stat_result, own: os.stat_result) -> bool:
    return (
        stat.S_ISREG(other.st_mode)
        and (other.st_uid, other.st_gid, other.st_size) == (own.st_uid, own.st_gid, own.st_size)
        and not stat.S_IMODE(other.st_mode) & ~stat.S_IMODE(own.st_mode)
    )


def _is_equal(first: int, second: int) -> bool:
    return all(one == other for one, other in zip(_blocks(first), _blocks(second), strict=True))


def _blocks(descriptor: int) -> Iterator[bytes]:
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        file.seek(0)
        block = bytearray(file.read(_BYTES_AT_ONCE))
        for part in _NOT_COMPARED:
            block[part] = bytes(part.stop - part.start)
        yield bytes(block)
        while more := file.read(_BYTES_AT_ONCE):
            yield more


def _copy(file: DatabaseFile, folder: PrivateFolder, reporter: ProgressReporter) -> None:
    with closing(file.connect("ro")) as source:
        # One reading transaction: the copy is of one moment, despite concurrent writers.
        source.execute("BEGIN")
        (page_size,) = source.execute("PRAGMA page_size").fetchone()
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reader = None if has_log(file.real) else lasting_reader(file.real)
        if reader is None:
            _copy_pages(source, folder, reporter)
        else:
            _copy_bytes(file, reader, folder.descriptor, page_size, reporter)


def _copy_bytes(file: DatabaseFile, reader: int, copy: int, page_size: int, reporter: ProgressReporter) -> None:
    status = os.fstat(reader)
    file.refuse_other(status)
    done = 0
    while done < status.st_size:
        done += os.write(copy, _read(file, reader, done))
        reporter(Progress("backing up", None, done // page_size, status.st_size // page_size))


def _read(file: DatabaseFile, reader: int, offset: int) -> bytes:
    try:
        block = os.pread(reader, _BYTES_AT_ONCE, offset)
    except OSError as error:
        raise file.failed(error) from error
    if not block:
        raise refusal("io_error", path=file.name, cause=f"nothing can be read at byte {offset}")
    return block


def _copy_pages(source: sqlite3.Connection, folder: PrivateFolder, reporter: ProgressReporter) -> None:
    busy_since: list[float] = []

    def report(code: int, left: int, total: int) -> None:
        # Python tries a step that found a lock again without end (pysqlite_connection_backup_impl in CPython's
        # Modules/_sqlite/connection.c). The reader has its lock, and nobody else has the copy.
        if code in (_BUSY, _LOCKED):
            busy_since.append(time.monotonic())
            if busy_since[-1] - busy_since[0] > _SECONDS_TO_WAIT:
                raise sqlite3.OperationalError("database is locked")
        else:
            busy_since.clear()
        reporter(Progress("backing up", None, total - left, total))

    with closing(sqlite3.connect(uri(folder.copy, "rw"), uri=True)) as target:
        folder.refuse_swapped(connections=1)
        # A copy that fails is deleted, so it needs no journal and no waiting for the disk.
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target, pages=_PAGES_AT_ONCE, progress=report)


def _verify(folder: PrivateFolder, file: DatabaseFile, reporter: ProgressReporter) -> None:
    reporter(Progress("verifying the backup"))
    wrong = damage_of(folder.copy, "ro&immutable=1", reporter)
    folder.refuse_swapped(connections=0)
    if wrong:
        refuse_unreadable(file.real, file.name, ())
        reason = "corrupt" if damage_of(Path(file.real), "ro", reporter) else "backup_failed"
        raise refusal(reason, path=file.name, target=str(folder.copy), cause=wrong[0])
