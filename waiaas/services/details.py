"""The results of the services: wallets, and sessions with their links, as plain values of one moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from itertools import groupby
from typing import Any, NoReturn

from peewee import AutoField, Field, ModelSelect

from waiaas.backends.base import Backend, Row
from waiaas.errors import WAIaaSError, refusal
from waiaas.models import Session, SessionWallet, Wallet
from waiaas.models.fields import LAST_SECOND, Flag, Integer, JSONText, UTCDateTime
from waiaas.paths import file_of
from waiaas.services.expiry import is_expired
from waiaas.services.ids import redact_id
from waiaas.services.statements import ReplacedText, read, run, shown
from waiaas.vocabularies import owner_state_of


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
        return owner_state_of(self.owner_address, self.owner_verified)


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


def read_sessions(database: Backend, ids: ModelSelect[Session], now: int) -> tuple[SessionDetails, ...]:
    """Read the sessions of a query for ids, with their links; those that expire at `now` (Unix seconds) have expired.

    Text that is not UTF-8 is shown with replacement characters.
    """
    sql, parameters = database.get_sql_context().sql(ids).query()
    sql = f"{database.dialect(_FROM_SESSIONS)} WHERE s.id IN ({sql}) {database.dialect(_BY_SESSION)}"
    return _sessions(database, lambda: database.execute_sql(sql, parameters).fetchall(), now)


def read_session(database: Backend, session_id: str, now: int) -> SessionDetails:
    """Read one session with its links. Raises WAIaaSError `SESSION_NOT_FOUND`."""
    for session in _sessions(database, lambda: run(database, _ONE_SESSION, session_id).fetchall(), now):
        return session
    raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})


def session_details(database: Backend, session: Row, links: Sequence[Row], now: int) -> SessionDetails:
    """Make a session from its `SESSION_COLUMNS` and the rows of its links."""
    values = _session_values(database, session, links, now)
    make = _SessionWithUnreadableLimits if isinstance(values["constraints"], WAIaaSError) else SessionDetails
    return make(**values)


def issued_session(database: Backend, session: Row, links: Sequence[Row], now: int, token: str) -> IssuedSession:
    """Make a session with its token; limits that cannot be read are an error: no token is signed for them."""
    values = _session_values(database, session, links, now)
    if isinstance(values["constraints"], WAIaaSError):
        raise values["constraints"]
    return IssuedSession(**values, token=token)


def _session_values(database: Backend, session: Row, links: Sequence[Row], now: int) -> dict[str, Any]:
    values = dict(zip(SESSION_NAMES, _read(_SESSION_READERS, session), strict=True))
    values["constraints"] = _constraints(database, session[0], values["constraints"])
    values["status"] = _status(values["revoked_at"], session[_EXPIRES_AT], now)
    values["wallets"] = tuple(map(linked_wallet, links))
    return values


def read_links(database: Backend, session_id: str) -> list[Row]:
    """Read the links of a session, that of the default wallet first, then in the order in which they were made."""
    rows: list[Row] = shown(database, lambda: run(database, _LINKS, session_id).fetchall())
    return rows


def linked_wallet(row: Sequence[Any]) -> LinkedWallet:
    """Make a linked wallet from its `LINK_COLUMNS`."""
    return LinkedWallet(*_read(_LINK_READERS, row))


def wallet_details(row: Sequence[Any]) -> WalletDetails:
    """Make a wallet from its `WALLET_COLUMNS`."""
    return WalletDetails(*_read(_WALLET_READERS, row))


def refuse_unreadable_id(database: Backend, id_: object) -> None:
    """Refuse to decide by an id that is not UTF-8: other bytes can have the same replacement characters."""
    if isinstance(id_, ReplacedText):
        raise refusal("unreadable_value", path=file_of(database), cause=f"the id {id_!r} is not UTF-8")


def _reader(field: Field) -> Callable[[Any], Any]:
    """Return the function that reads the stored values of a field."""
    if isinstance(field, JSONText):
        return _unchanged
    if isinstance(field, UTCDateTime):
        return _time
    if isinstance(field, (AutoField, Integer)):
        return _integer
    return _flag if isinstance(field, Flag) else _text


def _unchanged(value: Any) -> Any:
    return value


def _time(value: Any) -> datetime | None:
    if type(value) is int and 0 <= value <= LAST_SECOND:
        return datetime.fromtimestamp(value, timezone.utc)
    return None if value is None else _TIME.python_value(value if isinstance(value, (int, float)) else LAST_SECOND)


def _integer(value: Any) -> int | None:
    return value if value is None or isinstance(value, int) else 0


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


_TIME = UTCDateTime()


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
#: Their names.
SESSION_NAMES = [field.name for field in _SESSION_FIELDS]
_EXPIRES_AT = SESSION_NAMES.index("expires_at")
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


#: The columns of a session, of a link with its wallet, and of a wallet.
SESSION_COLUMNS = ", ".join(field.column_name for field in _SESSION_FIELDS)
LINK_COLUMNS = ", ".join(f"{'w' if field.model is Wallet else 'l'}.{field.column_name}" for field in _LINK_FIELDS)
WALLET_COLUMNS = ", ".join(field.column_name for field in WALLET_FIELDS)
#: The columns of a wallet in `LINK_COLUMNS`.
LINKED_WALLET_COLUMNS = ", ".join(field.column_name for field in _LINK_FIELDS if field.model is Wallet)
#: How the links of a session are ordered.
LINK_ORDER = "ORDER BY l.is_default DESC, l.rowid"

_SESSION_READERS, _LINK_READERS, _WALLET_READERS = (
    tuple(map(_reader, each)) for each in (_SESSION_FIELDS, _LINK_FIELDS, WALLET_FIELDS)
)

_LINKS = f"""\
SELECT {LINK_COLUMNS} FROM main.session_wallets AS l JOIN main.wallets AS w ON w.id = l.wallet_id
WHERE l.session_id = ? {LINK_ORDER}"""
_FROM_SESSIONS = f"""\
SELECT {", ".join(f"s.{field.column_name}" for field in _SESSION_FIELDS)}, {LINK_COLUMNS}
FROM main.sessions AS s
LEFT JOIN main.session_wallets AS l ON l.session_id = s.id
LEFT JOIN main.wallets AS w ON w.id = l.wallet_id"""
_BY_SESSION = "ORDER BY s.id, l.is_default DESC, l.rowid"
_ONE_SESSION = f"{_FROM_SESSIONS} WHERE s.id = ? {_BY_SESSION}"


def _read(readers: Sequence[Callable[[Any], Any]], row: Sequence[Any]) -> list[Any]:
    # Most values are text, and a call for each would count.
    return [
        value if value is None or (reader is _text and type(value) is str) else reader(value)
        for reader, value in zip(readers, row, strict=False)
    ]


def _sessions(database: Backend, query: Callable[[], list[Row]], now: int) -> tuple[SessionDetails, ...]:
    """Make sessions from the rows that join each to its links; one without links has one row without a wallet."""
    width, found = len(_SESSION_FIELDS), []
    for _, of_one in groupby(read(database, query), key=_stored_id):
        rows = list(of_one)
        links = [row[width:] for row in rows if row[width] is not None]
        found.append(session_details(database, rows[0][:width], links, now))
    return tuple(found)


def _stored_id(row: Sequence[Any]) -> object:
    """Return the stored id of a session: two ids that are not UTF-8 can look alike."""
    return row[0].raw if isinstance(row[0], ReplacedText) else row[0]


def field_value(field: Field, value: Any) -> Any:
    """Return a stored value in the type of its field; SQLite takes any value in any column.

    A time that is not a number is shown as the last second of the year 9999: SQLite orders it after every number.
    """
    return _reader(field)(value)


def _constraints(database: Backend, session_id: str, stored: Any) -> dict[str, Any] | WAIaaSError | None:
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
