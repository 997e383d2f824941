"""A program that uses the library as its users do; mypy checks it in strict mode, and a test runs it.

The types of public names are part of the interface: the annotations here are those that a user would write.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

from peewee import SqliteDatabase

import waiaas
from waiaas.ddl import LosslessMigrator
from waiaas.schemas import (
    CreateSessionRequest,
    CreateSessionRequestSchema,
    CreateWalletRequest,
    CreateWalletRequestSchema,
)
from waiaas.services import IssuedSession, LinkedWallet, Page, SessionDetails, WalletDetails


def make_wallet(database: waiaas.Database, name: str) -> str:
    """Create a wallet and return its id."""
    request: CreateWalletRequest = CreateWalletRequestSchema().load(
        {"name": name, "chain": "solana", "environment": "mainnet", "publicKey": f"address of {name}"}
    )
    wallet: WalletDetails = database.wallets.create(**request, actor="admin")
    return wallet.id


def work(path: Path) -> list[str]:
    """Use a file from its creation to its upgrade, and return what was seen."""
    settings = waiaas.SessionSettings(sessions_per_wallet=2)
    with waiaas.connect(
        path, settings=settings, clock=lambda: 1_800_000_000.0, busy_timeout=1.5, progress=show
    ) as database:
        one, other = (make_wallet(database, name) for name in ("trading", "payments"))
        request: CreateSessionRequest = CreateSessionRequestSchema().load({"walletIds": [one, other]})
        issued: IssuedSession = database.sessions.create(**request, actor="somebody")
        token: str = issued.token
        expires_at: datetime = database.sessions.authenticate(token).expires_at
        linked: tuple[LinkedWallet, ...] = database.links.list(issued.id)
        page: Page[SessionDetails] = database.sessions.list(one, status="ACTIVE", limit=10)
        listed: list[str | None] = [session.default_wallet_id for session in page]
        assert isinstance(database.peewee, SqliteDatabase)
        migrator = LosslessMigrator(database.peewee)
        with migrator.migration_context():
            migrator.migrate(migrator.append_column("wallets", "remark TEXT"))
    downgraded: waiaas.DowngradeReport = waiaas.downgrade(path, 18, drop_links=True, backup=False)
    planned: waiaas.Plan = waiaas.plan(path)
    upgraded: waiaas.UpgradeReport = waiaas.upgrade(path, backup=path.with_suffix(".backup"))
    checked: waiaas.CheckReport = waiaas.check(path)
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
    """Print how far a step is."""
    sys.stderr.write(f"{progress.phase}: {progress.done} of {progress.total}\n")


def refused(path: Path) -> str:
    """Return the message for a missing file."""
    try:
        waiaas.connect(path / "no such folder" / "wallets.db")
    except waiaas.WAIaaSError as error:
        reason: str | None = error.reason
        hint: str = error.hint
        return f"{error.code} {error.http_status} {reason}: {hint}"
    return "nothing"
