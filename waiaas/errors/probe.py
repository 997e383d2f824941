"""Finds out why a database file could not be read or written if SQLite does not report it.

SQLite reports a read that fails inside a statement as a malformed database: SQLITE_IOERR_CORRUPTFS becomes
SQLITE_CORRUPT in `sqlite3VdbeExec`. It reports a full quota and a file-size limit as an I/O error, too many open files
as a file that cannot be opened, and a full folder for temporary files as a full disk. The operating system is asked
again here, and its answer is used.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import stat
import sys
from typing import Final, NamedTuple

from waiaas.errors.sqlite import IOERR, IOERR_SHMMAP, cause_of, is_failed_read, reason_for, result_code
from waiaas.paths import size_of

if sys.platform != "win32":
    import resource

_CHUNK: Final = 1 << 20
_ROOM: Final = 1 << 16
# A limit that is many times the size of the file did not stop it.
_TIMES_THE_SIZE: Final = 10
# https://www.sqlite.org/fileformat2.html#the_database_header
_HEADER: Final = 100
_COOKIE: Final = slice(40, 44)
_SIDECARS: Final = ("-wal", "-journal")
# Where SQLite looks for a folder for temporary files (https://www.sqlite.org/tempfiles.html#temporary_file_storage_locations).
_TEMPORARY: Final = ("SQLITE_TMPDIR", "TMPDIR")
_TEMPORARY_FOLDERS: Final = ("/var/tmp", "/usr/tmp", "/tmp", ".")

# Descriptors of database files by device and inode, never closed: closing one would drop every lock that this process
# has on the file (https://www.sqlite.org/howtocorrupt.html, section 2.2).
_readers: dict[tuple[int, int], int] = {}
# A process that upgrades many files must not run out of descriptors.
_MOST_READERS: Final = 64


class Explanation(NamedTuple):
    """Why something failed: a reason, or None if it is not known, and the cause as text."""

    reason: str | None
    cause: str
    folder: str | None = None


def explain(
    error: BaseException, path: str | os.PathLike[str], written: str | os.PathLike[str] | None = None
) -> Explanation:
    """Return why an error happened in the work with a database file.

    `written` is the file that was written, if it is another one: a copy of the same size.
    """
    reason, cause = reason_for(error), cause_of(error)
    if reason == "corrupt":
        failed = read_error(path)
        return Explanation("io_error", cause_of(failed)) if failed else Explanation(reason, cause)
    is_known = isinstance(error, OSError) or is_failed_read(error) or result_code(error) is None
    if is_known or reason not in ("cannot_open", "disk_full", "io_error"):
        return Explanation(reason, cause)
    # Python 3.10 does not know what was done when it failed.
    if reason == "io_error" and result_code(error) in (IOERR, IOERR_SHMMAP) and _has_no_memory():
        return Explanation("out_of_memory", cause)
    folder = os.path.dirname(os.path.realpath(written or path))
    return _of_writing(reason, cause, os.path.realpath(path), folder)


def read_error(path: str | os.PathLike[str]) -> OSError | None:
    """Read a database file and its journal or log from end to end; return the error with which that fails."""
    real = os.path.realpath(path)
    if not hasattr(os, "pread"):
        return None
    for name in (real, *(f"{real}{suffix}" for suffix in _SIDECARS)):
        try:
            reader = _open_reader(name)
        except OSError:
            continue
        try:
            _read(reader)
        except OSError as error:
            return error
        finally:
            if name != real:
                os.close(reader)
    return None


def cookie_in_file(path: str) -> int | None:
    """Return the schema cookie of a database file without asking SQLite.

    :returns: None if the file cannot be read, or is not all that counts: it has a log, or a journal to be rolled back.
    """
    real = os.path.realpath(path)
    if not hasattr(os, "pread") or any(os.path.exists(f"{real}{suffix}") for suffix in _SIDECARS):
        return None
    try:
        header = os.pread(_open_reader(real), _HEADER, 0)
    except OSError:
        return None
    return int.from_bytes(header[_COOKIE], "big")


def lasting_reader(path: str) -> int | None:
    """Return a descriptor of a database file for `os.pread`, which the caller must not close.

    :returns: None if the system has no `pread`, or if this process keeps many such descriptors already.
    """
    if not hasattr(os, "pread") or len(_readers) >= _MOST_READERS:
        return None
    return _open_reader(path)


def keeps_reader_of(status: os.stat_result) -> bool:
    """Whether this process keeps such a descriptor of a file."""
    return (status.st_dev, status.st_ino) in _readers


def close_reader_of(status: os.stat_result) -> None:
    """Close the descriptor of a file that no connection of this process has open: there is no lock to lose."""
    os.close(_readers.pop((status.st_dev, status.st_ino)))


def _read(reader: int) -> None:
    offset = 0
    while chunk := os.pread(reader, _CHUNK, offset):
        offset += len(chunk)


def _open_reader(path: str) -> int:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(f"{path} is not a file")
    key = found.st_dev, found.st_ino
    if key in _readers:
        return _readers[key]
    reader = os.open(path, os.O_RDONLY)
    if not path.endswith(_SIDECARS):
        found = os.fstat(reader)  # another file may have the path by now
        _readers[found.st_dev, found.st_ino] = reader
    return reader


def _has_no_memory() -> bool:
    """Return whether a part of the log's index, which SQLite maps into memory, is too much for this process."""
    try:
        mmap.mmap(-1, _ROOM).close()
    except (OSError, MemoryError):
        return True
    return False


