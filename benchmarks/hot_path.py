"""The cost of the calls of every request: `authorize`, `resolve`, `authenticate`, `create`, and loading a request.

    python benchmarks/run.py --only hot_path

In one process, on copies of one file of 100,000 sessions: this library, plain `sqlite3` with one prepared statement
(and PyJWT for the token), and Peewee and SQLAlchemy as their documentation uses them. They take turns by blocks of
calls, and the result is the median of the ratios, block by block.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from hmac import compare_digest
from pathlib import Path
from typing import Any, Protocol

import jwt
from issued_sessions import KEY, PREFIX, Issued, hash_of, make_issued_file, sign
from measure import in_a_process, is_installed, machine, remove
from session_files import PRAGMAS, connect
from uuid6 import uuid7

from waiaas.schemas import CreateSessionRequestSchema
from waiaas.services import SessionService, SessionWalletService

OPERATIONS = ("authorize", "resolve", "resolve a named wallet", "authenticate", "create")
_PER_BLOCK = {
    **{"authorize": 200, "resolve": 400, "resolve a named wallet": 400, "authenticate": 200, "create": 50},
    "load": 200,
}
# Rows without a table: the one from which statements join, those of an INSERT, counts by wallet, and the connection's
# temporary objects.
_NO_TABLE = re.compile(r"SCAN (CONSTANT ROW|\d+ CONSTANT ROWS|o|u LEFT-JOIN|temp\.sqlite_master)")
_IS_LOCKED = "EXISTS (SELECT 1 FROM key_value_store WHERE key = 'kill_switch_state' AND value <> 'ACTIVE')"
_LIMIT = 1_000_000
_TTL, _LIFETIME, _RENEWALS = 2_592_000, 31_536_000, 12


class Contender(Protocol):
    """One implementation of the calls of every request; each raises if the session or a wallet is not in order."""

    def authorize(self, token: str) -> Any: ...

    def resolve(self, session: str, wallet: str | None) -> str: ...

    def authenticate(self, token: str) -> Any: ...

    def create(self, wallets: list[str]) -> str: ...


class Plain:
    """The minimum: one prepared statement, a check of its result, PyJWT with a cached key."""

    _BY_DEFAULT = (
        f"SELECT l.wallet_id, s.revoked_at, s.expires_at, {_IS_LOCKED} FROM sessions AS s"
        " JOIN session_wallets AS l ON l.session_id = s.id AND l.is_default = 1 WHERE s.id = ?"
    )
    _BY_NAME = (
        f"SELECT l.wallet_id, s.revoked_at, s.expires_at, {_IS_LOCKED} FROM sessions AS s"
        " JOIN session_wallets AS l ON l.session_id = s.id AND l.wallet_id = ?2 WHERE s.id = ?1"
    )
    _BY_TOKEN = (
        f"SELECT s.token_hash, s.revoked_at, s.expires_at, {_IS_LOCKED}, l.wallet_id FROM sessions AS s"
        " LEFT JOIN session_wallets AS l ON l.session_id = s.id AND l.is_default = 1 WHERE s.id = ?"
    )

    _WITH_WALLET = (
        f"SELECT s.token_hash, s.revoked_at, s.expires_at, {_IS_LOCKED},"
        " w.id, w.name, w.chain, w.environment, w.default_network, w.public_key, w.status"
        " FROM sessions AS s JOIN session_wallets AS l ON l.session_id = s.id AND l.is_default = 1"
        " JOIN wallets AS w ON w.id = l.wallet_id WHERE s.id = ?"
    )

    def __init__(self, path: Path) -> None:
        self.database = connect(path)

    def authorize(self, token: str) -> Any:
        claims = jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])
        found = self.database.execute(self._WITH_WALLET, (claims["sub"],)).fetchone()
        if found is None or found[1] is not None or found[2] <= time.time() or found[3] or found[10] != "ACTIVE":
            raise LookupError(claims["sub"])
        if not compare_digest(found[0], hash_of(token)):
            raise LookupError(claims["sub"])
        return found[4:], claims["sub"], datetime.fromtimestamp(claims["exp"], timezone.utc)

    def resolve(self, session: str, wallet: str | None) -> str:
        if wallet is None:
            found = self.database.execute(self._BY_DEFAULT, (session,)).fetchone()
        else:
            found = self.database.execute(self._BY_NAME, (session, wallet)).fetchone()
        if found is None or found[1] is not None or found[2] <= time.time() or found[3]:
            raise LookupError(session)
        return str(found[0])

    def authenticate(self, token: str) -> Any:
        claims = jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])
        found = self.database.execute(self._BY_TOKEN, (claims["sub"],)).fetchone()
        if found is None or found[1] is not None or found[2] <= time.time() or found[3]:
            raise LookupError(claims["sub"])
        if not compare_digest(found[0], hash_of(token)):
            raise LookupError(claims["sub"])
        return claims["sub"], found[4], datetime.fromtimestamp(claims["exp"], timezone.utc)

    def create(self, wallets: list[str]) -> str:
        run, now = self.database.execute, int(time.time())
        session = str(uuid7())
        run("BEGIN IMMEDIATE")
        for wallet in wallets:
            (status,) = run("SELECT status FROM wallets WHERE id = ?", (wallet,)).fetchone()
            (count,) = run(
                "SELECT count(*) FROM session_wallets AS l JOIN sessions AS s ON s.id = l.session_id"
                " WHERE l.wallet_id = ? AND s.revoked_at IS NULL AND s.expires_at > ?",
                (wallet, now),
            ).fetchone()
            if status == "TERMINATED" or count >= _LIMIT:
                raise LookupError(wallet)
        token = sign(session, wallets[0], now, now + _TTL)
        run(
            "INSERT INTO sessions (id, token_hash, expires_at, max_renewals, absolute_expires_at, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (session, hash_of(token), now + _TTL, _RENEWALS, now + _LIFETIME, now),
        )
        for wallet in wallets:
            run("INSERT INTO session_wallets VALUES (?, ?, ?, ?)", (session, wallet, wallet == wallets[0], now))
        run(
            "INSERT INTO audit_log (timestamp, event_type, actor, wallet_id, session_id, details)"
            " VALUES (?, 'SESSION_ISSUED', 'admin', ?, ?, ?)",
            (now, wallets[0], session, json.dumps({"walletIds": wallets, "expiresAt": now + _TTL})),
        )
        run("COMMIT")
        return token


class Ours:
    def __init__(self, path: Path) -> None:
        import waiaas

        self.database = waiaas.connect(path).peewee
        settings = waiaas.SessionSettings(
            ttl=_TTL, absolute_lifetime=_LIFETIME, max_renewals=_RENEWALS, sessions_per_wallet=_LIMIT
        )
        self._sessions = SessionService(self.database, settings=settings)
        self.resolve = SessionWalletService(self.database, settings=settings).resolve
        self.authenticate = self._sessions.authenticate
        self.authorize = self._sessions.authorize

    def create(self, wallets: list[str]) -> str:
        request = {"wallet_ids": wallets, "default_wallet_id": wallets[0], "ttl": None, "constraints": None}
        return self._sessions.create(**request, actor="admin").token  # type: ignore[arg-type]


class Peewee:
    """Models and `get`, as in Peewee's documentation."""

    def __init__(self, path: Path) -> None:
        import peewee as pw

        self.database = pw.SqliteDatabase(path, pragmas=PRAGMAS)

        class Base(pw.Model):
            class Meta:
                database = self.database
                legacy_table_names = False

        class Wallet(Base):
            id = pw.TextField(primary_key=True)
            name = pw.TextField()
            chain = pw.TextField()
            environment = pw.TextField()
            default_network = pw.TextField(null=True)
            public_key = pw.TextField()
            status = pw.TextField()

            class Meta:
                table_name = "wallets"

        class KeyValue(Base):
            key = pw.TextField(primary_key=True)
            value = pw.TextField()

            class Meta:
                table_name = "key_value_store"

        class Session(Base):
            id = pw.TextField(primary_key=True)
            token_hash = pw.TextField()
            expires_at = pw.IntegerField()
            revoked_at = pw.IntegerField(null=True)
            renewal_count = pw.IntegerField(default=0)
            max_renewals = pw.IntegerField(default=_RENEWALS)
            absolute_expires_at = pw.IntegerField()
            created_at = pw.IntegerField()

            class Meta:
                table_name = "sessions"

        class Link(Base):
            session = pw.ForeignKeyField(Session, column_name="session_id", backref="links")
            wallet = pw.ForeignKeyField(Wallet, column_name="wallet_id", backref="links")
            is_default = pw.BooleanField()
            created_at = pw.IntegerField()

            class Meta:
                table_name = "session_wallets"
                primary_key = pw.CompositeKey("session", "wallet")

        class AuditLog(Base):
            timestamp = pw.IntegerField()
            event_type = pw.TextField()
            actor = pw.TextField()
            wallet_id = pw.TextField()
            session_id = pw.TextField()
            details = pw.TextField()

            class Meta:
                table_name = "audit_log"

        self._wallet, self._session, self._link, self._log = Wallet, Session, Link, AuditLog
        self._key_value = KeyValue

    def authorize(self, token: str) -> Any:
        session_id, _, end = self.authenticate(token)
        switch = self._key_value.get_or_none(self._key_value.key == "kill_switch_state")
        wallet = (
            self._wallet.select()
            .join(self._link)
            .where((self._link.session == session_id) & self._link.is_default)
            .get()
        )
        if (switch is not None and switch.value != "ACTIVE") or wallet.status != "ACTIVE":
            raise LookupError(session_id)
        return wallet, session_id, end

    def resolve(self, session: str, wallet: str | None) -> str:
        which = self._link.is_default if wallet is None else self._link.wallet == wallet
        query = self._link.select(self._link, self._session).join(self._session)
        link = query.where((self._link.session == session) & which).get()
        if link.session.revoked_at is not None or link.session.expires_at <= time.time():
            raise LookupError(session)
        return str(link.wallet_id)

    def authenticate(self, token: str) -> Any:
        claims = jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])
        session = self._session.get_by_id(claims["sub"])
        if session.revoked_at is not None or session.expires_at <= time.time():
            raise LookupError(claims["sub"])
        if not compare_digest(session.token_hash, hash_of(token)):
            raise LookupError(claims["sub"])
        link = session.links.where(self._link.is_default).get()
        return session.id, link.wallet_id, datetime.fromtimestamp(claims["exp"], timezone.utc)

    def create(self, wallets: list[str]) -> str:
        now, session_id = int(time.time()), str(uuid7())
        with self.database.atomic("IMMEDIATE"):
            for wallet_id in wallets:
                wallet = self._wallet.get_by_id(wallet_id)
                living = self._session.revoked_at.is_null() & (self._session.expires_at > now)
                count = wallet.links.join(self._session).where(living).count()
                if wallet.status == "TERMINATED" or count >= _LIMIT:
                    raise LookupError(wallet_id)
            token = sign(session_id, wallets[0], now, now + _TTL)
            session = self._session.create(
                id=session_id,
                token_hash=hash_of(token),
                expires_at=now + _TTL,
                absolute_expires_at=now + _LIFETIME,
                created_at=now,
            )
            for wallet_id in wallets:
                self._link.create(
                    session=session, wallet=wallet_id, is_default=wallet_id == wallets[0], created_at=now
                )
            self._log.create(**_issued(session_id, wallets, now))
        return token


