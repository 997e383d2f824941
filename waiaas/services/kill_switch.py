"""The kill switch: in an emergency no token works, and no right is granted, until an administrator recovers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

from peewee import SQL, Node, Value

from waiaas.backends.base import Backend
from waiaas.errors import WAIaaSError
from waiaas.models import AuditLog, BaseModel, KeyValue, Session, SessionWallet, Transaction, Wallet
from waiaas.models.fields import to_json
from waiaas.services.base import Service
from waiaas.services.changes import Event, Journal, refuse_undone, write
from waiaas.services.ids import check_actor
from waiaas.services.statements import STORE, fetch_latest, run
from waiaas.settings import seconds_of

#: SQL that is true while the kill switch locks the system: for any value but `ACTIVE`; a missing row locks nothing.
IS_LOCKED = (
    "EXISTS (SELECT 1 FROM main.key_value_store"
    " WHERE key = 'kill_switch_state' AND (value IS NULL OR value <> 'ACTIVE'))"
)
#: The statement that reads nothing else.
READ_LOCK = f"SELECT {IS_LOCKED}"

#: What the daemon writes as the reason of a suspension and as the error of a cancelled transaction.
REASON = "Kill switch activated"

_STATE, _ACTIVATED_AT, _ACTIVATED_BY = "kill_switch_state", "kill_switch_activated_at", "kill_switch_activated_by"
# Unix seconds, up to the year 5138.
_SECONDS = re.compile("[0-9]{1,11}")
_UNDER_WAY = ("PENDING", "QUEUED", "EXECUTING")


@dataclass(frozen=True)
class KillSwitch:
    """The kill switch at one moment.

    `state` is `ACTIVE` (normal), `SUSPENDED` or `LOCKED`, or `UNKNOWN` for any other stored value, which locks the
    system too. `activated_at` (UTC) and `activated_by` are None in the state `ACTIVE`, and if they are not stored in
    the daemon's form.
    """

    state: str
    activated_at: datetime | None
    activated_by: str | None

    @property
    def is_locked(self) -> bool:
        """Whether requests of agents are refused as `SYSTEM_LOCKED`."""
        return self.state != "ACTIVE"


class KillSwitchService(Service):
    """Reads and changes the state of the kill switch.

    While the state is not `ACTIVE`, `SessionService.authorize`, `authenticate`, `create` and `renew`,
    `SessionWalletService.resolve` and `link`, and `WalletService.create` and `resume` raise WAIaaSError
    `SYSTEM_LOCKED`. Methods that remove a right or only show data keep working: an administrator can revoke, unlink,
    suspend, terminate, rotate and list. If two callers make the same change, only one succeeds.

    >>> import waiaas
    >>> database = waiaas.connect(":memory:", clock=lambda: 1_800_000_000)
    >>> database.kill_switch.activate(actor="sam@example.org")  # doctest: +NORMALIZE_WHITESPACE
    KillSwitch(state='SUSPENDED', activated_at=datetime.datetime(2027, 1, 15, 8, 0, tzinfo=datetime.timezone.utc),
               activated_by='sam@example.org')
    >>> database.kill_switch.recover(actor="sam@example.org").state
    'ACTIVE'
    >>> database.close()
    """

    def state(self) -> KillSwitch:
        """Return the state that the latest commit of any process has set.

        :returns: the state.
        """
        state = self._read(_READ_STATE)
        if state == "ACTIVE":
            return KillSwitch("ACTIVE", None, None)
        at, by = self._read(_READ_VALUE, _ACTIVATED_AT), self._read(_READ_VALUE, _ACTIVATED_BY)
        return KillSwitch(_shown(state), _moment(at), by if isinstance(by, str) else None)

    def activate(self, *, actor: str) -> KillSwitch:
        """Go from `ACTIVE` to `SUSPENDED`, and remove every right.

        In the same transaction, every session that is not revoked is revoked, transactions in `PENDING`, `QUEUED` and
        `EXECUTING` are cancelled, and `ACTIVE` wallets are suspended, each with its row in the audit log. An unknown
        state becomes `SUSPENDED` too.

        :param actor: the name in the audit log.
        :returns: the state.
        :raises WAIaaSError: `KILL_SWITCH_ALREADY_ACTIVE` in the states `SUSPENDED` and `LOCKED`.
        """

        def change(journal: Journal, now: int, state: str | None) -> None:
            if state in ("SUSPENDED", "LOCKED"):
                raise WAIaaSError("KILL_SWITCH_ALREADY_ACTIVE", details={"state": state})
            counts = self._take_all_rights(now, actor)
            self._store({_STATE: "SUSPENDED", _ACTIVATED_AT: str(now), _ACTIVATED_BY: actor}, now)
            _record(journal, "KILL_SWITCH_ACTIVATED", counts, now, actor)
            self._refuse_rights_left()

        return self._change(change, "SUSPENDED", actor)

    def escalate(self, *, actor: str) -> KillSwitch:
        """Go from `SUSPENDED` to `LOCKED`.

        :param actor: the name in the audit log.
        :returns: the state.
        :raises WAIaaSError: `INVALID_STATE_TRANSITION` in every other state.
        """

        def change(journal: Journal, now: int, state: str | None) -> None:
            if state != "SUSPENDED":
                raise WAIaaSError("INVALID_STATE_TRANSITION", details={"from": _shown(state), "to": "LOCKED"})
            self._store({_STATE: "LOCKED"}, now)
            _record(journal, "KILL_SWITCH_ESCALATED", {}, now, actor)

        return self._change(change, "LOCKED", actor)

    def recover(self, *, actor: str) -> KillSwitch:
        """Go from any other state to `ACTIVE`; sessions stay revoked and wallets suspended.

        :param actor: the name in the audit log.
        :returns: the state.
        :raises WAIaaSError: `KILL_SWITCH_NOT_ACTIVE` in the state `ACTIVE`.
        """

        def change(journal: Journal, now: int, state: str | None) -> None:
            if state == "ACTIVE":
                raise WAIaaSError("KILL_SWITCH_NOT_ACTIVE")
            self._store({_STATE: "ACTIVE"}, now)
            KeyValue.delete().where(KeyValue.key.in_([_ACTIVATED_AT, _ACTIVATED_BY])).execute(self._database)
            _record(journal, "KILL_SWITCH_RECOVERED", {"from": _shown(state)}, now, actor)

        return self._change(change, "ACTIVE", actor)

    def _change(self, change: Callable[[Journal, int, str | None], None], target: str, actor: str) -> KillSwitch:
        check_actor(actor)

        def run_change(journal: Journal) -> KillSwitch:
            change(journal, seconds_of(self._clock), self._read(_READ_STATE))
            state = self.state()
            refuse_undone(self._database, "key_value_store", lambda: state.state == target)
            return state

        # Alone: once this returns, no change based on the old state can commit.
        return write(self._database, run_change, durable=True, alone=True)

    def _read(self, sql: str, *parameters: object) -> Any:
        """Return the only value of the first row, None if there is no row or the value is not UTF-8."""
        try:
            found = fetch_latest(self._database, self._database.dialect(sql), *parameters)
        except WAIaaSError as error:
            if error.reason != "unreadable_value":
                raise
            return None
        return None if found is None else found[0]

    def _store(self, values: dict[str, str], now: int) -> None:
        for key, value in values.items():
            run(self._database, STORE, key, value, now)

    def _take_all_rights(self, now: int, actor: str) -> dict[str, int]:
        """Revoke, cancel and suspend; returns how many of each."""
        default = SessionWallet.select(SessionWallet.wallet).where(
            (SessionWallet.session == Session.id) & (SessionWallet.is_default == SQL("1"))
        )
        lives, is_under_way, is_active = _RIGHTS.values()
        sessions = self._record_each("SESSION_REVOKED", now, actor, Session, lives, default.limit(1), Session.id)
        Session.update(revoked_at=now).where(lives).execute(self._database)
        transactions = self._record_each(
            *("TX_CANCELLED", now, actor, Transaction, is_under_way),
            *(Transaction.wallet, Transaction.session, Transaction.id),
        )
        Transaction.update(status="CANCELLED", error=REASON).where(is_under_way).execute(self._database)
        wallets = self._record_each("WALLET_SUSPENDED", now, actor, Wallet, is_active, Wallet.id)
        Wallet.update(status="SUSPENDED", suspended_at=now, suspension_reason=REASON, updated_at=now).where(
            is_active
        ).execute(self._database)
        return {"sessions": sessions, "transactions": transactions, "wallets": wallets}

    def _refuse_rights_left(self) -> None:
        for model, is_left in _RIGHTS.items():
            refuse_undone(self._database, model._meta.table_name, partial(self._has_none, model, is_left))

    def _has_none(self, model: type[BaseModel], which: Node) -> bool:
        return not model.select().where(which).exists(self._database)

    def _record_each(self, event: str, now: int, actor: str, model: type[BaseModel], which: Node, *ids: Node) -> int:
        """Write a row of the audit log for each row that is to be changed; `ids`: wallet, session, transaction."""
        written = [AuditLog.timestamp, AuditLog.event_type, AuditLog.actor, AuditLog.details]
        columns = [AuditLog.wallet_id, AuditLog.session_id, AuditLog.tx_id][: len(ids)]
        values = [Value(value, converter=False) for value in (now, event, actor, to_json({"reason": REASON}))]
        rows = model.select(*values, *ids).where(which).order_by(model._meta.primary_key)
        return int(AuditLog.insert_from(rows, [*written, *columns]).as_rowcount().execute(self._database))


# The rows that `activate` changes.
_RIGHTS: dict[type[BaseModel], Node] = {
    Session: Session.revoked_at.is_null(),
    Transaction: Transaction.status.in_(_UNDER_WAY),
    Wallet: Wallet.status == "ACTIVE",
}
# The state, NULL if it is unknown.
_READ_STATE = f"""\
SELECT CASE WHEN NOT {IS_LOCKED} THEN 'ACTIVE'
       ELSE (SELECT CASE WHEN value IN ('SUSPENDED', 'LOCKED') THEN value END FROM main.key_value_store
             WHERE key = '{_STATE}') END"""
_READ_VALUE = "SELECT value FROM main.key_value_store WHERE key = ?"


def refuse_locked(database: Backend) -> None:
    """Refuse while the kill switch locks the system: WAIaaSError `SYSTEM_LOCKED`."""
    (is_locked,) = run(database, READ_LOCK).fetchone()
    if is_locked:
        raise WAIaaSError("SYSTEM_LOCKED")


def refuse_locked_now(database: Backend) -> None:
    """Refuse as `refuse_locked` does, by the latest commit of any process."""
    (is_locked,) = fetch_latest(database, database.dialect(READ_LOCK))
    if is_locked:
        raise WAIaaSError("SYSTEM_LOCKED")


def _record(journal: Journal, event: str, details: dict[str, Any], now: int, actor: str) -> None:
    journal.record(now, actor, [Event(event, details, severity="critical")])


def _shown(state: str | None) -> str:
    return state or "UNKNOWN"


def _moment(stored: object) -> datetime | None:
    """Read the seconds that the daemon stores as text."""
    if not isinstance(stored, str) or not _SECONDS.fullmatch(stored):
        return None
    return datetime.fromtimestamp(int(stored), timezone.utc)
