"""What becomes of wallets: created, suspended, resumed, listed, and terminated with what that means for sessions."""

from __future__ import annotations

from world import World

from waiaas import CreateWalletRequestSchema

REQUEST = {"name": "payments", "chain": "solana", "environment": "testnet", "publicKey": "7xKX"}


def test_a_request_sets_nothing_that_it_may_not_say(world: World) -> None:
    """Further keys of a request that was made by hand change no other column."""
    request = CreateWalletRequestSchema().load(REQUEST)
    wallet = world.wallets.create(request | {"owner_verified": True, "suspension_reason": "x"})
    assert (wallet.owner_verified, wallet.suspension_reason) == (False, None)
