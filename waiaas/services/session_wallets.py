"""The links between sessions and wallets: which wallets a session may use, and which is its default."""

from __future__ import annotations

import time
from collections.abc import Sequence

from peewee import JOIN, Database, Node, fn

from waiaas.backends.sqlite import sync_at_commit
from waiaas.errors import WAIaaSError
from waiaas.errors.translation import translate_errors
from waiaas.models import Session, SessionWallet, Wallet
from waiaas.services.audit import Event, record
from waiaas.services.base import Service
from waiaas.services.details import LinkedWallet, linked_wallets
from waiaas.services.expiry import has_not_expired, is_expired
from waiaas.services.ids import check_actor, check_id, redact_id
from waiaas.services.kill_switch import IS_LOCKED, refuse_locked, refuse_locked_now
from waiaas.services.settings import Clock, SessionSettings, seconds_of
from waiaas.services.statements import FALSE, fetch_latest, in_dialect, refuse_undone, service_transaction


class SessionWalletService(Service):
    """Links wallets to sessions, unlinks them, and resolves the wallet of a request."""

    def __init__(
        self, database: Database, *, settings: SessionSettings | None = None, clock: Clock = time.time
    ) -> None:
        """Take the database, the settings and the clock."""
        super().__init__(database, settings=settings, clock=clock)
        self._find_named = in_dialect(database, _REACHED.format(which="l.wallet_id = ?"))
        self._find_default = in_dialect(database, _REACHED.format(which="l.is_default = 1"))

    def link(self, session_id: str, wallet_id: str, *, actor: str) -> LinkedWallet:
        """Link one more wallet to a session; it does not become the default.

        The first link of a session that has none (a migrated one, whose wallet was unknown) does: a session with
        wallets has exactly one default. A suspended wallet can be linked; `SessionService.authorize` refuses it until
        it is active again.

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
        with service_transaction(self._database):
            refuse_locked(self._database)
            now = seconds_of(self._clock)
            links = _links_to_change(self._database, session_id)
            refuse_unusable(self._database, [wallet_id], self._settings, now)
            if any(link.id == wallet_id for link in links):
                raise WAIaaSError("WALLET_ALREADY_LINKED", details={"sessionId": session_id, "walletId": wallet_id})
            row = {"session": session_id, "wallet": wallet_id, "is_default": not links, "created_at": now}
            SessionWallet.insert(row).execute(self._database)
            event = Event("SESSION_WALLET_LINKED", {"isDefault": not links}, wallet_id, session_id)
            record(self._database, now, actor, [event])
            return self._linked(session_id, wallet_id)

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
        with service_transaction(self._database, durable=True):
            now = seconds_of(self._clock)
            links = _links_to_change(self._database, session_id)
            link = _find(links, session_id, wallet_id)
            if len(links) == 1:
                raise WAIaaSError("SESSION_REQUIRES_WALLET", details={"sessionId": session_id})
            if link.is_default:
                raise WAIaaSError("CANNOT_REMOVE_DEFAULT_WALLET", details={"walletId": wallet_id})
            SessionWallet.delete().where(_is_link(session_id, wallet_id)).execute(self._database)
            event = Event("SESSION_WALLET_UNLINKED", {}, wallet_id, session_id)
            record(self._database, now, actor, [event])
            is_linked = SessionWallet.select().where(_is_link(session_id, wallet_id)).exists(self._database)
            refuse_undone(self._database, SessionWallet, not is_linked)

    def set_default(self, session_id: str, wallet_id: str, *, actor: str) -> LinkedWallet:
        """Make a linked wallet the default, for requests that name none; if it is, nothing changes.

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
        with service_transaction(self._database, durable=True):
            now = seconds_of(self._clock)
            links = _links_to_change(self._database, session_id)
            link = _find(links, session_id, wallet_id)
            before = [link.id for link in links if link.is_default]
            if before == [wallet_id]:
                sync_at_commit(self._database)
                return link
            of_session = SessionWallet.session == session_id
            SessionWallet.update(is_default=False).where(of_session).execute(self._database)
            SessionWallet.update(is_default=True).where(_is_link(session_id, wallet_id)).execute(self._database)
            event = Event("SESSION_DEFAULT_WALLET_SET", {"previousWalletIds": before}, wallet_id, session_id)
            record(self._database, now, actor, [event])
            defaults = SessionWallet.select(SessionWallet.wallet).where(of_session, SessionWallet.is_default != FALSE)
            kept = list(defaults.tuples().execute(self._database))
            refuse_undone(self._database, SessionWallet, kept == [(wallet_id,)])
            return self._linked(session_id, wallet_id)

    def list(self, session_id: str) -> tuple[LinkedWallet, ...]:
        """Return the wallets that are linked to a session, the default first, then in the order of their links.

        A revoked session still has its links, though it may use nothing.

        :param session_id: the session.
        :returns: all its wallets.
        :raises WAIaaSError: `SESSION_NOT_FOUND` if the session is unknown.
        """
        check_id("sessionId", session_id)
        with translate_errors(self._database), self._database.atomic():
            links = linked_wallets(self._database, session_id)
            if not links and not Session.select().where(Session.id == session_id).exists(self._database):
                raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})
            return links

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
            `WALLET_ACCESS_DENIED` if the wallet is not linked to the session, or none is named and there is no
            default.
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

    def _linked(self, session_id: str, wallet_id: str) -> LinkedWallet:
        return _find(linked_wallets(self._database, session_id), session_id, wallet_id)


