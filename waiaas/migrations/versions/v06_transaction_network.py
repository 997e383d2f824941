"""Version 6: a transaction names its network.

It is taken from the transaction's wallet. The column has its CHECK from the start, which version 7 asks for, so that
`transactions` is not copied for it; a wallet's network that the CHECK does not allow is refused by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 6
DESCRIPTION = "A transaction names its network"

_NETWORKS = """('mainnet', 'devnet', 'testnet', 'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet',
  'polygon-amoy', 'arbitrum-mainnet', 'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia', 'base-mainnet',
  'base-sepolia')"""


def up(migrator: LosslessMigrator) -> None:
    """Add `transactions.network` and fill it from the wallet."""
    migrator.refuse_values("wallets", "network", f"network NOT IN {_NETWORKS}")
    migrator.migrate(
        migrator.append_column("transactions", f"network TEXT CHECK (network IS NULL OR network IN {_NETWORKS})")
    )
    wallet = "(SELECT wallets.network FROM main.wallets WHERE wallets.id = transactions.wallet_id)"
    migrator.migrate(migrator.update("transactions", f"network = {wallet}", "wallet_id IS NOT NULL"))