class SQLAlchemy:
    """Declarative models and a `Session` per request, as in SQLAlchemy's documentation."""

    def __init__(self, path: Path) -> None:
        import sqlalchemy as sa
        from sqlalchemy import orm

        self._sa, self._orm = sa, orm
        self._engine = sa.create_engine(f"sqlite:///{path}")

        @sa.event.listens_for(self._engine, "connect")
        def _set_pragmas(connection: Any, _: object) -> None:
            for name, value in PRAGMAS.items():
                connection.execute(f"PRAGMA {name} = {value}")

        class Base(orm.DeclarativeBase):
            pass

        class Wallet(Base):
            __tablename__ = "wallets"
            id = orm.mapped_column(sa.Text, primary_key=True)
            name = orm.mapped_column(sa.Text)
            chain = orm.mapped_column(sa.Text)
            environment = orm.mapped_column(sa.Text)
            default_network = orm.mapped_column(sa.Text)
            public_key = orm.mapped_column(sa.Text)
            status = orm.mapped_column(sa.Text)

        class KeyValue(Base):
            __tablename__ = "key_value_store"
            key = orm.mapped_column(sa.Text, primary_key=True)
            value = orm.mapped_column(sa.Text)

        class Session(Base):
            __tablename__ = "sessions"
            id = orm.mapped_column(sa.Text, primary_key=True)
            token_hash = orm.mapped_column(sa.Text)
            expires_at = orm.mapped_column(sa.Integer)
            revoked_at = orm.mapped_column(sa.Integer)
            renewal_count = orm.mapped_column(sa.Integer, default=0)
            max_renewals = orm.mapped_column(sa.Integer, default=_RENEWALS)
            absolute_expires_at = orm.mapped_column(sa.Integer)
            created_at = orm.mapped_column(sa.Integer)
            links = orm.relationship("Link", back_populates="session")

        class Link(Base):
            __tablename__ = "session_wallets"
            session_id = orm.mapped_column(sa.ForeignKey("sessions.id"), primary_key=True)
            wallet_id = orm.mapped_column(sa.ForeignKey("wallets.id"), primary_key=True)
            is_default = orm.mapped_column(sa.Boolean)
            created_at = orm.mapped_column(sa.Integer)
            session = orm.relationship("Session", back_populates="links")

        class AuditLog(Base):
            __tablename__ = "audit_log"
            id = orm.mapped_column(sa.Integer, primary_key=True)
            timestamp = orm.mapped_column(sa.Integer)
            event_type = orm.mapped_column(sa.Text)
            actor = orm.mapped_column(sa.Text)
            wallet_id = orm.mapped_column(sa.Text)
            session_id = orm.mapped_column(sa.Text)
            details = orm.mapped_column(sa.Text)
            severity = orm.mapped_column(sa.Text, default="info")

        self._wallet, self._session, self._link, self._log = Wallet, Session, Link, AuditLog
        self._key_value = KeyValue

    def authorize(self, token: str) -> Any:
        session_id, _, end = self.authenticate(token)
        query = self._sa.select(self._wallet).join(self._link, self._link.wallet_id == self._wallet.id)
        with self._orm.Session(self._engine) as reader:
            switch = reader.get(self._key_value, "kill_switch_state")
            wallet = reader.scalars(
                query.where(self._link.session_id == session_id, self._link.is_default.is_(True))
            ).one()
            if (switch is not None and switch.value != "ACTIVE") or wallet.status != "ACTIVE":
                raise LookupError(session_id)
            return wallet, session_id, end

    def resolve(self, session: str, wallet: str | None) -> str:
        link = self._link
        which = link.is_default.is_(True) if wallet is None else link.wallet_id == wallet
        query = self._sa.select(link).join(link.session).options(self._orm.contains_eager(link.session))
        with self._orm.Session(self._engine) as reader:
            found = reader.scalars(query.where(link.session_id == session, which)).one()
            if found.session.revoked_at is not None or found.session.expires_at <= time.time():
                raise LookupError(session)
            return str(found.wallet_id)

    def authenticate(self, token: str) -> Any:
        claims = jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])
        with self._orm.Session(self._engine) as reader:
            session = reader.get_one(self._session, claims["sub"])
            if session.revoked_at is not None or session.expires_at <= time.time():
                raise LookupError(claims["sub"])
            if not compare_digest(session.token_hash, hash_of(token)):
                raise LookupError(claims["sub"])
            (default,) = [link.wallet_id for link in session.links if link.is_default]
            return session.id, default, datetime.fromtimestamp(claims["exp"], timezone.utc)

    def create(self, wallets: list[str]) -> str:
        sa, link, now, session_id = self._sa, self._link, int(time.time()), str(uuid7())
        with self._orm.Session(self._engine) as writer, writer.begin():
            for wallet_id in wallets:
                wallet = writer.get_one(self._wallet, wallet_id)
                living = (self._session.revoked_at.is_(None), self._session.expires_at > now)
                query = sa.select(sa.func.count()).select_from(link).join(link.session)
                count = writer.scalar(query.where(link.wallet_id == wallet_id, *living))
                if wallet.status == "TERMINATED" or count >= _LIMIT:
                    raise LookupError(wallet_id)
            token = sign(session_id, wallets[0], now, now + _TTL)
            writer.add(
                self._session(
                    id=session_id,
                    token_hash=hash_of(token),
                    expires_at=now + _TTL,
                    absolute_expires_at=now + _LIFETIME,
                    created_at=now,
                    links=[
                        link(wallet_id=wallet_id, is_default=wallet_id == wallets[0], created_at=now)
                        for wallet_id in wallets
                    ],
                )
            )
            writer.add(self._log(**_issued(session_id, wallets, now)))
        return token


