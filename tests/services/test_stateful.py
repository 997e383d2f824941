"""All operations on sessions, links, wallets and keys, compared with a model of the rules in plain Python."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.application import TABLES
from support.old_files import create_statements
from support.postgresql_server import Databases
from support.service_set import ServiceSet

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.postgresql import open_database
from waiaas.backends.sqlite import WaiaasDatabase
from waiaas.models import Wallet
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema
from waiaas.services import IssuedSession, KillSwitch, LinkedWallet, Page, SessionDetails

pytestmark = pytest.mark.slow

START = 1_800_000_000
UNKNOWN = "0190a3f0-0000-7000-8000-000000000000"
# Small, so that every limit is reached within a few steps.
TTL, LIFETIME, RENEWALS, PER_WALLET = 901, 1300, 2, 2
SETTINGS = {"ttl": TTL, "absolute_lifetime": LIFETIME, "max_renewals": RENEWALS, "sessions_per_wallet": PER_WALLET}
# An old session's absolute end may come before the expiry of its token.
OLD_LIFETIME = 600
GRACE = 300
OLD_KEY = bytes(range(32))
OLD_WALLET = "0190a3f0-1111-7000-8000-000000000001"
OLD_LINKED = "0190a3f0-2222-7000-8000-000000000001"
OLD_UNLINKED = "0190a3f0-2222-7000-8000-000000000002"

Item = TypeVar("Item")
which = st.integers(0, 59)
actors = st.sampled_from(["admin", "owner@example.org"])


@dataclass
class IssuedToken:
    """A token, and the number of the key that signed it."""

    text: str
    session_id: str
    wallet_id: str
    issued_at: int
    expires_at: int
    key: int


@dataclass
class ModelSession:
    """A session in the model; a link has its time and whether it is the default."""

    created_at: int
    expires_at: int
    absolute_end: int
    max_renewals: int
    token: IssuedToken
    links: dict[str, tuple[int, bool]] = field(default_factory=dict)
    renewals: int = 0
    renewed_at: int | None = None
    revoked_at: int | None = None
    constraints: dict[str, Any] | None = None

    @property
    def default(self) -> str | None:
        return next((wallet for wallet, (_, is_default) in self.links.items() if is_default), None)

    def status(self, now: int) -> str:
        if self.revoked_at is not None:
            return "REVOKED"
        return "ACTIVE" if now < self.expires_at else "EXPIRED"

    def in_order(self) -> list[str]:
        """Return the wallets, the default first, then in the order in which they were linked."""
        return sorted(self.links, key=lambda wallet: not self.links[wallet][1])


@dataclass
class ModelWallet:
    """A wallet in the model."""

    name: str
    public_key: str
    created_at: int
    updated_at: int
    status: str = "ACTIVE"
    suspended_at: int | None = None
    reason: str | None = None


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(key: bytes, claims: dict[str, Any]) -> str:
    """Return a token as the daemon creates it."""
    head = b64(json.dumps({"alg": "HS256", "typ": "JWT"}, separators=(",", ":")).encode())
    text = f"{head}.{b64(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"wai_sess_{text}.{b64(hmac.new(key, text.encode(), 'sha256').digest())}"


def payload(token: str) -> dict[str, Any]:
    """Return the claims of a token."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


def is_signed_with(key: bytes, token: str) -> bool:
    text, _, signature = token.removeprefix("wai_sess_").rpartition(".")
    return b64(hmac.new(key, text.encode(), "sha256").digest()) == signature


def half_time(token: IssuedToken) -> int:
    """Return the first second in which a token can be renewed."""
    return token.issued_at + (token.expires_at - token.issued_at + 1) // 2


def old_token(session_id: str) -> IssuedToken:
    """Return the token of a session in the version-18 file, signed as by the daemon."""
    issued, expires = START - 100, START - 100 + TTL
    text = signed(OLD_KEY, {"sub": session_id, "wlt": OLD_WALLET, "iat": issued, "exp": expires})
    return IssuedToken(text, session_id, OLD_WALLET, issued, expires, key=0)


@cache
def fresh() -> bytes:
    """Return a new file of version 19 without rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wallets.db"
        waiaas.connect(path).close()
        return path.read_bytes()


@cache
def version_18() -> bytes:
    """Return a file of the daemon with a key, a wallet, and two sessions, one of them without a wallet."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wallets.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in create_statements(18):
                if statement.startswith("CREATE TABLE sessions ("):
                    # In some files a session need not have a wallet.
                    statement = statement.replace("wallet_id TEXT NOT NULL", "wallet_id TEXT")
                database.execute(statement)
            versions = [(version, START, "") for version in range(1, 19)]
            database.executemany("INSERT INTO schema_version VALUES (?, ?, ?)", versions)
            database.execute(
                "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
                " VALUES (?, 'old', 'solana', 'testnet', 'old key', 'ACTIVE', ?, ?)",
                (OLD_WALLET, START - 100, START - 100),
            )
            for session_id, wallet_id in ((OLD_LINKED, OLD_WALLET), (OLD_UNLINKED, None)):
                token = old_token(session_id)
                database.execute(
                    "INSERT INTO sessions (id, wallet_id, token_hash, expires_at, absolute_expires_at, created_at,"
                    " max_renewals) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(session_id, wallet_id, hashlib.sha256(token.text.encode()).hexdigest(), token.expires_at),
                        *(token.issued_at + OLD_LIFETIME, token.issued_at, RENEWALS),
                    ),
                )
            value = json.dumps({"secret": OLD_KEY.hex(), "createdAt": START - 100}, separators=(",", ":"))
            database.execute("INSERT INTO key_value_store VALUES ('jwt_secret_current', ?, ?)", (value, START - 100))
        return path.read_bytes()


