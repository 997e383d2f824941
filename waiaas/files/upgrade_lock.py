"""The lock of an upgrade: other processes wait until it ends, and not only for the busy timeout.

SQLite's own locks do not show their purpose. So an upgrade holds a second one, by `flock`, on the file
`.NAME.upgrading` next to the database. The operating system releases it when the process ends, even if it is killed.
The file of a killed process has no effect. The next upgrade, or the next process that opens the database to work with
it, removes it.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from waiaas.errors import WAIaaSError, refusal
from waiaas.files.opening import DatabaseFile, refuse_untrusted
from waiaas.files.rights import has_access_list, share_like
from waiaas.progress import Progress, ProgressReporter

if sys.platform != "win32":
    import fcntl

_LOG = logging.getLogger("waiaas")
_Result = TypeVar("_Result")

_POLL_INTERVAL = 0.05
_SAFE_OPEN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
# Only users who may write the database may hold its lock.
_LOCK_FILE_MODE = 0o660

#: The lock files that this process holds: the thread that took it, and its descriptor.
_held: dict[str, tuple[int, int]] = {}


@contextmanager
def upgrade_lock(file: DatabaseFile, reporter: ProgressReporter) -> Iterator[None]:
    """Hold the lock for a block, after waiting for the process or thread that holds it.

    A thread that already holds it enters at once. If no lock can be made (a folder without write permission, a system
    without `flock`), the block runs without one: SQLite's lock still keeps upgrades apart.

    :param reporter: called repeatedly while another one holds the lock; if it raises, the wait ends.
    :raises WAIaaSError: `SCHEMA_INCOMPATIBLE` with the reason `sidecar_not_a_file` or `sidecar_of_another_user` if the
        lock file cannot be trusted, and with `io_error`, `cannot_open` or another reason if it cannot be read.
    """
    path = _lock_path(file)
    if _is_own(path):
        yield
        return
    descriptor = _take(file, path, reporter)
    if descriptor is None:
        yield
        return
    _held[path] = (threading.get_ident(), descriptor)
    try:
        yield
    finally:
        if path in _held:  # not in a forked process
            del _held[path]
            with suppress(OSError):
                os.unlink(path)  # before the lock is released: later it could be the file of another upgrade
            os.close(descriptor)


def after_upgrades(file: DatabaseFile, reporter: ProgressReporter, read: Callable[[], _Result]) -> _Result:
    """Call a function that reads a file once no other process upgrades it, and return its result.

    An upgrade of a database in rollback-journal mode blocks readers, so the function is called again if another
    upgrade began and the file was locked.
    """
    wait = _waiting(file, reporter)
    while True:
        while is_being_upgraded(file):
            wait()
        try:
            return read()
        except WAIaaSError as error:
            if error.reason != "database_busy" or not is_being_upgraded(file):
                raise


def is_being_upgraded(file: DatabaseFile) -> bool:
    """Return whether another process, or another thread of this one, holds the lock."""
    path = _lock_path(file)
    if _is_own(path):
        return False
    descriptor = _open(file, path, 0)
    if descriptor is None:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def has_lock_file(file: DatabaseFile) -> bool:
    """Return whether there is a lock file: a process holds the lock, or a killed one has left it."""
    return os.path.exists(_lock_path(file))


def _lock_path(file: DatabaseFile) -> str:
    folder, name = os.path.split(file.real)
    return os.path.join(folder, f".{name}.upgrading")


def _is_own(path: str) -> bool:
    return path in _held and _held[path][0] == threading.get_ident()


def _waiting(file: DatabaseFile, reporter: ProgressReporter) -> Callable[[], None]:
    """Return a function that waits a moment and reports it; the first call is logged."""
    is_logged = False

    def wait() -> None:
        nonlocal is_logged
        if not is_logged:
            _LOG.info("Waiting for another process that upgrades %s", file.name)
            is_logged = True
        reporter(Progress("waiting for another process that upgrades the file"))
        time.sleep(_POLL_INTERVAL)

    return wait


def _take(file: DatabaseFile, path: str, reporter: ProgressReporter) -> int | None:
    wait = _waiting(file, reporter)
    while True:
        descriptor = _open(file, path, os.O_CREAT)
        if descriptor is None:
            return None
        has_lock = False
        try:
            has_lock = try_lock(descriptor) and _is_at(file, path, descriptor)
        finally:
            if not has_lock:
                os.close(descriptor)
        if has_lock:
            return descriptor
        wait()


def _open(file: DatabaseFile, path: str, create: int) -> int | None:
    """Open the lock file; None if it does not exist or cannot be created."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDWR | create | _SAFE_OPEN_FLAGS, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise refusal("sidecar_not_a_file", path=file.name, sidecar=path) from error
        return None
    try:
        _refuse_or_share(file, path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_or_share(file: DatabaseFile, path: str, descriptor: int) -> None:
    try:
        database, status = os.stat(file.real), os.fstat(descriptor)
    except OSError as error:
        raise file.failed(error) from error
    if status.st_nlink:  # else the upgrade that held it has just ended
        refuse_untrusted(status, database, path=file.name, name=path)
    if status.st_uid == os.geteuid():
        # Other users who cannot open it still wait for SQLite's lock.
        with suppress(OSError):
            share_like(descriptor, database, _LOCK_FILE_MODE, has_list=has_access_list(file.real))


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock if it is free; a file system without `flock` has no locks."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _is_at(file: DatabaseFile, path: str, descriptor: int) -> bool:
    """Return whether the lock is on the file with the current name, and not on one that was removed."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise file.failed(error) from error


def _reset_after_fork() -> None:
    """Close, in a forked process, the descriptors of the parent, so that its locks do not outlive it."""
    for _, descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
