"""Wallets: create, suspend, resume, list, and terminate with the consequences for the sessions linked to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from peewee import Database, Node

from waiaas.errors import FieldMessage, WAIaaSError
from waiaas.errors.translation import translate_errors
from waiaas.models import Session, SessionWallet, Transaction, Wallet
from waiaas.schemas import (
    DEFAULT_LIMIT,
    CreateWalletRequest,
    RequestValidationError,
    SuspendWalletRequestSchema,
    check_create_wallet_request,
)
from waiaas.schemas.base import check_as_loaded
from waiaas.services.audit import Event, record
from waiaas.services.base import Service
from waiaas.services.details import WALLET_FIELDS, WalletDetails, refuse_unreadable_id, wallet_details
from waiaas.services.ids import check_actor, check_id, new_id, redact_id
from waiaas.services.kill_switch import refuse_locked
from waiaas.services.pages import Page, check_page, is_after, page_of
from waiaas.services.settings import seconds_of
from waiaas.services.statements import TRUE, batched, link_order, refuse_undone, service_transaction, show
from waiaas.vocabularies import MAINNET_NETWORK_TYPES, WALLET_STATUSES

_SUSPEND_WALLET = SuspendWalletRequestSchema()
_BECAUSE = {"reason": "WALLET_TERMINATED"}


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

        The keyword arguments are what `CreateWalletRequestSchema().load` returns.

        :param name: 1 to 100 characters, not blank.
        :param chain: one of `CHAIN_TYPES`.
        :param environment: one of `ENVIRONMENT_TYPES`.
        :param public_key: 1 to 256 characters, not blank; no two wallets have the same.
        :param default_network: a network of the chain and the environment, for requests that name none; or None.
        :param owner_address: the address of the human owner, 1 to 256 characters, not blank; or None.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `ENVIRONMENT_NETWORK_MISMATCH` if
            the default network is not one of the environment; `ACTION_VALIDATION_FAILED`, also if a wallet with this
            public key exists.
        """
        columns = CreateWalletRequest(
            name=name,
            chain=chain,
            environment=environment,
            public_key=public_key,
            default_network=default_network,
            owner_address=owner_address,
        )
        check_create_wallet_request(columns)
        check_actor(actor)
        _refuse_foreign_network(default_network, environment)
        with service_transaction(self._database):
            refuse_locked(self._database)
            now, wallet_id = seconds_of(self._clock), new_id()
            if Wallet.select().where(Wallet.public_key == public_key).exists(self._database):
                raise RequestValidationError({"publicKey": [FieldMessage("public_key_exists")]})
            row = {"id": wallet_id, "status": "ACTIVE", "created_at": now, "updated_at": now}
            Wallet.insert(**row, **columns).execute(self._database)
            details = {"name": name, "chain": chain, "environment": environment}
            record(self._database, now, actor, [Event("WALLET_CREATED", details, wallet_id)])
            return self._wallet(wallet_id)

    def get(self, wallet_id: str) -> WalletDetails:
        """Return a wallet.

        :param wallet_id: the wallet.
        :returns: the wallet.
        :raises WAIaaSError: `WALLET_NOT_FOUND`.
        """
        with translate_errors(self._database):
            return self._wallet(wallet_id)

    def list(
        self, *, status: str | None = None, limit: int = DEFAULT_LIMIT, after: str | None = None
    ) -> Page[WalletDetails]:
        """Return wallets in the order of their ids.

        :param status: only wallets of this status, one of `WALLET_STATUSES`; None: all.
        :param limit: the most wallets of a page, 1 to 200.
        :param after: the `next_after` of the page before; None: the first page.
        :returns: a page of wallets.
        :raises WAIaaSError: `ACTION_VALIDATION_FAILED`.
        """
        check_page(limit, after, status, WALLET_STATUSES)
        wallets = Wallet.select(*WALLET_FIELDS).order_by(Wallet.id).limit(limit + 1)
        if after is not None:
            wallets = wallets.where(is_after(Wallet.id, after))
        if status is not None:
            wallets = wallets.where(Wallet.status == status)
        with translate_errors(self._database):
            found = wallet_details(self._database, wallets)
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
        with service_transaction(self._database, durable=True):
            now = seconds_of(self._clock)
            wallet = self._wallet_to_change(wallet_id)
            if wallet.status == "SUSPENDED":
                raise WAIaaSError("WALLET_SUSPENDED", details={"walletId": wallet_id})
            _refuse_transition(wallet, "ACTIVE", "SUSPENDED")
            changes = {"status": "SUSPENDED", "suspended_at": now, "suspension_reason": reason}
            return self._change(
                wallet_id, now, actor, changes, Event("WALLET_SUSPENDED", {"reason": reason}, wallet_id)
            )

    def resume(self, wallet_id: str, *, actor: str) -> WalletDetails:
        """Make a suspended wallet active again.

        :param wallet_id: the wallet.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`; `WALLET_NOT_FOUND`;
            `WALLET_TERMINATED`; `INVALID_STATE_TRANSITION` if it is not suspended.
        """
        check_actor(actor)
        with service_transaction(self._database):
            refuse_locked(self._database)
            now = seconds_of(self._clock)
            _refuse_transition(self._wallet_to_change(wallet_id), "SUSPENDED", "ACTIVE")
            changes = {"status": "ACTIVE", "suspended_at": None, "suspension_reason": None}
            return self._change(wallet_id, now, actor, changes, Event("WALLET_ACTIVATED", {}, wallet_id))

    def terminate(self, wallet_id: str, *, actor: str) -> WalletDetails:
        """End a wallet for good: no session may use it any more, and its pending transactions are cancelled.

        A session that has no other wallet is revoked. If the wallet is a session's default, the one linked earliest of
        the others becomes the default. All of this is one transaction, with a row in the audit log for the wallet,
        each session and each transaction concerned.

        :param wallet_id: the wallet.
        :param actor: the name in the audit log.
        :returns: the wallet.
        :raises WAIaaSError: `WALLET_NOT_FOUND`; `WALLET_TERMINATED`.
        """
        check_actor(actor)
        with service_transaction(self._database, durable=True):
            now = seconds_of(self._clock)
            self._wallet_to_change(wallet_id)
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
            events = [*(_event_of(link, wallet_id) for link in lost), *pending]
            record(self._database, now, actor, events)
            event = Event("WALLET_TERMINATED", {"sessions": len(lost), "transactions": len(pending)}, wallet_id)
            wallet = self._change(wallet_id, now, actor, {"status": "TERMINATED"}, event)
            self._refuse_undone_cascade(wallet_id, ended, defaults, now)
            return wallet

    def _wallet(self, wallet_id: str) -> WalletDetails:
        check_id("walletId", wallet_id)
        query = Wallet.select(*WALLET_FIELDS).where(Wallet.id == wallet_id)
        for wallet in wallet_details(self._database, query):
            return wallet
        raise WAIaaSError("WALLET_NOT_FOUND", details={"walletId": redact_id(wallet_id)})

    def _wallet_to_change(self, wallet_id: str) -> WalletDetails:
        wallet = self._wallet(wallet_id)
        if wallet.status == "TERMINATED":
            raise WAIaaSError("WALLET_TERMINATED", details={"walletId": wallet_id})
        return wallet

    def _change(self, wallet_id: str, now: int, actor: str, changes: dict[str, Any], event: Event) -> WalletDetails:
        Wallet.update(updated_at=now, **changes).where(Wallet.id == wallet_id).execute(self._database)
        record(self._database, now, actor, [event])
        written = [getattr(Wallet, name) == value for name, value in changes.items()]
        is_changed = Wallet.select().where(Wallet.id == wallet_id, *written).exists(self._database)
        refuse_undone(self._database, Wallet, is_changed)
        return self._wallet(wallet_id)

    def _refuse_undone_cascade(
        self, wallet_id: str, ended: Sequence[str], defaults: Mapping[str, Sequence[str]], now: int
    ) -> None:
        """Refuse if what a termination did to links, sessions and transactions was not kept."""
        database = self._database
        links = SessionWallet.select().where(SessionWallet.wallet == wallet_id)
        refuse_undone(database, SessionWallet, not links.exists(database))
        for some in batched(ended):
            revoked = Session.select().where(Session.id.in_(some), Session.revoked_at == now)
            refuse_undone(database, Session, revoked.count(database) == len(some))
        for next_default, sessions in defaults.items():
            for some in batched(sessions):
                is_default = (SessionWallet.wallet == next_default) & (SessionWallet.is_default == TRUE)
                kept = SessionWallet.select().where(is_default, SessionWallet.session.in_(some))
                refuse_undone(database, SessionWallet, kept.count(database) == len(some))
        pending = Transaction.select().where(_is_pending(wallet_id))
        refuse_undone(database, Transaction, not pending.exists(database))

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


