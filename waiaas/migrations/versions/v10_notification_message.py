"""Version 10: notification logs keep the message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 10
DESCRIPTION = "Notification logs keep the message"


def up(migrator: LosslessMigrator) -> None:
    """Add `notification_logs.message` after `error`."""
    migrator.migrate(migrator.change_columns("notification_logs", {"error": "error TEXT,\n  message TEXT"}))