def _of_writing(reason: str, cause: str, path: str, folder: str) -> Explanation:
    # Not by opening the file: closing it again would drop the locks of this process.
    if reason == "cannot_open" and os.path.exists(path) and not os.path.isfile(path):
        return Explanation("not_a_file", cause)
    if reason == "cannot_open" and os.path.exists(path) and not os.access(path, os.R_OK):
        return Explanation(reason, os.strerror(errno.EACCES))
    if reason == "cannot_open" and (limited := _error_of_opening()) is not None:
        return Explanation(reason_for(limited), cause_of(limited))
    if _is_at_size_limit(path) or _is_full(folder):
        return Explanation("disk_full", cause)
    temporary = temporary_folder()
    has_less_room = temporary is not None and reason == "disk_full" and _has_less_room(temporary, folder)
    if temporary is not None and (has_less_room or _is_full(temporary)):
        return Explanation("no_room_for_temporary_files", cause, temporary)
    return Explanation(reason, cause)


def _error_of_opening() -> OSError | None:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error
    return None


def _is_full(folder: str) -> bool:
    """Return whether a few bytes do not fit into a folder: its disk is full, or a quota."""
    # Not with tempfile: a process that has given up its rights may not be able to import it now.
    name = os.path.join(folder, f".waiaas-{secrets.token_hex(8)}")
    try:
        probe = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.unlink(name)
            os.write(probe, bytes(_ROOM))
            os.fsync(probe)
        finally:
            os.close(probe)
    except OSError as error:
        return reason_for(error) == "disk_full"
    return False


def _is_at_size_limit(path: str) -> bool:
    """Return whether this process may not write files (`ulimit -f`) much larger than the database."""
    if sys.platform == "win32":
        return False
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        largest = max(size_of(path), size_of(f"{path}-wal"))
    except OSError:  # the disk has failed, not a limit
        return False
    return limit != resource.RLIM_INFINITY and limit <= _TIMES_THE_SIZE * largest


def temporary_folder() -> str | None:
    """Return the folder that SQLite uses for temporary files: the first that can be written (`unixTempFileDir`)."""
    candidates = [*(os.environ.get(name) for name in _TEMPORARY), *_TEMPORARY_FOLDERS]
    return next((each for each in candidates if each and os.path.isdir(each) and os.access(each, 3)), None)


def _has_less_room(folder: str, other: str) -> bool:
    """Return whether a folder has less free space than another: after an error, the space may be free again."""
    try:
        return shutil.disk_usage(folder).free < shutil.disk_usage(other).free
    except OSError:
        return False
