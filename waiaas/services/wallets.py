"""Wallets: created, suspended and resumed, and terminated with what that means for the sessions linked to them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from peewee import Database, Node

from waiaas.errors import WAIaaSError
from waiaas.errors.translation import translate_errors
from waiaas.models import Session, SessionWallet, Transaction, Wallet
from waiaas.models.fields import LAST_SECOND, UTCDateTime
from waiaas.schemas import (
    DEFAULT_LIMIT,
    CreateWalletRequest,
    RequestValidationError,
    SuspendWalletRequestSchema,
    check_create_wallet_request,
)
from waiaas.services.audit import Event, record
from waiaas.services.details import refuse_unreadable_id
from waiaas.services.ids import check_actor, check_id, new_id, told_id
from waiaas.services.kill_switch import refuse_locked
from waiaas.services.pages import Page, check_page, is_after, page_of
from waiaas.services.settings import Clock, checked, seconds_of
from waiaas.services.statements import TRUE, in_parts, link_order, refuse_undone, service_transaction, show
from waiaas.vocabularies import MAINNET_NETWORK_TYPES, WALLET_STATUSES

_SUSPEND_WALLET = SuspendWalletRequestSchema()
_BECAUSE = {"reason": "WALLET_TERMINATED"}


class WalletService:
    """Creates wallets, suspends and resumes them, and terminates them.

    Takes a database at the latest schema version and a `clock` that gives Unix seconds. One service serves all
    threads. Each change is one transaction with its rows in the audit log, where `actor` says who asked: printable
    text of 1 to 200 characters, not blank; anything else is refused as `ACTION_VALIDATION_FAILED`. Wallets come as
    instances of the model `waiaas.Wallet`.

    Ids are lower-case UUID text. They are compared as they stand, so that an id in upper case is as unknown as any
    other text; what is no text, such as a `uuid.UUID` or a model, is refused as `ACTION_VALIDATION_FAILED`.

    If the database refuses, any method raises WAIaaSError `DATABASE_BUSY` (retryable), `DATABASE_UNAVAILABLE` or
    `SCHEMA_INCOMPATIBLE`; its `reason` says why, such as `database_busy`, `disk_full` or `corrupt`.
    """

    def __init__(self, database: Database, *, clock: Clock = time.time) -> None:
        """Take the database and the clock."""
        self._database = checked(database)
        self._clock = clock

    def create(self, request: CreateWalletRequest, *, actor: str = "admin") -> Wallet:
        """Create an active wallet for a public key whose private key somebody else keeps.

        Takes what `CreateWalletRequestSchema` gives. Raises WAIaaSError `SYSTEM_LOCKED` while the kill switch is not
        `ACTIVE`, `ENVIRONMENT_NETWORK_MISMATCH` where the default network is not one of the wallet's environment, and
        `ACTION_VALIDATION_FAILED` where a wallet with this public key exists, or for a request that did not come from
        the schema and breaks its rules.
        """
        check_create_wallet_request(request)
        check_actor(actor)
        network = request["default_network"]
        environment = "mainnet" if network in MAINNET_NETWORK_TYPES else "testnet"
        if network is not None and environment != request["environment"]:
            details = {"network": network, "environment": request["environment"]}
            raise WAIaaSError("ENVIRONMENT_NETWORK_MISMATCH", details=details)
        with service_transaction(self._database):
            refuse_locked(self._database)
            now, wallet_id = seconds_of(self._clock), new_id()
            if Wallet.select().where(Wallet.public_key == request["public_key"]).exists(self._database):
                raise RequestValidationError({"publicKey": ["A wallet with this public key exists."]})
            row = {"id": wallet_id, "status": "ACTIVE", "created_at": now, "updated_at": now}
            Wallet.insert(**row, **_columns(request)).execute(self._database)
            details = {"name": request["name"], "chain": request["chain"], "environment": request["environment"]}
            record(self._database, now, actor, [Event("WALLET_CREATED", details, wallet_id)])
            return self._wallet(wallet_id)

    def get(self, wallet_id: str) -> Wallet:
        """Return a wallet. Raises WAIaaSError `WALLET_NOT_FOUND` where it is unknown."""
        with translate_errors(self._database):
            return self._wallet(wallet_id)

    def list(self, *, status: str | None = None, limit: int = DEFAULT_LIMIT, after: str | None = None) -> Page[Wallet]:
        """Return wallets in the order of their ids, of one status (of `WALLET_STATUSES`) where asked for.

        `limit` (1 to 200) at a time; `after` is a page's `next_after`, and gives the page behind it. Raises
        WAIaaSError `ACTION_VALIDATION_FAILED` for a limit out of bounds, an `after` that is no text or an unknown
        status.
        """
        check_page(limit, after, status, WALLET_STATUSES)
        wallets = Wallet.select().order_by(Wallet.id).limit(limit + 1)
        if after is not None:
            wallets = wallets.where(is_after(Wallet.id, after))
        if status is not None:
            wallets = wallets.where(Wallet.status == status)
        with translate_errors(self._database):
            found = show(self._database, lambda: tuple(wallets.clone().execute(self._database)))
            return page_of(tuple(map(_readable, found)), limit)

    def suspend(self, wallet_id: str, reason: str | None = None, *, actor: str = "admin") -> Wallet:
        """Suspend an active wallet, for a reason that is told with it; its sessions keep their links.

        Raises WAIaaSError `WALLET_NOT_FOUND`, `WALLET_TERMINATED`, `WALLET_SUSPENDED` where it is suspended
        already, `INVALID_STATE_TRANSITION` while it is being created or terminated, and `ACTION_VALIDATION_FAILED`
        for a reason that `SuspendWalletRequestSchema` does not take: text that is not blank, of at most 1,000
        characters, or None.
        """
        check_actor(actor)
        _SUSPEND_WALLET.load({"reason": reason})
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

    def resume(self, wallet_id: str, *, actor: str = "admin") -> Wallet:
        """Make a suspended wallet active again.

        Raises WAIaaSError `SYSTEM_LOCKED` while the kill switch is not `ACTIVE`, `WALLET_NOT_FOUND`,
        `WALLET_TERMINATED`, and `INVALID_STATE_TRANSITION` where it is not suspended.
        """
        check_actor(actor)
        with service_transaction(self._database):
            refuse_locked(self._database)
            now = seconds_of(self._clock)
            _refuse_transition(self._wallet_to_change(wallet_id), "SUSPENDED", "ACTIVE")
            changes = {"status": "ACTIVE", "suspended_at": None, "suspension_reason": None}
            return self._change(wallet_id, now, actor, changes, Event("WALLET_ACTIVATED", {}, wallet_id))

    def terminate(self, wallet_id: str, *, actor: str = "admin") -> Wallet:
        """End a wallet for good: no session reaches it any more, and its pending transactions are cancelled.

        A session that had no other wallet is revoked; one whose default it was gets the wallet linked earliest as
        its default. All of it is one transaction, with a row in the audit log for the wallet, each session and each
        transaction concerned. Raises WAIaaSError `WALLET_NOT_FOUND` and `WALLET_TERMINATED`.
        """
        check_actor(actor)
        with service_transaction(self._database, durable=True):
            now = seconds_of(self._clock)
            self._wallet_to_change(wallet_id)
            lost = _links_to_lose(self._database, wallet_id)
            SessionWallet.delete().where(SessionWallet.wallet == wallet_id).execute(self._database)
            ended = [link.session_id for link in lost if link.ends_session]
            self._revoke(ended, now)
            heirs: dict[str, list[str]] = {}
            for link in lost:
                if link.was_default and link.heir is not None:
                    heirs.setdefault(link.heir, []).append(link.session_id)
            for heir, sessions in heirs.items():
                self._make_default(heir, sessions)
            pending = self._cancel_pending(wallet_id)
            events = [*(_event_of(link, wallet_id) for link in lost), *pending]
            record(self._database, now, actor, events)
            event = Event("WALLET_TERMINATED", {"sessions": len(lost), "transactions": len(pending)}, wallet_id)
            wallet = self._change(wallet_id, now, actor, {"status": "TERMINATED"}, event)
            self._refuse_undone_cascade(wallet_id, ended, heirs, now)
            return wallet

    def _wallet(self, wallet_id: str) -> Wallet:
        check_id("walletId", wallet_id)
        query = Wallet.select().where(Wallet.id == wallet_id)
        wallet: Wallet | None = show(self._database, lambda: query.clone().first(self._database))
        if wallet is None:
            raise WAIaaSError("WALLET_NOT_FOUND", details={"walletId": told_id(wallet_id)})
        return _readable(wallet)

    def _wallet_to_change(self, wallet_id: str) -> Wallet:
        wallet = self._wallet(wallet_id)
        if wallet.status == "TERMINATED":
            raise WAIaaSError("WALLET_TERMINATED", details={"walletId": wallet_id})
        return wallet

    def _change(self, wallet_id: str, now: int, actor: str, changes: dict[str, Any], event: Event) -> Wallet:
        Wallet.update(updated_at=now, **changes).where(Wallet.id == wallet_id).execute(self._database)
        record(self._database, now, actor, [event])
        written = [getattr(Wallet, name) == value for name, value in changes.items()]
        is_changed = Wallet.select().where(Wallet.id == wallet_id, *written).exists(self._database)
        refuse_undone(self._database, Wallet, is_changed)
        return self._wallet(wallet_id)

    def _refuse_undone_cascade(
        self, wallet_id: str, ended: Sequence[str], heirs: Mapping[str, Sequence[str]], now: int
    ) -> None:
        """Refuse if what a termination did to links, sessions and transactions was not kept."""
        database = self._database
        links = SessionWallet.select().where(SessionWallet.wallet == wallet_id)
        refuse_undone(database, SessionWallet, not links.exists(database))
        for some in in_parts(ended):
            revoked = Session.select().where(Session.id.in_(some), Session.revoked_at == now)
            refuse_undone(database, Session, revoked.count(database) == len(some))
        for heir, sessions in heirs.items():
            for some in in_parts(sessions):
                is_heir = (SessionWallet.wallet == heir) & (SessionWallet.is_default == TRUE)
                defaults = SessionWallet.select().where(is_heir, SessionWallet.session.in_(some))
                refuse_undone(database, SessionWallet, defaults.count(database) == len(some))
        pending = Transaction.select().where(_is_pending(wallet_id))
        refuse_undone(database, Transaction, not pending.exists(database))

    def _revoke(self, sessions: Sequence[str], now: int) -> None:
        for some in in_parts(sessions):
            Session.update(revoked_at=now).where(Session.id.in_(some)).execute(self._database)

    def _make_default(self, wallet_id: str, sessions: Sequence[str]) -> None:
        for some in in_parts(sessions):
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


def _columns(request: CreateWalletRequest) -> dict[str, Any]:
    """Take from a request what it may say, whatever else stands in one that was made by hand."""
    given: Mapping[str, Any] = request
    return {key: given[key] for key in CreateWalletRequest.__required_keys__}


def _readable(wallet: Wallet) -> Wallet:
    """Give a wallet values that can be shown where SQLite has others; `save` does not write them.

    A time that is not a number is the last second of the year 9999, as in `SessionDetails`.
    """
    values = wallet.__data__
    for field in Wallet._meta.sorted_fields:
        value = values.get(field.name)
        if isinstance(field, UTCDateTime) and value is not None and not isinstance(value, datetime):
            values[field.name] = field.python_value(LAST_SECOND)
        elif isinstance(value, bytes):
            values[field.name] = value.decode(errors="replace")
    return wallet


class _LostLink(NamedTuple):
    """A link that goes with its wallet; `heir` is the wallet linked earliest of the session's others, or None."""

    session_id: str
    was_default: bool
    is_revoked: bool
    heir: str | None

    @property
    def ends_session(self) -> bool:
        return self.heir is None and not self.is_revoked


def _links_to_lose(database: Database, wallet_id: str) -> list[_LostLink]:
    link, other = SessionWallet.alias("link"), SessionWallet.alias("other")
    heir = (
        other.select(other.wallet)
        .where((other.session == link.session) & (other.wallet != wallet_id))
        .order_by(*link_order(database, other))
        .limit(1)
    )
    links = (
        link.select(link.session, link.is_default, Session.revoked_at.is_null(False), heir)
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
    """What the loss of a link means for its session."""
    if link.ends_session:
        return Event("SESSION_REVOKED", _BECAUSE, wallet_id, link.session_id)
    if link.was_default and link.heir is not None:
        return Event("SESSION_DEFAULT_WALLET_SET", {"previousWalletIds": [wallet_id]}, link.heir, link.session_id)
    return Event("SESSION_WALLET_UNLINKED", _BECAUSE, wallet_id, link.session_id)


def _refuse_transition(wallet: Wallet, required: str, target: str) -> None:
    if wallet.status != required:
        raise WAIaaSError("INVALID_STATE_TRANSITION", details={"from": wallet.status, "to": target})
