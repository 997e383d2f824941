"""Version 2: agents on the Ethereum, Polygon, Arbitrum, Optimism and Base networks.

The CHECK on `agents.network` is widened from the Solana networks to all thirteen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 2
DESCRIPTION = "Agents on Ethereum, Polygon, Arbitrum, Optimism and Base networks"

_NETWORK = """network TEXT NOT NULL CHECK (network IN
  ('mainnet', 'devnet', 'testnet', 'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet', 'polygon-amoy',
  'arbitrum-mainnet', 'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia', 'base-mainnet', 'base-sepolia'))"""


def up(migrator: LosslessMigrator) -> None:
    """Widen the CHECK on `agents.network`."""
    migrator.migrate(migrator.change_columns("agents", {"network": _NETWORK}))
