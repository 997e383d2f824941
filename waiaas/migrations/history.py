"""All schema versions, and the migrations from one to the next.

No version module is named anywhere: a new one is found by its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from waiaas.migrations import VERSION_MODULES, versions

if TYPE_CHECKING:
    from waiaas.errors import WAIaaSError
    from waiaas.migrations.migrator import VersionMigrator
    from waiaas.migrations.report import Facts, Forecast


class Migration(Protocol):
    """A version module: it changes schema and rows, and leaves everything else to the runner.

    It may also have these functions, each of which takes the migrator:

    - `obstacles` yields what would make `up` refuse the database of the version before, and changes nothing;
    - `forecast` returns a `Forecast` for a database of any older version;
    - `down` undoes `up`, and returns its facts for the report.
    """

    VERSION: int
    DESCRIPTION: str

    def up(self, migrator: VersionMigrator) -> Facts | None:
        """Bring the database from the version before to this one, and return the values for the report."""


def _load(version: int) -> Any:
    return import_module(f"{versions.__name__}.{VERSION_MODULES[version]}")


#: The statements that create the tables of version 1.
FIRST_SCHEMA: tuple[str, ...] = _load(1).FIRST_SCHEMA

#: The migrations, oldest first: the modules of `versions`.
MIGRATIONS: tuple[Migration, ...] = tuple(_load(version) for version in VERSION_MODULES if version > 1)

#: The description of each schema version, as `schema_version` records it.
DESCRIPTIONS: dict[int, str] = {1: "First schema"} | {
    migration.VERSION: migration.DESCRIPTION for migration in MIGRATIONS
}


def version_rows(now: int) -> list[tuple[int, int, str]]:
    """Return the rows of `schema_version` in a new database."""
    return [(version, now, description) for version, description in DESCRIPTIONS.items()]


def pending(version: int) -> list[Migration]:
    """Return the migrations that a database of a version needs, oldest first."""
    return [migration for migration in MIGRATIONS if version < migration.VERSION]


def obstacles(migration: Migration, migrator: VersionMigrator) -> Iterable[WAIaaSError]:
    """Return the refusals of a version's `up`, the most fundamental first."""
    found: Callable[[VersionMigrator], Iterable[WAIaaSError]] | None = getattr(migration, "obstacles", None)
    return found(migrator) if found else ()


def forecast(migration: Migration, migrator: VersionMigrator) -> Forecast | None:
    """Return what a version would do to the database, if its module has a forecast."""
    found: Callable[[VersionMigrator], Forecast] | None = getattr(migration, "forecast", None)
    return found(migrator) if found else None


def undo(migration: Migration) -> Callable[[VersionMigrator], Facts | None] | None:
    """Return the function that undoes a version, if it can be undone."""
    found: Callable[[VersionMigrator], Facts | None] | None = getattr(migration, "down", None)
    return found
