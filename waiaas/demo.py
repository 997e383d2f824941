"""The demonstration of `waiaas demo`: an example file at version 18, before and after its upgrade."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from peewee import SqliteDatabase

from waiaas.database import Database, connect
from waiaas.inspection.check import check
from waiaas.inspection.report import CheckReport
from waiaas.migrations.opening import open_latest, open_to_change, refuse_existing
from waiaas.migrations.report import Plan, UpgradeReport
from waiaas.migrations.runner import downgrade, plan, upgrade
from waiaas.models import Policy, Session, SessionWallet, Transaction, Wallet

_START = datetime(2026, 1, 15, 9, 0, tzinfo=timezone.utc)
_WALLETS = (
    ("trading on Solana", "solana", "mainnet", "mainnet"),
    ("payments on Base", "ethereum", "mainnet", "base-mainnet"),
    ("research on Sepolia", "ethereum", "testnet", "ethereum-sepolia"),
)
_SESSIONS_A_WALLET = 4
_TRANSACTIONS_A_SESSION = 5


Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Demo:
    """Each step of the demonstration; `before`, `after` and `linked` list sessions, each with one of its wallets."""

    path: Path
    counts: dict[str, int]
    wallets: Rows
    before: Rows
    plan: Plan
    report: UpgradeReport
    after: Rows
    linked: Rows
    check: CheckReport

    def to_dict(self) -> dict[str, Any]:
        """Return the demonstration as plain values that `json.dumps` takes."""
        return {
            "path": str(self.path),
            "counts": self.counts,
            "wallets": self.wallets,
            "before": self.before,
            "plan": self.plan.to_dict(),
            "upgrade": self.report.to_dict(),
            "after": self.after,
            "linked": self.linked,
            "check": self.check.to_dict(),
        }


def run(path: Path) -> Demo:
    """Write an example file, upgrade it, link a second wallet to one session, and return what it looked like."""
    make_version_18(path, _now())
    with open_to_change(path) as database:
        counts, wallets = _counts(database), _wallets(database)
        before = _sessions(database, _BEFORE)
        planned, report = plan(database), upgrade(database)
        after = _sessions(database, _AFTER)
    session, wallet = _id("session", 0), _id("wallet", 1)
    with connect(path) as opened:
        opened.links.link(session, wallet, actor="demo")
        return Demo(
            path=path,
            counts=counts,
            wallets=wallets,
            before=before,
            plan=planned,
            report=report,
            after=after,
            linked=[row for row in _sessions(opened.peewee, _AFTER) if row["session"] == session],
            check=check(opened.peewee),
        )


def leave_version_18(path: Path) -> dict[str, int]:
    """Write an example file with active sessions, and return how many rows it has."""
    make_version_18(path, _now())
    with open_to_change(path) as database:
        return _counts(database)


def make_version_18(path: Path, start: datetime = _START) -> None:
    """Write an example file as a daemon at schema version 18 has it; its sessions live for 30 days from `start`.

    :raises WAIaaSError: `file_exists` if `path` exists and is not empty.
    """
    refuse_existing(path)
    with Database(open_latest(path).database) as database:
        with database.models(), database.transaction():
            for number, (name, chain, environment, network) in enumerate(_WALLETS):
                columns = {"name": name, "chain": chain, "environment": environment, "default_network": network}
                _make_wallet(number, start, **columns)
        downgrade(database.peewee, 18, backup=False)


def _make_wallet(number: int, start: datetime, **columns: str) -> None:
    wallet = Wallet.create(
        id=_id("wallet", number),
        public_key=sha256(columns["name"].encode()).hexdigest(),
        status="ACTIVE",
        created_at=start,
        updated_at=start,
        **columns,
    )
    Policy.create(
        id=_id("policy", number),
        wallet=wallet,
        type="SPENDING_LIMIT",
        rules={"instantMax": "1000000", "dailyLimit": "5000000"},
        created_at=start,
        updated_at=start,
    )
    for session in range(_SESSIONS_A_WALLET):
        _make_session(wallet, number * _SESSIONS_A_WALLET + session, start)


def _make_session(wallet: Wallet, number: int, start: datetime) -> None:
    made = start + timedelta(minutes=10 * number)
    session = Session.create(
        id=_id("session", number),
        token_hash=sha256(f"token {number}".encode()).hexdigest(),
        expires_at=made + timedelta(days=30),
        absolute_expires_at=made + timedelta(days=365),
        created_at=made,
    )
    SessionWallet.create(session=session, wallet=wallet, is_default=True, created_at=made)
    for transaction in range(_TRANSACTIONS_A_SESSION):
        Transaction.create(
            id=_id("transaction", number * _TRANSACTIONS_A_SESSION + transaction),
            wallet=wallet,
            session=session,
            chain=wallet.chain,
            network=wallet.default_network,
            type="TRANSFER",
            amount=str(10_000 * (transaction + 1)),
            status="CONFIRMED",
            created_at=made + timedelta(minutes=transaction),
        )


_BEFORE = "SELECT s.id, w.name, 1 FROM sessions s JOIN wallets w ON w.id = s.wallet_id ORDER BY s.created_at"
_AFTER = (
    "SELECT s.id, w.name, l.is_default FROM sessions s JOIN session_wallets l ON l.session_id = s.id"
    " JOIN wallets w ON w.id = l.wallet_id ORDER BY s.created_at, l.is_default DESC"
)


def _wallets(database: SqliteDatabase) -> Rows:
    columns = ("name", "chain", "environment", "network")
    query = "SELECT name, chain, environment, default_network FROM wallets ORDER BY created_at, rowid"
    return [dict(zip(columns, row, strict=True)) for row in database.execute_sql(query).fetchall()]


def _sessions(database: Any, query: str) -> Rows:
    return [
        {"session": session, "wallet": wallet, "is_default": bool(is_default)}
        for session, wallet, is_default in database.execute_sql(query).fetchall()
    ]


def _counts(database: SqliteDatabase) -> dict[str, int]:
    return {table: _count(database, table) for table in ("wallets", "sessions", "transactions")}


def _count(database: SqliteDatabase, table: str) -> int:
    (count,) = database.execute_sql(f"SELECT count(*) FROM {table}").fetchone()
    return int(count)


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=3)


def _id(kind: str, number: int) -> str:
    """Return an id that is the same in each run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"waiaas demo {kind} {number}"))
