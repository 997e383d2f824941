"""Sessions: create, authorize and authenticate by token, renew, revoke, list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import cache
from itertools import chain
from typing import Any, NamedTuple, cast

from peewee import Node

from waiaas.backends.base import Row
from waiaas.backends.sqlite import LOG, sync_at_commit
from waiaas.errors import WAIaaSError
from waiaas.models import Session, SessionWallet
from waiaas.models.fields import to_json
from waiaas.schemas import DEFAULT_LIMIT, check_create_session_request
from waiaas.services.base import Service
from waiaas.services.changes import Event, Journal, lock, refuse_undone, write
from waiaas.services.details import (
    LINK_COLUMNS,
    LINK_ORDER,
    LINKED_WALLET_COLUMNS,
    SESSION_COLUMNS,
    SESSION_NAMES,
    IssuedSession,
    SessionDetails,
    issued_session,
    read_links,
    read_session,
    read_sessions,
    refuse_unreadable_id,
    session_details,
)
from waiaas.services.expiry import IS_ALIVE, has_expired, has_not_expired, is_expired
from waiaas.services.ids import check_actor, check_id, new_id, redact_id
from waiaas.services.kill_switch import IS_LOCKED
from waiaas.services.pages import Page, check_page, is_after, page_of
from waiaas.services.session_wallets import default_of, insert_links, refuse_unusable
from waiaas.services.statements import fetch_latest, marks, run, shown
from waiaas.services.tokens import STORED_KEYS, TokenClaims, TokenKeys, hash_of, is_hash_of, make_first_key
from waiaas.settings import seconds_of
from waiaas.vocabularies import SESSION_STATUSES


class AuthenticatedSession(NamedTuple):
    """The session of a token: its default wallet (None if there is no default), and when the token expires (UTC)."""

    session_id: str
    wallet_id: str | None
    expires_at: datetime


class AuthorizedWallet(NamedTuple):
    """The wallet that a request may use; `network` is its default network, or None."""

    id: str
    name: str
    chain: str
    environment: str
    network: str | None
    public_key: str
    status: str


class Authorization(NamedTuple):
    """What an allowed request may use: the wallet, the session, and when its token expires (UTC)."""

    wallet: AuthorizedWallet
    session_id: str
    expires_at: datetime


class SessionService(Service):
    """Creates sessions, authorizes requests by their tokens, renews, revokes and lists sessions.

    A method that reads the constraints of a session raises WAIaaSError `DATABASE_UNAVAILABLE` with the reason
    `unreadable_value` if they are not a JSON object: limits that cannot be read must not look like none.
    """

    def _prepare(self) -> None:
        self._keys: TokenKeys | None = None
        self._find_session = self._database.dialect(_SESSION)
        self._find_no_session = self._database.dialect(_NO_SESSION)
        self._find_default_wallet = self._database.dialect(_SESSION_AND_WALLET.format(which="l.is_default = 1"))
        self._find_named_wallet = self._database.dialect(_SESSION_AND_WALLET.format(which="l.wallet_id = ?"))

    def create(
        self,
        *,
        wallet_ids: Sequence[str],
        default_wallet_id: str | None = None,
        ttl: int | None = None,
        constraints: dict[str, Any] | None = None,
        actor: str,
    ) -> IssuedSession:
        """Create a session for one wallet or many, and sign its token.

        The keyword arguments are the result of `CreateSessionRequestSchema().load`. A suspended wallet can be linked;
        `authorize` refuses it until it is active again.

        :param wallet_ids: 1 to 100 distinct ids.
        :param default_wallet_id: the wallet for requests that do not name one; the first if None.
        :param ttl: how long the token lives, 300 to 604,800 seconds; as long as the settings say if None. It never
            lives past the absolute end of the session.
        :param constraints: a JSON object of at most 65,536 bytes, or None.
        :param actor: the name in the audit log.
        :returns: the session with its token, which is not stored: it is returned only once.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `WALLET_NOT_FOUND`;
            `WALLET_TERMINATED`; `SESSION_LIMIT_EXCEEDED` if a wallet has as many sessions as the settings allow;
            `ACTION_VALIDATION_FAILED`. Nothing is stored then.
        """
        ids = list(wallet_ids) if isinstance(wallet_ids, tuple) else cast("list[str]", wallet_ids)
        check_create_session_request(
            {"wallet_ids": ids, "default_wallet_id": default_wallet_id, "ttl": ttl, "constraints": constraints}
        )
        default = default_wallet_id or ids[0]
        check_actor(actor)
        session_id = new_id()

        def change(journal: Journal) -> IssuedSession:
            wallets = {row[0]: row for row in lock(self._database, "wallets", LINKED_WALLET_COLUMNS, ids)}
            now = seconds_of(self._clock)
            is_locked, keys, used = self._read_usage(ids, now)
            if is_locked:
                raise WAIaaSError("SYSTEM_LOCKED")
            statuses = {id_: row[-1] for id_, row in wallets.items()}
            refuse_unusable(ids, statuses, used, self._settings.sessions_per_wallet)
            absolute_end = now + self._settings.absolute_lifetime
            expires_at = min(now + (ttl or self._settings.ttl), absolute_end)
            keys = keys or make_first_key(self._database, now)
            token = keys.sign(TokenClaims(session_id, default, now, expires_at))
            limits, renewals = to_json(constraints) if constraints is not None else None, self._settings.max_renewals
            new = (session_id, hash_of(token), expires_at, limits, renewals, absolute_end, now)
            links = [(session_id, id_, int(id_ == default), now) for id_ in ids]
            event = Event("SESSION_ISSUED", {"walletIds": ids, "expiresAt": expires_at}, default, session_id)
            insert = insert_links(len(ids)), tuple(chain.from_iterable(links))
            journal.record(now, actor, [event], (_INSERT_SESSION, new), insert)
            stored = (session_id, now, expires_at, absolute_end, None, None, 0, renewals, limits, "api")
            rows = [(*wallets[id_], is_default, now, session_id) for _, id_, is_default, _ in _in_order(links)]
            return issued_session(self._database, stored, rows, now, token)

        return write(self._database, change)

    def authorize(self, token: str, wallet_id: str | None = None, *, must_be_active: bool = True) -> Authorization:
        """Return the wallet that a request may use: the one it names, or the session's default.

        Call it for each request. It reads the latest commit of any process, whatever cursors or transactions the
        caller has open: what was revoked, unlinked, suspended or locked before the call is refused. In a transaction
        that holds the write lock from its start, or in which a service has changed something, it reads the changes of
        this transaction.

        :param token: the session's token.
        :param wallet_id: the wallet that the request names; None for the session's default.
        :param must_be_active: False for requests that only show the wallet: a suspended one is then returned too. A
            terminated wallet is always refused.
        :returns: the wallet, the session, and when the token expires.
        :raises WAIaaSError: in this order:

            1. `ACTION_VALIDATION_FAILED` if `wallet_id` is not text;
            2. `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`;
            3. `INVALID_TOKEN` (wrong prefix, shape, algorithm or signature; signed with a key that was replaced more
               than five minutes ago) and `TOKEN_EXPIRED`;
            4. `SESSION_NOT_FOUND`, `SESSION_REVOKED`, `INVALID_TOKEN` if a renewal has replaced the token, and
               `SESSION_EXPIRED` if the session's row ends before the token does;
            5. `WALLET_ACCESS_DENIED` if the wallet is not linked to the session, or the request names no wallet
               and there is no default;
            6. `WALLET_TERMINATED`; then, unless `must_be_active` is False, `WALLET_SUSPENDED`, and
               `INVALID_STATE_TRANSITION` for every other status that is not `ACTIVE`.
        """
        if wallet_id is None:
            claims, row = self._current_session(token, self._find_default_wallet)
        else:
            check_id("walletId", wallet_id)
            claims, row = self._current_session(token, self._find_named_wallet, wallet_id)
        wallet = AuthorizedWallet._make(row[_WALLET:])
        if wallet.id is None:
            raise WAIaaSError(
                "WALLET_ACCESS_DENIED", details={"sessionId": claims.session_id, "walletId": redact_id(wallet_id)}
            )
        if wallet.status != "ACTIVE":
            _refuse_status(wallet, must_be_active)
        return Authorization(wallet, claims.session_id, datetime.fromtimestamp(claims.expires_at, timezone.utc))

    def authenticate(self, token: str) -> AuthenticatedSession:
        """Return the session of a token, if it is the current token of an active session.

        It reads as `authorize` does, which also decides about the wallet.

        :param token: the session's token.
        :returns: the session, its default wallet, and when the token expires.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `INVALID_TOKEN` (wrong prefix,
            shape, algorithm or signature; signed with a key that was replaced more than five minutes ago; replaced by
            a renewal); `TOKEN_EXPIRED`; `SESSION_NOT_FOUND`; `SESSION_REVOKED`; `SESSION_EXPIRED` if the session's
            row ends before the token does, or its stored end is not Unix seconds of the years up to 9999.
        """
        claims, row = self._current_session(token, self._find_session)
        end = datetime.fromtimestamp(claims.expires_at, timezone.utc)
        return AuthenticatedSession(claims.session_id, row[_WALLET], end)

    def renew(self, token: str, *, actor: str) -> IssuedSession:
        """Replace a session's token with a new one of the same lifetime, which never exceeds the absolute end.

        The token that is passed is invalid once the method returns.

        :param token: the session's current token.
        :param actor: the name in the audit log.
        :returns: the session with its new token, which is not stored: it is returned only once.
        :raises WAIaaSError: in this order: `SYSTEM_LOCKED`; `INVALID_TOKEN` or `TOKEN_EXPIRED`; `SESSION_NOT_FOUND`;
            `SESSION_REVOKED`; `SESSION_RENEWAL_MISMATCH` if it is not the session's current token; `SESSION_EXPIRED`
            as for `authenticate`; `RENEWAL_LIMIT_REACHED`; `SESSION_ABSOLUTE_LIFETIME_EXCEEDED`; `RENEWAL_TOO_EARLY`
            before half of the token's life has passed (`details["renewableAt"]` is when it has, in Unix seconds);
            `SESSION_REQUIRES_WALLET` if the session has no default wallet.
        """
        check_actor(actor)
        session_id = self._verify(token).session_id

        def change(journal: Journal) -> IssuedSession:
            found = lock(self._database, "sessions", f"{SESSION_COLUMNS}, token_hash", [session_id], will_change=True)
            now = seconds_of(self._clock)
            is_locked, keys, links = self._read_keys_and_links(session_id)
            if is_locked:
                raise WAIaaSError("SYSTEM_LOCKED")
            if keys is None:
                # No key has signed any token.
                raise WAIaaSError("INVALID_TOKEN")
            claims = keys.verify(token, now)
            if not found:
                raise WAIaaSError("SESSION_NOT_FOUND")
            (*stored, token_hash) = found[0]
            session = dict(zip(SESSION_NAMES, stored, strict=True))
            _refuse_renewal(session, token_hash, claims, token, now)
            default = default_of(links)
            if default is None:
                raise WAIaaSError("SESSION_REQUIRES_WALLET", details={"sessionId": session_id})
            lifetime = claims.expires_at - claims.issued_at
            expires_at = min(now + lifetime, int(session["absolute_expires_at"]))
            renewed = keys.sign(TokenClaims(session_id, default, now, expires_at))
            count = session["renewal_count"] + 1
            values = (hash_of(renewed), expires_at, count, now, session_id)
            event = Event("SESSION_RENEWED", {"renewalCount": count, "expiresAt": expires_at}, default, session_id)
            journal.record(now, actor, [event], (_RENEW, values))
            refuse_undone(self._database, "sessions", lambda: run(self._database, _IS_RENEWED, *values).fetchone())
            session |= {"expires_at": expires_at, "renewal_count": count, "last_renewed_at": now}
            return issued_session(self._database, tuple(session.values()), links, now, renewed)

        return write(self._database, change, durable=True)

    def revoke(self, session_id: str, *, actor: str) -> SessionDetails:
        """Revoke a session permanently: its token is invalid once the method returns.

        A session that is revoked already stays unchanged. A row with values that cannot be read is revoked as well.

        :param session_id: the session.
        :param actor: the name in the audit log.
        :returns: the session, with the status `REVOKED`.
        :raises WAIaaSError: `SESSION_NOT_FOUND` if the session is unknown.
        """
        check_id("sessionId", session_id)
        check_actor(actor)

        def change(journal: Journal) -> SessionDetails:
            found = lock(self._database, "sessions", SESSION_COLUMNS, [session_id], will_change=True)
            if not found:
                raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})
            now = seconds_of(self._clock)
            links = read_links(self._database, session_id)
            session = dict(zip(SESSION_NAMES, found[0], strict=True))
            if session["revoked_at"] is None:
                session["revoked_at"] = now
                event = Event("SESSION_REVOKED", {}, default_of(links), session_id)
                journal.record(now, actor, [event], (_REVOKE, (now, session_id)))
                refuse_undone(
                    self._database, "sessions", lambda: run(self._database, _IS_REVOKED, now, session_id).fetchone()
                )
            else:
                sync_at_commit(self._database)
            return session_details(self._database, tuple(session.values()), links, now)

        return write(self._database, change, durable=True)

    def get(self, session_id: str) -> SessionDetails:
        """Return a session with its links, revoked and expired ones too.

        :param session_id: the session.
        :returns: the session with its wallets.
        :raises WAIaaSError: `SESSION_NOT_FOUND` if the session is unknown.
        """
        check_id("sessionId", session_id)
        return read_session(self._database, session_id, seconds_of(self._clock))

    def list(
        self,
        wallet_id: str | None = None,
        *,
        status: str | None = None,
        limit: int = DEFAULT_LIMIT,
        after: str | None = None,
    ) -> Page[SessionDetails]:
        """Return sessions in the order of their ids, which is that of their creation for sessions created here.

        :param wallet_id: only sessions linked to this wallet; None: all.
        :param status: only sessions of this status, one of `SESSION_STATUSES`; None: all.
        :param limit: the maximum number of sessions per page, 1 to 200.
        :param after: the `next_after` of the previous page; None: the first page.
        :returns: a page of sessions.
        :raises WAIaaSError: `ACTION_VALIDATION_FAILED`.
        """
        check_page(limit, after, status, SESSION_STATUSES)
        now = seconds_of(self._clock)
        ids = Session.select(Session.id).order_by(Session.id).limit(limit + 1)
        if after is not None:
            ids = ids.where(is_after(Session.id, after))
        if wallet_id is not None:
            check_id("walletId", wallet_id)
            linked = SessionWallet.select(SessionWallet.session).where(SessionWallet.wallet == wallet_id)
            ids = ids.where(Session.id.in_(linked))
        if status is not None:
            ids = ids.where(_has_status(status, now))
        return page_of(
            read_sessions(self._database, ids, now),
            limit,
            lambda place: self.list(wallet_id, status=status, limit=limit, after=place),
        )

    def _current_session(self, token: str, sql: str, *parameters: object) -> tuple[TokenClaims, Sequence[Any]]:
        """Return the claims of a token and its session's row, if the session is active and the token is current."""
        try:
            now = seconds_of(self._clock)
            claims, row = self._claims_and_row(token, now, sql, parameters)
            if row[_TOKEN_HASH] is None:
                raise WAIaaSError("SESSION_NOT_FOUND")
            if row[_REVOKED_AT] is not None:
                raise WAIaaSError("SESSION_REVOKED")
            if not is_hash_of(row[_TOKEN_HASH], token):
                raise WAIaaSError("INVALID_TOKEN")
            if is_expired(row[_EXPIRES_AT], now):
                raise WAIaaSError("SESSION_EXPIRED")
            # The id of a wallet is never guessed; its name is only shown.
            refuse_unreadable_id(self._database, row[_WALLET])
        except WAIaaSError as error:
            _log_refusal(error)
            raise
        return claims, row

    def _claims_and_row(
        self, token: str, now: int, sql: str, parameters: tuple[object, ...] = ()
    ) -> tuple[TokenClaims, Sequence[Any]]:
        """Verify a token and read the row of its session.

        One statement is enough as long as the keys are those of the last call: it reads the stored keys, too.
        """
        keys = self._keys
        while True:
            claims, refused = None, None
            if keys is not None:
                try:
                    claims = keys.verify(token, now)
                except WAIaaSError as error:
                    # The keys in the database decide.
                    refused = error
            session_id = None if claims is None else claims.session_id
            is_locked, latest, row = self._read(keys, sql, (*parameters, session_id))
            if is_locked:
                raise WAIaaSError("SYSTEM_LOCKED")
            if latest is None:
                # No key has signed any token.
                raise WAIaaSError("INVALID_TOKEN")
            if latest is keys:
                break
            keys = latest
        self._keys = keys
        if claims is not None:
            return claims, row
        assert refused is not None
        raise refused

    def _read(
        self, known: TokenKeys | None, sql: str, parameters: tuple[object, ...]
    ) -> tuple[bool, TokenKeys | None, Sequence[Any]]:
        """Return whether the system is locked, the stored keys (the known ones if they are the same), and the rest.

        It raises no refusal: a traceback from here would contain the keys.
        """
        database = self._database
        found = fetch_latest(database, sql, *parameters, show=True) or fetch_latest(database, self._find_no_session)
        stored = found[_KEYS]
        if known is not None and known.stored == stored:
            return found[0], known, found[_ROW]
        return found[0], None if stored[0] is None else TokenKeys(*stored), found[_ROW]

    def _verify(self, token: str) -> TokenClaims:
        """Return the claims of a token that was signed with the cached keys or, failing that, the stored keys.

        A renewal verifies the token again under its lock; so a bad token is refused without waiting for the lock.
        """
        if self._keys is not None:
            with suppress(WAIaaSError):
                return self._keys.verify(token, seconds_of(self._clock))
        try:
            claims, _ = self._claims_and_row(token, seconds_of(self._clock), self._find_session)
        except WAIaaSError as error:
            _log_refusal(error)
            raise
        return claims

    def _read_usage(
        self, wallet_ids: Sequence[str], now: int
    ) -> tuple[bool, TokenKeys | None, dict[str | None, int | None]]:
        """Return whether the system is locked, the keys, and how many living sessions the wallets have."""
        rows = run(self._database, _usage(len(wallet_ids)), *wallet_ids, now).fetchall()
        return rows[0][0], self._keys_in(rows[0]), {row[-2]: row[-1] for row in rows}

    def _read_keys_and_links(self, session_id: str) -> tuple[bool, TokenKeys | None, Sequence[Row]]:
        """Return whether the system is locked, the keys, and the links of a session."""
        rows = shown(self._database, lambda: run(self._database, _KEYS_AND_LINKS, session_id).fetchall())
        links = [row[_ROW] for row in rows if row[_ROW.start] is not None]
        return rows[0][0], self._keys_in(rows[0]), links

    def _keys_in(self, row: Row) -> TokenKeys | None:
        """Return the keys in a row, the known ones if they are the same, or None."""
        if self._keys is None or self._keys.stored != row[_KEYS]:
            self._keys = None if row[1] is None else TokenKeys(*row[_KEYS])
        return self._keys