class Machine(RuleBasedStateMachine):
    """Each rule calls the services, and computes the expected result from the model alone."""

    # A state of the kill switch that no version knows, and what the check finds then.
    unknown_state: object = b"ACTIVE"
    findings_of_unknown_state = frozenset({"kill_switch_state", "not_text"})

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.path = Path(self.folder) / "wallets.db"
        self.now = START
        self.databases: list[Any] = []
        self.services: list[ServiceSet] = []
        self.turn = 0
        self.sessions: dict[str, ModelSession] = {}
        self.wallets: dict[str, ModelWallet] = {}
        self.transactions: dict[str, tuple[str, str | None, str]] = {}
        self.issued: list[IssuedToken] = []
        self.key, self.rotated_at = 0, 0
        self.switch = "ACTIVE"
        self.activation: tuple[int, str] | None = None
        self.audit: list[tuple[str, str, str | None, str | None, str | None]] = []

    @initialize(old=st.booleans())
    def open(self, old: bool) -> None:
        """Start with a new database, or with one of version 18 that has a session without a wallet."""
        self.databases = self.open_databases(old)
        self.recreate_the_services()
        # The first session creates the key of a new file, and a new key cannot be rotated.
        self.rotated_at = START - 100 if old else START
        if old:
            self.wallets[OLD_WALLET] = ModelWallet("old", "old key", START - 100, START - 100)
            for session_id, links in ((OLD_LINKED, {OLD_WALLET: (START - 100, True)}), (OLD_UNLINKED, {})):
                token = old_token(session_id)
                self.issued.append(token)
                self.sessions[session_id] = ModelSession(
                    token.issued_at, token.expires_at, token.issued_at + OLD_LIFETIME, RENEWALS, token, dict(links)
                )
        for number in range(4):
            self.create_wallet("admin", number)
        self.create_session([3], None, None, None, "admin")
        for wallet in (2, 0):
            # Linked in another order than that of their ids.
            self.now += 1
            self.link(len(self.sessions) - 1, wallet, "admin")

    def open_databases(self, old: bool) -> list[Any]:
        """Return three database objects on one database, which have different settings."""
        self.path.write_bytes(version_18() if old else fresh())
        first = waiaas.connect(self.path, backup=False).peewee
        return [
            first,
            waiaas.connect(self.path).peewee,
            WaiaasDatabase(str(self.path), pragmas={"foreign_keys": "ON", "synchronous": "NORMAL"}),
        ]

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], list[Any]]]:
        """Yield a function that reads the rows through a connection of its own."""
        with closing(sqlite3.connect(self.path)) as connection:
            yield lambda query: connection.execute(query).fetchall()

    def execute(self, sql: str, *parameters: object) -> None:
        """Write as another program does."""
        self.databases[0].execute_sql(self.databases[0].dialect(sql), parameters)

    def teardown(self) -> None:
        if self.databases:
            self.compare_check_report()
        for database in self.databases:
            database.close_all()
        shutil.rmtree(self.folder)

    # Time and actors.

    @rule(seconds=st.integers(1, 100))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    # Wait until the second in which a rule changes its answer, or the second before it.

    @rule(number=which, early=st.booleans())
    def wait_for_expiry(self, number: int, early: bool) -> None:
        self.wait_until({session.expires_at for session in self.sessions.values()}, number, early)

    @rule(number=which, early=st.booleans())
    def wait_for_renewal(self, number: int, early: bool) -> None:
        tokens = [session.token for session in self.sessions.values()]
        self.wait_until({half_time(token) for token in tokens}, number, early)

    @rule(early=st.booleans())
    def wait_for_rotation(self, early: bool) -> None:
        self.wait_until({self.rotated_at + GRACE}, 0, early)

    def wait_until(self, moments: set[int], number: int, early: bool) -> None:
        ahead = sorted(moment - early for moment in moments if moment - early > self.now)
        if ahead:
            self.now = ahead[number % len(ahead) if number % 3 == 0 else 0]

    @rule()
    def recreate_the_services(self) -> None:
        """Drop everything that the service objects have cached."""
        self.services = [ServiceSet(database, lambda: float(self.now), **SETTINGS) for database in self.databases]

    @rule(number=st.integers(0, 2))
    def reopen_the_database(self, number: int) -> None:
        self.turn = number

    @property
    def on(self) -> ServiceSet:
        return self.services[self.turn]

    # Wallets.

    @precondition(lambda self: len(self.wallets) < 9)
    @rule(actor=actors, number=st.integers(3, 12))
    def create_wallet(self, actor: str, number: int) -> None:
        key = f"key {number}"
        request = {"name": f"wallet {number}", "chain": "solana", "environment": "testnet", "publicKey": key}
        exists = any(wallet.public_key == key for wallet in self.wallets.values())
        wallet = self.expect(
            self.locked() or ("ACTION_VALIDATION_FAILED" if exists else None),
            lambda: self.on.wallets.create(**CreateWalletRequestSchema().load(request), actor=actor),
        )
        if wallet is not None:
            self.wallets[wallet.id] = ModelWallet(request["name"], key, self.now, self.now)
            self.note("WALLET_CREATED", actor, wallet.id)
            self.compare_wallet(wallet)

    @rule(number=which, actor=actors, reason=st.sampled_from([None, "lost key"]))
    def suspend(self, number: int, actor: str, reason: str | None) -> None:
        wallet_id = self.some_wallet(number)
        codes = {"ACTIVE": None, "SUSPENDED": "WALLET_SUSPENDED"}
        changed = self.expect(
            self.wallet_code(wallet_id, codes), lambda: self.on.wallets.suspend(wallet_id, reason, actor=actor)
        )
        if changed is not None:
            wallet = self.wallets[wallet_id]
            wallet.status, wallet.suspended_at, wallet.reason = "SUSPENDED", self.now, reason
            self.wallet_changed(wallet_id, "WALLET_SUSPENDED", actor, changed)

    @rule(number=which, actor=actors)
    def resume(self, number: int, actor: str) -> None:
        wallet_id = self.some_wallet(number)
        codes = {"ACTIVE": "INVALID_STATE_TRANSITION", "SUSPENDED": None}
        changed = self.expect(
            self.locked() or self.wallet_code(wallet_id, codes),
            lambda: self.on.wallets.resume(wallet_id, actor=actor),
        )
        if changed is not None:
            wallet = self.wallets[wallet_id]
            wallet.status, wallet.suspended_at, wallet.reason = "ACTIVE", None, None
            self.wallet_changed(wallet_id, "WALLET_ACTIVATED", actor, changed)

    @precondition(lambda self: sum(wallet.status != "TERMINATED" for wallet in self.wallets.values()) > 2)
    @rule(number=which, actor=actors)
    def terminate(self, number: int, actor: str) -> None:
        self.terminate_wallet(self.some_wallet(number), actor)

    @precondition(lambda self: any(session.links for session in self.sessions.values()))
    @rule(number=which, actor=actors)
    def terminate_a_linked_wallet(self, number: int, actor: str) -> None:
        """Terminate a session's default wallet, another one, or its only one, also for revoked sessions."""
        linked = [wallet_id for session in self.sessions.values() for wallet_id in session.links]
        self.terminate_wallet(linked[number % len(linked)], actor)

    def terminate_wallet(self, wallet_id: str, actor: str) -> None:
        codes = {"ACTIVE": None, "SUSPENDED": None}
        changed = self.expect(
            self.wallet_code(wallet_id, codes), lambda: self.on.wallets.terminate(wallet_id, actor=actor)
        )
        if changed is None:
            return
        for session_id, session in self.sessions.items():
            if wallet_id in session.links:
                self.lose(session_id, session, wallet_id, actor)
        for tx_id, (of_wallet, of_session, status) in self.transactions.items():
            if of_wallet == wallet_id and status == "PENDING":
                self.transactions[tx_id] = (of_wallet, of_session, "CANCELLED")
                self.note("TX_CANCELLED", actor, wallet_id, of_session, tx_id)
        self.wallets[wallet_id].status = "TERMINATED"
        self.wallet_changed(wallet_id, "WALLET_TERMINATED", actor, changed)

    def lose(self, session_id: str, session: ModelSession, wallet_id: str, actor: str) -> None:
        """Remove a terminated wallet from a session."""
        _, was_default = session.links.pop(wallet_id)
        if not session.links and session.revoked_at is None:
            session.revoked_at = self.now
            self.note("SESSION_REVOKED", actor, wallet_id, session_id)
        elif session.links and was_default:
            next_default = next(iter(session.links))
            session.links[next_default] = (session.links[next_default][0], True)
            self.note("SESSION_DEFAULT_WALLET_SET", actor, next_default, session_id)
        else:
            self.note("SESSION_WALLET_UNLINKED", actor, wallet_id, session_id)

    @rule(number=which, session=which, status=st.sampled_from(["PENDING", "PENDING", "CONFIRMED"]))
    def insert_transaction(self, number: int, session: int, status: str) -> None:
        """Write a transaction as the rest of WAIaaS does."""
        wallet_id = self.some_wallet(number)
        if wallet_id not in self.wallets:
            return
        session_id: str | None = self.some_session(session)
        if session_id not in self.sessions:
            session_id = None
        tx_id = f"tx {len(self.transactions):03}"
        self.execute(
            "INSERT INTO transactions (id, wallet_id, session_id, chain, type, status, created_at)"
            " VALUES (?, ?, ?, 'solana', 'TRANSFER', ?, ?)",
            *(tx_id, wallet_id, session_id, status, self.now),
        )
        self.transactions[tx_id] = (wallet_id, session_id, status)

    @rule(number=which)
    def get_wallet(self, number: int) -> None:
        wallet_id = self.some_wallet(number)
        wallet = self.expect(
            None if wallet_id in self.wallets else "WALLET_NOT_FOUND", lambda: self.on.wallets.get(wallet_id)
        )
        if wallet is not None:
            self.compare_wallet(wallet)

    @rule(limit=st.integers(1, 4), status=st.sampled_from([None, "ACTIVE", "SUSPENDED", "TERMINATED", "CREATING"]))
    def list_wallets(self, limit: int, status: str | None) -> None:
        expected = sorted(id_ for id_, wallet in self.wallets.items() if status in (None, wallet.status))
        pages = self.pages(lambda after: self.on.wallets.list(status=status, limit=limit, after=after), limit)
        assert [wallet.id for wallet in pages] == expected

    # Sessions.

    @rule(
        numbers=st.lists(which, min_size=1, max_size=3, unique=True),
        default=st.none() | which,
        ttl=st.sampled_from([None, None, 300, 301, 7200]),
        constraints=st.sampled_from([None, {"limit": 1}]),
        actor=actors,
    )
    def create_session(
        self, numbers: list[int], default: int | None, ttl: int | None, constraints: dict[str, Any] | None, actor: str
    ) -> None:
        wallet_ids = list(dict.fromkeys(map(self.some_wallet, numbers)))
        chosen = None if default is None else wallet_ids[default % len(wallet_ids)]
        self.create(wallet_ids, chosen, ttl, constraints, actor)

    @precondition(lambda self: any(map(self.is_full, self.wallets)))
    @rule(number=which, early=st.booleans(), actor=actors)
    def create_when_a_session_expires(self, number: int, early: bool, actor: str) -> None:
        """Create a session in the second in which a wallet's first session expires, or in the second before."""
        full = [wallet_id for wallet_id in self.wallets if self.is_full(wallet_id)]
        wallet_id = full[number % len(full)]
        ends = [session.expires_at for session in self.sessions.values() if wallet_id in session.links]
        self.wait_until(set(ends), 1, early)
        self.create([wallet_id], None, None, None, actor)

    def is_full(self, wallet_id: str) -> bool:
        return self.unusable([wallet_id]) == "SESSION_LIMIT_EXCEEDED"

    def create(
        self,
        wallet_ids: list[str],
        default: str | None,
        ttl: int | None,
        constraints: dict[str, Any] | None,
        actor: str,
    ) -> None:
        chosen = default or wallet_ids[0]
        request: dict[str, Any] = {"walletIds": wallet_ids, "constraints": constraints}
        if ttl is not None:
            request["ttl"] = ttl
        if default is not None:
            request["defaultWalletId"] = default
        issued = self.expect(
            self.locked() or self.unusable(wallet_ids),
            lambda: self.on.sessions.create(**CreateSessionRequestSchema().load(request), actor=actor),
        )
        if issued is None:
            return
        absolute_end = self.now + LIFETIME
        expires_at = min(self.now + (ttl or TTL), absolute_end)
        self.sessions[issued.id] = ModelSession(
            created_at=self.now,
            expires_at=expires_at,
            absolute_end=absolute_end,
            max_renewals=RENEWALS,
            token=self.issue(issued, chosen, expires_at),
            links={wallet_id: (self.now, wallet_id == chosen) for wallet_id in wallet_ids},
            constraints=constraints,
        )
        self.note("SESSION_ISSUED", actor, chosen, issued.id)
        self.compare_session(issued)

    @rule(number=which, actor=actors)
    def renew(self, number: int, actor: str) -> None:
        token = self.some_token(number)
        if token is not None:
            self.renew_token(token, actor)

    @precondition(lambda self: self.living_tokens())
    @rule(number=which, early=st.booleans(), actor=actors)
    def renew_when_due(self, number: int, early: bool, actor: str) -> None:
        """Renew in the first second in which it is possible, or in the last in which it is not."""
        living = self.living_tokens()
        token = living[number % len(living)]
        self.now = max(self.now, half_time(token) - early)
        self.renew_token(token, actor)

    def renew_token(self, token: IssuedToken, actor: str) -> None:
        session = self.sessions[token.session_id]
        renewed = self.expect(
            self.renewal_code(token, session), lambda: self.on.sessions.renew(token.text, actor=actor)
        )
        if renewed is None:
            return
        default = session.default
        assert default is not None
        session.expires_at = min(self.now + token.expires_at - token.issued_at, session.absolute_end)
        session.token = self.issue(renewed, default, session.expires_at)
        session.renewals += 1
        session.renewed_at = self.now
        self.note("SESSION_RENEWED", actor, default, renewed.id)
        self.compare_session(renewed)
        self.expect(self.renewal_code(token, session), lambda: self.on.sessions.renew(token.text, actor="admin"))

    @rule(number=which, actor=actors)
    def revoke(self, number: int, actor: str) -> None:
        session_id = self.some_session(number)
        details = self.expect(
            None if session_id in self.sessions else "SESSION_NOT_FOUND",
            lambda: self.on.sessions.revoke(session_id, actor=actor),
        )
        if details is None:
            return
        session = self.sessions[session_id]
        if session.revoked_at is None:
            session.revoked_at = self.now
            self.note("SESSION_REVOKED", actor, session.default, session_id)
        self.compare_session(details)

    @rule(number=which)
    def get_session(self, number: int) -> None:
        session_id = self.some_session(number)
        details = self.expect(
            None if session_id in self.sessions else "SESSION_NOT_FOUND", lambda: self.on.sessions.get(session_id)
        )
        if details is not None:
            self.compare_session(details)

    @rule(
        limit=st.integers(1, 4),
        status=st.sampled_from([None, "ACTIVE", "EXPIRED", "REVOKED"]),
        wallet=st.none() | which,
    )
    def list_sessions(self, limit: int, status: str | None, wallet: int | None) -> None:
        wallet_id = None if wallet is None else self.some_wallet(wallet)
        expected = sorted(
            id_
            for id_, session in self.sessions.items()
            if status in (None, session.status(self.now)) and (wallet_id is None or wallet_id in session.links)
        )
        pages = self.pages(
            lambda after: self.on.sessions.list(wallet_id, status=status, limit=limit, after=after), limit
        )
        assert [session.id for session in pages] == expected
        for session in pages:
            self.compare_session(session)

    # Links.

    @rule(session=which, wallet=which, actor=actors)
    def link(self, session: int, wallet: int, actor: str) -> None:
        session_id, wallet_id = self.some_session(session), self.some_wallet(wallet)
        code = self.locked() or self.no_live_session(session_id) or self.unusable([wallet_id], linked_to=session_id)
        linked = self.expect(code, lambda: self.on.links.link(session_id, wallet_id, actor=actor))
        if linked is not None:
            links = self.sessions[session_id].links
            links[wallet_id] = (self.now, not links)
            self.note("SESSION_WALLET_LINKED", actor, wallet_id, session_id)
            self.compare_link(session_id, linked)

    @rule(session=which, wallet=which, actor=actors)
    def unlink(self, session: int, wallet: int, actor: str) -> None:
        session_id, wallet_id = self.some_session(session), self.linked_wallet(session, wallet)
        code = self.no_live_session(session_id) or self.not_linked(session_id, wallet_id)
        if code is None:
            links = self.sessions[session_id].links
            if len(links) == 1:
                code = "SESSION_REQUIRES_WALLET"
            elif links[wallet_id][1]:
                code = "CANNOT_REMOVE_DEFAULT_WALLET"
        assert self.expect(code, lambda: self.on.links.unlink(session_id, wallet_id, actor=actor)) is None
        if code is None:
            del self.sessions[session_id].links[wallet_id]
            self.note("SESSION_WALLET_UNLINKED", actor, wallet_id, session_id)

    @rule(session=which, wallet=which, actor=actors)
    def set_default(self, session: int, wallet: int, actor: str) -> None:
        session_id, wallet_id = self.some_session(session), self.linked_wallet(session, wallet)
        code = self.no_live_session(session_id) or self.not_linked(session_id, wallet_id)
        default = self.expect(code, lambda: self.on.links.set_default(session_id, wallet_id, actor=actor))
        if default is None:
            return
        found = self.sessions[session_id]
        if found.default != wallet_id:
            found.links = {id_: (moment, id_ == wallet_id) for id_, (moment, _) in found.links.items()}
            self.note("SESSION_DEFAULT_WALLET_SET", actor, wallet_id, session_id)
        self.compare_link(session_id, default)

    @rule(session=which)
    def list_links(self, session: int) -> None:
        session_id = self.some_session(session)
        links = self.expect(
            None if session_id in self.sessions else "SESSION_NOT_FOUND", lambda: self.on.links.list(session_id)
        )
        if links is not None:
            self.compare_links(session_id, links)

    @rule(session=which, wallet=st.none() | which)
    def resolve(self, session: int, wallet: int | None) -> None:
        session_id = self.some_session(session)
        wallet_id = None if wallet is None else self.linked_wallet(session, wallet)
        found = self.sessions.get(session_id)
        code, reached = None, None
        if self.locked():
            code = "SYSTEM_LOCKED"
        elif found is None:
            code = "SESSION_NOT_FOUND"
        elif found.status(self.now) != "ACTIVE":
            code = f"SESSION_{found.status(self.now)}"
        else:
            reached = found.default if wallet_id is None else wallet_id
            code = None if reached in found.links else "WALLET_ACCESS_DENIED"
        resolved = self.expect(code, lambda: self.on.links.resolve(session_id, wallet_id))
        assert resolved == (None if code else reached)

    # Keys and tokens.

    @rule(actor=actors, when=st.sampled_from([None, 0, -1]))
    def rotate(self, actor: str, when: int | None) -> None:
        """Rotate now, in the first second in which it is possible again, or in the last in which it is not."""
        if when is not None:
            self.now = max(self.now, self.rotated_at + GRACE + when)
        too_recent = self.now - self.rotated_at < GRACE
        self.expect("ROTATION_TOO_RECENT" if too_recent else None, lambda: self.on.tokens.rotate(actor=actor))
        if not too_recent:
            self.key, self.rotated_at = self.key + 1, self.now
            self.note("KEY_ROTATED", actor)

    @rule(number=which, part=st.sampled_from(["header", "claims", "signature", "prefix"]))
    def present_an_edited_token(self, number: int, part: str) -> None:
        token = self.some_token(number)
        if token is None:
            return
        head, claims, signature = token.text.split(".")
        edited = {
            "header": f"wai_sess_{b64(json.dumps({'alg': 'none', 'typ': 'JWT'}).encode())}.{claims}.{signature}",
            "claims": f"{head}.{b64(json.dumps({**payload(token.text), 'exp': 2**33}).encode())}.{signature}",
            "signature": f"{head}.{claims}.{b64(bytes(32))}",
            "prefix": token.text.removeprefix("wai_sess_"),
        }[part]
        for ask in (self.on.sessions.authorize, self.on.sessions.authenticate):
            self.expect(self.locked() or "INVALID_TOKEN", lambda ask=ask: ask(edited))  # type: ignore[misc]
        self.expect(self.locked() or "INVALID_TOKEN", lambda: self.on.sessions.renew(edited, actor="admin"))
        self.expect("INVALID_TOKEN", lambda: self.on.tokens.verify(edited))

    # The kill switch, and requests of agents.

    @rule(number=which, wallet=st.none() | which, must_be_active=st.booleans())
    def authorize(self, number: int, wallet: int | None, must_be_active: bool) -> None:
        token = self.some_token(number)
        if token is None:
            return
        session = self.sessions[token.session_id]
        named = None if wallet is None else self.some_wallet(wallet)
        if session.links and wallet is not None and wallet % 3:
            named = list(session.links)[wallet % len(session.links)]
        meant = session.default if named is None else named
        code = self.token_code(token, session)
        if code is None and meant not in session.links:
            code = "WALLET_ACCESS_DENIED"
        elif code is None and must_be_active and meant and self.wallets[meant].status != "ACTIVE":
            code = "WALLET_SUSPENDED"
        found = self.expect(code, lambda: self.on.sessions.authorize(token.text, named, must_be_active=must_be_active))
        if found is not None:
            assert (found.session_id, found.wallet.id) == (token.session_id, meant)
            expected = self.wallets[found.wallet.id]
            assert (found.wallet.public_key, found.wallet.status) == (expected.public_key, expected.status)
            assert found.expires_at.timestamp() == token.expires_at

    @rule(actor=actors, number=st.integers(0, 4))
    def activate(self, actor: str, number: int) -> None:
        """Activate the kill switch, but rarely, because few calls remain possible afterwards."""
        if number and self.switch == "ACTIVE":
            return
        is_active = self.switch in ("SUSPENDED", "LOCKED")
        changed = self.expect(
            "KILL_SWITCH_ALREADY_ACTIVE" if is_active else None, lambda: self.on.kill_switch.activate(actor=actor)
        )
        if changed is None:
            return
        for session_id, session in self.sessions.items():
            if session.revoked_at is None:
                session.revoked_at = self.now
                self.note("SESSION_REVOKED", actor, session.default, session_id)
        for tx_id, (wallet_id, of_session, status) in self.transactions.items():
            if status == "PENDING":
                self.transactions[tx_id] = (wallet_id, of_session, "CANCELLED")
                self.note("TX_CANCELLED", actor, wallet_id, of_session, tx_id)
        for wallet_id, wallet in self.wallets.items():
            if wallet.status == "ACTIVE":
                wallet.status, wallet.suspended_at, wallet.reason = "SUSPENDED", self.now, "Kill switch activated"
                wallet.updated_at = self.now
                self.note("WALLET_SUSPENDED", actor, wallet_id)
        self.switch, self.activation = "SUSPENDED", (self.now, actor)
        self.note("KILL_SWITCH_ACTIVATED", actor)
        self.compare_switch(changed)

    @rule(actor=actors)
    def escalate(self, actor: str) -> None:
        code = None if self.switch == "SUSPENDED" else "INVALID_STATE_TRANSITION"
        changed = self.expect(code, lambda: self.on.kill_switch.escalate(actor=actor))
        if changed is not None:
            self.switch = "LOCKED"
            self.note("KILL_SWITCH_ESCALATED", actor)
            self.compare_switch(changed)

    @rule(actor=actors)
    def recover(self, actor: str) -> None:
        code = "KILL_SWITCH_NOT_ACTIVE" if self.switch == "ACTIVE" else None
        changed = self.expect(code, lambda: self.on.kill_switch.recover(actor=actor))
        if changed is not None:
            self.switch, self.activation = "ACTIVE", None
            self.note("KILL_SWITCH_RECOVERED", actor)
            self.compare_switch(changed)

    @rule(state=st.sampled_from(["ACTIVE", "SUSPENDED", "LOCKED", "UNKNOWN"]))
    def another_program_sets_the_kill_switch(self, state: str) -> None:
        """Write a state as another program does, without the effects of the services."""
        self.execute(
            "INSERT INTO key_value_store VALUES ('kill_switch_state', ?, 0)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = 0",
            self.unknown_state if state == "UNKNOWN" else state,
        )
        self.switch = state
        self.compare_switch(self.on.kill_switch.state())

    def compare_switch(self, found: KillSwitch) -> None:
        at, by = self.activation if self.activation and self.switch != "ACTIVE" else (None, None)
        moment = None if found.activated_at is None else found.activated_at.timestamp()
        assert (found.state, moment, found.activated_by) == (self.switch, at, by)

    def locked(self) -> str | None:
        return None if self.switch == "ACTIVE" else "SYSTEM_LOCKED"

    # Invariants, checked after every step.

    @invariant()
    def the_rows_match_the_model(self) -> None:
        if not self.services:
            return
        with self.reader() as read:
            for expected, found in self.rows_expected_and_found(read):
                assert found == sorted(expected)
            self.compare_keys(dict(read("SELECT key, value FROM key_value_store")))

    @invariant()
    def each_session_has_the_expected_access(self) -> None:
        for session_id, session in self.sessions.items():
            defaults = [is_default for _, is_default in session.links.values() if is_default]
            if session.revoked_at is None and not (session_id == OLD_UNLINKED and not session.links):
                assert len(defaults) == 1

    @invariant()
    def each_token_is_accepted_or_refused(self) -> None:
        for token in self.issued:
            session = self.sessions[token.session_id]
            found = self.expect(
                self.token_code(token, session), lambda token=token: self.on.sessions.authenticate(token.text)
            )
            if found is not None:
                assert (found.session_id, found.wallet_id) == (token.session_id, session.default)
                assert found.expires_at.timestamp() == token.expires_at

    def rows_expected_and_found(self, read: Callable[[str], list[Any]]) -> Iterator[tuple[list[Any], list[Any]]]:
        def rows(query: str) -> list[Any]:
            return sorted(read(query))

        yield (
            [
                (
                    *(id_, hashlib.sha256(each.token.text.encode()).hexdigest(), each.created_at, each.expires_at),
                    *(each.absolute_end, each.renewals, each.max_renewals, each.renewed_at, each.revoked_at),
                    None if each.constraints is None else '{"limit":1}',
                )
                for id_, each in self.sessions.items()
            ],
            rows(
                "SELECT id, token_hash, created_at, expires_at, absolute_expires_at, renewal_count, max_renewals,"
                " last_renewed_at, revoked_at, constraints FROM sessions"
            ),
        )
        yield (
            [
                (id_, wallet_id, int(is_default), moment)
                for id_, each in self.sessions.items()
                for wallet_id, (moment, is_default) in each.links.items()
            ],
            rows("SELECT session_id, wallet_id, is_default, created_at FROM session_wallets"),
        )
        yield (
            [
                (
                    *(id_, each.name, each.public_key, each.status, each.created_at, each.updated_at),
                    *(each.suspended_at, each.reason),
                )
                for id_, each in self.wallets.items()
            ],
            rows(
                "SELECT id, name, public_key, status, created_at, updated_at, suspended_at, suspension_reason"
                " FROM wallets"
            ),
        )
        yield (
            [(id_, *values) for id_, values in self.transactions.items()],
            rows("SELECT id, wallet_id, session_id, status FROM transactions"),
        )
        found = read("SELECT event_type, actor, wallet_id, session_id, tx_id FROM audit_log")
        # Sorted as text, because NULLs do not compare.
        yield list(map(str, self.audit)), sorted(map(str, found))

    def compare_keys(self, stored: dict[str, str]) -> None:
        for name, expected in zip(("at", "by"), self.activation or (None, None), strict=True):
            found = stored.pop(f"kill_switch_activated_{name}", None)
            assert found == (None if expected is None else str(expected))
        stored.pop("kill_switch_state", None)
        if self.key > 0:
            assert set(stored) == {"jwt_secret_current", "jwt_secret_previous"}
            assert json.loads(stored["jwt_secret_current"])["createdAt"] == self.rotated_at
        elif stored:
            assert set(stored) == {"jwt_secret_current"}
        for token in self.issued:
            age = self.key - token.key
            if age < 2:
                name = ("jwt_secret_current", "jwt_secret_previous")[age]
                assert is_signed_with(bytes.fromhex(json.loads(stored[name])["secret"]), token.text)

    def compare_check_report(self) -> None:
        report = waiaas.check(self.databases[0])
        old = self.sessions.get(OLD_UNLINKED)
        problems = [(finding.kind, finding.rows) for finding in report.findings if finding.severity == "problem"]
        of_the_switch = self.findings_of_unknown_state
        found = {kind for kind, _ in problems} & of_the_switch
        assert found == (of_the_switch if self.switch == "UNKNOWN" else frozenset())
        problems = [problem for problem in problems if problem[0] not in of_the_switch]
        if old is not None and old.revoked_at is None and not old.links:
            assert problems == [("session_without_wallet", [OLD_UNLINKED])]
        else:
            assert problems == []

    # The rules, from the documented facts.

    def wallet_code(self, wallet_id: str, by_status: dict[str, str | None]) -> str | None:
        if wallet_id not in self.wallets:
            return "WALLET_NOT_FOUND"
        return {"TERMINATED": "WALLET_TERMINATED", **by_status}[self.wallets[wallet_id].status]

    def unusable(self, wallet_ids: list[str], linked_to: str | None = None) -> str | None:
        """Return why wallets cannot be linked to a new session, or to the given one."""
        if any(wallet_id not in self.wallets for wallet_id in wallet_ids):
            return "WALLET_NOT_FOUND"
        if any(self.wallets[wallet_id].status == "TERMINATED" for wallet_id in wallet_ids):
            return "WALLET_TERMINATED"
        for wallet_id in wallet_ids:
            linked = [each for each in self.sessions.values() if wallet_id in each.links]
            if sum(each.status(self.now) == "ACTIVE" for each in linked) >= PER_WALLET:
                return "SESSION_LIMIT_EXCEEDED"
        if linked_to is not None and wallet_ids[0] in self.sessions[linked_to].links:
            return "WALLET_ALREADY_LINKED"
        return None

    def no_live_session(self, session_id: str) -> str | None:
        session = self.sessions.get(session_id)
        return "SESSION_NOT_FOUND" if session is None or session.revoked_at is not None else None

    def not_linked(self, session_id: str, wallet_id: str) -> str | None:
        return None if wallet_id in self.sessions[session_id].links else "WALLET_ACCESS_DENIED"

    def signature_code(self, token: IssuedToken) -> str | None:
        is_old = token.key == self.key - 1 and self.now - self.rotated_at < GRACE
        if token.key != self.key and not is_old:
            return "INVALID_TOKEN"
        return "TOKEN_EXPIRED" if token.expires_at <= self.now else None

    def token_code(self, token: IssuedToken, session: ModelSession) -> str | None:
        if code := self.locked() or self.signature_code(token):
            return code
        if session.revoked_at is not None:
            return "SESSION_REVOKED"
        return None if session.token is token else "INVALID_TOKEN"

    def renewal_code(self, token: IssuedToken, session: ModelSession) -> str | None:
        if code := self.locked() or self.signature_code(token):
            return code
        if session.revoked_at is not None:
            return "SESSION_REVOKED"
        if session.token is not token:
            return "SESSION_RENEWAL_MISMATCH"
        if session.renewals >= session.max_renewals:
            return "RENEWAL_LIMIT_REACHED"
        if self.now >= session.absolute_end:
            return "SESSION_ABSOLUTE_LIFETIME_EXCEEDED"
        if 2 * (self.now - token.issued_at) < token.expires_at - token.issued_at:
            return "RENEWAL_TOO_EARLY"
        return None if session.links else "SESSION_REQUIRES_WALLET"

    # Calls and comparisons.

    def expect(self, code: str | None, ask: Callable[[], Any]) -> Any:
        """Return the result if the model expects no refusal, else assert that the call is refused with the code."""
        if code is None:
            return ask()
        with pytest.raises(WAIaaSError) as caught:
            ask()
        assert caught.value.code == code
        return None

    # Usually something active is chosen, otherwise something that has ended, and rarely something that never existed.

    def some_wallet(self, number: int) -> str:
        living = [id_ for id_, wallet in self.wallets.items() if wallet.status != "TERMINATED"]
        return self.some(number, living, [*self.wallets]) or UNKNOWN

    def some_session(self, number: int) -> str:
        living = [id_ for id_, session in self.sessions.items() if session.status(self.now) == "ACTIVE"]
        return self.some(number, living, [*self.sessions]) or UNKNOWN

    def some_token(self, number: int) -> IssuedToken | None:
        return self.some(number, self.living_tokens(), self.issued) or self.some(0, [], self.issued)

    def living_tokens(self) -> list[IssuedToken]:
        return [each.token for each in self.sessions.values() if each.status(self.now) == "ACTIVE"]

    @staticmethod
    def some(number: int, living: list[Item], known: list[Item]) -> Item | None:
        among = living if number < 40 and living else known
        return among[number % len(among)] if among and number < 55 else None

    def linked_wallet(self, session: int, number: int) -> str:
        """Usually return a wallet of the session."""
        found = self.sessions.get(self.some_session(session))
        if found is None or not found.links or number % 3 == 0:
            return self.some_wallet(number)
        return list(found.links)[number % len(found.links)]

    def issue(self, session: IssuedSession, wallet_id: str, expires_at: int) -> IssuedToken:
        claims = {"sub": session.id, "wlt": wallet_id, "iat": self.now, "exp": expires_at}
        assert payload(session.token) == claims
        assert session.token not in repr(session)
        self.issued.append(IssuedToken(session.token, session.id, wallet_id, self.now, expires_at, self.key))
        return self.issued[-1]

    def note(
        self, event: str, actor: str, wallet: str | None = None, session: str | None = None, tx: str | None = None
    ) -> None:
        self.audit.append((event, actor, wallet, session, tx))

    def wallet_changed(self, wallet_id: str, event: str, actor: str, changed: Wallet) -> None:
        self.wallets[wallet_id].updated_at = self.now
        self.note(event, actor, wallet_id)
        self.compare_wallet(changed)

    def compare_wallet(self, wallet: Wallet) -> None:
        expected = self.wallets[wallet.id]
        assert (wallet.name, wallet.status, wallet.public_key) == (
            expected.name,
            expected.status,
            expected.public_key,
        )
        assert wallet.updated_at.timestamp() == expected.updated_at

    def compare_session(self, details: SessionDetails) -> None:
        expected = self.sessions[details.id]
        assert details.status == expected.status(self.now)
        assert details.default_wallet_id == details.wallet_id == expected.default
        assert details.expires_at.timestamp() == expected.expires_at
        assert (details.renewal_count, details.constraints) == (expected.renewals, expected.constraints)
        self.compare_links(details.id, details.wallets)

    def compare_links(self, session_id: str, links: tuple[LinkedWallet, ...]) -> None:
        assert [link.id for link in links] == self.sessions[session_id].in_order()
        for link in links:
            self.compare_link(session_id, link)

    def compare_link(self, session_id: str, link: LinkedWallet) -> None:
        assert (int(link.linked_at.timestamp()), link.is_default) == self.sessions[session_id].links[link.id]
        wallet = self.wallets[link.id]
        assert (link.name, link.status) == (wallet.name, wallet.status)

    def pages(self, ask: Callable[[str | None], Page[Any]], limit: int) -> list[Any]:
        """Return all items, page by page."""
        found: list[Any] = []
        after = None
        while True:
            page = ask(after)
            assert len(page.items) == limit or page.next_after is None
            found += page.items
            if page.next_after is None:
                return found
            after = page.next_after


