"""Version 7: a wallet belongs to an environment and has a default network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 7
DESCRIPTION = "A wallet belongs to an environment and has a default network"

_NETWORKS = """('mainnet', 'devnet', 'testnet', 'ethereum-mainnet', 'ethereum-sepolia', 'polygon-mainnet',
  'polygon-amoy', 'arbitrum-mainnet', 'arbitrum-sepolia', 'optimism-mainnet', 'optimism-sepolia', 'base-mainnet',
  'base-sepolia')"""
_MAINNETS = """('mainnet', 'ethereum-mainnet', 'polygon-mainnet', 'arbitrum-mainnet', 'optimism-mainnet',
  'base-mainnet')"""
_ENVIRONMENT_AND_DEFAULT_NETWORK = f"""environment TEXT NOT NULL CHECK (environment IN ('testnet', 'mainnet')),
  default_network TEXT CHECK (default_network IS NULL OR default_network IN {_NETWORKS})"""
_CHAIN_ENVIRONMENT = "CREATE INDEX idx_wallets_chain_environment ON wallets (chain, environment)"
_TRANSACTION_NETWORK = f"network TEXT CHECK (network IS NULL OR network IN {_NETWORKS})"


def up(migrator: LosslessMigrator) -> None:
    """Replace `wallets.network` by `environment` and `default_network`; have the CHECK on `transactions.network`."""
    migrator.migrate(migrator.drop_index_over("wallets", "idx_wallets_chain_network", ["chain", "network"]))
    migrator.migrate(
        migrator.change_columns(
            "wallets",
            {"network": _ENVIRONMENT_AND_DEFAULT_NETWORK},
            copy={
                "environment": f"CASE WHEN network IN {_MAINNETS} THEN 'mainnet' ELSE 'testnet' END",
                "default_network": "network",
            },
        ),
        migrator.create_index("wallets", _CHAIN_ENVIRONMENT),
        migrator.change_columns("transactions", {"network": _TRANSACTION_NETWORK}),
    )
