"""Version 3: agents become wallets.

The table, the columns that name it, their indexes and the stored event names are renamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 3
DESCRIPTION = "Agents become wallets"

_COLUMNS_OF = ("sessions", "transactions", "policies", "audit_log", "notification_logs")
_INDEXES = (
    ("wallets", "idx_agents_chain_network", "CREATE INDEX idx_wallets_chain_network ON wallets (chain, network)"),
    ("wallets", "idx_agents_owner_address", "CREATE INDEX idx_wallets_owner_address ON wallets (owner_address)"),
    ("wallets", "idx_agents_public_key", "CREATE UNIQUE INDEX idx_wallets_public_key ON wallets (public_key)"),
    ("wallets", "idx_agents_status", "CREATE INDEX idx_wallets_status ON wallets (status)"),
    ("sessions", "idx_sessions_agent_id", "CREATE INDEX idx_sessions_wallet_id ON sessions (wallet_id)"),
    (
        "transactions",
        "idx_transactions_agent_status",
        "CREATE INDEX idx_transactions_wallet_status ON transactions (wallet_id, status)",
    ),
    (
        "policies",
        "idx_policies_agent_enabled",
        "CREATE INDEX idx_policies_wallet_enabled ON policies (wallet_id, enabled)",
    ),
    ("audit_log", "idx_audit_log_agent_id", "CREATE INDEX idx_audit_log_wallet_id ON audit_log (wallet_id)"),
    (
        "audit_log",
        "idx_audit_log_agent_timestamp",
        "CREATE INDEX idx_audit_log_wallet_timestamp ON audit_log (wallet_id, timestamp)",
    ),
    (
        "notification_logs",
        "idx_notification_logs_agent_id",
        "CREATE INDEX idx_notification_logs_wallet_id ON notification_logs (wallet_id)",
    ),
)
_AUDIT_EVENTS = ("CREATED", "ACTIVATED", "SUSPENDED", "TERMINATED")
_NOTIFICATION_EVENTS = ("SUSPENDED",)


def up(migrator: LosslessMigrator) -> None:
    """Rename what is called agent, and the event names in the logs."""
    migrator.migrate(migrator.rename_table("agents", "wallets"))
    for table in _COLUMNS_OF:
        migrator.migrate(migrator.rename_column(table, "agent_id", "wallet_id"))
    for table, old, statement in _INDEXES:
        migrator.migrate(migrator.create_index(table, statement, replaces=old))
    for table, events in (("audit_log", _AUDIT_EVENTS), ("notification_logs", _NOTIFICATION_EVENTS)):
        for event in events:
            migrator.migrate(migrator.update(table, f"event_type = 'WALLET_{event}'", f"event_type = 'AGENT_{event}'"))
