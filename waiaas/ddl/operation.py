"""One schema operation, as `migrate` runs it: all or nothing, and each refusal is a WAIaaSError.

A program that used playhouse catches Peewee's errors. So the refusal of an operation is one of those too: an
IntegrityError if rows are in the way, an OperationalError if anything else is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from peewee import IntegrityError, OperationalError, PeeweeException
from playhouse.migrate import Operation, SqliteMigrator

from waiaas.ddl.sql import DefinitionError
from waiaas.errors import DatabaseError, WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.errors.translation import refusal_for, safe_cause

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

_Migrator = TypeVar("_Migrator", bound=SqliteMigrator)
_Arguments = ParamSpec("_Arguments")
_ERRORS = (
    *(WAIaaSError, PeeweeException, sqlite3.Error, OSError, MemoryError, UnicodeDecodeError),
    DefinitionError,
)
_ABOUT_ROWS = frozenset({"value_not_allowed", "foreign_key_violations", "rows_lost"})


class OperationRefusedError(DatabaseError, OperationalError):
    """A schema operation that cannot be done; its `reason` says why."""


class RowsRefusedError(DatabaseError, IntegrityError):
    """A schema operation that rows do not allow; `details` has the table, the column and the rows."""


class LosslessOperation(Operation):
    """An operation that is undone completely if it is refused, with or without a transaction of the caller."""

    migrator: LosslessMigrator

    def run(self) -> None:
        """Run the operation; in a transaction of its own unless one is open.

        :raises WAIaaSError: ``SCHEMA_INCOMPATIBLE``; it is a ``peewee.IntegrityError`` as well if rows are in the
            way, else a ``peewee.OperationalError``.
        """
        table = next((argument for argument in self.args if isinstance(argument, str)), None)
        try:
            with self.migrator.change():
                super().run()  # type: ignore[no-untyped-call]
        except _ERRORS as error:
            if is_refusal_of_an_operation(error):
                raise
            # No name for the new error: its traceback would hold it, and with it the cursors that keep a file open.
            cause = error.__cause__ if isinstance(error, WAIaaSError) else safe_cause(error)
            raise as_refusal(error, self.migrator, table) from cause


class Statement(LosslessOperation):
    """The caller's own SQL: it runs as it is, for some statements (VACUUM, a PRAGMA) need to be in no transaction."""

    def run(self) -> None:
        """Run the statement.

        :raises WAIaaSError: ``SCHEMA_INCOMPATIBLE`` if SQLite refuses it.
        """
        try:
            Operation.run(self)
        except (PeeweeException, sqlite3.Error, MemoryError) as error:
            self.migrator.note_failure(as_refusal(error, self.migrator, None))
            raise as_refusal(error, self.migrator, None) from safe_cause(error)


def operation(
    method: Callable[Concatenate[_Migrator, _Arguments], object],
) -> Callable[Concatenate[_Migrator, _Arguments], LosslessOperation]:
    """Make a method return a `LosslessOperation` to be run, as playhouse's decorator does with its own class."""

    def make(migrator: _Migrator, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> LosslessOperation:
        return LosslessOperation(migrator, method, *args, **kwargs)

    update_wrapper(make, method)
    return make


def is_refusal_of_an_operation(error: Exception) -> bool:
    """Whether an error is a refusal that is one of Peewee's errors too."""
    return isinstance(error, (OperationRefusedError, RowsRefusedError))


def as_refusal(error: Exception, migrator: LosslessMigrator, table: str | None) -> WAIaaSError:
    """Return an error as a refusal that is one of Peewee's errors too; one that is already is returned unchanged."""
    if isinstance(error, WAIaaSError):
        kind = RowsRefusedError if error.reason in _ABOUT_ROWS else OperationRefusedError
        return error if is_refusal_of_an_operation(error) else kind(error.code, details=error.details)
    is_about_sql = isinstance(error, (PeeweeException, sqlite3.Error, DefinitionError))
    if table is not None and reason_for(error) is None and is_about_sql:
        known = refusal("alter_refused", table=table, cause=cause_of(error))
    else:
        known = refusal_for(error, migrator.database)
    is_about_rows = isinstance(error, (IntegrityError, sqlite3.IntegrityError))
    return (RowsRefusedError if is_about_rows else OperationRefusedError)(known.code, details=known.details)
