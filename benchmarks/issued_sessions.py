"""A file of version 19 with sessions whose tokens are known.

Each session has two wallets, and each wallet has four sessions on average.
"""

from __future__ import annotations

import json
import random
import sys
from contextlib import closing
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import jwt
from session_files import START, connect, new_id

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from support.old_files import create_statements

PREFIX = "wai_sess_"
KEY = bytes(range(32))
#: All tokens expire then, after every benchmark.
END = 4_000_000_000
_AT_ONCE = 10_000


class Issued(NamedTuple):
    """A session, its default wallet and its other one, and its token."""

    session: str
    default: str
    other: str
    token: str


def make_issued_file(path: Path, sessions: int, expires_at: int = END) -> list[Issued]:
    """Make the file, and return its sessions in the order of their ids; `expires_at` is the expiry of their tokens."""
    dice = random.Random(2)
    wallets = [new_id(number, dice) for number in range(max(2, sessions // 2))]
    issued = []
    for number in range(sessions):
        session, default, other = new_id(10**6 + number, dice), *dice.sample(wallets, 2)
        issued.append(Issued(session, default, other, sign(session, default, START, expires_at)))
    with closing(connect(path, synchronous=0)) as database:
        database.execute("BEGIN")
        for statement in create_statements(19):
            database.execute(statement)
        database.executemany("INSERT INTO schema_version VALUES (?, ?, '')", [(n, START) for n in range(1, 20)])
        stored = json.dumps({"secret": KEY.hex(), "createdAt": START}, separators=(",", ":"))
        database.execute("INSERT INTO key_value_store VALUES ('jwt_secret_current', ?, ?)", (stored, START))
        database.executemany(
            "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
            " VALUES (?, 'wallet', 'solana', 'mainnet', ?, 'ACTIVE', ?, ?)",
            [(wallet, wallet, START, START) for wallet in wallets],
        )
        rest = iter(issued)
        while some := list(islice(rest, _AT_ONCE)):
            database.executemany(
                "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [(each.session, hash_of(each.token), expires_at, END, START) for each in some],
            )
            database.executemany(
                "INSERT INTO session_wallets VALUES (?, ?, ?, ?)",
                [
                    (each.session, wallet, int(wallet == each.default), START)
                    for each in some
                    for wallet in (each.default, each.other)
                ],
            )
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return issued


def sign(session: str, wallet: str, issued_at: int, expires_at: int = END) -> str:
    """Return a token signed as by the daemon."""
    return PREFIX + jwt.encode({"sub": session, "wlt": wallet, "iat": issued_at, "exp": expires_at}, KEY, "HS256")


def hash_of(token: str) -> str:
    """Return the stored hash of a token."""
    return sha256(token.encode()).hexdigest()


class Changes:
    """What the services of this library change, as each benchmark of writes calls it."""

    _sessions: Any
    _links: Any

    def create(self, issued: Issued, _: str) -> Any:
        return self._sessions.create(wallet_ids=[issued.default, issued.other], actor="admin")

    def link(self, issued: Issued, wallet: str) -> Any:
        return self._links.link(issued.session, wallet, actor="admin")

    def renew(self, issued: Issued, _: str) -> Any:
        return self._sessions.renew(issued.token, actor="admin")
