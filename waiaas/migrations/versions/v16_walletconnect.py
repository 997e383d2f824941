"""Version 16: WalletConnect sessions, and the channel of an approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 16
DESCRIPTION = "WalletConnect sessions; the channel of an approval"

_SIGNATURE_AND_CHANNEL = """owner_signature TEXT,
  approval_channel TEXT DEFAULT 'rest_api'"""
_WC_SESSIONS = """CREATE TABLE wc_sessions (
  wallet_id TEXT PRIMARY KEY REFERENCES wallets (id) ON DELETE CASCADE,
  topic TEXT NOT NULL UNIQUE,
  peer_meta TEXT,
  chain_id TEXT NOT NULL,
  owner_address TEXT NOT NULL,
  namespaces TEXT,
  expiry INTEGER NOT NULL,
  created_at INTEGER NOT NULL
)"""
_WC_SESSIONS_INDEXES = ("CREATE INDEX idx_wc_sessions_topic ON wc_sessions (topic)",)
_WC_STORE = """CREATE TABLE wc_store (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
)"""


def up(migrator: LosslessMigrator) -> None:
    """Add `pending_approvals.approval_channel` after `owner_signature`, and the two tables."""
    migrator.migrate(
        migrator.change_columns("pending_approvals", {"owner_signature": _SIGNATURE_AND_CHANNEL}),
        migrator.create_table(_WC_SESSIONS, _WC_SESSIONS_INDEXES),
        migrator.create_table(_WC_STORE),
    )
