"""The results of the services: wallets, and sessions with their links, as plain values of one moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import groupby
from typing import Any, NoReturn

from peewee import JOIN, Database, Field, ModelSelect, Node

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.translation import translate_errors
from waiaas.models import Session, SessionWallet, Wallet
from waiaas.models.fields import LAST_SECOND, Integer, JSONText, UTCDateTime
from waiaas.paths import file_of
from waiaas.services.expiry import is_expired
from waiaas.services.statements import ReplacedText, link_order, show


@dataclass(frozen=True)
class WalletDetails:
    """A wallet; all times are aware UTC datetimes.

    Text that is not UTF-8 in the file has replacement characters (U+FFFD). A time that is not a number is the last
    second of the year 9999.
    """

    id: str
    name: str
    chain: str
    environment: str
    default_network: str | None
    public_key: str
    status: str
    owner_address: str | None
    owner_verified: bool
    created_at: datetime
    updated_at: datetime
    suspended_at: datetime | None
    suspension_reason: str | None
    owner_approval_method: str | None

    @property
    def owner_state(self) -> str:
        """How far the owner is set up: `NONE` without an address, `GRACE` with one, `LOCKED` once verified."""
        if not self.owner_address:
            return "NONE"
        return "LOCKED" if self.owner_verified else "GRACE"


@dataclass(frozen=True)
class LinkedWallet:
    """A wallet of a session, and the link between them: `linked_at` is when it was made (UTC)."""

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

    `status` is one of `waiaas.vocabularies.SESSION_STATUSES`; a session whose stored end is not Unix seconds of the
    years up to 9999 is `EXPIRED`. `wallets` has the default wallet first, then the others in the order in which they
    were linked. Text that is not UTF-8 in the file has replacement characters (U+FFFD).
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
    #: The limits that the session was created with; None: no limits. Raises WAIaaSError `DATABASE_UNAVAILABLE`
    #: (reason `unreadable_value`, with the `sessionId`) if what is stored is not a JSON object: limits that cannot be
    #: read must not look like none.
    constraints: dict[str, Any] | None = field(repr=False)
    source: str

    @property
    def default_wallet_id(self) -> str | None:
        """The id of the default wallet; None if there is no default."""
        return self.wallets[0].id if self.wallets and self.wallets[0].is_default else None

    @property
    def wallet_id(self) -> str | None:
        """The id of the default wallet, under the name for clients that know one wallet."""
        return self.default_wallet_id

    @property
    def wallet_name(self) -> str | None:
        """The default wallet's name."""
        return self.wallets[0].name if self.default_wallet_id is not None else None


class _SessionWithUnreadableLimits(SessionDetails):
    """A session whose `constraints` raise an error, which is passed in their place."""

    @property
    def constraints(self) -> NoReturn:
        raise vars(self)["constraints"]

    @constraints.setter
    def constraints(self, error: Any) -> None:
        vars(self)["constraints"] = error


@dataclass(frozen=True)
class IssuedSession(SessionDetails):
    """A session whose token was just signed: `token` is returned this once and stored nowhere."""

    token: str = field(repr=False)


def details_query(database: Database, which: Node) -> ModelSelect[Session]:
    """The query for the sessions that satisfy a condition, joined to their links; `session_details` runs its SQL."""
    return (
        Session.select(*_SESSION_FIELDS, *_LINK_FIELDS)
        .join(SessionWallet, JOIN.LEFT_OUTER)
        .join(Wallet, JOIN.LEFT_OUTER)
        .where(which)
        .order_by(Session.id, SessionWallet.is_default.desc(), *link_order(database, SessionWallet))
    )


def session_details(
    database: Database, sql: str, parameters: Sequence[object], now: int
) -> tuple[SessionDetails, ...]:
    """Read sessions by id, with their links; those that expire at `now` (Unix seconds) have expired.

    Takes the SQL of a `details_query` and its parameters. Text that is not UTF-8 is shown with replacement characters.
    Raises WAIaaSError if the database cannot be read.
    """
    with translate_errors(database):
        rows = show(database, lambda: database.execute_sql(sql, parameters).fetchall())
        by_session = (list(of_one) for _, of_one in groupby(rows, key=_stored_id))
        return tuple(_details(database, of_one, now) for of_one in by_session)


