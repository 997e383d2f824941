"""The changes of a session: `create`, `link`, `renew` and `revoke`, next to plain `sqlite3`.

    python benchmarks/run.py --only writes

The plain side runs the same statements with the same checks, in a transaction with the same `PRAGMA synchronous`, and
returns the session with its wallets. Both work on copies of one file and take turns by blocks of calls; the result is
the median of the ratios, block by block. At the end both files must have the same rows.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone
from hmac import compare_digest
from pathlib import Path
from typing import Any

import jwt
from issued_sessions import KEY, PREFIX, Changes, Issued, hash_of, make_issued_file, sign
from measure import machine, remove
from session_files import connect
from uuid6 import uuid7

OPERATIONS = ("create", "link", "renew", "revoke")
_LIMIT = 1_000_000
_TTL, _LIFETIME, _RENEWALS = 2_592_000, 31_536_000, 12
# More than half of each token's life is over then.
_NOW = 3_200_000_000
_PER_BLOCK = 60

_HIDDEN = (
    "SELECT name FROM temp.sqlite_master WHERE type IN ('table', 'view') AND lower(name)"
    " IN ('wallets', 'sessions', 'session_wallets', 'key_value_store', 'audit_log') LIMIT 1"
)
_SETTINGS = (
    "SELECT EXISTS (SELECT 1 FROM key_value_store WHERE key = 'kill_switch_state' AND value <> 'ACTIVE'),"
    " (SELECT value FROM key_value_store WHERE key = 'jwt_secret_current'),"
    " (SELECT value FROM key_value_store WHERE key = 'jwt_secret_previous')"
)
_USED = (
    "SELECT count(*) FROM session_wallets AS l JOIN sessions AS s ON s.id = l.session_id"
    " WHERE l.wallet_id = ? AND s.revoked_at IS NULL AND NOT (s.expires_at <= ? OR s.expires_at > 253402300799)"
)
_WALLET = "SELECT id, name, chain, environment, default_network, status FROM wallets WHERE id = ?"
_SESSION = (
    "SELECT id, created_at, expires_at, absolute_expires_at, last_renewed_at, revoked_at, renewal_count, max_renewals,"
    " constraints, source, token_hash FROM sessions WHERE id = ?"
)
_LINKS = (
    "SELECT w.id, w.name, w.chain, w.environment, w.default_network, w.status, l.is_default, l.created_at,"
    " l.session_id FROM session_wallets AS l JOIN wallets AS w ON w.id = l.wallet_id WHERE l.session_id = ?"
    " ORDER BY l.is_default DESC, l.rowid"
)
_AUDIT = (
    "INSERT INTO audit_log (timestamp, event_type, actor, wallet_id, session_id, details)"
    " VALUES (?, ?, 'admin', ?, ?, ?)"
)

_ROWS = (
    f"SELECT CASE created_at WHEN {_NOW} THEN '' ELSE id || token_hash END, expires_at, revoked_at, renewal_count,"
    " max_renewals, last_renewed_at, absolute_expires_at, created_at, constraints, source FROM sessions"
    " ORDER BY rowid",
    "SELECT wallet_id, is_default, created_at FROM session_wallets ORDER BY rowid",
    "SELECT timestamp, event_type, actor, wallet_id, json(details), severity FROM audit_log ORDER BY id",
)


class Plain:
    """The least: prepared statements, their answers checked."""

    def __init__(self, path: Path) -> None:
        self.database = connect(path)
        self._run = self.database.execute

    def create(self, issued: Issued, _: str) -> Any:
        now, session, wallets = _NOW, str(uuid7()), [issued.default, issued.other]
        with self._transaction():
            found = [self._run(_WALLET, (wallet,)).fetchone() for wallet in wallets]
            self._refuse_locked()
            for wallet in found:
                self._refuse_unusable(wallet, now)
            token = sign(session, wallets[0], now, now + _TTL)
            self._run(
                "INSERT INTO sessions (id, token_hash, expires_at, max_renewals, absolute_expires_at, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (session, hash_of(token), now + _TTL, _RENEWALS, now + _LIFETIME, now),
            )
            self._run(
                "INSERT INTO session_wallets VALUES (?, ?, 1, ?), (?, ?, 0, ?)",
                (session, wallets[0], now, session, wallets[1], now),
            )
            details = json.dumps({"walletIds": wallets, "expiresAt": now + _TTL})
            self._run(_AUDIT, (now, "SESSION_ISSUED", wallets[0], session, details))
        row = (session, now, now + _TTL, now + _LIFETIME, None, None, 0, _RENEWALS, None, "api")
        return _result(row, [(*wallet, wallet is found[0], now, session) for wallet in found]), token

    def link(self, issued: Issued, wallet_id: str) -> Any:
        now, session = _NOW, issued.session
        with self._transaction():
            wallet = self._run(_WALLET, (wallet_id,)).fetchone()
            (revoked_at,) = self._run("SELECT revoked_at FROM sessions WHERE id = ?", (session,)).fetchone()
            self._refuse_locked()
            self._refuse_unusable(wallet, now)
            links = self._run("SELECT wallet_id FROM session_wallets WHERE session_id = ?", (session,)).fetchall()
            if revoked_at is not None or (wallet_id,) in links:
                raise LookupError(session)
            self._run("INSERT INTO session_wallets VALUES (?, ?, ?, ?)", (session, wallet_id, int(not links), now))
            self._run(_AUDIT, (now, "SESSION_WALLET_LINKED", wallet_id, session, json.dumps({"isDefault": not links})))
        return (*wallet, False, datetime.fromtimestamp(now, timezone.utc), session)

    def renew(self, issued: Issued, _: str) -> Any:
        now = _NOW
        claims = self._claims(issued.token)
        with self._synced(), self._transaction():
            row = self._run(_SESSION, (claims["sub"],)).fetchone()
            self._refuse_locked()
            links = self._run(_LINKS, (claims["sub"],)).fetchall()
            claims = self._claims(issued.token)
            session, count = claims["sub"], row[6] + 1
            if row[5] is not None or row[2] <= now or row[6] >= row[7] or row[3] <= now:
                raise LookupError(session)
            if not compare_digest(row[10], hash_of(issued.token)) or now < (claims["iat"] + claims["exp"]) // 2:
                raise LookupError(session)
            end = min(now + claims["exp"] - claims["iat"], row[3])
            token = sign(session, links[0][0], now, end)
            values = (hash_of(token), end, count, now, session)
            self._run(
                "UPDATE sessions SET token_hash = ?, expires_at = ?, renewal_count = ?, last_renewed_at = ?"
                " WHERE id = ?",
                values,
            )
            details = json.dumps({"renewalCount": count, "expiresAt": end})
            self._run(_AUDIT, (now, "SESSION_RENEWED", links[0][0], session, details))
            self._refuse_undone(
                "SELECT 1 FROM sessions WHERE token_hash = ? AND expires_at = ? AND renewal_count = ?"
                " AND last_renewed_at = ? AND id = ?",
                values,
            )
        return _result((*row[:2], end, row[3], now, None, count, *row[7:10]), links), token

    def revoke(self, issued: Issued, _: str) -> Any:
        now, session = _NOW, issued.session
        with self._synced(), self._transaction():
            row = self._run(_SESSION, (session,)).fetchone()
            links = self._run(_LINKS, (session,)).fetchall()
            if row[5] is not None:
                raise LookupError(session)
            self._run("UPDATE sessions SET revoked_at = ? WHERE id = ?", (now, session))
            self._run(_AUDIT, (now, "SESSION_REVOKED", links[0][0], session, "{}"))
            self._refuse_undone("SELECT 1 FROM sessions WHERE revoked_at = ? AND id = ?", (now, session))
        return _result((*row[:5], now, *row[6:10]), links)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN IMMEDIATE")
        if self._run(_HIDDEN).fetchone() is not None:
            raise LookupError
        yield
        self._run("COMMIT")

    @contextmanager
    def _synced(self) -> Iterator[None]:
        (level,) = self._run("PRAGMA synchronous").fetchone()
        self._run("PRAGMA synchronous = EXTRA")
        yield
        self._run(f"PRAGMA synchronous = {level}")

    def _refuse_locked(self) -> None:
        if self._run(_SETTINGS).fetchone()[0]:
            raise LookupError

    def _refuse_unusable(self, wallet: tuple[Any, ...], now: int) -> None:
        if wallet[5] == "TERMINATED" or self._run(_USED, (wallet[0], now)).fetchone()[0] >= _LIMIT:
            raise LookupError(wallet[0])

    def _refuse_undone(self, statement: str, values: tuple[Any, ...]) -> None:
        if self._run(statement, values).fetchone() is None:
            raise LookupError

    @staticmethod
    def _claims(token: str) -> dict[str, Any]:
        return jwt.decode(token.removeprefix(PREFIX), KEY, algorithms=["HS256"])  # type: ignore[no-any-return]


class Ours(Changes):
    def __init__(self, path: Path) -> None:
        import waiaas

        settings = waiaas.SessionSettings(
            ttl=_TTL, absolute_lifetime=_LIFETIME, max_renewals=_RENEWALS, sessions_per_wallet=_LIMIT
        )
        self.database = waiaas.connect(path, settings=settings, clock=lambda: _NOW)
        self._sessions, self._links = self.database.sessions, self.database.links

    def revoke(self, issued: Issued, _: str) -> Any:
        return self._sessions.revoke(issued.session, actor="admin")


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Let both sides make the same changes, block by block."""
    file = folder / "writes.db"
    issued = make_issued_file(file, sessions)
    copies = [folder / "writes-plain.db", folder / "writes-ours.db"]
    for copy in copies:
        shutil.copy(file, copy)
    sides = [Plain(copies[0]), Ours(copies[1])]
    results = {name: _compare(name, sides, issued, rounds) for name in OPERATIONS}
    for side in sides:
        side.database.close()
    _refuse_different(*copies)
    for path in (file, *copies):
        remove(path)
    return {"machine": machine(), "sessions": sessions, "operations": results}


