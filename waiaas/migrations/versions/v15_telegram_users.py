"""Version 15: users of the Telegram bot."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 15
DESCRIPTION = "Telegram users"

_TELEGRAM_USERS = """CREATE TABLE telegram_users (
  chat_id INTEGER PRIMARY KEY,
  username TEXT,
  role TEXT NOT NULL DEFAULT 'PENDING' CHECK (role IN ('PENDING', 'ADMIN', 'READONLY')),
  registered_at INTEGER NOT NULL,
  approved_at INTEGER
)"""
_INDEXES = ("CREATE INDEX idx_telegram_users_role ON telegram_users (role)",)


def up(migrator: LosslessMigrator) -> None:
    """Create the table `telegram_users`."""
    migrator.migrate(migrator.create_table(_TELEGRAM_USERS, _INDEXES))
