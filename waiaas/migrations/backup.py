"""A copy of a database file, taken through SQLite's online backup (https://www.sqlite.org/backup.html)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from waiaas.errors import refusal
from waiaas.migrations.faults import uri

_PAGES_AT_ONCE = 4096


def write_backup(path: Path, target: Path, progress: Callable[[int, int], None]) -> Path:
    """Write a verified copy of a database file, committed rows of its write-ahead log included, and return its path.

    The copy has the original's file mode, is on the disk when this returns, and never takes the place of another
    file: where `target` exists, `-2`, `-3`, … is added. `progress` is called with pages done and in all. Nothing
    is left of a copy that fails. Raises WAIaaSError `SCHEMA_INCOMPATIBLE` with the reason `backup_failed`.
    """
    copy: Path | None = None
    try:
        copy = _reserve(target)
        _copy_pages(path, copy, progress)
        _verify(copy)
        os.chmod(copy, stat.S_IMODE(path.stat().st_mode))
        _flush(copy)
        _flush(copy.parent)
    except BaseException as error:
        if copy is not None:
            remove(copy)
        if isinstance(error, (sqlite3.Error, OSError)):
            raise refusal("backup_failed", path=str(path), target=str(target), cause=str(error)) from error
        raise
    return copy


def remove(copy: Path) -> None:
    """Remove a backup and what SQLite may have put beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{copy}{suffix}")


def _reserve(target: Path) -> Path:
    """Create the file under the first free name, readable by its owner alone until it has the original's mode."""
    for name in _names(target):
        with contextlib.suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return name
    raise AssertionError("unreachable: there is always a free name")


def _names(target: Path) -> Iterator[Path]:
    yield target
    number = 2
    while True:
        yield target.with_name(f"{target.name}-{number}")
        number += 1


def _copy_pages(path: Path, copy: Path, progress: Callable[[int, int], None]) -> None:
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
        source.backup(target, pages=_PAGES_AT_ONCE, progress=lambda _, left, total: progress(total - left, total))


def _verify(copy: Path) -> None:
    with closing(sqlite3.connect(f"{uri(copy, 'ro')}&immutable=1", uri=True)) as database:
        (result,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged, and so may be the original: {result}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