def _links_to_lose(database: Database, wallet_id: str) -> list[_LostLink]:
    link, other = SessionWallet.alias("link"), SessionWallet.alias("other")
    next_default = (
        other.select(other.wallet)
        .where((other.session == link.session) & (other.wallet != wallet_id))
        .order_by(*link_order(database, other))
        .limit(1)
    )
    links = (
        link.select(link.session, link.is_default, Session.revoked_at.is_null(False), next_default)
        .join(Session, on=link.session == Session.id)
        .where(link.wallet == wallet_id)
        .order_by(link.session)
    )
    rows = show(database, lambda: list(links.clone().tuples().execute(database)))
    for session, _, _, to in rows:
        refuse_unreadable_id(database, session)
        refuse_unreadable_id(database, to)
    return [_LostLink(session, was_default, bool(is_revoked), to) for session, was_default, is_revoked, to in rows]


def _event_of(link: _LostLink, wallet_id: str) -> Event:
    """Return the event for the loss of a link: what it means for its session."""
    if link.ends_session:
        return Event("SESSION_REVOKED", _BECAUSE, wallet_id, link.session_id)
    if link.was_default and link.next_default is not None:
        return Event(
            "SESSION_DEFAULT_WALLET_SET", {"previousWalletIds": [wallet_id]}, link.next_default, link.session_id
        )
    return Event("SESSION_WALLET_UNLINKED", _BECAUSE, wallet_id, link.session_id)


def _refuse_transition(wallet: WalletDetails, required: str, target: str) -> None:
    if wallet.status != required:
        raise WAIaaSError("INVALID_STATE_TRANSITION", details={"from": wallet.status, "to": target})
