"""One client of `postgresql.py`: a process whose threads run the calls of one side, each on a connection of its own.

Each line of its input is a JSON object with `operation` and `seconds` or `calls`; it answers each with one line: the
number of calls, their seconds, and the processor seconds of the process and of its connections' server processes.
"""

from __future__ import annotations

import json
import math
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timezone
from hmac import compare_digest
from itertools import count, islice
from pathlib import Path
from typing import Any

import jwt
import psycopg
from issued_sessions import KEY, PREFIX, Changes, Issued, hash_of, sign
from uuid6 import uuid7

#: More than half of each token's life is over then.
NOW = 3_200_000_000
READS = ("authorize", "authenticate", "resolve")
_LIMIT = 1_000_000
_TTL, _LIFETIME, _RENEWALS = 2_592_000, 31_536_000, 12
#: The number that the library's services share as an advisory lock.
_SERVICES_LOCK = int.from_bytes(b"waiaas", "big")
_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock_shared({_SERVICES_LOCK})"
_DURABLE = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"

_IS_LOCKED = "EXISTS (SELECT 1 FROM key_value_store WHERE key = 'kill_switch_state' AND value <> 'ACTIVE')"
_KEYS = (
    "(SELECT value FROM key_value_store WHERE key = 'jwt_secret_current'),"
    " (SELECT value FROM key_value_store WHERE key = 'jwt_secret_previous')"
)
_WALLETS = (
    "SELECT id, name, chain, environment, default_network, status FROM wallets WHERE id = ANY(%s) ORDER BY id"
    " FOR NO KEY UPDATE"
)
_SESSION = (
    "SELECT id, created_at, expires_at, absolute_expires_at, last_renewed_at, revoked_at, renewal_count, max_renewals,"
    " constraints, source, token_hash FROM sessions WHERE id = %s FOR NO KEY UPDATE"
)
_USED = (
    f"SELECT {_IS_LOCKED}, {_KEYS}, w.id, (SELECT count(*) FROM session_wallets AS l JOIN sessions AS s"
    " ON s.id = l.session_id WHERE l.wallet_id = w.id AND s.revoked_at IS NULL AND s.expires_at > %s)"
    " FROM unnest(%s::text[]) AS w (id)"
)
_LINKS = (
    f"SELECT {_IS_LOCKED}, {_KEYS}, w.id, w.name, w.chain, w.environment, w.default_network, w.status, l.is_default,"
    " l.created_at, l.session_id FROM session_wallets AS l JOIN wallets AS w ON w.id = l.wallet_id"
    " WHERE l.session_id = %s ORDER BY l.is_default DESC, l.link_order"
)
_AUDIT = (
    "INSERT INTO audit_log (timestamp, event_type, actor, wallet_id, session_id, details)"
    " VALUES (%s, %s, 'admin', %s, %s, %s) RETURNING id"
)
_STATE = f"s.token_hash, s.revoked_at, s.expires_at, {_IS_LOCKED}"
_DEFAULT = "FROM sessions AS s LEFT JOIN session_wallets AS l ON l.session_id = s.id AND l.is_default = 1"
_RESOLVE = f"SELECT {_STATE}, l.wallet_id {_DEFAULT} WHERE s.id = %s"
_AUTHORIZE = (
    f"SELECT {_STATE}, w.id, w.name, w.chain, w.environment, w.default_network, w.public_key, w.status {_DEFAULT}"
    " LEFT JOIN wallets AS w ON w.id = l.wallet_id WHERE s.id = %s"
)


