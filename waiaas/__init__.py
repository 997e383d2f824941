"""WAIaaS: the database of a wallet service for AI agents, whose sessions use one or many wallets."""

import logging

from waiaas.database import Database, connect
from waiaas.errors import (
    ERROR_CODES,
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
)
from waiaas.files.backups import BackupFile
from waiaas.inspection.report import CheckReport, Finding, Health, Rehearsal, RestoreReport
from waiaas.maintenance import (
    backup,
    backups,
    check,
    downgrade,
    health,
    move,
    plan,
    rehearse,
    restore,
    status,
    upgrade,
)
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.report import DowngradeReport, Plan, UpgradeReport
from waiaas.migrations.version import Status
from waiaas.progress import Progress
from waiaas.settings import SessionSettings

# A library leaves it to the program where its log goes (https://docs.python.org/3/howto/logging.html#library-config).
logging.getLogger("waiaas").addHandler(logging.NullHandler())

__version__ = "0.2.0"

__all__ = [
    "ERROR_CODES",
    "LATEST_SCHEMA_VERSION",
    "AuthenticationError",
    "BackupFile",
    "CheckReport",
    "ConflictError",
    "Database",
    "DatabaseBusyError",
    "DatabaseError",
    "DowngradeReport",
    "Finding",
    "Health",
    "NotFoundError",
    "PermissionDeniedError",
    "Plan",
    "Progress",
    "Rehearsal",
    "RestoreReport",
    "SessionSettings",
    "Status",
    "SystemLockedError",
    "UpgradePendingError",
    "UpgradeRefusedError",
    "UpgradeReport",
    "WAIaaSError",
    "backup",
    "backups",
    "check",
    "connect",
    "downgrade",
    "health",
    "move",
    "plan",
    "rehearse",
    "restore",
    "status",
    "upgrade",
]
