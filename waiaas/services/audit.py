"""The audit log: what services have changed, read by actor, event, session, wallet and time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from peewee import ModelSelect

from waiaas.errors import FieldMessage
from waiaas.models import AuditLog
from waiaas.schemas import DEFAULT_LIMIT, RequestValidationError
from waiaas.services.base import Service
from waiaas.services.details import field_value
from waiaas.services.ids import check_id
from waiaas.services.pages import Page, check_page
from waiaas.services.statements import read

# An id of a row: SQLite has 64 bits.
_ROW_ID = re.compile("[0-9]{1,18}")


@dataclass(frozen=True)
class AuditEntry:
    """A row of the audit log: who did what, when, and to which wallet, session or transaction.

    `details` is None if what is stored is not a JSON object.
    """

    id: int
    timestamp: datetime
    event_type: str
    actor: str
    wallet_id: str | None
    session_id: str | None
    tx_id: str | None
    details: Mapping[str, Any] | None
    severity: str
    ip_address: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as `json.dumps` takes it, with the keys and times (Unix seconds) of the wire."""
        return {
            "id": self.id,
            "timestamp": int(self.timestamp.timestamp()),
            "eventType": self.event_type,
            "actor": self.actor,
            "walletId": self.wallet_id,
            "sessionId": self.session_id,
            "txId": self.tx_id,
            "details": None if self.details is None else dict(self.details),
            "severity": self.severity,
            "ipAddress": self.ip_address,
        }


class AuditService(Service):
    """Reads the audit log.

    >>> import waiaas
    >>> with waiaas.connect(":memory:") as database:
    ...     database.tokens.rotate(actor="sam@example.org")
    ...     [(entry.actor, entry.event_type) for entry in database.audit.list()]
    [('sam@example.org', 'KEY_ROTATED')]
    """

    def list(
        self,
        *,
        session_id: str | None = None,
        wallet_id: str | None = None,
        actor: str | None = None,
        event_type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = DEFAULT_LIMIT,
        after: str | None = None,
    ) -> Page[AuditEntry]:
        """Return entries, the newest first; each condition that is not None must be true of an entry.

        :param session_id: the session that the entry is about.
        :param wallet_id: the wallet that the entry is about.
        :param actor: the name of the actor.
        :param event_type: what happened, such as `SESSION_REVOKED`.
        :param since: the earliest time, an aware datetime.
        :param until: only entries before this time, an aware datetime.
        :param limit: the maximum number of entries per page, 1 to 200.
        :param after: the `next_after` of the previous page; None: the first page.
        :returns: a page of entries.
        :raises WAIaaSError: `ACTION_VALIDATION_FAILED`.
        """
        check_page(limit, after, is_place=_is_row_id)
        query = AuditLog.select(*_FIELDS).order_by(AuditLog.id.desc()).limit(limit + 1)
        for key, field, value in (
            ("sessionId", AuditLog.session_id, session_id),
            ("walletId", AuditLog.wallet_id, wallet_id),
            ("actor", AuditLog.actor, actor),
            ("eventType", AuditLog.event_type, event_type),
        ):
            if value is not None:
                check_id(key, value)
                query = query.where(field == value)
        if since is not None:
            query = query.where(AuditLog.timestamp >= _aware("since", since))
        if until is not None:
            query = query.where(AuditLog.timestamp < _aware("until", until))
        return self._page(query, limit, after)

    def _page(self, query: ModelSelect[AuditLog], limit: int, after: str | None) -> Page[AuditEntry]:
        of_page = query if after is None else query.where(AuditLog.id < int(after))
        sql, parameters = self._database.get_sql_context().sql(of_page).query()
        rows = read(self._database, lambda: self._database.execute_sql(sql, parameters).fetchall())
        entries = tuple(AuditEntry(*map(_value, _FIELDS, row)) for row in rows)
        next_after = str(entries[limit - 1].id) if len(entries) > limit else None
        return Page(entries[:limit], next_after, lambda place: self._page(query, limit, place))


_FIELDS = [getattr(AuditLog, name) for name in AuditEntry.__annotations__]


def _is_row_id(place: object) -> bool:
    return isinstance(place, str) and _ROW_ID.fullmatch(place) is not None


def _value(field: Any, stored: Any) -> Any:
    """Return a stored value in the type of its field."""
    if field is not AuditLog.details:
        return field_value(field, stored)
    try:
        details = json.loads(stored)
    except (ValueError, TypeError, RecursionError):
        return None
    return details if isinstance(details, dict) else None


def _aware(key: str, time: object) -> datetime:
    """Return an aware datetime; refuse anything else, under its key."""
    if not isinstance(time, datetime) or time.utcoffset() is None:
        raise RequestValidationError({key: [FieldMessage("aware_datetime")]})
    return time
