"""Which other programs have a database file open, as far as the operating system lets this one see.

The descriptors of a process (`/proc/PID/fd` on Linux) show every file that it has open, to root and to its own user.
If they are hidden, the locks of all processes are read from `/proc/locks`: a connection in write-ahead-log mode holds
one for as long as it is open, one in rollback-journal mode only during a transaction. That read costs some 20 ms,
because the kernel waits until every processor has noticed it. Elsewhere, and across the borders of a container,
nothing is seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from waiaas.files.opening import SIDECARS, DatabaseFile

_PROCESSES = "/proc"


def programs_with(file: DatabaseFile) -> set[str]:
    """Return the other processes that have a database open, each as its id and name, such as `123 (node)`.

    To be called while this process holds a lock of SQLite on the file: its own line in the list shows how the system
    names the file's device there.
    """
    own = os.getpid()
    processes, are_all = _holders_of_descriptors(file)
    if not are_all:
        processes |= _holders_of_locks(file, own)
    return {f"{process} ({_name(process)})" for process in processes - {own}}


def _holders_of_locks(file: DatabaseFile, own: int) -> set[int]:
    locks = list(_locks())
    nodes = set()
    for path in (file.real, *(f"{file.real}{suffix}" for suffix in SIDECARS)):
        with suppress(OSError):
            nodes.add(str(os.stat(path).st_ino))
    files = {name for process, name in locks if process == own and name.rpartition(":")[2] in nodes}
    return {process for process, name in locks if name in files}


def _locks() -> Iterator[tuple[int, str]]:
    """Return the process of each lock, and its file as `major:minor:inode`; see proc_locks(5)."""
    with suppress(OSError), open(f"{_PROCESSES}/locks", "rb") as lines:
        for line in lines:
            # UTF-8 needs no module: a process that gave up its rights may not be able to import another codec.
            words = line.decode().split()
            if len(words) > 5 and words[1] != "->" and words[4].isdigit():
                yield int(words[4]), words[5]


def _holders_of_descriptors(file: DatabaseFile) -> tuple[set[int], bool]:
    """Return the processes that have the file open, and whether the descriptors of all processes could be read."""
    paths = {file.real, *(f"{file.real}{suffix}" for suffix in SIDECARS)}
    found: set[int] = set()
    are_all = True
    with suppress(OSError):
        for process in filter(str.isdigit, os.listdir(_PROCESSES)):
            folder = f"{_PROCESSES}/{process}/fd"
            try:
                # Read the link's text without a call to the file, which could wait for a network share.
                if any(_target(f"{folder}/{number}") in paths for number in os.listdir(folder)):
                    found.add(int(process))
            except OSError as error:
                are_all = are_all and not isinstance(error, PermissionError)
    return found, are_all


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def _name(process: int) -> str:
    try:
        with open(f"{_PROCESSES}/{process}/comm", "rb") as file:
            name = file.read().decode(errors="replace").strip()
            return "".join(c if c.isprintable() else "?" for c in name)
    except OSError:
        return "?"
