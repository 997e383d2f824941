"""A shipped migration never changes.

A new version is pinned with the line that this test prints (the guide: docs/how-to/new-version.rst).
"""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

import waiaas
from waiaas.migrations import history

FOLDER = Path(waiaas.__file__).parent / "migrations" / "versions"
PINNED = {
    "v01_first_schema": "1d45cde818eae2af3d746942ac415f1dd9974776f43adfc633de99529adab84d",
    "v02_evm_networks": "2819e278ee7cef08312b5054141623e3d7d100b938803a26dc3ada5673922c91",
    "v03_wallets": "5dffb377d2a552529b6b82985533e32d9e1aab762c367fdcc0d7add591741bc6",
    "v04_token_registry": "1583f47816d1c266329f3753bcaf301b8192d5c88ab751563e5cdc9a60239ee2",
    "v05_settings": "c107d2dea9865b159ffe5292fd994c3eae38982c63fbc55a3e2303862c8e1361",
    "v06_transaction_network": "ba63283169fa654ba3a13201f9171dc3dbdec8f9f819234dcef1f8e6363939a9",
    "v07_wallet_environment": "2846e1229986e422e1e8ca73aa9fcac34f7eaf3dfc42bcd5d35dacb585472011",
    "v08_policy_network": "85ed1886dd0f76c4504feac49e7842174fe730ef4ed39a6a0d4ed96a65eba49a",
    "v09_sign_only": "0511f3012cc29ef1535a5eee1dfafa93e6b4e9cd34ca87d0e8889b83054429f1",
    "v10_notification_message": "f6f3ef296b2b5a76645c4e979e3457b00a6ba12c17e6d0bc5c44cd1871dc08e1",
    "v11_api_keys": "5f755dbac738709d3f4e22cd37cd5f44cbadc7ece6c98848adf68e3a98c440e2",
    "v12_x402": "1775a481e58e97536a20104d1b774b3c42352a2ce7acc22c10e5e4d2c9d5c47e",
    "v13_amounts_in_usd": "cebb7871c11b1ec472b3d83ee66a522cf63302a851a1f25021b9bac6281f42de",
    "v14_kill_switch_states": "68da23a685e196ad8b00535bca95666f2a64ea1565b00b13273bb1e04cce1d45",
    "v15_telegram_users": "5fa3f5d62b82abcfd3e3fb99db300c80991443d1110c319c058ac194967ebc5d",
    "v16_walletconnect": "6002023fc75008d4349dead31e762670eb275a4320a36ac58850d5b54fda404b",
    "v17_session_source": "27b8628cefdaf85c5245d382de0e553a04c0102b25f5a87b4128c692a8b81e9b",
    "v18_owner_approval_method": "52f8b1feac7f992e5a30f5affb201acf36848e5a5558d41abc0139bbaca07eb2",
    "v19_session_wallets": "d1ce1cce37ccc514b8b935b7fa90a1a018bf293068ea6e5d9bd66207dba4163c",
}


def hash_of(source: str) -> str:
    """Return the hash of a module's syntax tree without imports and docstrings, which may change."""
    return hashlib.sha256(repr(_plain(ast.parse(source))).encode()).hexdigest()


def _plain(node: object) -> object:
    """Return a syntax tree as tuples, without empty fields, which differ between versions of Python."""
    if isinstance(node, list):
        return [_plain(each) for each in node if not _is_left_out(each)]
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node)]
        return (type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])])
    return node


def _is_left_out(node: object) -> bool:
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_for_types = isinstance(node, ast.If) and all(map(_is_left_out, node.body))
    return is_docstring or is_for_types or isinstance(node, ast.Import | ast.ImportFrom)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("v[0-9]*.py")), ids=lambda file: file.stem)
def test_a_shipped_migration_is_unchanged(file: Path) -> None:
    """Users' files were migrated by exactly this code; a correction is a new version, not an edit."""
    found = hash_of(file.read_text("utf-8"))
    if file.stem not in PINNED:
        pytest.fail(f'add this line to PINNED:\n\n    "{file.stem}": "{found}",\n', pytrace=False)
    assert found == PINNED[file.stem], "a shipped migration has changed"


def test_every_pinned_migration_exists() -> None:
    """No shipped migration is missing, and each is in the history under its number."""
    numbers = {int(name[1:3]) for name in PINNED}
    assert numbers == {1, *(migration.VERSION for migration in history.MIGRATIONS)}
    assert len(PINNED) == len(numbers)