class ServerMachine(Machine):
    """The same on PostgreSQL, where an old file has been moved to."""

    unknown_state = "PAUSED"
    findings_of_unknown_state = frozenset({"kill_switch_state"})
    #: The URL of a new database, and that of one to which the file of version 18 was moved.
    urls: tuple[str, str]

    def open_databases(self, old: bool) -> list[Any]:
        """Return three: with a connection per thread, with a pool, and without prepared statements."""
        self.url = self.urls[old]
        self.connection = psycopg.connect(self.url, autocommit=True)
        return [
            open_database(self.url),
            open_database(self.url, pool_size=2),
            open_database(self.url, prepared_statements=False),
        ]

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], list[Any]]]:
        yield lambda query: self.connection.execute(query).fetchall()  # type: ignore[call-overload]

    def teardown(self) -> None:
        super().teardown()
        if self.databases:
            restore_rows(self.connection, self.url)
            self.connection.close()


@cache
def first_rows(url: str) -> dict[str, list[Any]]:
    """Return the rows of a database when this is called first."""
    with psycopg.connect(url) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[call-overload]
            for table in TABLES
        }


def restore_rows(connection: psycopg.Connection[Any], url: str) -> None:
    """Bring back the rows that a database had at first."""
    for table in reversed(TABLES):
        connection.execute(f"DELETE FROM {table}")  # type: ignore[call-overload]
    for table, rows in first_rows(url).items():
        for row in rows:
            marks = ", ".join(["%s"] * len(row))
            connection.execute(f"INSERT INTO {table} VALUES ({marks})", row)  # type: ignore[call-overload]


