"""A program that uses the library as its users do; mypy reads it in strict mode, and a test runs it.

What a name is to a type checker is part of what it promises: the annotations here are those that a user would write.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import peewee

import waiaas
from waiaas.ddl import LosslessMigrator
from waiaas.schemas import CreateSessionRequest, CreateWalletRequest


def make_wallet(database: peewee.SqliteDatabase, name: str) -> str:
    """Create a wallet and return its id."""
    request: CreateWalletRequest = waiaas.CreateWalletRequestSchema().load(
        {"name": name, "chain": "solana", "environment": "mainnet", "publicKey": f"address of {name}"}
    )
    wallet: waiaas.WalletDetails = waiaas.WalletService(database).create(**request, actor="admin")
    return wallet.id


def work(path: Path) -> list[str]:
    """Use a file from its creation to its upgrade, and return what there was to tell."""
    database: peewee.SqliteDatabase = waiaas.connect(path, busy_timeout=1.5, progress=show)
    one, other = (make_wallet(database, name) for name in ("trading", "payments"))
    settings = waiaas.SessionSettings(sessions_per_wallet=2)
    sessions = waiaas.SessionService(database, settings=settings, clock=lambda: 1_800_000_000.0)
    request: CreateSessionRequest = waiaas.CreateSessionRequestSchema().load({"walletIds": [one, other]})
    issued: waiaas.IssuedSession = sessions.create(**request, actor="somebody")
    token: str = issued.token
    expires_at: datetime = sessions.authenticate(token).expires_at
    links = waiaas.SessionWalletService(database)
    linked: tuple[waiaas.LinkedWallet, ...] = links.list(issued.id)
    page: waiaas.Page[waiaas.SessionDetails] = sessions.list(one, status="ACTIVE", limit=10)
    listed: list[str | None] = [session.default_wallet_id for session in page.items]
    downgraded: waiaas.DowngradeReport = waiaas.downgrade(database, 18, drop_links=True, backup=False)
    planned: waiaas.Plan = waiaas.plan(database)
    upgraded: waiaas.UpgradeReport = waiaas.upgrade(database, backup=path.with_suffix(".backup"))
    checked: waiaas.CheckReport = waiaas.check(database)
    migrator = LosslessMigrator(database)
    with migrator.migration_context():
        migrator.migrate(migrator.append_column("wallets", "label TEXT"))
    waiaas.close(database)
    return [
        expires_at.isoformat(),
        ", ".join(wallet.name for wallet in linked),
        str(listed == [one]),
        str(len(downgraded.links_dropped)),
        str(planned.links_to_create),
        str(upgraded.links_created),
        str(checked.ok),
    ]


def show(progress: waiaas.Progress) -> None:
    """Tell how far a step is."""
    sys.stderr.write(f"{progress.phase}: {progress.done} of {progress.total}\n")


def refused(path: Path) -> str:
    """Return what is said of a file that is not there."""
    try:
        waiaas.connect(path / "no such folder" / "wallets.db")
    except waiaas.WAIaaSError as error:
        reason: str | None = error.reason
        hint: str = error.hint
        return f"{error.code} {error.http_status} {reason}: {hint}"
    return "nothing"
