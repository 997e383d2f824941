"""All services on a file with a clock that a test sets, and tokens made without the library."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.old_files import dump, query
from support.service_set import ServiceSet

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.base import Backend
from waiaas.backends.postgresql import PostgresqlDatabase, open_database
from waiaas.models import MODELS
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema
from waiaas.services import IssuedSession

#: 2027-01-15T08:00:00Z
NOW = 1_800_000_000
NOBODY = "0190a3f0-0000-7000-8000-000000000000"
HEADER = {"alg": "HS256", "typ": "JWT"}
TABLES = [model._meta.table_name for model in MODELS if model._meta.table_name != "schema_version"]


class Clock:
    """A clock that stops until a test moves it; `now` is in Unix seconds."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Application(ServiceSet):
    """A database file with all services on it, with a clock that a test sets."""

    def __init__(
        self, path: Path, clock: Clock | None = None, database: Backend | None = None, **settings: int
    ) -> None:
        self.path = path
        self.clock = clock or Clock()
        super().__init__(database or waiaas.connect(path, backup=False).peewee, self.clock, **settings)
        self._made = 0

    @property
    def target(self) -> str:
        """What another process connects to."""
        return str(self.path)

    def other(self) -> Application:
        """Return the services on a separate connection to the same database."""
        return Application(self.path, self.clock)

    @contextmanager
    def failing(self, event: str, table: str, condition: str = "1 = 1") -> Iterator[str]:
        """Let a trigger refuse rows in a block, and yield the reason of the error."""
        fail = "BEGIN SELECT raise(ABORT, 'no more'); END"
        self.execute(f"CREATE TRIGGER failing BEFORE {event} ON {table} WHEN {condition} {fail}")
        yield "sqlite_error"
        self.execute("DROP TRIGGER failing")

    def wallet(self, **changes: Any) -> str:
        """Create an active wallet and return its id."""
        self._made += 1
        request = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": f"key-{self._made}"}
        return str(self.wallets.create(**CreateWalletRequestSchema().load(request | changes), actor="admin").id)

    def session(self, *wallet_ids: str, **more: Any) -> IssuedSession:
        """Create a session for wallets; `more` are additional wire keys of the request."""
        return self.sessions.create(
            **CreateSessionRequestSchema().load({"walletIds": list(wallet_ids), **more}), actor="admin"
        )

    def renew(self, token: str) -> IssuedSession:
        """Renew a session as the administrator does."""
        return self.sessions.renew(token, actor="admin")

    def execute(self, statement: str, *parameters: Any) -> None:
        """Change the file directly, without the services."""
        self.database.execute_sql(statement, parameters)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Read the file through a separate connection."""
        return query(self.path, statement, *parameters)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables."""
        return dump(self.path)

    def key(self, name: str = "jwt_secret_current") -> bytes:
        """Return a token key as stored in the file, decoded."""
        ((value,),) = self.query("SELECT value FROM key_value_store WHERE key = ?", name)
        return bytes.fromhex(json.loads(value)["secret"])

    def rotate(self) -> None:
        """Rotate the token key, however new it is."""
        ((stored,),) = self.query("SELECT value FROM key_value_store WHERE key = 'jwt_secret_current'")
        older = json.dumps({**json.loads(stored), "createdAt": int(self.clock.now) - 300})
        self.execute("UPDATE key_value_store SET value = ? WHERE key = 'jwt_secret_current'", older)
        self.tokens.rotate(actor="admin")

    def events(self) -> list[tuple[Any, ...]]:
        """Return the audit log in order: event, actor, wallet, session, transaction, details."""
        rows = self.query(
            "SELECT event_type, actor, wallet_id, session_id, tx_id, details FROM audit_log ORDER BY id",
        )
        return [(*row[:5], json.loads(row[5])) for row in rows]

    def default_links(self) -> dict[str, list[str]]:
        """Return the default wallets of each session that has links."""
        found: dict[str, list[str]] = {}
        for session, wallet, is_default in self.query(
            "SELECT session_id, wallet_id, is_default FROM session_wallets ORDER BY session_id, wallet_id"
        ):
            found.setdefault(session, []).extend([wallet] * is_default)
        return found


class ServerApplication(Application):
    """A PostgreSQL database with all services on it, and a separate connection to read the rows."""

    def __init__(
        self,
        url: str,
        database: PostgresqlDatabase,
        clock: Clock | None = None,
        reader: psycopg.Connection[Any] | None = None,
        **settings: int,
    ) -> None:
        super().__init__(Path(), clock, database, **settings)
        self._url = url
        self._reader = reader or psycopg.connect(url, autocommit=True)

    @property
    def target(self) -> str:
        return self._url

    @contextmanager
    def failing(self, event: str, table: str, condition: str = "1 = 1") -> Iterator[str]:
        self._reader.execute(
            "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no more'; END $$"
        )
        self._reader.execute(
            f"CREATE TRIGGER failing BEFORE {event} ON {table} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION fail()"
        )
        try:
            yield "server_error"
        finally:
            self._reader.execute(f"DROP TRIGGER failing ON {table}")

    def other(self) -> Application:
        return ServerApplication(self._url, open_database(self._url), self.clock, self._reader)

    def execute(self, statement: str, *parameters: Any) -> None:
        self.database.execute_sql(self.database.dialect(statement), parameters)

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._reader.execute(self.database.dialect(statement), parameters).fetchall()

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: self.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}

    def empty(self) -> None:
        """Delete all rows except those of the schema version."""
        self._reader.execute("; ".join(f"DELETE FROM {table}" for table in reversed(TABLES)))
        self._reader.execute("SELECT setval(pg_get_serial_sequence('audit_log', 'id'), 1, false)")

    def close(self) -> None:
        self._reader.close()
        self.database.close_all()


