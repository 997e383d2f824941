"""Wallets: create, suspend, resume, list, and terminate with the consequences for the sessions linked to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from peewee import SQL, ModelSelect, Node

from waiaas.backends.base import Backend, Row
from waiaas.errors import FieldMessage, WAIaaSError
from waiaas.models import Session, SessionWallet, Transaction, Wallet
from waiaas.schemas import (
    DEFAULT_LIMIT,
    RequestValidationError,
    SuspendWalletRequestSchema,
    check_create_wallet_request,
)
from waiaas.schemas.base import check_as_loaded
from waiaas.services.base import Service
from waiaas.services.changes import Event, Journal, lock, refuse_undone, write
from waiaas.services.details import (
    WALLET_COLUMNS,
    WALLET_FIELDS,
    WalletDetails,
    refuse_unreadable_id,
    wallet_details,
)
from waiaas.services.ids import check_actor, check_id, new_id, redact_id
from waiaas.services.kill_switch import refuse_locked
from waiaas.services.pages import Page, check_page, is_after, page_of
from waiaas.services.statements import batched, read, run, shown
from waiaas.settings import seconds_of
from waiaas.vocabularies import MAINNET_NETWORK_TYPES, WALLET_STATUSES

_TRUE = SQL("1")
_SUSPEND_WALLET = SuspendWalletRequestSchema()
_BECAUSE = {"reason": "WALLET_TERMINATED"}

_BY_ID = f"SELECT {WALLET_COLUMNS} FROM main.wallets WHERE id = ?"
_INSERT = """\
INSERT INTO main.wallets
(id, name, chain, environment, default_network, public_key, owner_address, created_at, updated_at, status)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'ACTIVE') ON CONFLICT (public_key) DO NOTHING"""
_SET_STATUS = """\
UPDATE main.wallets SET status = ?, suspended_at = ?, suspension_reason = ?, updated_at = ? WHERE id = ?"""
_TERMINATE = "UPDATE main.wallets SET status = 'TERMINATED', updated_at = ? WHERE id = ?"
_LINKS = """\
SELECT k.session_id, k.is_default, s.revoked_at,
       (SELECT l.wallet_id FROM main.session_wallets AS l
        WHERE l.session_id = k.session_id AND l.wallet_id <> k.wallet_id ORDER BY l.rowid LIMIT 1)
