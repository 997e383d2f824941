"""Version 17: a session says where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 17
DESCRIPTION = "A session says where it came from"


def up(migrator: LosslessMigrator) -> None:
    """Add `sessions.source`."""
    migrator.migrate(migrator.append_column("sessions", "source TEXT NOT NULL DEFAULT 'api'"))