@contextmanager
def expect_refusal(
    app: Application, code: str, reason: str | None = None
) -> Iterator[pytest.ExceptionInfo[WAIaaSError]]:
    """Expect a refusal that changes no row of any table."""
    before = app.rows()
    with pytest.raises(WAIaaSError) as caught:
        yield caught
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert app.rows() == before


def b64(data: bytes) -> str:
    """Base64 for URLs without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unb64(text: str) -> bytes:
    """Decode such base64."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def make_token(key: bytes, claims: Any, header: Any = HEADER, digest: str = "sha256") -> str:
    """Return a token in the daemon's format; claims and header are JSON values, or bytes to sign unchanged."""
    signed = ".".join(b64(_json(each)) for each in (header, claims))
    return f"wai_sess_{signed}.{b64(hmac.new(key, signed.encode(), digest).digest())}"


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def sha256(text: str) -> str:
    """Return the SHA-256 of a text as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


class Scene:
    """An application in which each change can be made: linked wallets, an unlinked one, a suspended one."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.first, self.second, self.third, self.suspended = (app.wallet(name=f"w{n}") for n in range(4))
        app.wallets.suspend(self.suspended, actor="admin")
        self.session = app.session(self.first, self.second, ttl=1000)
        self.alone = app.session(self.first)
        app.execute(
            "INSERT INTO transactions (id, wallet_id, session_id, chain, type, created_at)"
            " VALUES ('t-1', ?, ?, 'solana', 'TRANSFER', ?)",
            *(self.first, self.session.id, NOW),
        )
        app.execute("DELETE FROM audit_log")
        app.clock.now = NOW + 600.75

    def copied(self, app: Application) -> Scene:
        """Return the scene in an application on a copy of its file."""
        copied = copy.copy(self)
        copied.app = app
        app.clock.now, app._made = self.app.clock.now, self.app._made
        return copied


#: Each change that the services can make, for a scene and an actor.
CHANGES: dict[str, Callable[[Scene, str], Any]] = {
    "create a wallet": lambda scene, actor: scene.app.wallets.create(
        **{
            **{"name": "new", "chain": "solana", "environment": "testnet", "public_key": "new-key"},
            **{"default_network": None, "owner_address": None},
        },
        actor=actor,
    ),
    "suspend": lambda scene, actor: scene.app.wallets.suspend(scene.third, "why", actor=actor),
    "resume": lambda scene, actor: scene.app.wallets.resume(scene.suspended, actor=actor),
    "terminate": lambda scene, actor: scene.app.wallets.terminate(scene.first, actor=actor),
    "terminate another than the default": lambda scene, actor: scene.app.wallets.terminate(scene.second, actor=actor),
    "create a session": lambda scene, actor: scene.app.sessions.create(
        **{
            **{"wallet_ids": [scene.second, scene.third], "default_wallet_id": scene.third},
            **{"ttl": 300, "constraints": {"secret": "no"}},
        },
        actor=actor,
    ),
    "renew": lambda scene, actor: scene.app.sessions.renew(scene.session.token, actor=actor),
    "revoke": lambda scene, actor: scene.app.sessions.revoke(scene.session.id, actor=actor),
    "link": lambda scene, actor: scene.app.links.link(scene.session.id, scene.third, actor=actor),
    "unlink": lambda scene, actor: scene.app.links.unlink(scene.session.id, scene.second, actor=actor),
    "set the default": lambda scene, actor: scene.app.links.set_default(scene.session.id, scene.second, actor=actor),
    "activate the kill switch": lambda scene, actor: scene.app.kill_switch.activate(actor=actor),
    "rotate": lambda scene, actor: scene.app.tokens.rotate(actor=actor),
}


def broken_invariants(run: Callable[[str], list[Any]], sessions_per_wallet: int) -> list[str]:
    """Return the violations that no order of changes may leave in a database; `run` returns the rows of a query."""
    statements = {
        "a session in use without exactly one default": (
            "SELECT id FROM sessions s WHERE revoked_at IS NULL AND 1 <>"
            " (SELECT count(*) FROM session_wallets l WHERE l.session_id = s.id AND l.is_default = 1)"
        ),
        "a link to a terminated wallet": (
            "SELECT 1 FROM session_wallets l JOIN wallets w ON w.id = l.wallet_id WHERE w.status = 'TERMINATED'"
        ),
        "a wallet with too many sessions": (
            "SELECT wallet_id FROM session_wallets l JOIN sessions s ON s.id = l.session_id"
            f" WHERE s.revoked_at IS NULL GROUP BY wallet_id HAVING count(*) > {sessions_per_wallet}"
        ),
        "a right while the system is locked": (
            "SELECT id FROM sessions WHERE revoked_at IS NULL"
            " AND (SELECT value FROM key_value_store WHERE key = 'kill_switch_state') <> 'ACTIVE'"
        ),
    }
    return [name for name, statement in statements.items() if run(statement)]
