"""A program that changes sessions, links, wallets, keys and the kill switch, for tests of power cuts.

Run as `python service_load.py FILE SEED STEPS JOURNAL`. Each line that it prints is a JSON list: `begin` or `done`,
the change, and its object. Once a removal of a right is `done`, it must persist, unless a later line `begin`s to grant
the same right.
"""

from __future__ import annotations

import json
import random
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from hashlib import sha256
from typing import Any

import waiaas
from waiaas.backends.sqlite import WaiaasDatabase, write_transaction
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema
from waiaas.services import (
    IssuedSession,
    KillSwitchService,
    SessionDetails,
    SessionService,
    SessionWalletService,
    TokenService,
    WalletService,
)

START = 1_800_000_000
_TTL = 300
_SETTINGS = waiaas.SessionSettings(ttl=_TTL, sessions_per_wallet=1000, max_renewals=1000)


class Load:
    """The services on one file, and the known rows in it."""

    def __init__(self, path: str, seed: str, journal: str) -> None:
        self.dice = random.Random(seed)
        self.now = START
        self.database: Any = waiaas.connect(path).peewee if journal == "wal" else _with_a_journal(path)
        clock = lambda: float(self.now)  # noqa: E731
        self.sessions = SessionService(self.database, settings=_SETTINGS, clock=clock)
        self.links = SessionWalletService(self.database, settings=_SETTINGS, clock=clock)
        self.wallets = WalletService(self.database, clock=clock)
        self.tokens = TokenService(self.database, clock=clock)
        self.kill_switch = KillSwitchService(self.database, clock=clock)
        self.made = 0
        self.newest: IssuedSession | None = None
        self.unlinked: set[tuple[str, str]] = set()

    def run(self, steps: int) -> None:
        """Make a number of changes."""
        changes = [
            *(self.create, self.create, self.create, self.link, self.link, self.link, self.unlink, self.unlink),
            *(self.set_default, self.renew, self.renew, self.revoke, self.suspend, self.resume, self.terminate),
            *(self.rotate, self.reconnect, self.reconnect),
        ]
        # Creates the first key, too.
        for _ in range(4):
            self.create_wallet()
        self.create()
        for number in range(steps):
            self.now += 1
            while len(self.wallet_ids("ACTIVE")) < 4:
                self.create_wallet()
            if number % 40 == 39:
                self.use_the_kill_switch()
            else:
                self.dice.choice(changes)()
        self.database.close_all()

    def create_wallet(self) -> None:
        self.made += 1
        wallet = {"name": "w", "chain": "solana", "environment": "testnet", "publicKey": f"{self.now} {self.made}"}
        request = CreateWalletRequestSchema().load(wallet)
        self.report("begin", "create wallet")
        self.wallets.create(**request, actor="admin")

    def create(self) -> None:
        active = self.wallet_ids("ACTIVE")
        wallets = self.dice.sample(active, self.dice.randint(1, 3))
        request = CreateSessionRequestSchema().load({"walletIds": wallets})
        self.report("begin", "create")
        self.newest = self.sessions.create(**request, actor="admin")

    def link(self) -> None:
        session = self.live_session()
        linked = {wallet.id for wallet in session.wallets} if session else set()
        free = [
            wallet
            for wallet in self.wallet_ids("ACTIVE")
            if session and wallet not in linked and (session.id, wallet) not in self.unlinked
        ]
        if session and free:
            self.report("begin", "link", session.id, free[0])
            self.links.link(session.id, free[0], actor="admin")

    def unlink(self) -> None:
        session = self.live_session(2)
        if session:
            wallet = session.wallets[-1].id
            self.unlinked.add((session.id, wallet))
            self.report("begin", "unlink", session.id, wallet)
            with self.maybe_inside_a_transaction():
                self.links.unlink(session.id, wallet, actor="admin")
            self.report("done", "unlink", session.id, wallet)

    def set_default(self) -> None:
        session = self.live_session(2)
        if session:
            wallet = self.dice.choice(session.wallets).id
            self.report("begin", "set default", session.id, wallet)
            with self.maybe_inside_a_transaction():
                self.links.set_default(session.id, wallet, actor="admin")
            self.report("done", "set default", session.id, wallet)

    def renew(self) -> None:
        if self.newest is None or self.sessions.get(self.newest.id).status != "ACTIVE":
            self.create()
        assert self.newest is not None
        old, self.now = self.newest, self.now + _TTL // 2
        if self.sessions.get(old.id).status != "ACTIVE":
            return
        self.report("begin", "renew", old.id)
        with self.maybe_inside_a_transaction():
            self.newest = self.sessions.renew(old.token, actor="admin")
        self.report("done", "renew", old.id, sha256(old.token.encode()).hexdigest())

    def revoke(self) -> None:
        # Occasionally one that is already revoked.
        sessions = [each.id for each in self.sessions.list(limit=200).items]
        if sessions:
            session = self.dice.choice(sessions)
            self.report("begin", "revoke", session)
            with self.maybe_inside_a_transaction():
                self.sessions.revoke(session, actor="admin")
            self.report("done", "revoke", session)

    def suspend(self) -> None:
        wallet = self.dice.choice(self.wallet_ids("ACTIVE"))
        self.report("begin", "suspend", wallet)
        with self.maybe_inside_a_transaction():
            self.wallets.suspend(wallet, actor="admin")
        self.report("done", "suspend", wallet)

    def resume(self) -> None:
        suspended = self.wallet_ids("SUSPENDED")
        if suspended:
            wallet = self.dice.choice(suspended)
            self.report("begin", "resume", wallet)
            self.wallets.resume(wallet, actor="admin")

    def terminate(self) -> None:
        wallet = self.dice.choice(self.wallet_ids("ACTIVE"))
        self.report("begin", "terminate", wallet)
        with self.maybe_inside_a_transaction():
            self.wallets.terminate(wallet, actor="admin")
        self.report("done", "terminate", wallet)

    def rotate(self) -> None:
        self.now += 300
        (old,) = self.database.execute_sql(
            "SELECT value FROM key_value_store WHERE key = 'jwt_secret_current'"
        ).fetchone() or ("",)
        self.report("begin", "rotate")
        with self.maybe_inside_a_transaction():
            self.tokens.rotate(actor="admin")
        self.report("done", "rotate", sha256(old.encode()).hexdigest())

    def use_the_kill_switch(self) -> None:
        sessions = [each.id for each in self.sessions.list(limit=200).items]
        self.report("begin", "activate")
        with self.maybe_inside_a_transaction():
            self.kill_switch.activate(actor="sam")
        self.report("done", "activate", *sessions)
        if self.dice.random() < 0.5:
            self.report("begin", "escalate")
            self.kill_switch.escalate(actor="sam")
            self.report("done", "escalate")
        self.revoke()
        self.report("begin", "recover")
        self.kill_switch.recover(actor="sam")

    def reconnect(self) -> None:
        """Close the database, which removes the log, and let the next call or request recreate it."""
        self.database.close()
        if self.newest is not None:
            with suppress(waiaas.WAIaaSError):
                self.sessions.authorize(self.newest.token)

    def maybe_inside_a_transaction(self) -> AbstractContextManager[Any]:
        """Occasionally open a transaction of the caller around a call."""
        kind = self.dice.random()
        if kind < 0.2:
            return self.database.atomic()  # type: ignore[no-any-return]
        return write_transaction(self.database) if kind < 0.4 else nullcontext()

    def wallet_ids(self, status: str) -> list[str]:
        return [wallet.id for wallet in self.wallets.list(status=status, limit=200).items]

    def live_session(self, links: int = 1) -> SessionDetails | None:
        """Return a session that is not revoked and has at least this number of links."""
        found = [
            each
            for each in self.sessions.list(limit=200).items
            if each.status != "REVOKED" and len(each.wallets) >= links
        ]
        return self.dice.choice(found) if found else None

    @staticmethod
    def report(*line: str) -> None:
        print(json.dumps(line), flush=True)


def _with_a_journal(path: str) -> WaiaasDatabase:
    """Make a file in rollback-journal mode, which `connect` would convert, with SQLite's default `synchronous`."""
    return WaiaasDatabase(path, pragmas={"journal_mode": "delete", "synchronous": "full", "foreign_keys": 1})


if __name__ == "__main__":
    Load(sys.argv[1], sys.argv[2], sys.argv[4]).run(int(sys.argv[3]))
