"""Version 9: signing without sending, and a policy on allowed networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from waiaas.ddl.migrator import LosslessMigrator

VERSION = 9
DESCRIPTION = "Signing without sending; policy on allowed networks"

_TYPE = """type TEXT NOT NULL CHECK (type IN
  ('TRANSFER', 'TOKEN_TRANSFER', 'CONTRACT_CALL', 'APPROVE', 'BATCH', 'SIGN'))"""
_STATUS = """status TEXT NOT NULL DEFAULT 'PENDING' CHECK (status IN
  ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED', 'CONFIRMED', 'FAILED', 'CANCELLED', 'EXPIRED', 'PARTIAL_FAILURE',
  'SIGNED'))"""
_POLICY_TYPE = """type TEXT NOT NULL CHECK (type IN
  ('SPENDING_LIMIT', 'WHITELIST', 'TIME_RESTRICTION', 'RATE_LIMIT', 'ALLOWED_TOKENS', 'CONTRACT_WHITELIST',
  'METHOD_WHITELIST', 'APPROVED_SPENDERS', 'APPROVE_AMOUNT_LIMIT', 'APPROVE_TIER_OVERRIDE', 'ALLOWED_NETWORKS'))"""


def up(migrator: LosslessMigrator) -> None:
    """Widen the CHECKs on the type and status of a transaction and on the type of a policy."""
    migrator.migrate(
        migrator.change_columns("transactions", {"type": _TYPE, "status": _STATUS}),
        migrator.change_columns("policies", {"type": _POLICY_TYPE}),
    )
