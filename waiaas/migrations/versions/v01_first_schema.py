"""Version 1, the schema from which every migration starts.

The statements are those of a fresh installation. Together with the migrations they give the tables of each version.
"""

from __future__ import annotations

from typing import Final

FIRST_SCHEMA: Final = (
    """CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  chain TEXT NOT NULL CHECK (chain IN ('solana', 'ethereum')),
  network TEXT NOT NULL CHECK (network IN ('mainnet', 'devnet', 'testnet')),
  public_key TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'CREATING' CHECK (status IN
    ('CREATING', 'ACTIVE', 'SUSPENDED', 'TERMINATING', 'TERMINATED')),
  owner_address TEXT,
  owner_verified INTEGER NOT NULL DEFAULT 0 CHECK (owner_verified IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  suspended_at INTEGER,
  suspension_reason TEXT
)""",
    "CREATE INDEX idx_agents_chain_network ON agents (chain, network)",
    "CREATE INDEX idx_agents_owner_address ON agents (owner_address)",
    "CREATE UNIQUE INDEX idx_agents_public_key ON agents (public_key)",
    "CREATE INDEX idx_agents_status ON agents (status)",
    """CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE CASCADE,
  token_hash TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  constraints TEXT,
  usage_stats TEXT,
  revoked_at INTEGER,
  renewal_count INTEGER NOT NULL DEFAULT 0,
  max_renewals INTEGER NOT NULL DEFAULT 30,
  last_renewed_at INTEGER,
  absolute_expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL
)""",
    "CREATE INDEX idx_sessions_agent_id ON sessions (agent_id)",
    "CREATE INDEX idx_sessions_expires_at ON sessions (expires_at)",
    "CREATE INDEX idx_sessions_token_hash ON sessions (token_hash)",
    """CREATE TABLE transactions (
  id TEXT PRIMARY KEY,
  agent_id TEXT NOT NULL REFERENCES agents (id) ON DELETE RESTRICT,
  session_id TEXT REFERENCES sessions (id) ON DELETE SET NULL,
  chain TEXT NOT NULL,
  tx_hash TEXT,
  type TEXT NOT NULL CHECK (type IN ('TRANSFER', 'TOKEN_TRANSFER', 'CONTRACT_CALL', 'APPROVE', 'BATCH')),
  amount TEXT,
  to_address TEXT,
  token_mint TEXT,
  contract_address TEXT,
  method_signature TEXT,
  spender_address TEXT,
  approved_amount TEXT,
  parent_id TEXT REFERENCES transactions (id) ON DELETE CASCADE,
  batch_index INTEGER,
  status TEXT NOT NULL DEFAULT 'PENDING' CHECK (status IN
    ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED', 'CONFIRMED', 'FAILED', 'CANCELLED', 'EXPIRED',
    'PARTIAL_FAILURE')),
  tier TEXT CHECK (tier IS NULL OR tier IN ('INSTANT', 'NOTIFY', 'DELAY', 'APPROVAL')),
  queued_at INTEGER,
  executed_at INTEGER,
  created_at INTEGER NOT NULL,
  reserved_amount TEXT,
  error TEXT,
  metadata TEXT
)""",
    "CREATE INDEX idx_transactions_agent_status ON transactions (agent_id, status)",
    "CREATE INDEX idx_transactions_contract_address ON transactions (contract_address)",
    "CREATE INDEX idx_transactions_created_at ON transactions (created_at)",
    "CREATE INDEX idx_transactions_parent_id ON transactions (parent_id)",
    "CREATE INDEX idx_transactions_queued_at ON transactions (queued_at)",
    "CREATE INDEX idx_transactions_session_id ON transactions (session_id)",
    "CREATE UNIQUE INDEX idx_transactions_tx_hash ON transactions (tx_hash)",
    "CREATE INDEX idx_transactions_type ON transactions (type)",
    """CREATE TABLE audit_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  timestamp INTEGER NOT NULL,
  event_type TEXT NOT NULL,
  actor TEXT NOT NULL,
  agent_id TEXT,
  session_id TEXT,
  tx_id TEXT,
  details TEXT NOT NULL,
  severity TEXT NOT NULL DEFAULT 'info' CHECK (severity IN ('info', 'warning', 'critical')),
  ip_address TEXT
)""",
    "CREATE INDEX idx_audit_log_agent_id ON audit_log (agent_id)",
    "CREATE INDEX idx_audit_log_agent_timestamp ON audit_log (agent_id, timestamp)",
    "CREATE INDEX idx_audit_log_event_type ON audit_log (event_type)",
    "CREATE INDEX idx_audit_log_severity ON audit_log (severity)",
    "CREATE INDEX idx_audit_log_timestamp ON audit_log (timestamp)",
    """CREATE TABLE key_value_store (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  updated_at INTEGER NOT NULL
)""",
    """CREATE TABLE notification_logs (
  id TEXT PRIMARY KEY,
  event_type TEXT NOT NULL,
  agent_id TEXT,
  channel TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('sent', 'failed')),
  error TEXT,
  created_at INTEGER NOT NULL
)""",
    "CREATE INDEX idx_notification_logs_agent_id ON notification_logs (agent_id)",
    "CREATE INDEX idx_notification_logs_created_at ON notification_logs (created_at)",
    "CREATE INDEX idx_notification_logs_event_type ON notification_logs (event_type)",
    "CREATE INDEX idx_notification_logs_status ON notification_logs (status)",
    """CREATE TABLE pending_approvals (
  id TEXT PRIMARY KEY,
  tx_id TEXT NOT NULL REFERENCES transactions (id) ON DELETE CASCADE,
  required_by INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  approved_at INTEGER,
  rejected_at INTEGER,
  owner_signature TEXT,
  created_at INTEGER NOT NULL
)""",
    "CREATE INDEX idx_pending_approvals_expires_at ON pending_approvals (expires_at)",
    "CREATE INDEX idx_pending_approvals_tx_id ON pending_approvals (tx_id)",
    """CREATE TABLE policies (
  id TEXT PRIMARY KEY,
  agent_id TEXT REFERENCES agents (id) ON DELETE CASCADE,
  type TEXT NOT NULL CHECK (type IN
    ('SPENDING_LIMIT', 'WHITELIST', 'TIME_RESTRICTION', 'RATE_LIMIT', 'ALLOWED_TOKENS',
    'CONTRACT_WHITELIST', 'METHOD_WHITELIST', 'APPROVED_SPENDERS', 'APPROVE_AMOUNT_LIMIT',
    'APPROVE_TIER_OVERRIDE')),
  rules TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 0,
  enabled INTEGER NOT NULL DEFAULT 1,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
)""",
    "CREATE INDEX idx_policies_agent_enabled ON policies (agent_id, enabled)",
    "CREATE INDEX idx_policies_type ON policies (type)",
    """CREATE TABLE schema_version (
  version INTEGER PRIMARY KEY,
  applied_at INTEGER NOT NULL,
  description TEXT NOT NULL
)""",
)
