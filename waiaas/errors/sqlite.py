"""Classifies errors of SQLite and of the operating system by their codes, never by parts of their messages.

A message can contain text from the file: "malformed JSON" comes from an expression in a user's index and is not about
the database file. SQLite's result code (https://www.sqlite.org/rescode.html) is exact. Python has it since 3.11
(`sqlite_errorcode`). Python 3.10 has only the message, so there the whole message is compared with SQLite's own texts
(`sqlite3ErrStr` in its main.c).
"""

from __future__ import annotations

import errno
import re
from traceback import clear_frames
from typing import Final

from peewee import InterfaceError, OperationalError, PeeweeException

from waiaas.errors.causes import with_causes
from waiaas.errors.driver import sqlite3

_NOT_UTF_8: Final = "Could not decode to UTF-8"

# An extended result code has its primary result code in the low byte.
_PRIMARY: Final = 0xFF
_ERROR, _PERM, _BUSY, _LOCKED, _NOMEM, _READONLY = 1, 3, 5, 6, 7, 8
_CORRUPT, _FULL, _CANTOPEN, _PROTOCOL, _CONSTRAINT, _NOTADB = 11, 13, 14, 15, 19, 26
IOERR: Final = 10
_IOERR_NOMEM: Final = IOERR | 12 << 8
_IOERR_BLOCKED: Final = IOERR | 11 << 8
#: The log's index could not be mapped into memory.
IOERR_SHMMAP: Final = IOERR | 21 << 8
_CORRUPT_VTAB: Final = _CORRUPT | 1 << 8
# SQLITE_IOERR_READ, SQLITE_IOERR_SHORT_READ, SQLITE_IOERR_CORRUPTFS, SQLITE_IOERR_IN_PAGE
_FAILED_READS: Final = frozenset(IOERR | detail << 8 for detail in (1, 2, 33, 34))
_READONLY_DBMOVED: Final = _READONLY | 4 << 8

_REASONS: Final[dict[int, str | None]] = {
    _PERM: "cannot_open",
    _BUSY: "database_busy",
    _LOCKED: "database_busy",
    _NOMEM: "out_of_memory",
    _READONLY: "read_only",
    _READONLY_DBMOVED: "file_replaced",
    IOERR: "io_error",
    _CORRUPT: "corrupt",
    _FULL: "disk_full",
    _CANTOPEN: "cannot_open",
    # Another connection is starting or recovering the write-ahead log.
    _PROTOCOL: "database_busy",
    _NOTADB: "not_a_database",
    _IOERR_BLOCKED: "database_busy",
    _IOERR_NOMEM: "out_of_memory",
    # A virtual table of the user has content that does not fit together; the pages of the file are whole.
    _CORRUPT_VTAB: None,
}
# SQLITE_ERROR is not more exact about these. The second is the driver's (`_pysqlite_fetch_one_row` in CPython's
# Modules/_sqlite/cursor.c).
_MESSAGES: Final = (
    # The one table that every service needs and no file before version 19 has.
    (re.compile(r"no such table: (main\.)?session_wallets"), "upgrade_pending"),
    (re.compile(rf"{_NOT_UTF_8} column .*", re.DOTALL), "unreadable_value"),
)
# The whole messages, for errors without a result code.
_CODES_BY_MESSAGE: Final = tuple(
    (re.compile(pattern, re.DOTALL), code)
    for pattern, code in (
        (r"access permission denied", _PERM),
        (r"database is locked", _BUSY),
        (r"database (table|schema) is locked(: .*)?", _LOCKED),
        (r"out of memory", _NOMEM),
        (r"attempt to write a readonly database", _READONLY),
        (r"disk I/O error", IOERR),
        (r"database disk image is malformed", _CORRUPT),
        (r"malformed database schema \(.*\)( - .*)?", _CORRUPT),
        (r"database or disk is full", _FULL),
        (r"unable to open database file", _CANTOPEN),
        (r"unable to open database: .*", _CANTOPEN),
        (r"locking protocol", _PROTOCOL),
        (r"file is not a database", _NOTADB),
    )
)
_MISMATCH: Final = re.compile(r'foreign key mismatch - ".*" referencing ".*"', re.DOTALL)

_UNSAFE_USE: Final = re.compile(r"malformed database schema \(.*\) - unsafe use of .*", re.DOTALL)

_ERRNO_REASONS: Final[dict[int, str]] = {
    getattr(errno, name): reason
    for reason, names in {
        "disk_full": ("ENOSPC", "EDQUOT", "EFBIG"),
        # Includes corruption that a file system detects in its own blocks: EUCLEAN, EBADMSG.
        "io_error": ("EIO", "ENXIO", "EREMOTEIO", "ESTALE", "EUCLEAN", "EBADMSG", "ETIMEDOUT"),
        "read_only": ("EROFS",),
        "too_many_files": ("EMFILE", "ENFILE"),
        "out_of_memory": ("ENOMEM",),
    }.items()
    for name in names
    if hasattr(errno, name)
}


