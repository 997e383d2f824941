"""The refusals of schema operations.

Code written for playhouse catches Peewee's errors. So each refusal is also one of these: an IntegrityError if rows
prevent the operation, otherwise an OperationalError.
"""

from __future__ import annotations

from peewee import IntegrityError, OperationalError, PeeweeException, SqliteDatabase

from waiaas.ddl.sql import DefinitionError
from waiaas.errors import DatabaseError, WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.errors.translation import refusal_for

_ABOUT_ROWS = frozenset({"value_not_allowed", "foreign_key_violations", "rows_lost"})


class OperationRefusedError(DatabaseError, OperationalError):
    """A refused schema operation; `reason` is why."""


class RowsRefusedError(DatabaseError, IntegrityError):
    """A schema operation refused because of rows; `details` has the table, the column and the rows."""


def is_operation_refusal(error: Exception) -> bool:
    """Return whether an error is a refusal that is also one of Peewee's errors."""
    return isinstance(error, (OperationRefusedError, RowsRefusedError))


def operation_refusal(error: Exception, database: SqliteDatabase, table: str | None = None) -> WAIaaSError:
    """Return an error as a refusal that is also one of Peewee's errors, or unchanged if it already is one."""
    if is_operation_refusal(error) and isinstance(error, WAIaaSError):
        return error
    if isinstance(error, WAIaaSError):
        known, is_about_rows = error, error.reason in _ABOUT_ROWS
    else:
        known = _known(error, database, table)
        is_about_rows = isinstance(error, (IntegrityError, sqlite3.IntegrityError))
    return (RowsRefusedError if is_about_rows else OperationRefusedError)(known.code, details=known.details)


def _known(error: Exception, database: SqliteDatabase, table: str | None) -> WAIaaSError:
    is_about_sql = isinstance(error, (PeeweeException, sqlite3.Error, DefinitionError))
    if table is not None and is_about_sql and reason_for(error) is None:
        return refusal("alter_refused", table=table, cause=cause_of(error))
    return refusal_for(error, database)