class Plain(threading.local):
    """The least by hand: psycopg's prepared statements, the same rows locked, every answer checked.

    Each thread has a connection.
    """

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True, prepare_threshold=1)
        self._run = self.connection.execute

    def create(self, issued: Issued, _: str) -> Any:
        session, wallets = str(uuid7()), [issued.default, issued.other]
        self._run(_BEGIN)
        found = {row[0]: row for row in self._run(_WALLETS, (wallets,))}
        used = self._run(_USED, (NOW, wallets)).fetchall()
        if used[0][0] or any(row[4] >= _LIMIT or found[row[3]][5] == "TERMINATED" for row in used):
            raise LookupError(wallets)
        token = sign(session, wallets[0], NOW, NOW + _TTL)
        self._run(
            "INSERT INTO sessions (id, token_hash, expires_at, max_renewals, absolute_expires_at, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (session, hash_of(token), NOW + _TTL, _RENEWALS, NOW + _LIFETIME, NOW),
        )
        self._run(
            "INSERT INTO session_wallets (session_id, wallet_id, is_default, created_at)"
            " VALUES (%s, %s, 1, %s), (%s, %s, 0, %s)",
            (session, wallets[0], NOW, session, wallets[1], NOW),
        )
        details = json.dumps({"walletIds": wallets, "expiresAt": NOW + _TTL})
        self._run(_AUDIT, (NOW, "SESSION_ISSUED", wallets[0], session, details))
        self._run("COMMIT")
        return token, [found[wallet] for wallet in wallets]

    def link(self, issued: Issued, wallet_id: str) -> Any:
        self._run(_BEGIN)
        (wallet,) = self._run(_WALLETS, ([wallet_id],)).fetchall()
        session = self._run(_SESSION, (issued.session,)).fetchone()
        (used,) = self._run(_USED, (NOW, [wallet_id])).fetchall()
        if session is None or session[5] is not None or used[0] or used[4] >= _LIMIT or wallet[5] == "TERMINATED":
            raise LookupError(issued)
        self._run(
            "INSERT INTO session_wallets (session_id, wallet_id, is_default, created_at) VALUES (%s, %s, 0, %s)",
            (issued.session, wallet_id, NOW),
        )
        self._run(_AUDIT, (NOW, "SESSION_WALLET_LINKED", wallet_id, issued.session, json.dumps({"isDefault": False})))
        self._run("COMMIT")
        return wallet

    def renew(self, issued: Issued, _: str) -> Any:
        claims = _claims(issued.token)
        self._run(f"{_BEGIN}; {_DURABLE}")
        row = self._run(_SESSION, (claims["sub"],)).fetchone()
        links = self._run(_LINKS, (claims["sub"],)).fetchall()
        claims = _claims(issued.token)
        if row is None or links[0][0] or row[5] is not None or row[2] <= NOW or row[6] >= row[7] or row[3] <= NOW:
            raise LookupError(issued)
        if not compare_digest(row[10], hash_of(issued.token)) or (claims["iat"] + claims["exp"]) // 2 > NOW:
            raise LookupError(issued)
        end = min(NOW + claims["exp"] - claims["iat"], row[3])
        token = sign(row[0], links[0][3], NOW, end)
        self._run(
            "UPDATE sessions SET token_hash = %s, expires_at = %s, renewal_count = %s, last_renewed_at = %s"
            " WHERE id = %s",
            (hash_of(token), end, row[6] + 1, NOW, row[0]),
        )
        details = json.dumps({"renewalCount": row[6] + 1, "expiresAt": end})
        self._run(_AUDIT, (NOW, "SESSION_RENEWED", links[0][3], row[0], details))
        self._run("COMMIT")
        return token, links

    def authorize(self, issued: Issued, _: str) -> Any:
        claims = _claims(issued.token)
        row = self._alive(_AUTHORIZE, claims["sub"])
        if row[10] != "ACTIVE" or not compare_digest(row[0], hash_of(issued.token)):
            raise LookupError(issued)
        return row[4:], claims["sub"], datetime.fromtimestamp(claims["exp"], timezone.utc)

    def authenticate(self, issued: Issued, _: str) -> Any:
        claims = _claims(issued.token)
        row = self._alive(_RESOLVE, claims["sub"])
        if not compare_digest(row[0], hash_of(issued.token)):
            raise LookupError(issued)
        return claims["sub"], row[4], datetime.fromtimestamp(claims["exp"], timezone.utc)

    def resolve(self, issued: Issued, _: str) -> Any:
        return self._alive(_RESOLVE, issued.session)[4]

    def _alive(self, statement: str, session: str) -> tuple[Any, ...]:
        row = self._run(statement, (session,)).fetchone()
        if row is None or row[1] is not None or row[2] <= NOW or row[3]:
            raise LookupError(session)
        return row


