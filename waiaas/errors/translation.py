"""Errors of SQLite, of PostgreSQL and of the operating system, turned into refusals with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from peewee import PeeweeException, SqliteDatabase

from waiaas.errors import DatabaseError, WAIaaSError, postgresql, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.probe import Explanation, explain
from waiaas.errors.sqlite import remove_stored_text
from waiaas.paths import file_of, path_to_open

if TYPE_CHECKING:
    from peewee import Database


@contextmanager
def refusing(database: Database) -> Iterator[None]:
    """Turn an error of SQLite, of Peewee or of the operating system into a WAIaaSError with the file's name.

    A WAIaaSError passes unchanged, and so does every other exception: it is a defect, not a refusal.
    """
    try:
        yield
    except WAIaaSError:  # that of a schema operation is one of Peewee's errors too
        raise
    except (PeeweeException, sqlite3.Error, OSError, MemoryError, UnicodeDecodeError) as error:
        raise translated(error, database) from safe_cause(error)


def translated(error: Exception, database: Database) -> DatabaseError:
    """Return the refusal that says what an exception of SQLite, Peewee or the operating system means."""
    unknown = {OSError: "cannot_open", UnicodeDecodeError: "corrupt"}
    own = "sqlite_error" if isinstance(database, SqliteDatabase) else "server_error"
    fallback = next((reason for kind, reason in unknown.items() if isinstance(error, kind)), own)
    found = (
        explain(error, path_to_open(database))
        if isinstance(database, SqliteDatabase)
        else Explanation(postgresql.reason_for(error), postgresql.cause_of(error))
    )
    details = {
        "path": file_of(database),
        "cause": found.cause,
        "seconds": getattr(database, "timeout", None),
        "folder": found.folder,
        "size": getattr(database, "pool_size", None),
    }
    optional = ("folder", "size")
    shown = {name: value for name, value in details.items() if value is not None or name not in optional}
    return refusal(found.reason or fallback, **shown)


def safe_cause(error: Exception) -> Exception:
    """Return an exception as the cause of its refusal, with no value from the file in its message.

    That may be the key that signs session tokens, and messages and tracebacks go into answers and logs. Python keeps
    the exception in the context of the refusal, whatever its cause is: so the text is removed from the exception.
    """
    remove_stored_text(error)
    postgresql.remove_values(error)
    return error
