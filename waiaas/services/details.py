"""What the session services give back: sessions with their links, as plain values of one moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from peewee import JOIN, Database, Field, ModelSelect, Node

from waiaas.errors import refusal
from waiaas.faults import file_of, refusing
from waiaas.models import Session, SessionWallet, Wallet
from waiaas.services.ends import has_ended


@dataclass(frozen=True)
class LinkedWallet:
    """A wallet that a session reaches, and the link between them: `linked_at` is when it was made (UTC)."""

    id: str
    name: str
    chain: str
    environment: str
    default_network: str | None
    status: str
    is_default: bool
    linked_at: datetime
    session_id: str


@dataclass(frozen=True)
class SessionDetails:
    """A session with its links; all times are aware UTC datetimes.

    `status` is one of `waiaas.enums.SESSION_STATUSES`; a session whose stored end is no Unix seconds of the years up
    to 9999 is `EXPIRED`. `wallets` holds the default wallet first, then the others in
    the order in which they were linked.
    """

    id: str
    status: str
    wallets: tuple[LinkedWallet, ...]
    created_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime
    last_renewed_at: datetime | None
    revoked_at: datetime | None
    renewal_count: int
    max_renewals: int
    constraints: dict[str, Any] | None
    source: str

    @property
    def default_wallet_id(self) -> str | None:
        """The id of the default wallet; None for a session that has none."""
        return self.wallets[0].id if self.wallets and self.wallets[0].is_default else None

    @property
    def wallet_id(self) -> str | None:
        """The default wallet's id, under the name that clients know who have one wallet."""
        return self.default_wallet_id

    @property
    def wallet_name(self) -> str | None:
        """The default wallet's name."""
        return self.wallets[0].name if self.default_wallet_id is not None else None


@dataclass(frozen=True)
class IssuedSession(SessionDetails):
    """A session whose token was just signed: `token` is shown this once and stored nowhere."""

    token: str = field(repr=False)


def details_query(which: Node) -> ModelSelect[Session]:
    """The query for the sessions that satisfy a condition, joined to their links; `session_details` runs its SQL."""
    return (
        Session.select(*_SESSION_FIELDS, *_LINK_FIELDS)
        .join(SessionWallet, JOIN.LEFT_OUTER)
        .join(Wallet, JOIN.LEFT_OUTER)
        .where(which)
        .order_by(Session.id, *_DEFAULT_FIRST)
    )


def session_details(
    database: Database, sql: str, parameters: Sequence[object], now: int
) -> tuple[SessionDetails, ...]:
    """Read sessions by id, with their links; those that expire at `now` (Unix seconds) have expired.

    Takes the SQL of a `details_query` and its parameters. Raises WAIaaSError where the sessions
    cannot be read, with the reason `unreadable_value` and the `sessionId` where the constraints of one are no JSON.
    """
    with refusing(database):
        rows = database.execute_sql(sql, parameters).fetchall()
        by_session = (list(of_one) for _, of_one in groupby(rows, key=itemgetter(0)))
        return tuple(_details(database, of_one, now) for of_one in by_session)


def linked_wallets(database: Database, session_id: str) -> tuple[LinkedWallet, ...]:
    """Read the links of a session, that of the default wallet first, then by when they were made."""
    rows = (
        SessionWallet.select(*_LINK_FIELDS)
        .join(Wallet)
        .where(SessionWallet.session == session_id)
        .order_by(*_DEFAULT_FIRST)
        .tuples()
        .execute(database)
    )
    return tuple(LinkedWallet(*row) for row in rows)


_SESSION_FIELDS = [
    Session.id,
    Session.created_at,
    Session.expires_at,
    Session.absolute_expires_at,
    Session.last_renewed_at,
    Session.revoked_at,
    Session.renewal_count,
    Session.max_renewals,
    Session.constraints,
    Session.source,
]
_SESSION_NAMES = [field.name for field in _SESSION_FIELDS]
_EXPIRES_AT = _SESSION_NAMES.index("expires_at")
_LINK_FIELDS = [
    Wallet.id,
    Wallet.name,
    Wallet.chain,
    Wallet.environment,
    Wallet.default_network,
    Wallet.status,
    SessionWallet.is_default,
    SessionWallet.created_at,
    SessionWallet.session,
]
_DEFAULT_FIRST = [SessionWallet.is_default.desc(), SessionWallet.created_at, SessionWallet.wallet]


def _details(database: Database, rows: Sequence[Sequence[Any]], now: int) -> SessionDetails:
    """Make a session of the rows that join it to its links; a session without links has one row without a wallet."""
    width = len(_SESSION_FIELDS)
    try:
        values = dict(zip(_SESSION_NAMES, _in_python(_SESSION_FIELDS, rows[0]), strict=True))
    except (ValueError, RecursionError) as error:
        # Not JSON, not UTF-8, or a number with more digits than Python reads (sys.get_int_max_str_digits).
        # Limits that cannot be read must not look like none.
        cause = f"constraints of session {rows[0][0]}: {error}"
        raise refusal("unreadable_value", path=file_of(database), sessionId=rows[0][0], cause=cause) from error
    links = [row[width:] for row in rows if row[width] is not None]
    wallets = tuple(LinkedWallet(*_in_python(_LINK_FIELDS, link)) for link in links)
    return SessionDetails(status=_status(values["revoked_at"], rows[0][_EXPIRES_AT], now), wallets=wallets, **values)


def _in_python(fields: Sequence[Field], row: Sequence[Any]) -> Iterator[Any]:
    return (field.python_value(value) for field, value in zip(fields, row, strict=False))


def _status(revoked_at: datetime | None, expires_at: object, now: int) -> str:
    """Judge by the end as it is stored: as a datetime, milliseconds are the last second of the year 9999."""
    if revoked_at is not None:
        return "REVOKED"
    return "EXPIRED" if has_ended(expires_at, now) else "ACTIVE"