class Ours(Changes):
    """The services of this library."""

    def __init__(self, url: str) -> None:
        import waiaas

        settings = waiaas.SessionSettings(
            ttl=_TTL, absolute_lifetime=_LIFETIME, max_renewals=_RENEWALS, sessions_per_wallet=_LIMIT
        )
        database = waiaas.connect(url, settings=settings, clock=lambda: NOW)
        self._peewee = database.peewee
        self._sessions, self._links = database.sessions, database.links

    @property
    def connection(self) -> psycopg.Connection[Any]:
        return self._peewee.connection()  # type: ignore[no-any-return]

    def authorize(self, issued: Issued, _: str) -> Any:
        return self._sessions.authorize(issued.token)

    def authenticate(self, issued: Issued, _: str) -> Any:
        return self._sessions.authenticate(issued.token)

    def resolve(self, issued: Issued, _: str) -> Any:
        return self._links.resolve(issued.session)


SIDES: dict[str, Callable[[str], Any]] = {"psycopg": Plain, "waiaas": Ours}


def _claims(token: str) -> dict[str, Any]:
    return jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])  # type: ignore[no-any-return]


def _processor_of(process_id: int) -> float:
    """Return the processor seconds of a process (https://docs.kernel.org/scheduler/sched-stats.html)."""
    return int(Path(f"/proc/{process_id}/schedstat").read_text("ascii").split()[0]) / 1e9


def _sessions(name: str, issued: Sequence[Issued], wallets: Sequence[str]) -> Iterator[tuple[Issued, str]]:
    """Yield sessions and further wallets: each session once for a change, at random for a read."""
    dice = random.Random(f"{name} {issued[0].session}")
    for number in count():
        if name in READS:
            each = dice.choice(issued)
        elif number < len(issued):
            each = issued[number]
        else:
            raise SystemExit(f"{name}: too few sessions")
        yield each, next(wallet for wallet in dice.sample(wallets, 3) if wallet not in (each.default, each.other))


class _Caller:
    """A thread with its sessions, which calls as often as ordered, or as long."""

    def __init__(self, contender: Any, issued: Sequence[Issued], wallets: Sequence[str]) -> None:
        self._contender, self._issued, self._wallets = contender, issued, wallets
        self._work: dict[str, Iterator[tuple[Issued, str]]] = {}

    def call(self, order: dict[str, Any]) -> tuple[int, float]:
        """Return how many calls were made, and the processor seconds of the connection's server process."""
        name = order["operation"]
        work = self._work.setdefault(name, _sessions(name, self._issued, self._wallets))
        call: Callable[[Issued, str], Any] = getattr(self._contender, name)
        server = self._contender.connection.info.backend_pid
        used, number = _processor_of(server), 0
        end = time.perf_counter() + order.get("seconds", math.inf)
        for issued, wallet in islice(work, order.get("calls")):
            call(issued, wallet)
            number += 1
            if time.perf_counter() >= end:
                break
        # The server's process may still be at work on what comes after its answer.
        return number, _processor_of(server) - used


def _main(side: str, url: str, file: Path, parts: list[tuple[int, int]]) -> None:
    issued = [Issued(*each) for each in json.loads(file.read_text("utf-8"))]
    wallets = sorted({each.other for each in issued})
    contender = SIDES[side](url)
    callers = [_Caller(contender, issued[start::step], wallets) for start, step in parts]
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in callers]
        print("ready", flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            started, used = time.perf_counter(), time.process_time()
            calls = [thread.submit(caller.call, order) for thread, caller in zip(threads, callers, strict=True)]
            number, of_servers = map(sum, zip(*(each.result() for each in calls), strict=True))
            seconds = time.perf_counter() - started
            print(json.dumps((number, seconds, time.process_time() - used, of_servers)), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4]))
