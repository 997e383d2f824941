"""Version 13: transaction amounts in US dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 13
DESCRIPTION = "Transaction amounts in US dollars"

_RESERVED_AND_USD = """reserved_amount TEXT,
  amount_usd REAL,
  reserved_amount_usd REAL"""


def up(migrator: LosslessMigrator) -> None:
    """Add `transactions.amount_usd` and `reserved_amount_usd` after `reserved_amount`."""
    migrator.migrate(migrator.change_columns("transactions", {"reserved_amount": _RESERVED_AND_USD}))
