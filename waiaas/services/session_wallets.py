"""The links between sessions and wallets: which wallets a session may use, and which is its default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from waiaas.backends.base import Row
from waiaas.backends.sqlite import sync_at_commit
from waiaas.errors import WAIaaSError
from waiaas.services.base import Service
from waiaas.services.changes import Event, Journal, lock, refuse_undone, write
from waiaas.services.details import (
    LINK_COLUMNS,
    LINK_ORDER,
    LINKED_WALLET_COLUMNS,
    LinkedWallet,
    linked_wallet,
    read_links,
)
from waiaas.services.expiry import IS_ALIVE, is_expired
from waiaas.services.ids import check_actor, check_id, redact_id
from waiaas.services.kill_switch import IS_LOCKED, refuse_locked_now
from waiaas.services.statements import fetch_latest, marks, read, run, shown
from waiaas.settings import seconds_of


class SessionWalletService(Service):
    """Links wallets to sessions, unlinks them, and resolves the wallet of a request."""

    def _prepare(self) -> None:
        self._find_named = self._database.dialect(_REACHED.format(which="l.wallet_id = ?"))
        self._find_default = self._database.dialect(_REACHED.format(which="l.is_default = 1"))

    def link(self, session_id: str, wallet_id: str, *, actor: str) -> LinkedWallet:
        """Link one more wallet to a session; it does not become the default.

        The first link of a session without wallets (a migrated one, whose wallet was unknown) does: a session
        with wallets has exactly one default. A suspended wallet can be linked; `SessionService.authorize` refuses it
        until it is active again.

        :param session_id: the session.
        :param wallet_id: the wallet, as `LinkWalletRequestSchema().load` returns it.
        :param actor: the name in the audit log.
        :returns: the wallet and the link.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `SESSION_NOT_FOUND` if the session
            is unknown or revoked; `WALLET_NOT_FOUND`; `WALLET_TERMINATED`; `SESSION_LIMIT_EXCEEDED` if the wallet has
            as many sessions as the settings allow; `WALLET_ALREADY_LINKED`.
        """
        check_id("sessionId", session_id)
        check_id("walletId", wallet_id)
        check_actor(actor)

        def change(journal: Journal) -> LinkedWallet:
            wallet, session = self._lock(wallet_id, session_id)
            now = seconds_of(self._clock)
            sessions, links = self._read_usage(session_id, wallet_id, now)
            self._refuse_unknown(session_id, session, is_locked=wallet is not None)
            statuses = {} if wallet is None else {wallet_id: wallet[-1]}
            refuse_unusable([wallet_id], statuses, {wallet_id: sessions}, self._settings.sessions_per_wallet)
            assert wallet is not None
            if wallet_id in links:
                raise WAIaaSError("WALLET_ALREADY_LINKED", details={"sessionId": session_id, "walletId": wallet_id})
            event = Event("SESSION_WALLET_LINKED", {"isDefault": not links}, wallet_id, session_id)
            journal.record(now, actor, [event], (insert_links(1), (session_id, wallet_id, int(not links), now)))
            return linked_wallet((*wallet, not links, now, session_id))

        return write(self._database, change)

    def unlink(self, session_id: str, wallet_id: str, *, actor: str) -> None:
        """Remove a wallet from a session, which keeps its others.

        :param session_id: the session.
        :param wallet_id: the wallet.
        :param actor: the name in the audit log.
        :raises WAIaaSError: `SESSION_NOT_FOUND` if the session is unknown or revoked; `WALLET_ACCESS_DENIED` if the
            wallet is not linked to it; `SESSION_REQUIRES_WALLET` if it has no other wallet;
            `CANNOT_REMOVE_DEFAULT_WALLET` if it is the default: set another one first.
        """
        check_id("sessionId", session_id)
        check_id("walletId", wallet_id)
        check_actor(actor)

        def change(journal: Journal) -> None:
            links = self._links_to_change(session_id)
            now = seconds_of(self._clock)
            link = _find(links, session_id, wallet_id)
            if len(links) == 1:
                raise WAIaaSError("SESSION_REQUIRES_WALLET", details={"sessionId": session_id})
            if link.is_default:
                raise WAIaaSError("CANNOT_REMOVE_DEFAULT_WALLET", details={"walletId": wallet_id})
            event = Event("SESSION_WALLET_UNLINKED", {}, wallet_id, session_id)
            journal.record(now, actor, [event], (_UNLINK, (session_id, wallet_id)))
            refuse_undone(
                self._database,
                "session_wallets",
                lambda: not run(self._database, _IS_LINKED, session_id, wallet_id).fetchone(),
            )

        write(self._database, change, durable=True)

    def set_default(self, session_id: str, wallet_id: str, *, actor: str) -> LinkedWallet:
        """Make a linked wallet the default, for requests that do not name a wallet; if it is already, nothing changes.

        :param session_id: the session.
        :param wallet_id: the wallet, as `SetDefaultWalletRequestSchema().load` returns it.
        :param actor: the name in the audit log.
        :returns: the wallet and the link.
        :raises WAIaaSError: `SESSION_NOT_FOUND` if the session is unknown or revoked; `WALLET_ACCESS_DENIED` if the
            wallet is not linked to it.
        """
        check_id("sessionId", session_id)
        check_id("walletId", wallet_id)
        check_actor(actor)

        def change(journal: Journal) -> LinkedWallet:
            links = self._links_to_change(session_id)
            now = seconds_of(self._clock)
            link = _find(links, session_id, wallet_id)
            before = [link.id for link in links if link.is_default]
            if before == [wallet_id]:
                sync_at_commit(self._database)
                return link
            # In this order: at no moment a session has two defaults, which an index on PostgreSQL refuses.
            run(self._database, _UNSET_DEFAULT, session_id)
            event = Event("SESSION_DEFAULT_WALLET_SET", {"previousWalletIds": before}, wallet_id, session_id)
            journal.record(now, actor, [event], (_SET_DEFAULT, (session_id, wallet_id)))
            refuse_undone(
                self._database,
                "session_wallets",
                lambda: run(self._database, _DEFAULTS, session_id).fetchall() == [(wallet_id,)],
            )
            return replace(link, is_default=True)

        return write(self._database, change, durable=True)

    def list(self, session_id: str) -> tuple[LinkedWallet, ...]:
        """Return the wallets that are linked to a session, the default first, then in the order of their links.

        A revoked session still has its links, though it may use nothing.

        :param session_id: the session.
        :returns: all its wallets.
        :raises WAIaaSError: `SESSION_NOT_FOUND` if the session is unknown.
        """
        check_id("sessionId", session_id)

        def query() -> tuple[LinkedWallet, ...]:
            links = run(self._database, _ALL_LINKS, session_id).fetchall()
            if not links:
                raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})
            return tuple(linked_wallet(row) for row in links if row[0] is not None)

        return read(self._database, query)

    def resolve(self, session_id: str, wallet_id: str | None = None) -> str:
        """Return the id of the wallet that a request is for: the one it names, else the session's default.

        It reads the latest commit of any process, as `SessionService.authorize` does. It does not check whether the
        wallet is active, which is the daemon's rule: a session may use a suspended wallet, to show it. Before it
        signs, the caller checks the wallet's `status`; `SessionService.authorize` does all of this in one call.

        :param session_id: the session.
        :param wallet_id: the wallet that the request names; None for the session's default.
        :returns: the id of the wallet.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `SESSION_NOT_FOUND`;
            `SESSION_REVOKED`; `SESSION_EXPIRED`, also if the stored end is not Unix seconds of the years up to 9999;
            `WALLET_ACCESS_DENIED` if the wallet is not linked to the session, or the request names no wallet and
            there is no default.
        """
        check_id("sessionId", session_id)
        if wallet_id is None:
            found = fetch_latest(self._database, self._find_default, session_id)
        else:
            check_id("walletId", wallet_id)
            found = fetch_latest(self._database, self._find_named, wallet_id, session_id)
        if found is None:
            refuse_locked_now(self._database)
            raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})
        is_locked, revoked_at, expires_at, reached = found
        if is_locked:
            raise WAIaaSError("SYSTEM_LOCKED")
        if revoked_at is not None:
            raise WAIaaSError("SESSION_REVOKED")
        if is_expired(expires_at, self._clock()):
            raise WAIaaSError("SESSION_EXPIRED")
        if reached is None:
            raise WAIaaSError(
                "WALLET_ACCESS_DENIED", details={"sessionId": session_id, "walletId": redact_id(wallet_id)}
            )
        return str(reached)

    def _lock(self, wallet_id: str, session_id: str) -> tuple[Row | None, Row | None]:
        columns = LINKED_WALLET_COLUMNS, session_id, "id, revoked_at"
        return shown(self._database, lambda: self._database.lock_link(wallet_id, *columns))

    def _read_usage(self, session_id: str, wallet_id: str, now: int) -> tuple[int, Sequence[str]]:
        """Return how many living sessions the wallet has, and the wallets of the session.

        Raises WAIaaSError `SYSTEM_LOCKED`.
        """
        rows = shown(self._database, lambda: run(self._database, _USAGE, wallet_id, now, session_id).fetchall())
        if rows[0][0]:
            raise WAIaaSError("SYSTEM_LOCKED")
        return rows[0][1], [row[2] for row in rows if row[2] is not None]

    def _links_to_change(self, session_id: str) -> Sequence[LinkedWallet]:
        """Lock a session and return its links; refuse a session that is unknown or revoked."""
        locked = lock(self._database, "sessions", "id, revoked_at", [session_id])
        self._refuse_unknown(session_id, next(iter(locked), None), is_locked=True)
        return [linked_wallet(row) for row in read_links(self._database, session_id)]

    def _refuse_unknown(self, session_id: str, session: Row | None, *, is_locked: bool) -> None:
        """Refuse a session that is unknown or revoked; one that was not locked is read."""
        if not is_locked:
            session = run(self._database, _REVOKED_AT, session_id).fetchone()
        if session is None or session[1] is not None:
            raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})


def refuse_unusable(
    wallet_ids: Sequence[str], statuses: Mapping[str, str], sessions: Mapping[Any, Any], limit: int
) -> None:
    """Refuse wallets that no session can be linked to, by their statuses and their numbers of living sessions.

    Raises WAIaaSError `WALLET_NOT_FOUND`, `WALLET_TERMINATED`, or `SESSION_LIMIT_EXCEEDED`.
    """
    for wallet_id in wallet_ids:
        if wallet_id not in statuses:
            raise WAIaaSError("WALLET_NOT_FOUND", details={"walletId": redact_id(wallet_id)})
    for wallet_id in wallet_ids:
        if statuses[wallet_id] == "TERMINATED":
            raise WAIaaSError("WALLET_TERMINATED", details={"walletId": wallet_id})
    for wallet_id in wallet_ids:
        if sessions.get(wallet_id, 0) >= limit:
            raise WAIaaSError("SESSION_LIMIT_EXCEEDED", details={"walletId": wallet_id, "limit": limit})


def default_of(links: Sequence[Row]) -> str | None:
    """Return the default wallet among the rows of a session's links."""
    return next((str(link[0]) for link in links if link[_IS_DEFAULT] == 1), None)


