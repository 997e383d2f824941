"""Version 18: how a wallet's owner approves.

The daemon's own migration added the column without its CHECK; this one adds it as a fresh file has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 18
DESCRIPTION = "How a wallet's owner approves"

_METHOD = """owner_approval_method TEXT CHECK (owner_approval_method IS NULL OR owner_approval_method IN
  ('sdk_ntfy', 'sdk_telegram', 'walletconnect', 'telegram_bot', 'rest'))"""


def up(migrator: LosslessMigrator) -> None:
    """Add `wallets.owner_approval_method`."""
    migrator.migrate(migrator.append_column("wallets", _METHOD))
