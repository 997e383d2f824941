"""What becomes of sessions: created, known by their token, renewed, revoked, listed."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from world import World, refused


def test_a_limit_of_no_sessions_admits_none(tmp_path: Path) -> None:
    """Where a wallet may have 0 sessions it gets not even a first one."""
    world = World(tmp_path / "wallets.db", sessions_per_wallet=0)
    wallet = world.wallet()
    with refused(world, "SESSION_LIMIT_EXCEEDED") as caught:
        world.session(wallet)
    assert caught.value.details == {"walletId": wallet, "limit": 0}
    world.database.close()


def test_more_wallets_than_a_statement_takes(world: World) -> None:
    """A session may name more wallets than SQLite takes parameters; of unknown ones the first is told."""
    first = world.wallet()
    if sys.version_info >= (3, 11):
        # Less than SQLite's own limit of 32,766, so that fewer rows are needed to pass it.
        world.database.connection().setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 10_000)
    rows = [(f"w-{number:05}", number) for number in range(3_000)]
    world.database.connection().executemany(
        "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
        " VALUES (?, 'w', 'solana', 'testnet', ?, 'ACTIVE', 0, 0)",
        [(uuid_of(number), name) for name, number in rows],
    )
    session = world.session(first, *(uuid_of(number) for _, number in rows))
    assert len(session.wallets) == 3_001
    assert session.default_wallet_id == first
    unknown = [uuid_of(number) for number in range(100_000, 111_000)]
    with refused(world, "WALLET_NOT_FOUND") as caught:
        world.session(first, *unknown)
    assert caught.value.details == {"walletId": unknown[0]}


def uuid_of(number: int) -> str:
    """A UUID for a number."""
    return f"0190a3f0-aaaa-7000-8000-{number:012}"


@pytest.mark.parametrize("text", ["", "plain", "{", '{"a":', "\x00"])
def test_constraints_that_are_no_json_are_a_refusal(world: World, text: str) -> None:
    """Where the stored constraints of a session are damaged, it is told, and no other error comes."""
    session = world.session(world.wallet())
    world.execute("UPDATE sessions SET constraints = ?", text)
    for operation in (lambda: world.sessions.get(session.id), world.sessions.list):
        with refused(world, "SCHEMA_INCOMPATIBLE", "corrupt"):
            operation()
    assert world.sessions.authenticate(session.token).session_id == session.id