@cache
def insert_links(count: int) -> str:
    """Return the statement that inserts links: session, wallet, whether it is the default, time."""
    values = ", ".join([f"({marks(4)})"] * count)
    return f"INSERT INTO main.session_wallets (session_id, wallet_id, is_default, created_at) VALUES {values}"


_IS_DEFAULT = 6
# The kill switch, the living sessions of a wallet, and the wallets of a session.
_USAGE = f"""\
SELECT {IS_LOCKED}, (SELECT count(*) FROM main.session_wallets AS l JOIN main.sessions AS s ON s.id = l.session_id
                     WHERE l.wallet_id = ? AND {IS_ALIVE}), l.wallet_id
FROM (SELECT 1 AS one) AS o LEFT JOIN main.session_wallets AS l ON l.session_id = ?"""
_ALL_LINKS = f"""\
SELECT {LINK_COLUMNS} FROM main.sessions AS s
LEFT JOIN main.session_wallets AS l ON l.session_id = s.id
LEFT JOIN main.wallets AS w ON w.id = l.wallet_id WHERE s.id = ? {LINK_ORDER}"""
_REVOKED_AT = "SELECT id, revoked_at FROM main.sessions WHERE id = ?"
_UNLINK = "DELETE FROM main.session_wallets WHERE session_id = ? AND wallet_id = ?"
_IS_LINKED = "SELECT 1 FROM main.session_wallets WHERE session_id = ? AND wallet_id = ?"
_UNSET_DEFAULT = "UPDATE main.session_wallets SET is_default = 0 WHERE session_id = ?"
_SET_DEFAULT = "UPDATE main.session_wallets SET is_default = 1 WHERE session_id = ? AND wallet_id = ?"
_DEFAULTS = "SELECT wallet_id FROM main.session_wallets WHERE session_id = ? AND is_default <> 0"
# The kill switch, the session, and the wallet of one of its links, NULL if it has no such link; no row without the
# session. A join from a row that always exists would take 2 microseconds more.
_REACHED = f"""\
SELECT {IS_LOCKED}, s.revoked_at, s.expires_at, l.wallet_id
FROM main.sessions AS s
LEFT JOIN main.session_wallets AS l ON l.session_id = s.id AND {{which}}
WHERE s.id = ?"""


def _find(links: Sequence[LinkedWallet], session_id: str, wallet_id: str) -> LinkedWallet:
    for link in links:
        if link.id == wallet_id:
            return link
    raise WAIaaSError("WALLET_ACCESS_DENIED", details={"sessionId": session_id, "walletId": redact_id(wallet_id)})
