"""Which file a database is, and whether it can be opened safely.

SQLite opens a file by its name, again for each connection, and trusts the files next to it: it writes a rollback
journal (`-journal`) back into the database and reads a write-ahead log (`-wal`, `-shm`) as part of it. Another user
who can create files in the folder could replace the whole content that way. So a path is resolved once, later
connections must reach the same file, and these files are checked before SQLite opens any of them.
"""

from __future__ import annotations

import os
import re
import stat
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.paths import real_path, uri

if TYPE_CHECKING:
    from peewee import SqliteDatabase

SIDECARS = ("-journal", "-wal", "-shm")

# Also with one slash, as `pathlib` writes it, in quotes, after a space, or without slashes (`user:password@host`). A
# scheme of one letter is a drive of Windows, and names of files may begin with `file:`.
_URL = re.compile(
    r"""[\s'"]*(?!file:)[a-z][a-z0-9+.-]+:/|[^/\\]*:[^/\\]*@|.*\bpassword\s*=""", re.IGNORECASE | re.DOTALL
)
# https://www.sqlite.org/fileformat.html#the_rollback_journal: the magic number, and the offset of the database's
# original number of pages.
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
_PAGES_BEFORE = slice(16, 20)


def path_of(path: str | bytes | PathLike[str]) -> str:
    """Return a path as text.

    :raises WAIaaSError: `SCHEMA_INCOMPATIBLE` with the reason `empty_path`, or `not_a_path` for a URL. The error does
        not repeat it, because a URL can contain a password.
    """
    text = os.fsdecode(path)
    if not text:
        raise refusal("empty_path")
    if is_url(text):
        raise refusal("not_a_path")
    if "\0" in text:
        raise refusal("cannot_open", path=text, cause="a path has no NUL character")
    return text


def is_url(text: str) -> bool:
    """Return whether a text is a URL or a PostgreSQL connection string with a password, and not a path."""
    return _URL.match(text) is not None


class DatabaseFile:
    """A database file: the given name, and the file that it referred to at first.

    :ivar name: the given path, for messages.
    :ivar path: the absolute path; backups are written next to it.
    :ivar real: the absolute path without symbolic links, which SQLite opens.
    """

    def __init__(self, name: str, real: str | None = None) -> None:
        """Resolve a path now; `real` is for a file that is already open."""
        self.name = name
        self.real = os.path.realpath(name) if real is None else real
        path = os.path.abspath(name)
        self.path = Path(path if real is None or os.path.realpath(path) == real else real)
        self._identity: tuple[int, int] | None = None

    def connect(self, mode: str, **options: Any) -> sqlite3.Connection:
        """Open the file, in a mode of SQLite's URIs that does not create it (https://www.sqlite.org/uri.html).

        :param options: those of `sqlite3.connect`.
        :raises WAIaaSError: as `inspect` does.
        :raises sqlite3.Error: what SQLite reports.
        """
        identity = _identity(self.inspect())
        connection: sqlite3.Connection = sqlite3.connect(uri(self.real, mode), uri=True, **options)
        try:
            self._identity = identity
            self.refuse_replaced()
        except BaseException:
            connection.close()
            raise
        return connection

    def inspect(self) -> os.stat_result:
        """Check the file and the files that SQLite would read with it, and open none of them.

        The file must be a regular file, and the one that was opened before. A journal or log must be a regular file
        with one name, and owned by a user who may write the database anyway: its owner, root, the user of this
        process, or a member of its group if the group may write it.

        :raises WAIaaSError: `SCHEMA_INCOMPATIBLE` with the reason `file_not_found`, `file_replaced`, `not_a_file`,
            `sidecar_not_a_file`, `sidecar_of_another_user`, or `log_without_database` for an empty file with a log.
        """
        database = self._status()
        if not stat.S_ISREG(database.st_mode):
            raise refusal("not_a_file", path=self.name)
        self.refuse_other(database)
        self.refuse_sidecars(database)
        return database

    def refuse_sidecars(self, database: os.stat_result | None) -> None:
        """Check the files that SQLite would read with the database; None means a database that does not exist."""
        for suffix in SIDECARS:
            sidecar, name = f"{self.real}{suffix}", f"{self.name}{suffix}"
            try:
                status = os.lstat(sidecar)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self.failed(error) from error
            refuse_untrusted(status, database, path=self.name, name=name)
            if (database is None or database.st_size == 0) and self._has_content(sidecar, status):
                raise refusal("log_without_database", path=self.name, sidecar=name)

    def refuse_replaced(self) -> None:
        """Refuse if the path leads to no file, or to a file other than the opened one (`file_replaced`)."""
        identity = self._identity
        if identity is None:
            return
        try:
            # Each request of an agent comes here, so one more call would matter.
            status = os.stat(self.real)
        except OSError:
            status = self._status()
        if (status.st_dev, status.st_ino) != identity:
            raise refusal("file_replaced", path=self.name)

    def refuse_other(self, database: os.stat_result) -> None:
        """Refuse the status of a file other than the opened one (`file_replaced`)."""
        if self._identity not in (None, _identity(database)):
            raise refusal("file_replaced", path=self.name)

    def adopt(self) -> None:
        """Take the file that the path leads to now as the one that a connection of this process has open.

        :raises WAIaaSError: `SCHEMA_INCOMPATIBLE` with the reason `file_replaced` if no descriptor of this process
            leads to it (known if the system lists descriptors); and as `inspect` does.
        """
        if not os.path.exists(self.real):
            raise refusal("file_replaced", path=self.name)
        identity = _identity(self.inspect())
        if self._identity is None and descriptors_of(identity) == 0:
            raise refusal("file_replaced", path=self.name)
        self._identity = identity

    def failed(self, error: OSError) -> WAIaaSError:
        """Return the refusal that reports an error of the operating system at the file, or at one next to it."""
        return refusal(reason_for(error) or "cannot_open", path=self.name, cause=cause_of(error))

    def _status(self) -> os.stat_result:
        try:
            return os.stat(self.real)
        except FileNotFoundError as error:
            reason = "file_not_found" if self._identity is None else "file_replaced"
            raise refusal(reason, path=self.name) from error
        except OSError as error:
            raise self.failed(error) from error

    def _has_content(self, sidecar: str, status: os.stat_result) -> bool:
        """Return whether SQLite would lose content by deleting a file next to an empty database, as it does.

        It deletes any such log, and any such journal (hasHotJournal in its pager.c). The journal of a crash while the
        first tables were created belongs to a database without pages: there is nothing to lose.
        """
        if not sidecar.endswith("-journal"):
            return sidecar.endswith("-wal") and status.st_size > 0
        try:
            with open(sidecar, "rb") as file:
                header = file.read(_PAGES_BEFORE.stop)
        except FileNotFoundError:  # another process has committed
            return False
        except OSError as error:
            raise self.failed(error) from error
        return header.startswith(_JOURNAL_MAGIC) and any(header[_PAGES_BEFORE])