def _log_refusal(error: WAIaaSError) -> None:
    """Log the code of a refused token and nothing of the token, or that the database gave no decision."""
    if error.reason is None:
        LOG.info("A session token was refused: %s", error.code)
    else:
        LOG.warning("No decision about a session token: %s (%s)", error.code, error.reason)


# The kill switch, the two keys, the session, and one of its wallets, NULLs if it has no such link; no row without the
# session.
_SESSION = f"""\
SELECT {IS_LOCKED}, {STORED_KEYS}, s.token_hash, s.revoked_at, s.expires_at, l.wallet_id
FROM main.sessions AS s
LEFT JOIN main.session_wallets AS l ON l.session_id = s.id AND l.is_default = 1
WHERE s.id = ?"""
_SESSION_AND_WALLET = f"""\
SELECT {IS_LOCKED}, {STORED_KEYS}, s.token_hash, s.revoked_at, s.expires_at,
       w.id, w.name, w.chain, w.environment, w.default_network, w.public_key, w.status
FROM main.sessions AS s
LEFT JOIN main.session_wallets AS l ON l.session_id = s.id AND {{which}}
LEFT JOIN main.wallets AS w ON w.id = l.wallet_id
WHERE s.id = ?"""
# The same for a session that does not exist.
_NO_SESSION = f"SELECT {IS_LOCKED}, {STORED_KEYS}, NULL, NULL, NULL"
# The kill switch and the keys; and how many living sessions each of some wallets has, or the links of a session.
_SETTINGS = f"SELECT {IS_LOCKED}, {STORED_KEYS}"
_KEYS_AND_LINKS = f"""\
{_SETTINGS}, {LINK_COLUMNS} FROM (SELECT 1 AS one) AS o
LEFT JOIN main.session_wallets AS l ON l.session_id = ?
LEFT JOIN main.wallets AS w ON w.id = l.wallet_id {LINK_ORDER}"""
# Where the keys are in a row of these statements, and where the rest begins.
_KEYS, _ROW = slice(1, 3), slice(3, None)
# Where the columns of the session are in the rest, and where those of the wallet begin.
_TOKEN_HASH, _REVOKED_AT, _EXPIRES_AT, _WALLET = range(4)

