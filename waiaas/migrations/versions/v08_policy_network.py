"""Version 8: a policy may hold for one network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 8
DESCRIPTION = "A policy may hold for one network"

_ENABLED_AND_NETWORK = """enabled INTEGER NOT NULL DEFAULT 1,
  network TEXT CHECK (network IS NULL OR network IN
  ('mainnet', 'devnet', 'testnet', 'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet', 'polygon-amoy',
  'arbitrum-mainnet', 'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia', 'base-mainnet', 'base-sepolia'))"""


def up(migrator: LosslessMigrator) -> None:
    """Add `policies.network` after `enabled`, and its index."""
    migrator.migrate(
        migrator.change_columns("policies", {"enabled": _ENABLED_AND_NETWORK}),
        migrator.create_index("policies", "CREATE INDEX idx_policies_network ON policies (network)"),
    )
