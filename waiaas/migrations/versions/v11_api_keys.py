"""Version 11: API keys of action providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 11
DESCRIPTION = "API keys of action providers"

_API_KEYS = """CREATE TABLE api_keys (
  provider_name TEXT PRIMARY KEY,
  encrypted_key TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
)"""


def up(migrator: LosslessMigrator) -> None:
    """Create the table `api_keys`."""
    migrator.migrate(migrator.create_table(_API_KEYS))
