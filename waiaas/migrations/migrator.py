"""The migrator that version modules get."""

from __future__ import annotations

from peewee import SqliteDatabase

from waiaas.ddl.migrator import LosslessMigrator
from waiaas.migrations.report import Options
from waiaas.progress import ProgressCallback


class VersionMigrator(LosslessMigrator):
    """The migrator of one run: it has the caller's options, and its progress has the version that is being made."""

    def __init__(
        self, database: SqliteDatabase, options: Options | None = None, progress: ProgressCallback | None = None
    ) -> None:
        """Take the database, the options, and a callback for progress."""
        super().__init__(database, progress and (lambda made: progress(made._replace(version=self.version))))
        self.options = options or Options()
        self.version: int | None = None
