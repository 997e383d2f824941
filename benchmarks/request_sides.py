"""The calls of every request by this library, by plain `sqlite3`, and by Peewee and SQLAlchemy as documented.

Every side returns the same result: of `authorize` the wallet's columns, the session and when the token expires, of
`authenticate` the session, its default wallet and that time, of `resolve` the wallet's id. Each raises if the session
or a wallet is not in order.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from hmac import compare_digest
from pathlib import Path
from typing import Any, Protocol

import jwt
from issued_sessions import KEY, PREFIX, hash_of
from session_files import PRAGMAS, connect

from waiaas.services import SessionService, SessionWalletService

_WALLET = ("id", "name", "chain", "environment", "default_network", "public_key", "status")


class Side(Protocol):
    """One implementation of the calls of every request."""

    def authorize(self, token: str) -> Any: ...

    def authenticate(self, token: str) -> Any: ...

    def resolve(self, session: str, wallet: str | None) -> str: ...


class Plain:
    """The floor: one prepared statement on an open connection, PyJWT for the token.

    It does what safety demands of this library, too: it checks that the path still leads to the file that is open,
    reads the kill switch and the keys in the same statement, and verifies with the key that is stored now.
    """

    _STATE = (
        "EXISTS (SELECT 1 FROM key_value_store WHERE key = 'kill_switch_state' AND value <> 'ACTIVE'),"
        " s.revoked_at, s.expires_at"
    )
    _KEYS = (
        "(SELECT value FROM key_value_store WHERE key = 'jwt_secret_current'),"
        " (SELECT value FROM key_value_store WHERE key = 'jwt_secret_previous'), s.token_hash"
    )
    _LINK = " FROM sessions AS s JOIN session_wallets AS l ON l.session_id = s.id AND "
    _BY_DEFAULT = f"SELECT {_STATE}, l.wallet_id{_LINK} l.is_default = 1 WHERE s.id = ?"
    _BY_NAME = f"SELECT {_STATE}, l.wallet_id{_LINK} l.wallet_id = ?2 WHERE s.id = ?1"
    _BY_TOKEN = f"SELECT {_STATE}, {_KEYS}, l.wallet_id{_LINK} l.is_default = 1 WHERE s.id = ?"
    _WITH_WALLET = (
        f"SELECT {_STATE}, {_KEYS}, {', '.join(f'w.{name}' for name in _WALLET)}{_LINK} l.is_default = 1"
        " JOIN wallets AS w ON w.id = l.wallet_id WHERE s.id = ?"
    )

    def __init__(self, path: Path) -> None:
        self.database = connect(path)
        self._path, status = str(path), os.stat(path)
        self._identity = status.st_dev, status.st_ino
        self._stored, self._key = None, KEY

    def authorize(self, token: str) -> Any:
        claims, row = self._current(token, self._WITH_WALLET)
        if row[-1] != "ACTIVE":
            raise LookupError(claims["sub"])
        return row[6:], claims["sub"], datetime.fromtimestamp(claims["exp"], timezone.utc)

    def authenticate(self, token: str) -> Any:
        claims, row = self._current(token, self._BY_TOKEN)
        return claims["sub"], row[6], datetime.fromtimestamp(claims["exp"], timezone.utc)

    def resolve(self, session: str, wallet: str | None) -> str:
        row = self._row(self._BY_DEFAULT, session) if wallet is None else self._row(self._BY_NAME, session, wallet)
        return str(row[3])

    def _current(self, token: str, sql: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
        claims = jwt.decode(token.removeprefix(PREFIX), self._key, algorithms=["HS256"])
        row = self._row(sql, claims["sub"])
        if row[3] != self._stored:
            self._stored, self._key = row[3], bytes.fromhex(json.loads(row[3])["secret"])
            claims = jwt.decode(token.removeprefix(PREFIX), self._key, algorithms=["HS256"])
        if not compare_digest(row[5], hash_of(token)):
            raise LookupError(claims["sub"])
        return claims, row

    def _row(self, sql: str, *parameters: str) -> tuple[Any, ...]:
        status = os.stat(self._path)
        if (status.st_dev, status.st_ino) != self._identity:
            raise LookupError(self._path)
        row = self.database.execute(sql, parameters).fetchone()
        if row is None or row[0] or row[1] is not None or row[2] <= time.time():
            raise LookupError(parameters[0])
        return row  # type: ignore[no-any-return]


class Ours:
    def __init__(self, path: Path) -> None:
        import waiaas

        self.database = waiaas.connect(path).peewee
        sessions = SessionService(self.database)
        self.resolve = SessionWalletService(self.database).resolve
        self.authenticate, self.authorize = sessions.authenticate, sessions.authorize


class Peewee:
    """Models and `get`, as in Peewee's documentation."""

    def __init__(self, path: Path) -> None:
        import peewee as pw

        database = pw.SqliteDatabase(path, pragmas=PRAGMAS)

        class Base(pw.Model):
            class Meta:
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

            class Meta:
                table_name = "sessions"

        class Link(Base):
            session = pw.ForeignKeyField(Session, column_name="session_id", backref="links")
            wallet = pw.ForeignKeyField(Wallet, column_name="wallet_id", backref="links")
            is_default = pw.BooleanField()

            class Meta:
                table_name = "session_wallets"
                primary_key = pw.CompositeKey("session", "wallet")

        self._wallet, self._session, self._link, self._key_value = models = Wallet, Session, Link, KeyValue
        database.bind(models)

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
        return tuple(getattr(wallet, name) for name in _WALLET), session_id, end

    def authenticate(self, token: str) -> Any:
        claims = jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])
        session = self._session.get_by_id(claims["sub"])
        _refuse_ended(session)
        if not compare_digest(session.token_hash, hash_of(token)):
            raise LookupError(claims["sub"])
        link = session.links.where(self._link.is_default).get()
        return session.id, link.wallet_id, datetime.fromtimestamp(claims["exp"], timezone.utc)

    def resolve(self, session: str, wallet: str | None) -> str:
        which = self._link.is_default if wallet is None else self._link.wallet == wallet
        query = self._link.select(self._link, self._session).join(self._session)
        link = query.where((self._link.session == session) & which).get()
        _refuse_ended(link.session)
        return str(link.wallet_id)


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
            links = orm.relationship("Link", back_populates="session")

        class Link(Base):
            __tablename__ = "session_wallets"
            session_id = orm.mapped_column(sa.ForeignKey("sessions.id"), primary_key=True)
            wallet_id = orm.mapped_column(sa.ForeignKey("wallets.id"), primary_key=True)
            is_default = orm.mapped_column(sa.Boolean)
            session = orm.relationship("Session", back_populates="links")

        self._wallet, self._session, self._link, self._key_value = Wallet, Session, Link, KeyValue

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
            return tuple(getattr(wallet, name) for name in _WALLET), session_id, end

    def authenticate(self, token: str) -> Any:
        claims = jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])
        with self._orm.Session(self._engine) as reader:
            session = reader.get_one(self._session, claims["sub"])
            _refuse_ended(session)
            if not compare_digest(session.token_hash, hash_of(token)):
                raise LookupError(claims["sub"])
            (default,) = [link.wallet_id for link in session.links if link.is_default]
            return session.id, default, datetime.fromtimestamp(claims["exp"], timezone.utc)

    def resolve(self, session: str, wallet: str | None) -> str:
        link = self._link
        which = link.is_default.is_(True) if wallet is None else link.wallet_id == wallet
        query = self._sa.select(link).join(link.session).options(self._orm.contains_eager(link.session))
        with self._orm.Session(self._engine) as reader:
            found = reader.scalars(query.where(link.session_id == session, which)).one()
            _refuse_ended(found.session)
            return str(found.wallet_id)


def _refuse_ended(session: Any) -> None:
    if session.revoked_at is not None or session.expires_at <= time.time():
        raise LookupError(session.id)


SIDES: dict[str, Callable[[Path], Side]] = {
    "sqlite3": Plain,
    "waiaas": Ours,
    "peewee": Peewee,
    "sqlalchemy": SQLAlchemy,
}
