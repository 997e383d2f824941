"""The vocabularies, compared with a separate table."""

import pytest

from waiaas import vocabularies as enums

#: Constant -> its values, in order.
EXPECTED: dict[str, str] = {
    "APPROVAL_METHODS": "sdk_ntfy sdk_telegram walletconnect telegram_bot rest",
    "AUDIT_ACTIONS": """
        WALLET_CREATED WALLET_ACTIVATED WALLET_SUSPENDED WALLET_TERMINATED
        SESSION_ISSUED SESSION_REVOKED SESSION_EXPIRED TX_REQUESTED TX_QUEUED
        TX_SUBMITTED TX_CONFIRMED TX_FAILED TX_CANCELLED POLICY_VIOLATION POLICY_UPDATED
        KEYSTORE_UNLOCKED KEYSTORE_LOCKED KEY_ROTATED KILL_SWITCH_ACTIVATED
        KILL_SWITCH_RECOVERED KILL_SWITCH_ESCALATED DAEMON_STARTED DAEMON_STOPPED
        AUTH_FAILED RATE_LIMIT_EXCEEDED
    """,
    "AUDIT_SEVERITIES": "info warning critical",
    "CHAIN_TYPES": "solana ethereum",
    "ENVIRONMENT_TYPES": "testnet mainnet",
    "EVM_NETWORK_TYPES": """
        ethereum-mainnet ethereum-sepolia polygon-mainnet polygon-amoy arbitrum-mainnet
        arbitrum-sepolia optimism-mainnet optimism-sepolia base-mainnet base-sepolia
    """,
    "KILL_SWITCH_STATES": "ACTIVE SUSPENDED LOCKED",
    "MAINNET_NETWORK_TYPES": """
        mainnet ethereum-mainnet polygon-mainnet arbitrum-mainnet optimism-mainnet base-mainnet
    """,
    "NETWORK_TYPES": """
        mainnet devnet testnet ethereum-mainnet ethereum-sepolia polygon-mainnet
        polygon-amoy arbitrum-mainnet arbitrum-sepolia optimism-mainnet optimism-sepolia
        base-mainnet base-sepolia
    """,
    "NOTIFICATION_CATEGORIES": "transaction policy security_alert session owner system",
    "NOTIFICATION_EVENT_TYPES": """
        TX_REQUESTED TX_QUEUED TX_SUBMITTED TX_CONFIRMED TX_FAILED TX_CANCELLED
        TX_DOWNGRADED_DELAY TX_APPROVAL_REQUIRED TX_APPROVAL_EXPIRED POLICY_VIOLATION
        WALLET_SUSPENDED KILL_SWITCH_ACTIVATED KILL_SWITCH_RECOVERED
        KILL_SWITCH_ESCALATED AUTO_STOP_TRIGGERED SESSION_EXPIRING_SOON SESSION_EXPIRED
        SESSION_CREATED OWNER_SET OWNER_REMOVED OWNER_VERIFIED DAILY_SUMMARY
        CUMULATIVE_LIMIT_WARNING LOW_BALANCE APPROVAL_CHANNEL_SWITCHED UPDATE_AVAILABLE
    """,
    "NOTIFICATION_LOG_STATUSES": "sent failed",
    "OWNER_STATES": "NONE GRACE LOCKED",
    "POLICY_TIERS": "INSTANT NOTIFY DELAY APPROVAL",
    "POLICY_TYPES": """
        SPENDING_LIMIT WHITELIST TIME_RESTRICTION RATE_LIMIT ALLOWED_TOKENS
        CONTRACT_WHITELIST METHOD_WHITELIST APPROVED_SPENDERS APPROVE_AMOUNT_LIMIT
        APPROVE_TIER_OVERRIDE ALLOWED_NETWORKS X402_ALLOWED_DOMAINS
    """,
    "PRUNING_AUDIT_ACTIONS": "SESSIONS_PRUNED AUDIT_PRUNED",
    "SESSION_AUDIT_ACTIONS": """
        SESSION_RENEWED SESSION_WALLET_LINKED SESSION_WALLET_UNLINKED SESSION_DEFAULT_WALLET_SET
    """,
    "SESSION_STATUSES": "ACTIVE EXPIRED REVOKED",
    "SOLANA_NETWORK_TYPES": "mainnet devnet testnet",
    "TELEGRAM_ROLES": "PENDING ADMIN READONLY",
    "TOKEN_SOURCES": "builtin custom",
    "TRANSACTION_STATUSES": """
        PENDING QUEUED EXECUTING SUBMITTED CONFIRMED FAILED CANCELLED EXPIRED
        PARTIAL_FAILURE SIGNED
    """,
    "TRANSACTION_TYPES": "TRANSFER TOKEN_TRANSFER CONTRACT_CALL APPROVE BATCH SIGN X402_PAYMENT",
    "WALLET_STATUSES": "CREATING ACTIVE SUSPENDED TERMINATING TERMINATED",
}


def test_module_holds_these_vocabularies_and_no_other() -> None:
    """The module's public constants are exactly the known vocabularies."""
    assert {name for name in vars(enums) if name.isupper()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_words_and_their_order(name: str) -> None:
    """A vocabulary is a tuple with the daemon's values in the daemon's order."""
    assert getattr(enums, name) == tuple(EXPECTED[name].split())


@pytest.mark.parametrize("name", EXPECTED)
def test_words_are_distinct(name: str) -> None:
    """A vocabulary contains no value twice."""
    words = getattr(enums, name)
    assert len(set(words)) == len(words)


def test_every_network_belongs_to_one_chain() -> None:
    """The networks of Solana and of the EVM chains are disjoint and are all networks."""
    assert set(enums.SOLANA_NETWORK_TYPES).isdisjoint(enums.EVM_NETWORK_TYPES)
    assert enums.NETWORK_TYPES == enums.SOLANA_NETWORK_TYPES + enums.EVM_NETWORK_TYPES


def test_every_mainnet_ends_with_mainnet() -> None:
    """The networks of the environment `mainnet` are those whose name ends with it."""
    assert tuple(name for name in enums.NETWORK_TYPES if name.endswith("mainnet")) == enums.MAINNET_NETWORK_TYPES
