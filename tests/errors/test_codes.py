"""The rows of the error codes and of the reasons; those of the daemon are compared with a separate table."""

import re
from collections.abc import MutableMapping
from typing import cast

import pytest

from waiaas.errors import ALL_CODES, ERROR_CODES, OWN_CODES, REASONS

#: The codes of each domain and HTTP status.
EXPECTED = """
    AUTH 401: INVALID_TOKEN TOKEN_EXPIRED SESSION_REVOKED INVALID_SIGNATURE INVALID_NONCE INVALID_MASTER_PASSWORD
    AUTH 429: MASTER_PASSWORD_LOCKED
    AUTH 503: SYSTEM_LOCKED
    SESSION 404: SESSION_NOT_FOUND
    SESSION 401: SESSION_EXPIRED
    SESSION 403: SESSION_LIMIT_EXCEEDED CONSTRAINT_VIOLATED RENEWAL_LIMIT_REACHED
        SESSION_ABSOLUTE_LIFETIME_EXCEEDED RENEWAL_TOO_EARLY SESSION_RENEWAL_MISMATCH WALLET_ACCESS_DENIED
    SESSION 409: WALLET_ALREADY_LINKED
    SESSION 400: CANNOT_REMOVE_DEFAULT_WALLET SESSION_REQUIRES_WALLET
    TX 409: PIPELINE_HALTED TX_ALREADY_PROCESSED
    TX 400: INSUFFICIENT_BALANCE INVALID_ADDRESS INSUFFICIENT_TOKEN_BALANCE BATCH_NOT_SUPPORTED BATCH_SIZE_EXCEEDED
        ENVIRONMENT_NETWORK_MISMATCH INVALID_TRANSACTION WALLET_NOT_SIGNER UNSUPPORTED_TX_TYPE CHAIN_ID_MISMATCH
        ABI_ENCODING_FAILED INSUFFICIENT_FOR_FEE
    TX 404: TX_NOT_FOUND TOKEN_NOT_FOUND
    TX 410: TX_EXPIRED
    TX 502: CHAIN_ERROR
    TX 422: SIMULATION_FAILED
    TX 403: TOKEN_NOT_ALLOWED CONTRACT_CALL_DISABLED CONTRACT_NOT_WHITELISTED METHOD_NOT_WHITELISTED
        APPROVE_DISABLED SPENDER_NOT_APPROVED APPROVE_AMOUNT_EXCEEDED UNLIMITED_APPROVE_BLOCKED
        BATCH_POLICY_VIOLATION
    POLICY 404: POLICY_NOT_FOUND
    POLICY 403: POLICY_DENIED SPENDING_LIMIT_EXCEEDED WHITELIST_DENIED
    POLICY 429: RATE_LIMIT_EXCEEDED
    OWNER 409: OWNER_ALREADY_CONNECTED
    OWNER 404: OWNER_NOT_CONNECTED OWNER_NOT_FOUND APPROVAL_NOT_FOUND
    OWNER 410: APPROVAL_TIMEOUT
    OWNER 400: OWNER_NOT_SET
    OWNER 403: OWNER_ADDRESS_MISMATCH
    SYSTEM 409: KILL_SWITCH_ACTIVE KILL_SWITCH_NOT_ACTIVE KILL_SWITCH_ALREADY_ACTIVE INVALID_STATE_TRANSITION
    SYSTEM 503: KEYSTORE_LOCKED SHUTTING_DOWN ADAPTER_NOT_AVAILABLE SCHEMA_INCOMPATIBLE WC_NOT_CONFIGURED
    SYSTEM 400: CHAIN_NOT_SUPPORTED
    SYSTEM 404: SKILL_NOT_FOUND
    WALLET 404: WALLET_NOT_FOUND WC_SESSION_NOT_FOUND
    WALLET 409: WALLET_SUSPENDED WC_SESSION_EXISTS
    WALLET 410: WALLET_TERMINATED
    SYSTEM 502: WC_SIGNING_FAILED
    WITHDRAW 404: NO_OWNER
    WITHDRAW 403: WITHDRAW_LOCKED_ONLY
    WITHDRAW 500: SWEEP_TOTAL_FAILURE
    ACTION 404: ACTION_NOT_FOUND
    ACTION 403: API_KEY_REQUIRED
    ACTION 400: ACTION_VALIDATION_FAILED ACTION_CHAIN_MISMATCH
    ACTION 502: ACTION_RESOLVE_FAILED
    ACTION 500: ACTION_RETURN_INVALID ACTION_PLUGIN_LOAD_FAILED
    ACTION 409: ACTION_NAME_CONFLICT
    ADMIN 429: ROTATION_TOO_RECENT
    X402 403: X402_DISABLED X402_DOMAIN_NOT_ALLOWED X402_SSRF_BLOCKED X402_APPROVAL_REQUIRED
    X402 400: X402_UNSUPPORTED_SCHEME
    X402 402: X402_PAYMENT_REJECTED
    X402 408: X402_DELAY_TIMEOUT
    X402 502: X402_SERVER_ERROR
    SIGNING 404: WALLET_NOT_REGISTERED SIGN_REQUEST_NOT_FOUND
    SIGNING 403: SIGNING_SDK_DISABLED SIGNER_ADDRESS_MISMATCH
    SIGNING 408: SIGN_REQUEST_EXPIRED
    SIGNING 400: INVALID_SIGN_RESPONSE
    SIGNING 409: SIGN_REQUEST_ALREADY_PROCESSED
"""
RETRYABLE = """
    RENEWAL_TOO_EARLY CHAIN_ERROR RATE_LIMIT_EXCEEDED KEYSTORE_LOCKED
    ADAPTER_NOT_AVAILABLE WC_SIGNING_FAILED SWEEP_TOTAL_FAILURE
    ACTION_RESOLVE_FAILED X402_DELAY_TIMEOUT X402_SERVER_ERROR
"""
RETRYABLE_REASONS = {
    *("database_busy", "disk_full", "io_error", "no_room_to_rehearse", "out_of_memory", "too_many_files"),
    "no_room_for_temporary_files",
    *("connection_lost", "pool_exhausted", "server_read_only", "server_unavailable", "statement_canceled"),
    *("too_many_connections", "transaction_conflict"),
}