def _refuse_different(one: Path, other: Path) -> None:
    """Compare the rows of two files, except for the ids of new sessions, which are random."""
    with closing(sqlite3.connect(one)) as first, closing(sqlite3.connect(other)) as second:
        for query in _ROWS:
            if first.execute(query).fetchall() != second.execute(query).fetchall():
                raise SystemExit(f"the two sides have written different rows: {query}")


def _compare(name: str, sides: list[Any], issued: list[Issued], rounds: int) -> dict[str, float]:
    wallets, dice = sorted({each.other for each in issued}), random.Random(name)
    size = min(_PER_BLOCK, len(issued) // (rounds + 1))
    some = dice.sample(issued, (rounds + 1) * size)
    times: list[list[float]] = [[], []]
    for number in range(rounds + 1):
        block = [(each, _another(each, wallets, dice)) for each in some[number * size :][:size]]
        for side in (number % 2, 1 - number % 2):
            seconds = _block(getattr(sides[side], name), block)
            if number:  # the first round warms up
                times[side].append(seconds / size)
    plain, ours = times
    return {
        "plain": 1e6 * statistics.median(plain),
        "waiaas": 1e6 * statistics.median(ours),
        "ratio": statistics.median(one / least for one, least in zip(ours, plain, strict=True)),
    }


def _another(issued: Issued, wallets: list[str], dice: random.Random) -> str:
    return next(wallet for wallet in dice.sample(wallets, 3) if wallet not in (issued.default, issued.other))


def _block(change: Callable[[Issued, str], Any], block: list[tuple[Issued, str]]) -> float:
    started = time.perf_counter()
    for issued, wallet in block:
        change(issued, wallet)
    return time.perf_counter() - started


def _result(session: tuple[Any, ...], links: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return a session with its wallets, times as datetimes."""
    times = [None if each is None else datetime.fromtimestamp(each, timezone.utc) for each in session[1:6]]
    wallets = [(*link[:6], bool(link[6]), datetime.fromtimestamp(link[7], timezone.utc), link[8]) for link in links]
    return (session[0], *times, *session[6:], wallets)
