"""WAIaaS: the database of a wallet service for AI agents, whose sessions reach one or many wallets."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from waiaas.backends.sqlite import write_transaction
from waiaas.database import close, connect
from waiaas.errors import ERROR_CODES, WAIaaSError
from waiaas.migrations import LATEST_SCHEMA_VERSION, MIN_COMPATIBLE_SCHEMA_VERSION
from waiaas.migrations.report import DowngradeReport, Plan, UpgradeReport
from waiaas.migrations.version import Compatibility, compatibility
from waiaas.models import (
    MODELS,
    ApiKey,
    AuditLog,
    KeyValue,
    NotificationLog,
    PendingApproval,
    Policy,
    SchemaVersion,
    Session,
    SessionWallet,
    Setting,
    TelegramUser,
    Token,
    Transaction,
    Wallet,
    WalletConnectSession,
    WalletConnectStore,
)
from waiaas.progress import Progress

# A library leaves it to the program where its log goes (https://docs.python.org/3/howto/logging.html#library-config).
logging.getLogger("waiaas").addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from waiaas.inspection.check import CheckReport, Finding, check
    from waiaas.inspection.rehearsal import Rehearsal, rehearse
    from waiaas.migrations.runner import downgrade, plan, upgrade
    from waiaas.schemas import (
        CreateSessionRequestSchema,
        CreateWalletRequestSchema,
        ErrorResponseSchema,
        IssuedSessionResponseSchema,
        LinkWalletRequestSchema,
        ListSessionsRequestSchema,
        ListWalletsRequestSchema,
        RenewSessionRequestSchema,
        SessionListResponseSchema,
        SessionResponseSchema,
        SessionWalletListResponseSchema,
        SessionWalletResponseSchema,
        SetDefaultWalletRequestSchema,
        SuspendWalletRequestSchema,
        WalletListResponseSchema,
        WalletResponseSchema,
    )
    from waiaas.services import (
        AuditEntry,
        AuditService,
        AuthenticatedSession,
        Authorization,
        AuthorizedWallet,
        IssuedSession,
        KillSwitch,
        KillSwitchService,
        LinkedWallet,
        Page,
        SessionDetails,
        SessionService,
        SessionSettings,
        SessionWalletService,
        TokenClaims,
        TokenService,
        WalletDetails,
        WalletService,
    )

__version__ = "0.1.0"

# Loaded at their first use (PEP 562): a program that only opens or upgrades a file need not wait for them.
_LOADED_LATER = {
    "inspection.check": ("CheckReport", "Finding", "check"),
    "migrations.runner": ("downgrade", "plan", "upgrade"),
    "inspection.rehearsal": ("Rehearsal", "rehearse"),
    "schemas": (
        "CreateSessionRequestSchema",
        "CreateWalletRequestSchema",
        "ErrorResponseSchema",
        "IssuedSessionResponseSchema",
        "LinkWalletRequestSchema",
        "ListSessionsRequestSchema",
        "ListWalletsRequestSchema",
        "RenewSessionRequestSchema",
        "SessionListResponseSchema",
        "SessionResponseSchema",
        "SessionWalletListResponseSchema",
        "SessionWalletResponseSchema",
        "SetDefaultWalletRequestSchema",
        "SuspendWalletRequestSchema",
        "WalletListResponseSchema",
        "WalletResponseSchema",
    ),
    "services": (
        "AuditEntry",
        "AuditService",
        "AuthenticatedSession",
        "Authorization",
        "AuthorizedWallet",
        "IssuedSession",
        "KillSwitch",
        "KillSwitchService",
        "LinkedWallet",
        "Page",
        "SessionDetails",
        "SessionService",
        "SessionSettings",
        "SessionWalletService",
        "TokenClaims",
        "TokenService",
        "WalletDetails",
        "WalletService",
    ),
}
_MODULE_OF = {name: module for module, names in _LOADED_LATER.items() for name in names}

__all__ = [
    "ERROR_CODES",
    "LATEST_SCHEMA_VERSION",
    "MIN_COMPATIBLE_SCHEMA_VERSION",
    "MODELS",
    "ApiKey",
    "AuditEntry",
    "AuditLog",
    "AuditService",
    "AuthenticatedSession",
    "Authorization",
    "AuthorizedWallet",
    "CheckReport",
    "Compatibility",
    "CreateSessionRequestSchema",
    "CreateWalletRequestSchema",
    "DowngradeReport",
    "ErrorResponseSchema",
    "Finding",
    "IssuedSession",
    "IssuedSessionResponseSchema",
    "KeyValue",
    "KillSwitch",
    "KillSwitchService",
    "LinkWalletRequestSchema",
    "LinkedWallet",
    "ListSessionsRequestSchema",
    "ListWalletsRequestSchema",
    "NotificationLog",
    "Page",
    "PendingApproval",
    "Plan",
    "Policy",
    "Progress",
    "Rehearsal",
    "RenewSessionRequestSchema",
    "SchemaVersion",
    "Session",
    "SessionDetails",
    "SessionListResponseSchema",
    "SessionResponseSchema",
    "SessionService",
    "SessionSettings",
    "SessionWallet",
    "SessionWalletListResponseSchema",
    "SessionWalletResponseSchema",
    "SessionWalletService",
    "SetDefaultWalletRequestSchema",
    "Setting",
    "SuspendWalletRequestSchema",
    "TelegramUser",
    "Token",
    "TokenClaims",
    "TokenService",
    "Transaction",
    "UpgradeReport",
    "WAIaaSError",
    "Wallet",
    "WalletConnectSession",
    "WalletConnectStore",
    "WalletDetails",
    "WalletListResponseSchema",
    "WalletResponseSchema",
    "WalletService",
    "check",
    "close",
    "compatibility",
    "connect",
    "downgrade",
    "plan",
    "rehearse",
    "upgrade",
    "write_transaction",
]


def __getattr__(name: str) -> Any:
    if name in _LOADED_LATER:
        return import_module(f"waiaas.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'waiaas' has no attribute {name!r}")
    globals()[name] = getattr(import_module(f"waiaas.{_MODULE_OF[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_LOADED_LATER})
