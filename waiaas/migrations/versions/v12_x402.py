"""Version 12: x402 payments and their policy on allowed domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 12
DESCRIPTION = "x402 payments and their policy on allowed domains"

_TYPE = """type TEXT NOT NULL CHECK (type IN
  ('TRANSFER', 'TOKEN_TRANSFER', 'CONTRACT_CALL', 'APPROVE', 'BATCH', 'SIGN', 'X402_PAYMENT'))"""
_POLICY_TYPE = """type TEXT NOT NULL CHECK (type IN
  ('SPENDING_LIMIT', 'WHITELIST', 'TIME_RESTRICTION', 'RATE_LIMIT', 'ALLOWED_TOKENS', 'CONTRACT_WHITELIST',
  'METHOD_WHITELIST', 'APPROVED_SPENDERS', 'APPROVE_AMOUNT_LIMIT', 'APPROVE_TIER_OVERRIDE', 'ALLOWED_NETWORKS',
  'X402_ALLOWED_DOMAINS'))"""


def up(migrator: LosslessMigrator) -> None:
    """Widen the CHECKs on the type of a transaction and on the type of a policy."""
    migrator.migrate(
        migrator.change_columns("transactions", {"type": _TYPE}),
        migrator.change_columns("policies", {"type": _POLICY_TYPE}),
    )