def file_of_connection(database: SqliteDatabase, name: str) -> DatabaseFile | None:
    """Return the file that this thread's connection has open, checked; None for an in-memory database.

    `name` is the given path, for messages.

    SQLite makes a path absolute when it opens the file, so the working folder of that moment counts.

    :raises WAIaaSError: with the reasons of `DatabaseFile.adopt`.
    """
    file = getattr(database, "file", None)
    if not isinstance(file, DatabaseFile):
        real = real_path(database)
        if not real:
            return None
        file = DatabaseFile(name, real)
    file.adopt()
    return file


def refuse_untrusted(status: os.stat_result, database: os.stat_result | None, *, path: str, name: str) -> None:
    """Refuse a file next to a database that another user may have put there, or that is not a plain file."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise refusal("sidecar_not_a_file", path=path, sidecar=name)
    if database is None or not hasattr(os, "geteuid"):  # Windows has no owners as numbers
        return
    if status.st_uid not in (database.st_uid, 0, os.geteuid()) and not _may_write(status.st_uid, database):
        raise refusal("sidecar_of_another_user", path=path, sidecar=name, owner=status.st_uid)


def is_same_file(path: Path, status: os.stat_result) -> bool:
    """Return whether a path leads to the file of a status."""
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def descriptors_of(identity: tuple[int, int]) -> int | None:
    """Count the descriptors of this process that lead to a file; None if the system does not list them.

    None of them is opened or closed: closing one would drop the locks of this process on the file
    (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd")]
    except OSError:
        return None
    return sum(_leads_to(number, identity) for number in numbers)


def _leads_to(descriptor: int, identity: tuple[int, int]) -> bool:
    try:
        return _identity(os.fstat(descriptor)) == identity
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _may_write(user: int, database: os.stat_result) -> bool:
    """Return whether a user may write the database, for example as a member of the same group."""
    if database.st_mode & stat.S_IWOTH:
        return True
    if not database.st_mode & stat.S_IWGRP:
        return False
    import pwd  # not on Windows

    try:
        entry = pwd.getpwuid(user)
        return database.st_gid in os.getgrouplist(entry.pw_name, entry.pw_gid)
    except (KeyError, OSError):
        return False