def wallet_details(database: Database, query: ModelSelect[Wallet]) -> tuple[WalletDetails, ...]:
    """Read wallets by a query that selects `WALLET_FIELDS`."""
    sql, parameters = database.get_sql_context().sql(query).query()
    rows = show(database, lambda: database.execute_sql(sql, parameters).fetchall())
    return tuple(WalletDetails(*map(shown, WALLET_FIELDS, row)) for row in rows)


def linked_wallets(database: Database, session_id: str) -> tuple[LinkedWallet, ...]:
    """Read the links of a session, that of the default wallet first, then in the order in which they were made."""
    query = (
        SessionWallet.select(*_LINK_FIELDS)
        .join(Wallet)
        .where(SessionWallet.session == session_id)
        .order_by(SessionWallet.is_default.desc(), *link_order(database, SessionWallet))
    )
    sql, parameters = database.get_sql_context().sql(query).query()
    rows = show(database, lambda: database.execute_sql(sql, parameters).fetchall())
    return tuple(_linked(row) for row in rows)


def refuse_unreadable_id(database: Database, id_: object) -> None:
    """Refuse to decide by an id that is not UTF-8: other bytes can have the same replacement characters."""
    if isinstance(id_, ReplacedText):
        raise refusal("unreadable_value", path=file_of(database), cause=f"the id {id_!r} is not UTF-8")


#: The fields of `WalletDetails`, in their order.
WALLET_FIELDS = [getattr(Wallet, each.name) for each in fields(WalletDetails)]
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


def _details(database: Database, rows: Sequence[Sequence[Any]], now: int) -> SessionDetails:
    """Make a session from the rows that join it to its links; without links, it is one row without a wallet."""
    width = len(_SESSION_FIELDS)
    values = dict(zip(_SESSION_NAMES, map(shown, _SESSION_FIELDS, rows[0]), strict=False))
    values["constraints"] = limits = _constraints(database, rows[0][0], values["constraints"])
    make = _SessionWithUnreadableLimits if isinstance(limits, WAIaaSError) else SessionDetails
    links = tuple(_linked(row[width:]) for row in rows if row[width] is not None)
    return make(status=_status(values["revoked_at"], rows[0][_EXPIRES_AT], now), wallets=links, **values)


def _stored_id(row: Sequence[Any]) -> object:
    """Return the id of a session as it is stored: two that are not UTF-8 can look alike."""
    return row[0].raw if isinstance(row[0], ReplacedText) else row[0]


def _linked(row: Sequence[Any]) -> LinkedWallet:
    return LinkedWallet(*map(shown, _LINK_FIELDS, row))


def shown(field: Field, value: Any) -> Any:
    """Return a stored value in the type of its field; SQLite takes any value in any column.

    A time that is not a number is shown as the last second of the year 9999: SQLite orders it after every number.
    """
    if value is None or isinstance(field, JSONText):
        return value
    if isinstance(field, UTCDateTime):
        return field.python_value(value if isinstance(value, (int, float)) else LAST_SECOND)
    if isinstance(field, Integer):
        return value if isinstance(value, int) else 0
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return field.python_value(value)


def _constraints(database: Database, session_id: str, stored: Any) -> dict[str, Any] | WAIaaSError | None:
    """Return the limits of a session, or the error for limits that cannot be read: they must not look like none."""
    try:
        found = None if stored is None else json.loads(stored)
    except (ValueError, TypeError, RecursionError) as error:
        # Not JSON, or a number with more digits than Python reads (sys.get_int_max_str_digits).
        cause = str(error)
    else:
        if (found is None or isinstance(found, dict)) and not isinstance(stored, ReplacedText):
            return found
        cause = "not UTF-8" if isinstance(stored, ReplacedText) else "not a JSON object"
    cause = f"constraints of session {session_id}: {cause}"
    return refusal("unreadable_value", path=file_of(database), sessionId=session_id, cause=cause)


def _status(revoked_at: datetime | None, expires_at: object, now: int) -> str:
    """Return the status by the stored end: as a datetime, milliseconds are the last second of the year 9999."""
    if revoked_at is not None:
        return "REVOKED"
    return "EXPIRED" if is_expired(expires_at, now) else "ACTIVE"