def test_there_are_104_codes() -> None:
    """The table has one row for each of the daemon's 104 codes."""
    assert len(ERROR_CODES) == 104


def test_domain_and_status_of_every_code() -> None:
    """Every code has its domain and HTTP status, and no other code exists."""
    rows = re.findall(r"(\w+) (\d+): ([A-Z0-9_\s]+?)(?=\n +\w+ \d+:|\n$)", EXPECTED)
    expected = {code: (domain, int(status)) for domain, status, codes in rows for code in codes.split()}
    assert {name: (row.domain, row.http_status) for name, row in ERROR_CODES.items()} == expected


def test_retryable_codes() -> None:
    """Exactly these codes are retryable."""
    assert {row.code for row in ERROR_CODES.values() if row.retryable} == set(RETRYABLE.split())


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("WALLET_ACCESS_DENIED", 403),
        ("WALLET_ALREADY_LINKED", 409),
        ("CANNOT_REMOVE_DEFAULT_WALLET", 400),
        ("SESSION_REQUIRES_WALLET", 400),
    ],
)
def test_codes_of_sessions_with_many_wallets(code: str, status: int) -> None:
    """The four codes added for several wallets per session are session errors and not retryable."""
    assert ERROR_CODES[code] == (code, "SESSION", status, False)


def test_retryable_reasons() -> None:
    """Only reasons that may disappear by themselves, or with more space, are retryable."""
    assert {row.name for row in REASONS.values() if row.retryable} == RETRYABLE_REASONS


def test_own_codes_are_separate() -> None:
    """The codes of this library are not in the daemon's table."""
    assert list(ALL_CODES) == [*ERROR_CODES, *OWN_CODES]
    assert OWN_CODES["DATABASE_BUSY"] == ("DATABASE_BUSY", "DATABASE", 503, True)


def test_codes_of_reasons() -> None:
    """A lock is `DATABASE_BUSY`; what does not allow an upgrade is a schema code, and only such reasons refuse one."""
    by_code = {code: {row.name for row in REASONS.values() if row.code == code} for code in ALL_CODES}
    assert {code for code, names in by_code.items() if names} == {
        *("SCHEMA_INCOMPATIBLE", "DATABASE_BUSY", "DATABASE_UNAVAILABLE")
    }
    assert by_code["DATABASE_BUSY"] == {"database_busy", "transaction_conflict", "pool_exhausted"}
    assert {row.code for row in REASONS.values() if row.refuses_upgrade} == {"SCHEMA_INCOMPATIBLE"}


@pytest.mark.parametrize("table", [ERROR_CODES, OWN_CODES, ALL_CODES, REASONS])
def test_tables_are_read_only(table: object) -> None:
    """The tables of codes and reasons cannot be changed at run time."""
    with pytest.raises(TypeError):
        cast("MutableMapping[str, object]", table)["NEW"] = None
