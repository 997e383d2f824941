"""Version 4: the token registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 4
DESCRIPTION = "Token registry"

_TOKEN_REGISTRY = """CREATE TABLE token_registry (
  id TEXT PRIMARY KEY,
  network TEXT NOT NULL,
  address TEXT NOT NULL,
  symbol TEXT NOT NULL,
  name TEXT NOT NULL,
  decimals INTEGER NOT NULL,
  source TEXT NOT NULL DEFAULT 'custom' CHECK (source IN ('builtin', 'custom')),
  created_at INTEGER NOT NULL
)"""
_INDEXES = (
    "CREATE INDEX idx_token_registry_network ON token_registry (network)",
    "CREATE UNIQUE INDEX idx_token_registry_network_address ON token_registry (network, address)",
)


def up(migrator: LosslessMigrator) -> None:
    """Create the table `token_registry`."""
    migrator.migrate(migrator.create_table(_TOKEN_REGISTRY, _INDEXES))