_INSERT_SESSION = (
    "INSERT INTO main.sessions"
    " (id, token_hash, expires_at, constraints, max_renewals, absolute_expires_at, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_RENEW = "UPDATE main.sessions SET token_hash = ?, expires_at = ?, renewal_count = ?, last_renewed_at = ? WHERE id = ?"
_IS_RENEWED = (
    "SELECT 1 FROM main.sessions"
    " WHERE token_hash = ? AND expires_at = ? AND renewal_count = ? AND last_renewed_at = ? AND id = ?"
)
_REVOKE = "UPDATE main.sessions SET revoked_at = ? WHERE id = ?"
_IS_REVOKED = "SELECT 1 FROM main.sessions WHERE revoked_at = ? AND id = ?"


@cache
def _usage(wallets: int) -> str:
    return f"""\
{_SETTINGS}, u.wallet_id, u.sessions FROM (SELECT 1 AS one) AS o
LEFT JOIN (SELECT l.wallet_id, count(*) AS sessions
           FROM main.session_wallets AS l JOIN main.sessions AS s ON s.id = l.session_id
           WHERE l.wallet_id IN ({marks(wallets)}) AND {IS_ALIVE} GROUP BY l.wallet_id) AS u ON 1 = 1"""


def _in_order(links: Sequence[tuple[str, str, int, int]]) -> list[tuple[str, str, int, int]]:
    """Return new links in the order of a list: the default first."""
    return sorted(links, key=lambda link: -link[2])


def _refuse_status(wallet: AuthorizedWallet, must_be_active: bool) -> None:
    """Refuse a wallet that is not active, or only a terminated one."""
    details = {"walletId": wallet.id, "status": wallet.status}
    if wallet.status == "TERMINATED":
        raise WAIaaSError("WALLET_TERMINATED", details=details)
    if must_be_active and wallet.status == "SUSPENDED":
        raise WAIaaSError("WALLET_SUSPENDED", details=details)
    if must_be_active:
        raise WAIaaSError("INVALID_STATE_TRANSITION", details=details)


def _refuse_renewal(session: Mapping[str, Any], token_hash: object, claims: TokenClaims, token: str, now: int) -> None:
    """Refuse a renewal, in the order of the daemon's checks; in SQLite, a stored value can have any type."""
    if session["revoked_at"] is not None:
        raise WAIaaSError("SESSION_REVOKED")
    if not is_hash_of(token_hash, token):
        raise WAIaaSError("SESSION_RENEWAL_MISMATCH")
    if is_expired(session["expires_at"], now):
        raise WAIaaSError("SESSION_EXPIRED")
    if not _is_below(session["renewal_count"], session["max_renewals"]):
        raise WAIaaSError("RENEWAL_LIMIT_REACHED", details={"maxRenewals": _count(session["max_renewals"])})
    if is_expired(session["absolute_expires_at"], now):
        raise WAIaaSError("SESSION_ABSOLUTE_LIFETIME_EXCEEDED")
    renewable_at = claims.issued_at + (claims.expires_at - claims.issued_at + 1) // 2
    if now < renewable_at:
        raise WAIaaSError("RENEWAL_TOO_EARLY", details={"renewableAt": renewable_at})


def _has_status(status: str, now: int) -> Node:
    if status == "REVOKED":
        return Session.revoked_at.is_null(False)
    by_its_end = has_expired(now) if status == "EXPIRED" else has_not_expired(now)
    return Session.revoked_at.is_null() & by_its_end


def _count(value: object) -> int:
    """Return a stored count; 0 for a value of another type, which must not get into an answer."""
    return value if isinstance(value, int) else 0


def _is_below(count: object, most: object) -> bool:
    """Return whether a count is below its limit; False if one of them is not an integer."""
    return isinstance(count, int) and isinstance(most, int) and count < most
