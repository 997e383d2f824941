"""The exceptions of this library, their codes, and the texts of errors and findings in English and Korean."""

from waiaas.errors.codes import ALL_CODES, ERROR_CODES, OWN_CODES, ErrorCode
from waiaas.errors.entries import LANGUAGES
from waiaas.errors.exceptions import (
    AuthenticationError,
    ConflictError,
    DatabaseBusyError,
    DatabaseError,
    NotFoundError,
    PermissionDeniedError,
    SystemLockedError,
    UpgradePendingError,
    UpgradeRefusedError,
    WAIaaSError,
    refusal,
)
from waiaas.errors.reasons import REASONS
from waiaas.errors.texts import FieldMessage

__all__ = [
    "ALL_CODES",
    "ERROR_CODES",
    "LANGUAGES",
    "OWN_CODES",
    "REASONS",
    "AuthenticationError",
    "ConflictError",
    "DatabaseBusyError",
    "DatabaseError",
    "ErrorCode",
    "FieldMessage",
    "NotFoundError",
    "PermissionDeniedError",
    "SystemLockedError",
    "UpgradePendingError",
    "UpgradeRefusedError",
    "WAIaaSError",
    "refusal",
]