FROM main.session_wallets AS k JOIN main.sessions AS s ON s.id = k.session_id
WHERE k.wallet_id = ? ORDER BY k.session_id"""
_SESSIONS = "SELECT session_id FROM main.session_wallets WHERE wallet_id = ? ORDER BY session_id"


class WalletService(Service):
    """Creates wallets, suspends and resumes them, terminates and lists them."""

    def create(
        self,
        *,
        name: str,
        chain: str,
        environment: str,
        public_key: str,
        default_network: str | None = None,
        owner_address: str | None = None,
        actor: str,
    ) -> WalletDetails:
        """Create an active wallet for a public key; its private key is kept elsewhere.

        The keyword arguments are the result of `CreateWalletRequestSchema().load`.

        :param name: 1 to 100 characters, not blank.
        :param chain: one of `CHAIN_TYPES`.
        :param environment: one of `ENVIRONMENT_TYPES`.
        :param public_key: 1 to 256 characters, not blank; no two wallets have the same.
        :param default_network: a network of the chain and the environment, for requests that do not name one; or None.
        :param owner_address: the address of the human owner, 1 to 256 characters, not blank; or None.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `ENVIRONMENT_NETWORK_MISMATCH` if
            the default network is not one of the environment; `ACTION_VALIDATION_FAILED`, also if a wallet with this
            public key exists.
        """
        arguments = {"name": name, "chain": chain, "environment": environment, "public_key": public_key}
        optional = {"default_network": default_network, "owner_address": owner_address}
        check_create_wallet_request({**arguments, **optional})
        check_actor(actor)
        _refuse_foreign_network(default_network, environment)
        wallet_id = new_id()

        def change(journal: Journal) -> WalletDetails:
            refuse_locked(self._database)
            now = seconds_of(self._clock)
            row = (wallet_id, name, chain, environment, default_network, public_key, owner_address, now, now)
            if run(self._database, _INSERT, *row).rowcount == 0:
                raise RequestValidationError({"publicKey": [FieldMessage("public_key_exists")]})
            details = {"name": name, "chain": chain, "environment": environment}
            journal.record(now, actor, [Event("WALLET_CREATED", details, wallet_id)])
            return self._wallet(wallet_id)

        return write(self._database, change)

    def get(self, wallet_id: str) -> WalletDetails:
        """Return a wallet.

        :param wallet_id: the wallet.
        :returns: the wallet.
        :raises WAIaaSError: `WALLET_NOT_FOUND`.
        """
        check_id("walletId", wallet_id)
        return read(self._database, lambda: self._wallet(wallet_id))

    def list(
        self, *, status: str | None = None, limit: int = DEFAULT_LIMIT, after: str | None = None
    ) -> Page[WalletDetails]:
        """Return wallets in the order of their ids.

        :param status: only wallets of this status, one of `WALLET_STATUSES`; None: all.
        :param limit: the maximum number of wallets per page, 1 to 200.
        :param after: the `next_after` of the previous page; None: the first page.
        :returns: a page of wallets.
        :raises WAIaaSError: `ACTION_VALIDATION_FAILED`.
        """
        check_page(limit, after, status, WALLET_STATUSES)
        wallets = Wallet.select(*WALLET_FIELDS).order_by(Wallet.id).limit(limit + 1)
        if after is not None:
            wallets = wallets.where(is_after(Wallet.id, after))
        if status is not None:
            wallets = wallets.where(Wallet.status == status)
        sql, parameters = self._database.get_sql_context().sql(wallets).query()
        rows = read(self._database, lambda: self._database.execute_sql(sql, parameters).fetchall())
        found = tuple(map(wallet_details, rows))
        return page_of(found, limit, lambda place: self.list(status=status, limit=limit, after=place))

    def suspend(self, wallet_id: str, reason: str | None = None, *, actor: str) -> WalletDetails:
        """Suspend an active wallet; its sessions keep their links.

        :param wallet_id: the wallet.
        :param reason: text of 1 to 1,000 characters, not blank, or None, as `SuspendWalletRequestSchema().load`
            returns it.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `WALLET_NOT_FOUND`; `WALLET_TERMINATED`; `WALLET_SUSPENDED` if it is suspended already;
            `INVALID_STATE_TRANSITION` for every other status that is not `ACTIVE`; `ACTION_VALIDATION_FAILED`.
        """
        check_actor(actor)
        check_as_loaded(_SUSPEND_WALLET, {"reason": reason})
        check_id("walletId", wallet_id)

        def change(journal: Journal) -> WalletDetails:
            wallet = self._lock(wallet_id)
            now = seconds_of(self._clock)
            if wallet.status == "SUSPENDED":
                raise WAIaaSError("WALLET_SUSPENDED", details={"walletId": wallet_id})
            _refuse_transition(wallet, "ACTIVE", "SUSPENDED")
            suspended = _SET_STATUS, ("SUSPENDED", now, reason, now, wallet_id)
            journal.record(now, actor, [Event("WALLET_SUSPENDED", {"reason": reason}, wallet_id)], suspended)
            return self._kept(wallet_id, "SUSPENDED")

        return write(self._database, change, durable=True)

    def resume(self, wallet_id: str, *, actor: str) -> WalletDetails:
        """Make a suspended wallet active again.

        :param wallet_id: the wallet.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `WALLET_NOT_FOUND`;
            `WALLET_TERMINATED`; `INVALID_STATE_TRANSITION` if it is not suspended.
        """
        check_actor(actor)
        check_id("walletId", wallet_id)

        def change(journal: Journal) -> WalletDetails:
            found = lock(self._database, "wallets", WALLET_COLUMNS, [wallet_id])
            refuse_locked(self._database)
            wallet = _usable(wallet_id, found)
            _refuse_transition(wallet, "SUSPENDED", "ACTIVE")
            now = seconds_of(self._clock)
            active = _SET_STATUS, ("ACTIVE", None, None, now, wallet_id)
            journal.record(now, actor, [Event("WALLET_ACTIVATED", {}, wallet_id)], active)
            return self._kept(wallet_id, "ACTIVE")

        return write(self._database, change)

    def terminate(self, wallet_id: str, *, actor: str) -> WalletDetails:
        """Terminate a wallet permanently: no session can use it, and its pending transactions are cancelled.

        A session that has no other wallet is revoked. If the wallet is a session's default, the one linked earliest of
        the others becomes the default. All of this is one transaction, with a row in the audit log for the wallet,
        each session and each transaction concerned.

        :param wallet_id: the wallet.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `WALLET_NOT_FOUND`; `WALLET_TERMINATED`.
        """
        check_actor(actor)
        check_id("walletId", wallet_id)

        def change(journal: Journal) -> WalletDetails:
            self._lock(wallet_id)
            # No new link can appear while the wallet is locked; existing links can change until their sessions are
            # locked.
            self._lock_sessions(wallet_id)
            now = seconds_of(self._clock)
            lost = _links_to_lose(self._database, wallet_id)
            SessionWallet.delete().where(SessionWallet.wallet == wallet_id).execute(self._database)
            ended = [link.session_id for link in lost if link.ends_session]
            self._revoke(ended, now)
            defaults: dict[str, list[str]] = {}
            for link in lost:
                if link.was_default and link.next_default is not None:
                    defaults.setdefault(link.next_default, []).append(link.session_id)
            for next_default, sessions in defaults.items():
                self._make_default(next_default, sessions)
            pending = self._cancel_pending(wallet_id)
            run(self._database, _TERMINATE, now, wallet_id)
            counts = {"sessions": len(lost), "transactions": len(pending)}
            ended_wallet = Event("WALLET_TERMINATED", counts, wallet_id)
            journal.record(now, actor, [*(_event_of(link, wallet_id) for link in lost), *pending, ended_wallet])
            self._refuse_undone_cascade(wallet_id, ended, defaults, now)
            return self._kept(wallet_id, "TERMINATED")

        return write(self._database, change, durable=True)

    def _wallet(self, wallet_id: str) -> WalletDetails:
        row = shown(self._database, lambda: run(self._database, _BY_ID, wallet_id).fetchone())
        if row is None:
            raise WAIaaSError("WALLET_NOT_FOUND", details={"walletId": redact_id(wallet_id)})
        return wallet_details(row)

    def _lock(self, wallet_id: str) -> WalletDetails:
        """Lock a wallet; refuse one that is unknown or terminated."""
        return _usable(wallet_id, lock(self._database, "wallets", WALLET_COLUMNS, [wallet_id]))

    def _lock_sessions(self, wallet_id: str) -> None:
        linked = shown(self._database, lambda: run(self._database, _SESSIONS, wallet_id).fetchall())
        ids = [id_ for (id_,) in linked]
        for id_ in ids:
            refuse_unreadable_id(self._database, id_)
        for some in batched(ids):
            lock(self._database, "sessions", "id", some)

    def _kept(self, wallet_id: str, status: str) -> WalletDetails:
        """Return a wallet after its change; refuse if the change was not kept."""
        wallet = self._wallet(wallet_id)
        refuse_undone(self._database, "wallets", lambda: wallet.status == status)
        return wallet

    def _refuse_undone_cascade(
        self, wallet_id: str, ended: Sequence[str], defaults: Mapping[str, Sequence[str]], now: int
    ) -> None:
        """Refuse if what a termination did to links, sessions and transactions was not kept."""
        database = self._database

        def keeps(query: ModelSelect[Any], expected: int) -> Callable[[], bool]:
            return lambda: query.count(database) == expected

        links = SessionWallet.select().where(SessionWallet.wallet == wallet_id)
        refuse_undone(database, "session_wallets", keeps(links, 0))
        for some in batched(ended):
            revoked = Session.select().where(Session.id.in_(some), Session.revoked_at == now)
            refuse_undone(database, "sessions", keeps(revoked, len(some)))
        for next_default, sessions in defaults.items():
            for some in batched(sessions):
                is_default = (SessionWallet.wallet == next_default) & (SessionWallet.is_default == _TRUE)
                kept = SessionWallet.select().where(is_default, SessionWallet.session.in_(some))
                refuse_undone(database, "session_wallets", keeps(kept, len(some)))
        refuse_undone(database, "transactions", keeps(Transaction.select().where(_is_pending(wallet_id)), 0))

    def _revoke(self, sessions: Sequence[str], now: int) -> None:
        for some in batched(sessions):
            Session.update(revoked_at=now).where(Session.id.in_(some)).execute(self._database)

    def _make_default(self, wallet_id: str, sessions: Sequence[str]) -> None:
        for some in batched(sessions):
            links = (SessionWallet.wallet == wallet_id) & SessionWallet.session.in_(some)
            SessionWallet.update(is_default=True).where(links).execute(self._database)

    def _cancel_pending(self, wallet_id: str) -> Sequence[Event]:
        is_pending = _is_pending(wallet_id)
        found = Transaction.select(Transaction.id, Transaction.session).where(is_pending).order_by(Transaction.id)
        if self._database.for_update:
            found = found.for_update()
        pending = list(found.tuples().execute(self._database))
        Transaction.update(status="CANCELLED").where(is_pending).execute(self._database)
        return [Event("TX_CANCELLED", _BECAUSE, wallet_id, session_id, id_) for id_, session_id in pending]


def _is_pending(wallet_id: str) -> Node:
    return (Transaction.wallet == wallet_id) & (Transaction.status == "PENDING")


def _refuse_foreign_network(network: str | None, environment: str) -> None:
    """Refuse a default network that is not one of the environment."""
    of_network = "mainnet" if network in MAINNET_NETWORK_TYPES else "testnet"
    if network is not None and of_network != environment:
        raise WAIaaSError("ENVIRONMENT_NETWORK_MISMATCH", details={"network": network, "environment": environment})


class _LostLink(NamedTuple):
    """A link that is deleted with its wallet; `next_default` is the session's earliest other wallet, or None."""

    session_id: str
    was_default: bool
    is_revoked: bool
    next_default: str | None

    @property
    def ends_session(self) -> bool:
        return self.next_default is None and not self.is_revoked


