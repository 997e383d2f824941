"""Errors of SQLite, of PostgreSQL and of the operating system, turned into refusals with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from peewee import PeeweeException, SqliteDatabase

from waiaas.errors import DatabaseError, WAIaaSError, postgresql, refusal
from waiaas.errors.driver import PsycopgError, sqlite3
from waiaas.errors.probe import Explanation, explain
from waiaas.errors.sqlite import remove_stored_text
from waiaas.paths import file_of, path_to_open

if TYPE_CHECKING:
    from peewee import Database


@contextmanager
def translate_errors(database: Database) -> Iterator[None]:
    """Raise errors of the database driver, Peewee and the operating system as a `WAIaaSError` that names the database.

    A `WAIaaSError` passes unchanged, and so does every other exception, because it is a defect.
    """
    try:
        yield
    except WAIaaSError:  # that of a schema operation is one of Peewee's errors too
        raise
    except (PeeweeException, PsycopgError, sqlite3.Error, OSError, MemoryError, UnicodeDecodeError) as error:
        raise refusal_for(error, database) from safe_cause(error)


def refusal_for(error: Exception, database: Database) -> DatabaseError:
    """Return an exception of the database driver, Peewee or the operating system as a refusal with a reason."""
    unknown = {OSError: "cannot_open", UnicodeDecodeError: "corrupt"}
    own = "sqlite_error" if isinstance(database, SqliteDatabase) else "server_error"
    fallback = next((reason for kind, reason in unknown.items() if isinstance(error, kind)), own)
    found = (
        explain(error, path_to_open(database))
        if isinstance(database, SqliteDatabase)
        else Explanation(postgresql.reason_for(error), postgresql.cause_of(error))
    )
    if found.reason == "read_only" and (replaced := _replaced(database)) is not None:
        return replaced
    details = {
        "path": file_of(database),
        "cause": found.cause,
        "seconds": getattr(database, "timeout", None),
        "folder": found.folder,
        # The missing table shows that it is an older one.
        "version": "< 19" if found.reason == "upgrade_pending" else None,
        "size": getattr(database, "pool_size", None),
    }
    optional = ("folder", "version", "size")
    shown = {name: value for name, value in details.items() if value is not None or name not in optional}
    return refusal(found.reason or fallback, **shown)


def _replaced(database: Database) -> DatabaseError | None:
    """Return the refusal of a database whose file is no longer at its path; None if it is, or if that is not known.

    SQLite refuses a write to such a file with a separate extended result code. Python 3.10 has only the message,
    which is the same as for a read-only file.
    """
    file = getattr(database, "file", None)
    try:
        if file is not None:
            file.refuse_replaced()
    except DatabaseError as error:
        return error
    return None


def safe_cause(error: Exception) -> Exception:
    """Remove values of the database from an exception's message, and return it to be the cause of a refusal.

    Such a value may be the key that signs session tokens, and tracebacks go into logs. Python keeps the exception in
    the context of the refusal, even with another cause, so its own message has to change.
    """
    remove_stored_text(error)
    postgresql.remove_values(error)
    return error
