"""Leftovers of processes that were killed, or stopped by a power cut, next to a database.

The folder of a rehearsal contains a copy of the database, including the signing key, so it must not remain. While a
process uses its folder it holds a lock on it (`flock`), which the operating system releases when the process ends.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

if sys.platform != "win32":
    import fcntl

#: The prefix of the names of rehearsals' folders.
REHEARSAL = ".waiaas-rehearsal-"
# Version 0.1.0 created an empty file with such a name first, and then a link to it as the database.
_NEW_DATABASE = re.compile(r"\.waiaas-[0-9a-f]{16}")


@contextmanager
def folder_in_use(path: str) -> Iterator[None]:
    """Keep other processes from removing a folder of this one during a block."""
    if sys.platform == "win32":
        yield
        return
    descriptor = _open_folder(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_leftovers(folder: str) -> None:
    """Remove leftovers of this user's processes from a folder unless a process uses them, as far as possible."""
    if sys.platform == "win32":
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if not entry.name.startswith(".waiaas-") or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                    continue
                if entry.name.startswith(REHEARSAL) and entry.is_dir(follow_symlinks=False):
                    _remove_unused(entry.path)
                elif _NEW_DATABASE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)


def _remove_unused(path: str) -> None:
    import shutil  # importing it takes longer than opening a database

    descriptor = _open_folder(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    finally:
        os.close(descriptor)


def _open_folder(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