def _links_to_lose(database: Backend, wallet_id: str) -> list[_LostLink]:
    rows = shown(database, lambda: run(database, _LINKS, wallet_id).fetchall())
    for session, _, _, to in rows:
        refuse_unreadable_id(database, session)
        refuse_unreadable_id(database, to)
    return [
        _LostLink(session, bool(was_default), revoked_at is not None, to)
        for session, was_default, revoked_at, to in rows
    ]


def _event_of(link: _LostLink, wallet_id: str) -> Event:
    """Return the event for the loss of a link: what it means for its session."""
    if link.ends_session:
        return Event("SESSION_REVOKED", _BECAUSE, wallet_id, link.session_id)
    if link.was_default and link.next_default is not None:
        return Event(
            "SESSION_DEFAULT_WALLET_SET", {"previousWalletIds": [wallet_id]}, link.next_default, link.session_id
        )
    return Event("SESSION_WALLET_UNLINKED", _BECAUSE, wallet_id, link.session_id)


def _usable(wallet_id: str, found: Sequence[Row]) -> WalletDetails:
    """Return the wallet that was found; refuse one that is unknown or terminated."""
    if not found:
        raise WAIaaSError("WALLET_NOT_FOUND", details={"walletId": redact_id(wallet_id)})
    wallet = wallet_details(found[0])
    if wallet.status == "TERMINATED":
        raise WAIaaSError("WALLET_TERMINATED", details={"walletId": wallet_id})
    return wallet


def _refuse_transition(wallet: WalletDetails, required: str, target: str) -> None:
    if wallet.status != required:
        raise WAIaaSError("INVALID_STATE_TRANSITION", details={"from": wallet.status, "to": target})
