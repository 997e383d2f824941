"""The migrator that version modules get."""

from __future__ import annotations

from peewee import SqliteDatabase

from waiaas.migrations.migrator import VersionMigrator
from waiaas.migrations.report import Options
from waiaas.progress import Progress


def test_nothing_is_skipped_by_default() -> None:
    """Nothing may be skipped or dropped unless the caller allows it."""
    database = SqliteDatabase(":memory:")
    assert VersionMigrator(database).options == Options(skip_orphans=False, drop_links=False)
    assert VersionMigrator(database, Options(drop_links=True)).options == Options(drop_links=True)


def test_progress_has_the_version() -> None:
    """Progress of an operation has the version of the current step, and None outside a step."""
    reported: list[Progress] = []
    migrator = VersionMigrator(SqliteDatabase(":memory:"), progress=reported.append)
    migrator.report_progress("outside")
    migrator.version = 7
    migrator.report_progress("inside", 1, 2)
    assert reported == [Progress("outside"), Progress("inside", 7, 1, 2)]
