"""What SQLite and the operating system say when something is wrong, turned into refusals with a reason."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urlsplit

from peewee import PeeweeException, SqliteDatabase

from waiaas.errors import WAIaaSError, refusal

if TYPE_CHECKING:
    from peewee import Database

_NOT_UTF_8 = "Could not decode to UTF-8"
# SQLite's message texts (sqlite3ErrStr in its main.c), since Python 3.10 does not give the result code.
_MESSAGES = (
    ("database is locked", "database_busy"),
    ("database table is locked", "database_busy"),
    ("database schema is locked", "database_busy"),
    ("readonly", "read_only"),
    ("database or disk is full", "disk_full"),
    ("unable to open", "cannot_open"),
    ("disk I/O error", "io_error"),
    ("file is not a database", "not_a_database"),
    ("malformed", "corrupt"),
    # Not SQLite's own but the driver's (`_pysqlite_fetch_one_row` in CPython's Modules/_sqlite/cursor.c).
    (_NOT_UTF_8, "unreadable_value"),
    # The one table that every service needs and no file before version 19 has.
    ("no such table: session_wallets", "upgrade_pending"),
)


@contextmanager
def refusing(database: Database) -> Iterator[None]:
    """Turn an error of SQLite, of Peewee or of the file system into a WAIaaSError with the file's name.

    A WAIaaSError passes as it is, and so does every other exception: it is a defect, not a refusal.
    """
    try:
        yield
    except (PeeweeException, sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise translated(error, database) from told_with(error)


def translated(error: Exception, database: Database) -> WAIaaSError:
    """Return the refusal that says what an exception of SQLite, Peewee or the file system means."""
    unknown = {OSError: "cannot_open", UnicodeDecodeError: "corrupt"}
    fallback = next((reason for kind, reason in unknown.items() if isinstance(error, kind)), "sqlite_error")
    reason = known_reason(error) or fallback
    seconds = getattr(database, "timeout", None)
    cause = str(error) if told_with(error) else str(error).partition(" with text ")[0]
    return refusal(reason, path=file_of(database), cause=cause, seconds=seconds)


def told_with(error: Exception) -> Exception | None:
    """Return an exception as the cause of its refusal; None for one whose message holds text from the file.

    That may be the key that signs session tokens, and messages and tracebacks go into answers and logs.
    """
    return None if str(error).startswith(_NOT_UTF_8) else error


def known_reason(error: Exception) -> str | None:
    """Return the reason that SQLite's message stands for, or None for a message that is not known."""
    return next((reason for text, reason in _MESSAGES if text in str(error)), None)


def is_mismatch(error: Exception) -> bool:
    """Whether a foreign key refers to columns that are no key (https://www.sqlite.org/foreignkeys.html#fk_indexes).

    SQLite can then not check the table; `waiaas check` reports it, and nothing else minds.
    """
    return "foreign key mismatch" in str(error)


def uri(path: str | PathLike[str], mode: str) -> str:
    """Return the URI of a file for SQLite (https://www.sqlite.org/uri.html), whatever bytes its name is made of.

    A relative path stays one, so that refusals name the file as its owner did.
    """
    return f"file:{quote(os.fsencode(path))}?mode={mode}"


def file_of(database: Database) -> str:
    """Return the path of a database as a person would write it, also where it was opened by a URI.

    A database on a server is told by its class alone: its name may be a URL with a password.
    """
    if not isinstance(database, SqliteDatabase):
        return type(database).__name__
    name = str(database.database)
    return os.fsdecode(unquote_to_bytes(urlsplit(name).path)) if name.startswith("file:") else name
