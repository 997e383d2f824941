"""How a program tests what it does with sessions."""

import pytest

import waiaas


@pytest.fixture
def wallet(wallet_database):
    return wallet_database.wallets.create(
        name="trading", chain="solana", environment="mainnet", public_key="an example's address", actor="admin"
    )


def test_a_token_ends_with_its_time_to_live(wallet_database, wallet_clock, wallet):
    sessions = wallet_database.sessions
    token = sessions.create(wallet_ids=[wallet.id], ttl=3600, actor="admin").token
    wallet_clock.advance(3600)
    with pytest.raises(waiaas.WAIaaSError) as caught:
        sessions.authenticate(token)
    assert caught.value.code == "TOKEN_EXPIRED"


def test_an_old_file_is_upgraded(old_wallet_file):
    waiaas.upgrade(old_wallet_file, backup=False)
    assert waiaas.check(old_wallet_file).ok
