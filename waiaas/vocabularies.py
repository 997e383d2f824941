"""The closed vocabularies of the WAIaaS daemon.

These are the words that the daemon stores in its columns and settings, in the daemon's own order. Models
take their CHECK sets from here, and schemas validate requests against them. The daemon writes no other words.

Migrations never import this module: a released migration has its own literals.
"""

from typing import Final

#: ``wallets.owner_approval_method``: how the owner is asked to approve; NULL: no choice made.
APPROVAL_METHODS: Final = (
    "sdk_ntfy",
    "sdk_telegram",
    "walletconnect",
    "telegram_bot",
    "rest",
)

#: ``audit_log.event_type``, which has no CHECK in the file.
AUDIT_ACTIONS: Final = (
    "WALLET_CREATED",
    "WALLET_ACTIVATED",
    "WALLET_SUSPENDED",
    "WALLET_TERMINATED",
    "SESSION_ISSUED",
    "SESSION_REVOKED",
    "SESSION_EXPIRED",
    "TX_REQUESTED",
    "TX_QUEUED",
    "TX_SUBMITTED",
    "TX_CONFIRMED",
    "TX_FAILED",
    "TX_CANCELLED",
    "POLICY_VIOLATION",
    "POLICY_UPDATED",
    "KEYSTORE_UNLOCKED",
    "KEYSTORE_LOCKED",
    "KEY_ROTATED",
    "KILL_SWITCH_ACTIVATED",
    "KILL_SWITCH_RECOVERED",
    "KILL_SWITCH_ESCALATED",
    "DAEMON_STARTED",
    "DAEMON_STOPPED",
    "AUTH_FAILED",
    "RATE_LIMIT_EXCEEDED",
)

#: ``audit_log.event_type``: what this library's services record in addition to the daemon's events.
SESSION_AUDIT_ACTIONS: Final = (
    "SESSION_RENEWED",
    "SESSION_WALLET_LINKED",
    "SESSION_WALLET_UNLINKED",
    "SESSION_DEFAULT_WALLET_SET",
)

#: ``audit_log.event_type``: what pruning a database removed; each batch has an entry.
PRUNING_AUDIT_ACTIONS: Final = ("SESSIONS_PRUNED", "AUDIT_PRUNED")

#: ``audit_log.severity``.
AUDIT_SEVERITIES: Final = ("info", "warning", "critical")

#: ``wallets.chain``.
CHAIN_TYPES: Final = ("solana", "ethereum")

#: ``wallets.environment``.
ENVIRONMENT_TYPES: Final = ("testnet", "mainnet")

#: The networks of the chain ``ethereum``.
EVM_NETWORK_TYPES: Final = (
    "ethereum-mainnet",
    "ethereum-sepolia",
    "polygon-mainnet",
    "polygon-amoy",
    "arbitrum-mainnet",
    "arbitrum-sepolia",
    "optimism-mainnet",
    "optimism-sepolia",
    "base-mainnet",
    "base-sepolia",
)

#: ``key_value_store.value`` under the key ``kill_switch_state``.
KILL_SWITCH_STATES: Final = ("ACTIVE", "SUSPENDED", "LOCKED")

#: The networks of the environment ``mainnet``, where value is real. The other networks belong to ``testnet``.
MAINNET_NETWORK_TYPES: Final = (
    "mainnet",
    "ethereum-mainnet",
    "polygon-mainnet",
    "arbitrum-mainnet",
    "optimism-mainnet",
    "base-mainnet",
)

#: The groups of notification events in the daemon's notification settings. No column contains them.
NOTIFICATION_CATEGORIES: Final = (
    "transaction",
    "policy",
    "security_alert",
    "session",
    "owner",
    "system",
)

