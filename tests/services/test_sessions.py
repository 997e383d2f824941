"""What becomes of sessions: created, known by their token, renewed, revoked, listed."""

from __future__ import annotations

from pathlib import Path

from world import World, refused


def test_a_limit_of_no_sessions_admits_none(tmp_path: Path) -> None:
    """Where a wallet may have 0 sessions it gets not even a first one."""
    world = World(tmp_path / "wallets.db", sessions_per_wallet=0)
    wallet = world.wallet()
    with refused(world, "SESSION_LIMIT_EXCEEDED") as caught:
        world.session(wallet)
    assert caught.value.details == {"walletId": wallet, "limit": 0}
    world.database.close()