def _issued(session: str, wallets: list[str], now: int) -> dict[str, Any]:
    """Return the audit row of a new session, as the daemon writes it."""
    return {
        **{"timestamp": now, "event_type": "SESSION_ISSUED", "actor": "admin"},
        **{"wallet_id": wallets[0], "session_id": session},
        "details": json.dumps({"walletIds": wallets, "expiresAt": now + _TTL}),
    }


CONTENDERS: dict[str, Callable[[Path], Contender]] = {
    "sqlite3": Plain,
    "waiaas": Ours,
    "peewee": Peewee,
    "sqlalchemy": SQLAlchemy,
}


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure in a separate process; see `_measure`."""
    return {"machine": machine(), "sessions": sessions, **in_a_process(__file__, sessions, rounds, folder)}


def _measure(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    file = folder / "hot.db"
    issued = make_issued_file(file, sessions)
    contenders = {}
    for name, make in CONTENDERS.items():
        if not is_installed(name):
            continue
        copy = folder / f"hot-{name}.db"
        shutil.copy(file, copy)
        contenders[name] = make(copy)
    dice = random.Random(3)
    results = {name: _blocks(name, contenders, issued, rounds, dice) for name in OPERATIONS}
    found = {"operations": results, "load": _loads(rounds, issued), "scans": _scans(contenders["waiaas"], issued)}
    for name in ("hot.db", *(f"hot-{name}.db" for name in CONTENDERS)):
        remove(folder / name)
    return found


def _blocks(
    operation: str, contenders: dict[str, Contender], issued: list[Issued], rounds: int, dice: random.Random
) -> dict[str, Any]:
    """Let the contenders take turns on the same sessions, starting with another one each time."""
    names, calls = list(contenders), _PER_BLOCK[operation]
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        some = dice.choices(issued, k=calls)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            seconds = _block(operation, contenders[name], some)
            if number:  # the first round warms up
                times[name].append(seconds / calls)
    return _compared(times)


def _block(operation: str, contender: Contender, some: list[Issued]) -> float:
    started = time.perf_counter()
    if operation == "authorize":
        for each in some:
            contender.authorize(each.token)
    elif operation == "resolve":
        for each in some:
            contender.resolve(each.session, None)
    elif operation == "resolve a named wallet":
        for each in some:
            contender.resolve(each.session, each.other)
    elif operation == "authenticate":
        for each in some:
            contender.authenticate(each.token)
    else:
        for each in some:
            contender.create([each.default, each.other])
    return time.perf_counter() - started


def _compared(times: dict[str, list[float]]) -> dict[str, Any]:
    base = next(iter(times.values()))
    return {
        name: {
            "microseconds": 1e6 * statistics.median(series),
            "ratio": statistics.median(one / least for one, least in zip(series, base, strict=True)),
        }
        for name, series in times.items()
    }


def _loads(rounds: int, issued: list[Issued]) -> dict[str, Any]:
    """Load the request that creates a session, compared with a plain marshmallow schema of the same fields."""
    from marshmallow import Schema, fields, validate

    class Bare(Schema):
        wallet_id = fields.UUID(data_key="walletId")
        wallet_ids = fields.List(fields.UUID(), data_key="walletIds", validate=validate.Length(min=1))
        default_wallet_id = fields.UUID(data_key="defaultWalletId")
        ttl = fields.Integer(strict=True, load_default=None, validate=validate.Range(300, 604_800))
        constraints = fields.Dict(load_default=None, allow_none=True)

    requests = [
        {"walletIds": [each.default, each.other], "defaultWalletId": each.other, "ttl": 3600, "constraints": {"a": 1}}
        for each in issued[: _PER_BLOCK["load"]]
    ]
    schemas: dict[str, Schema] = {"marshmallow": Bare(), "waiaas": CreateSessionRequestSchema()}
    times: dict[str, list[float]] = {name: [] for name in schemas}
    for number in range(rounds + 1):
        for name in sorted(schemas, reverse=bool(number % 2)):
            started = time.perf_counter()
            for request in requests:
                schemas[name].load(request)
            if number:
                times[name].append((time.perf_counter() - started) / len(requests))
    return _compared(times)


def _scans(ours: Any, issued: list[Issued]) -> list[str]:
    """Return the steps of this library's statements that scan a table; there should be none."""
    statements: list[str] = []
    connection: sqlite3.Connection = ours.database.connection()
    connections = (connection, ours.database.latest())
    for each in connections:
        each.set_trace_callback(statements.append)
    for operation in OPERATIONS:
        _block(operation, ours, issued[:1])
    for each in connections:
        each.set_trace_callback(None)
    found = []
    for statement in statements:
        if statement.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            steps = [step[3] for step in plan if step[3].startswith("SCAN") and not _NO_TABLE.fullmatch(step[3])]
            found += [f"{step}: {statement}" for step in steps]
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