@pytest.fixture
def server_machine(databases: Databases, tmp_path: Path) -> Iterator[type[ServerMachine]]:
    old_file = tmp_path / "old.db"
    old_file.write_bytes(version_18())
    with databases.new() as new, databases.new(empty=True) as old:
        waiaas.move(old_file, old)
        for url in (new, old):
            first_rows(url)
        yield type("ServerMachine", (ServerMachine,), {"urls": (new, old)})


def test_services_match_the_model() -> None:
    """For any sequence of calls, results, refusals, rows, tokens and audit log match the model."""
    run_state_machine_as_test(Machine, settings=settings(max_examples=50, stateful_step_count=50))


def test_services_on_postgresql_match_the_model(server_machine: type[ServerMachine]) -> None:
    """The same model predicts each call on PostgreSQL: both engines have the same rules."""
    run_state_machine_as_test(
        server_machine, settings=settings(max_examples=15, stateful_step_count=50, deadline=None)
    )


@pytest.mark.stress
def test_services_match_the_model_for_long() -> None:
    """The same for minutes, with longer sequences."""
    run_state_machine_as_test(Machine, settings=settings(max_examples=1000, stateful_step_count=80))


@pytest.mark.stress
def test_services_on_postgresql_match_the_model_for_long(server_machine: type[ServerMachine]) -> None:
    """The same for minutes on PostgreSQL."""
    run_state_machine_as_test(
        server_machine, settings=settings(max_examples=300, stateful_step_count=80, deadline=None)
    )
