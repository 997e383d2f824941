"""A schema operation, as `migrate` runs it: all or nothing, and each refusal is a WAIaaSError."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from peewee import PeeweeException
from playhouse.migrate import Operation

from waiaas.ddl.context import MigrationContext
from waiaas.ddl.refusals import is_operation_refusal, operation_refusal
from waiaas.ddl.sql import DefinitionError
from waiaas.errors import WAIaaSError
from waiaas.errors.driver import sqlite3
from waiaas.errors.translation import safe_cause

_Migrator = TypeVar("_Migrator", bound=MigrationContext)
_Arguments = ParamSpec("_Arguments")
_ERRORS = (
    *(WAIaaSError, PeeweeException, sqlite3.Error, OSError, MemoryError, UnicodeDecodeError),
    DefinitionError,
)


class LosslessOperation(Operation):
    """An operation that is rolled back completely if it is refused, even inside a transaction of the caller."""

    migrator: MigrationContext

    def __init__(
        self, migrator: MigrationContext, method: Callable[..., object], *args: object, **kwargs: object
    ) -> None:
        """Take a migrator's method and its arguments."""
        super().__init__(migrator, method, *args, **kwargs)  # type: ignore[no-untyped-call]

    def run(self) -> None:
        """Run the operation, in a new transaction unless one is open.

        :raises WAIaaSError: ``SCHEMA_INCOMPATIBLE``; it is also a ``peewee.IntegrityError`` if rows prevent the
            operation, otherwise a ``peewee.OperationalError``.
        """
        table = next((argument for argument in self.args if isinstance(argument, str)), None)
        try:
            with self.migrator.all_or_nothing():
                super().run()  # type: ignore[no-untyped-call]
        except _ERRORS as error:
            if is_operation_refusal(error):
                raise
            # The new error gets no name: its traceback would refer to it, and to the cursors that keep a file open.
            cause = error.__cause__ if isinstance(error, WAIaaSError) else safe_cause(error)
            raise operation_refusal(error, self.migrator.database, table) from cause


class Statement(LosslessOperation):
    """SQL of the caller, run without a new transaction: a VACUUM or a PRAGMA must be in none."""

    def run(self) -> None:
        """Run the statement.

        :raises WAIaaSError: ``SCHEMA_INCOMPATIBLE`` if SQLite refuses it.
        """
        try:
            Operation.run(self)
        except (PeeweeException, sqlite3.Error, MemoryError) as error:
            self.migrator.note_failure(operation_refusal(error, self.migrator.database))
            raise operation_refusal(error, self.migrator.database) from safe_cause(error)


def operation(
    method: Callable[Concatenate[_Migrator, _Arguments], object],
) -> Callable[Concatenate[_Migrator, _Arguments], LosslessOperation]:
    """Make a method return a `LosslessOperation` to be run, as playhouse's decorator does with its own class."""

    def make(migrator: _Migrator, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> LosslessOperation:
        return LosslessOperation(migrator, method, *args, **kwargs)

    update_wrapper(make, method)
    return make
