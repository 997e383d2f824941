"""Version 5: settings in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 5
DESCRIPTION = "Settings in the database"

_SETTINGS = """CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  encrypted INTEGER NOT NULL DEFAULT 0 CHECK (encrypted IN (0, 1)),
  category TEXT NOT NULL,
  updated_at INTEGER NOT NULL
)"""
_INDEXES = ("CREATE INDEX idx_settings_category ON settings (category)",)


def up(migrator: LosslessMigrator) -> None:
    """Create the table `settings`."""
    migrator.migrate(migrator.create_table(_SETTINGS, _INDEXES))