def reason_for(error: BaseException) -> str | None:
    """Return the reason, one of `waiaas.errors.REASONS`, for the code of an error.

    :param error: an exception of `sqlite3`, one of Peewee (it keeps the driver's in `orig`), an `OSError` or a
        `MemoryError`, which is what Python raises for SQLITE_NOMEM.
    :returns: None for an error that is not about the file or its environment, such as a mistake in SQL.
    """
    if isinstance(error, MemoryError):
        return "out_of_memory"
    if isinstance(error, OSError):
        return _ERRNO_REASONS.get(error.errno or 0)
    message = str(error)
    code = result_code(error)
    if code is None or code & _PRIMARY == _ERROR:
        return next((reason for pattern, reason in _MESSAGES if pattern.fullmatch(message)), None)
    return _REASONS.get(code, _REASONS.get(code & _PRIMARY))


def is_of_database(error: BaseException) -> bool:
    """Whether an error means that the database cannot be used: a lock, the disk, corruption, or a lost connection.

    Errors of a statement are not among them, such as a constraint that a row breaks or a table that does not exist.

    :param error: an exception of `sqlite3` or one of Peewee.
    """
    original = getattr(error, "orig", error)
    if isinstance(original, PeeweeException | sqlite3.Error):
        return reason_for(error) not in (None, "unreadable_value", "upgrade_pending")
    # Another driver's: these two classes are for the connection and the server (PEP 249).
    return isinstance(error, OperationalError | InterfaceError)


def result_code(error: BaseException) -> int | None:
    """Return SQLite's extended result code, or the primary one if only the message is known.

    :returns: None if the error has no result code and its message is not one of SQLite's.
    """
    original = getattr(error, "orig", error)
    code = getattr(original, "sqlite_errorcode", None)
    if isinstance(code, int):
        return code
    if isinstance(original, sqlite3.IntegrityError):
        # A trigger chooses the text of this one: RAISE(ABORT, 'disk I/O error').
        return _CONSTRAINT
    if type(original) is sqlite3.DatabaseError and not original.args:
        # Python drops a message that is not UTF-8. Of this class's messages, only a damaged schema's has a name in it.
        return _CORRUPT
    message = str(error)
    return next((code for pattern, code in _CODES_BY_MESSAGE if pattern.fullmatch(message)), None)


def is_failed_read(error: BaseException) -> bool:
    """Return whether SQLite reports that a read from a file failed, rather than a write."""
    return result_code(error) in _FAILED_READS


def is_mismatch(error: BaseException) -> bool:
    """Whether a foreign key refers to columns that are not a key (https://www.sqlite.org/foreignkeys.html#fk_indexes).

    SQLite cannot check such a table; `waiaas check` reports it, and everything else works.
    """
    return result_code(error) in (None, _ERROR) and bool(_MISMATCH.fullmatch(str(error)))


def is_unsafe_use(error: BaseException) -> bool:
    """Return whether SQLite refuses an untrusted schema because an index uses a function that is unsafe.

    In SQLite 3.40 `json_extract` is one (https://www.sqlite.org/pragma.html#pragma_trusted_schema).
    """
    return bool(_UNSAFE_USE.fullmatch(str(error)))


def contains_stored_text(error: BaseException) -> bool:
    """Return whether the message contains a value from the file, which may be the key that signs session tokens."""
    return str(error).startswith(_NOT_UTF_8)


def remove_stored_text(error: BaseException) -> None:
    """Remove values of the file from the message of an error and from its traceback, and from those of its causes.

    Python 3.10 reads the first row inside `execute`, so that Peewee's `__exit__` has the message in a variable.
    """
    for each in with_causes(error):
        if contains_stored_text(each):
            each.args = (cause_of(each),)
            clear_frames(each.__traceback__)
        if isinstance(each, UnicodeDecodeError):
            each.args, each.object = (), b""


def cause_of(error: BaseException) -> str:
    """Return the message of an error, without values of the file and with the name of its result code.

    >>> cause_of(OSError(errno.ENOSPC, "No space left on device", "wallets.db"))
    'No space left on device'
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    message = str(error).partition(" with text ")[0] if contains_stored_text(error) else str(error)
    name = getattr(getattr(error, "orig", error), "sqlite_errorname", None)
    return f"{message} ({name})" if name and name.startswith("SQLITE_IOERR") else message or type(error).__name__