#: ``notification_logs.event_type``, which has no CHECK in the file.
NOTIFICATION_EVENT_TYPES: Final = (
    "TX_REQUESTED",
    "TX_QUEUED",
    "TX_SUBMITTED",
    "TX_CONFIRMED",
    "TX_FAILED",
    "TX_CANCELLED",
    "TX_DOWNGRADED_DELAY",
    "TX_APPROVAL_REQUIRED",
    "TX_APPROVAL_EXPIRED",
    "POLICY_VIOLATION",
    "WALLET_SUSPENDED",
    "KILL_SWITCH_ACTIVATED",
    "KILL_SWITCH_RECOVERED",
    "KILL_SWITCH_ESCALATED",
    "AUTO_STOP_TRIGGERED",
    "SESSION_EXPIRING_SOON",
    "SESSION_EXPIRED",
    "SESSION_CREATED",
    "OWNER_SET",
    "OWNER_REMOVED",
    "OWNER_VERIFIED",
    "DAILY_SUMMARY",
    "CUMULATIVE_LIMIT_WARNING",
    "LOW_BALANCE",
    "APPROVAL_CHANNEL_SWITCHED",
    "UPDATE_AVAILABLE",
)

#: ``notification_logs.status``.
NOTIFICATION_LOG_STATUSES: Final = ("sent", "failed")

#: How far a wallet's owner is set up. No column contains it: it is computed from
#: ``wallets.owner_address`` and ``wallets.owner_verified``.
OWNER_STATES: Final = ("NONE", "GRACE", "LOCKED")


def owner_state_of(address: str | None, is_verified: bool) -> str:
    """Return the owner's state: ``NONE`` without an address, ``GRACE`` with one, ``LOCKED`` once verified."""
    if not address:
        return "NONE"
    return "LOCKED" if is_verified else "GRACE"


#: ``transactions.tier``; NULL until the policies have decided.
POLICY_TIERS: Final = ("INSTANT", "NOTIFY", "DELAY", "APPROVAL")

#: ``policies.type``.
POLICY_TYPES: Final = (
    "SPENDING_LIMIT",
    "WHITELIST",
    "TIME_RESTRICTION",
    "RATE_LIMIT",
    "ALLOWED_TOKENS",
    "CONTRACT_WHITELIST",
    "METHOD_WHITELIST",
    "APPROVED_SPENDERS",
    "APPROVE_AMOUNT_LIMIT",
    "APPROVE_TIER_OVERRIDE",
    "ALLOWED_NETWORKS",
    "X402_ALLOWED_DOMAINS",
)

#: The state of a session at a given time. No column contains it: it is computed from
#: ``sessions.revoked_at`` and ``sessions.expires_at``.
SESSION_STATUSES: Final = ("ACTIVE", "EXPIRED", "REVOKED")

#: The networks of the chain ``solana``.
SOLANA_NETWORK_TYPES: Final = ("mainnet", "devnet", "testnet")

#: ``wallets.default_network``, ``transactions.network`` and ``policies.network``.
NETWORK_TYPES: Final = SOLANA_NETWORK_TYPES + EVM_NETWORK_TYPES

#: ``telegram_users.role``.
TELEGRAM_ROLES: Final = ("PENDING", "ADMIN", "READONLY")

#: ``token_registry.source``.
TOKEN_SOURCES: Final = ("builtin", "custom")

#: ``transactions.status``.
TRANSACTION_STATUSES: Final = (
    "PENDING",
    "QUEUED",
    "EXECUTING",
    "SUBMITTED",
    "CONFIRMED",
    "FAILED",
    "CANCELLED",
    "EXPIRED",
    "PARTIAL_FAILURE",
    "SIGNED",
)

#: ``transactions.type``.
TRANSACTION_TYPES: Final = (
    "TRANSFER",
    "TOKEN_TRANSFER",
    "CONTRACT_CALL",
    "APPROVE",
    "BATCH",
    "SIGN",
    "X402_PAYMENT",
)

#: ``wallets.status``.
WALLET_STATUSES: Final = ("CREATING", "ACTIVE", "SUSPENDED", "TERMINATING", "TERMINATED")
