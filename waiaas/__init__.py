"""WAIaaS: the database of a wallet service for AI agents, whose sessions reach one or many wallets."""

from waiaas.database import close, connect
from waiaas.errors import ERROR_CODES, WAIaaSError
from waiaas.integrity import CheckReport, Finding, check
from waiaas.migrations import (
    LATEST_SCHEMA_VERSION,
    MIN_COMPATIBLE_SCHEMA_VERSION,
    Compatibility,
    DowngradeReport,
    Plan,
    Progress,
    UpgradeReport,
    compatibility,
    downgrade,
    plan,
    upgrade,
)
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
from waiaas.rehearsal import Rehearsal, rehearse
from waiaas.schemas import CreateSessionRequestSchema

__version__ = "0.1.0.dev0"

__all__ = [
    "ERROR_CODES",
    "LATEST_SCHEMA_VERSION",
    "MIN_COMPATIBLE_SCHEMA_VERSION",
    "MODELS",
    "ApiKey",
    "AuditLog",
    "CheckReport",
    "Compatibility",
    "CreateSessionRequestSchema",
    "DowngradeReport",
    "Finding",
    "KeyValue",
    "NotificationLog",
    "PendingApproval",
    "Plan",
    "Policy",
    "Progress",
    "Rehearsal",
    "SchemaVersion",
    "Session",
    "SessionWallet",
    "Setting",
    "TelegramUser",
    "Token",
    "Transaction",
    "UpgradeReport",
    "WAIaaSError",
    "Wallet",
    "WalletConnectSession",
    "WalletConnectStore",
    "check",
    "close",
    "compatibility",
    "connect",
    "downgrade",
    "plan",
    "rehearse",
    "upgrade",
]
