"""History does not drift: a shipped migration never changes.

To add a version: write `waiaas/migrations/vNN_name.py`, add it to `MIGRATIONS` in `history.py`, and pin it here with
the hash that this test prints (the guide: docs/new-version.rst).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import waiaas

FOLDER = Path(waiaas.__file__).parent / "migrations"
PINNED = {
    "v02_evm_networks": "2a47e63546bddd3a0ee41f830f8df05d74ada16f6f0129f6e2b28e98817d9df6",
    "v03_wallets": "1e5df2d5f68b8c58fd857cfa27549c1b32e1fdecd9b73991044166286a9df277",
    "v04_token_registry": "beb6691ccbf0971922d6c18da3100b735fc37e719f0414e371afe8308d1d1c9e",
    "v05_settings": "d1038771749c3c04a2f352b5e4f42a7eb0bdd541682f0db39d84ba3f8db2e765",
    "v06_transaction_network": "3d3fe6968ff2cab901e3cd8c8be74a6b637c2965c72c338cf3f5a794f933a265",
    "v07_wallet_environment": "8b96e412f4004406b0c758aede99b8a3d2a720fdd9b475c0f864202cdb4cdee7",
    "v08_policy_network": "d841d8f84cbb1e740df507c332fd6c3779d108c68670b85597d63d298cb11a8b",
    "v09_sign_only": "b350ed845de13abffd45b3a5de530027c95b797ca27305e8330db681172b3fe7",
    "v10_notification_message": "9042bd1b37b378b57101143bd3a05a1333d0866e444534b211a4e58bf69f35ee",
    "v11_api_keys": "ed46150934d2ce1e9d4f045d0434deefb46ccdc55bb5f05f18f583af4b9b55c2",
    "v12_x402": "037c2fb1b4b7da1fe029e86f9bab9dbe72d867dab7d5128ab1de7fb6bc23e80a",
    "v13_amounts_in_usd": "bc5c2f2e4106713bf9898fd2633b8a97734562cc3c7edff35c1309d14725ad48",
    "v14_kill_switch_states": "c072d4dd63295017740b4f133b740afd477c6da3055a08e40e2ba5067e323fd4",
    "v15_telegram_users": "cd3b291a3f27ce4f3ca6e58276c78b6b7c39b948d69ab8644ba3aca818f2324a",
    "v16_walletconnect": "b2fb1a1bbd150855a7cf685da3742621d5047afea483f1eaa703197482a579a9",
    "v17_session_source": "f366a213680621e64b25da51b17dfd0accf0f554516245de4f622918be672ebf",
    "v18_owner_approval_method": "680273ed08a47808c9c51caae076858051e13e7e54f243ad0990c5a927104369",
    "v19_session_wallets": "1381e946fb9825eb0b73a39fe9820b382477face20774ae6d98a1f7e3dccd522",
}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("v[0-9]*.py")), ids=lambda file: file.stem)
def test_a_shipped_migration_is_as_it_was_shipped(file: Path) -> None:
    """Users' files were made by this very source; a correction is a new version, not an edit."""
    assert hashlib.sha256(file.read_bytes()).hexdigest() == PINNED.get(file.stem), "a shipped migration has changed"


def test_every_pinned_migration_is_there() -> None:
    """No shipped migration is missing, and each is in the history under its number."""
    numbers = {int(name[1:3]) for name in PINNED}
    assert numbers == {migration.VERSION for migration in waiaas.migrations.MIGRATIONS}
    assert len(PINNED) == len(numbers)
