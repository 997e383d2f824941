"""The 104 error codes of WAIaaS, and the codes that only this library has: one row per code.

The order of the 104 is the daemon's. The messages are in one module per language
(:mod:`waiaas.errors.en`, :mod:`waiaas.errors.ko`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class ErrorCode(NamedTuple):
    """What is fixed about an error code, whatever the language of its message."""

    code: str
    domain: str
    http_status: int
    retryable: bool


_ROWS: Final = (
    ErrorCode("INVALID_TOKEN", "AUTH", 401, False),
    ErrorCode("TOKEN_EXPIRED", "AUTH", 401, False),
    ErrorCode("SESSION_REVOKED", "AUTH", 401, False),
    ErrorCode("INVALID_SIGNATURE", "AUTH", 401, False),
    ErrorCode("INVALID_NONCE", "AUTH", 401, False),
    ErrorCode("INVALID_MASTER_PASSWORD", "AUTH", 401, False),
    ErrorCode("MASTER_PASSWORD_LOCKED", "AUTH", 429, False),
    ErrorCode("SYSTEM_LOCKED", "AUTH", 503, False),
    ErrorCode("SESSION_NOT_FOUND", "SESSION", 404, False),
    ErrorCode("SESSION_EXPIRED", "SESSION", 401, False),
    ErrorCode("SESSION_LIMIT_EXCEEDED", "SESSION", 403, False),
    ErrorCode("CONSTRAINT_VIOLATED", "SESSION", 403, False),
    ErrorCode("RENEWAL_LIMIT_REACHED", "SESSION", 403, False),
    ErrorCode("SESSION_ABSOLUTE_LIFETIME_EXCEEDED", "SESSION", 403, False),
    ErrorCode("RENEWAL_TOO_EARLY", "SESSION", 403, True),
    ErrorCode("SESSION_RENEWAL_MISMATCH", "SESSION", 403, False),
    ErrorCode("WALLET_ACCESS_DENIED", "SESSION", 403, False),
    ErrorCode("WALLET_ALREADY_LINKED", "SESSION", 409, False),
    ErrorCode("CANNOT_REMOVE_DEFAULT_WALLET", "SESSION", 400, False),
    ErrorCode("SESSION_REQUIRES_WALLET", "SESSION", 400, False),
    ErrorCode("PIPELINE_HALTED", "TX", 409, False),
    ErrorCode("INSUFFICIENT_BALANCE", "TX", 400, False),
    ErrorCode("INVALID_ADDRESS", "TX", 400, False),
    ErrorCode("TX_NOT_FOUND", "TX", 404, False),
    ErrorCode("TX_EXPIRED", "TX", 410, False),
    ErrorCode("TX_ALREADY_PROCESSED", "TX", 409, False),
    ErrorCode("CHAIN_ERROR", "TX", 502, True),
    ErrorCode("SIMULATION_FAILED", "TX", 422, False),
    ErrorCode("TOKEN_NOT_FOUND", "TX", 404, False),
    ErrorCode("TOKEN_NOT_ALLOWED", "TX", 403, False),
    ErrorCode("INSUFFICIENT_TOKEN_BALANCE", "TX", 400, False),
    ErrorCode("CONTRACT_CALL_DISABLED", "TX", 403, False),
    ErrorCode("CONTRACT_NOT_WHITELISTED", "TX", 403, False),
    ErrorCode("METHOD_NOT_WHITELISTED", "TX", 403, False),
    ErrorCode("APPROVE_DISABLED", "TX", 403, False),
    ErrorCode("SPENDER_NOT_APPROVED", "TX", 403, False),
    ErrorCode("APPROVE_AMOUNT_EXCEEDED", "TX", 403, False),
    ErrorCode("UNLIMITED_APPROVE_BLOCKED", "TX", 403, False),
    ErrorCode("BATCH_NOT_SUPPORTED", "TX", 400, False),
    ErrorCode("BATCH_SIZE_EXCEEDED", "TX", 400, False),
    ErrorCode("BATCH_POLICY_VIOLATION", "TX", 403, False),
    ErrorCode("ENVIRONMENT_NETWORK_MISMATCH", "TX", 400, False),
    ErrorCode("INVALID_TRANSACTION", "TX", 400, False),
    ErrorCode("WALLET_NOT_SIGNER", "TX", 400, False),
    ErrorCode("UNSUPPORTED_TX_TYPE", "TX", 400, False),
    ErrorCode("CHAIN_ID_MISMATCH", "TX", 400, False),
    ErrorCode("ABI_ENCODING_FAILED", "TX", 400, False),
    ErrorCode("POLICY_NOT_FOUND", "POLICY", 404, False),
    ErrorCode("POLICY_DENIED", "POLICY", 403, False),
    ErrorCode("SPENDING_LIMIT_EXCEEDED", "POLICY", 403, False),
    ErrorCode("RATE_LIMIT_EXCEEDED", "POLICY", 429, True),
    ErrorCode("WHITELIST_DENIED", "POLICY", 403, False),
    ErrorCode("OWNER_ALREADY_CONNECTED", "OWNER", 409, False),
    ErrorCode("OWNER_NOT_CONNECTED", "OWNER", 404, False),
    ErrorCode("OWNER_NOT_FOUND", "OWNER", 404, False),
    ErrorCode("APPROVAL_TIMEOUT", "OWNER", 410, False),
    ErrorCode("APPROVAL_NOT_FOUND", "OWNER", 404, False),
    ErrorCode("OWNER_NOT_SET", "OWNER", 400, False),
    ErrorCode("OWNER_ADDRESS_MISMATCH", "OWNER", 403, False),
    ErrorCode("KILL_SWITCH_ACTIVE", "SYSTEM", 409, False),
    ErrorCode("KILL_SWITCH_NOT_ACTIVE", "SYSTEM", 409, False),
    ErrorCode("KILL_SWITCH_ALREADY_ACTIVE", "SYSTEM", 409, False),
    ErrorCode("INVALID_STATE_TRANSITION", "SYSTEM", 409, False),
    ErrorCode("KEYSTORE_LOCKED", "SYSTEM", 503, True),
    ErrorCode("CHAIN_NOT_SUPPORTED", "SYSTEM", 400, False),
    ErrorCode("SHUTTING_DOWN", "SYSTEM", 503, False),
    ErrorCode("ADAPTER_NOT_AVAILABLE", "SYSTEM", 503, True),
    ErrorCode("SKILL_NOT_FOUND", "SYSTEM", 404, False),
    ErrorCode("SCHEMA_INCOMPATIBLE", "SYSTEM", 503, False),
    ErrorCode("WALLET_NOT_FOUND", "WALLET", 404, False),
    ErrorCode("WALLET_SUSPENDED", "WALLET", 409, False),
    ErrorCode("WALLET_TERMINATED", "WALLET", 410, False),
    ErrorCode("WC_SESSION_EXISTS", "WALLET", 409, False),
    ErrorCode("WC_SESSION_NOT_FOUND", "WALLET", 404, False),
    ErrorCode("WC_NOT_CONFIGURED", "SYSTEM", 503, False),
    ErrorCode("WC_SIGNING_FAILED", "SYSTEM", 502, True),
    ErrorCode("NO_OWNER", "WITHDRAW", 404, False),
    ErrorCode("WITHDRAW_LOCKED_ONLY", "WITHDRAW", 403, False),
    ErrorCode("SWEEP_TOTAL_FAILURE", "WITHDRAW", 500, True),
    ErrorCode("INSUFFICIENT_FOR_FEE", "TX", 400, False),
    ErrorCode("ACTION_NOT_FOUND", "ACTION", 404, False),
    ErrorCode("API_KEY_REQUIRED", "ACTION", 403, False),
    ErrorCode("ACTION_VALIDATION_FAILED", "ACTION", 400, False),
    ErrorCode("ACTION_RESOLVE_FAILED", "ACTION", 502, True),
    ErrorCode("ACTION_RETURN_INVALID", "ACTION", 500, False),
    ErrorCode("ACTION_PLUGIN_LOAD_FAILED", "ACTION", 500, False),
    ErrorCode("ACTION_NAME_CONFLICT", "ACTION", 409, False),
    ErrorCode("ACTION_CHAIN_MISMATCH", "ACTION", 400, False),
    ErrorCode("ROTATION_TOO_RECENT", "ADMIN", 429, False),
    ErrorCode("X402_DISABLED", "X402", 403, False),
    ErrorCode("X402_DOMAIN_NOT_ALLOWED", "X402", 403, False),
    ErrorCode("X402_SSRF_BLOCKED", "X402", 403, False),
    ErrorCode("X402_UNSUPPORTED_SCHEME", "X402", 400, False),
    ErrorCode("X402_PAYMENT_REJECTED", "X402", 402, False),
    ErrorCode("X402_DELAY_TIMEOUT", "X402", 408, True),
    ErrorCode("X402_APPROVAL_REQUIRED", "X402", 403, False),
    ErrorCode("X402_SERVER_ERROR", "X402", 502, True),
    ErrorCode("WALLET_NOT_REGISTERED", "SIGNING", 404, False),
    ErrorCode("SIGNING_SDK_DISABLED", "SIGNING", 403, False),
    ErrorCode("SIGN_REQUEST_NOT_FOUND", "SIGNING", 404, False),
    ErrorCode("SIGN_REQUEST_EXPIRED", "SIGNING", 408, False),
    ErrorCode("SIGNER_ADDRESS_MISMATCH", "SIGNING", 403, False),
    ErrorCode("INVALID_SIGN_RESPONSE", "SIGNING", 400, False),
    ErrorCode("SIGN_REQUEST_ALREADY_PROCESSED", "SIGNING", 409, False),
)

#: Every error code by its name; read-only.
ERROR_CODES: Final[Mapping[str, ErrorCode]] = MappingProxyType({row.code: row for row in _ROWS})

_OWN_ROWS: Final = (
    ErrorCode("DATABASE_BUSY", "DATABASE", 503, True),
    ErrorCode("DATABASE_UNAVAILABLE", "DATABASE", 503, False),
)

#: The codes that this library has in addition to the daemon's, by their names; read-only.
OWN_CODES: Final[Mapping[str, ErrorCode]] = MappingProxyType({row.code: row for row in _OWN_ROWS})

#: Every code that an error of this library may have: the daemon's, then its own; read-only.
ALL_CODES: Final[Mapping[str, ErrorCode]] = MappingProxyType({**ERROR_CODES, **OWN_CODES})
