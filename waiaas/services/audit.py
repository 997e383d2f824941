"""The audit log: what a service changed, written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from peewee import Database

from waiaas.models import AuditLog
from waiaas.services.statements import in_parts


class Event(NamedTuple):
    """One row for the audit log: what happened, to which wallet, session or transaction; never a secret."""

    event_type: str
    details: dict[str, Any]
    wallet_id: str | None = None
    session_id: str | None = None
    tx_id: str | None = None
    severity: str = "info"


def record(database: Database, now: int, actor: str, events: Sequence[Event]) -> None:
    """Write events of one moment (Unix seconds) and one actor into `audit_log`."""
    for some in in_parts([{"timestamp": now, "actor": actor, **event._asdict()} for event in events]):
        AuditLog.insert_many(some).execute(database)