def refuse_unusable(database: Database, wallet_ids: Sequence[str], settings: SessionSettings, now: int) -> None:
    """Refuse wallets that no session can be linked to, at Unix seconds `now`.

    Raises WAIaaSError `WALLET_NOT_FOUND`, `WALLET_TERMINATED`, or `SESSION_LIMIT_EXCEEDED` if a wallet has as many
    sessions as the settings allow, without those that are revoked or expired.
    """
    lives = Session.revoked_at.is_null() & has_not_expired(now)
    usage = (
        Wallet.select(Wallet.id, Wallet.status, fn.count(Session.id))
        .join(SessionWallet, JOIN.LEFT_OUTER)
        .join(Session, JOIN.LEFT_OUTER, on=(SessionWallet.session == Session.id) & lives)
        .group_by(Wallet.id, Wallet.status)
        .tuples()
    )
    rows = usage.where(Wallet.id.in_(wallet_ids)).execute(database)
    found = {wallet_id: (status, sessions) for wallet_id, status, sessions in rows}
    for wallet_id in wallet_ids:
        if wallet_id not in found:
            raise WAIaaSError("WALLET_NOT_FOUND", details={"walletId": redact_id(wallet_id)})
    for wallet_id in wallet_ids:
        if found[wallet_id][0] == "TERMINATED":
            raise WAIaaSError("WALLET_TERMINATED", details={"walletId": wallet_id})
    limit = settings.sessions_per_wallet
    for wallet_id in wallet_ids:
        if found[wallet_id][1] >= limit:
            raise WAIaaSError("SESSION_LIMIT_EXCEEDED", details={"walletId": wallet_id, "limit": limit})


# The kill switch, the session, and the wallet of one of its links, NULL if it has no such link; no row without the
# session. A join from a row that always exists would take 2 microseconds more.
_REACHED = f"""\
SELECT {IS_LOCKED}, s.revoked_at, s.expires_at, l.wallet_id
FROM main.sessions AS s
LEFT JOIN main.session_wallets AS l ON l.session_id = s.id AND {{which}}
WHERE s.id = ?"""


def _links_to_change(database: Database, session_id: str) -> tuple[LinkedWallet, ...]:
    """Return the links of a session; refuse a session that is unknown or revoked."""
    is_alive = (Session.id == session_id) & Session.revoked_at.is_null()
    if not Session.select().where(is_alive).exists(database):
        raise WAIaaSError("SESSION_NOT_FOUND", details={"sessionId": redact_id(session_id)})
    return linked_wallets(database, session_id)


def _find(links: Sequence[LinkedWallet], session_id: str, wallet_id: str) -> LinkedWallet:
    for link in links:
        if link.id == wallet_id:
            return link
    raise WAIaaSError("WALLET_ACCESS_DENIED", details={"sessionId": session_id, "walletId": redact_id(wallet_id)})


def _is_link(session_id: str, wallet_id: str) -> Node:
    return (SessionWallet.session == session_id) & (SessionWallet.wallet == wallet_id)
