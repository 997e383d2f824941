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
PINNED = {}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("v[0-9]*.py")), ids=lambda file: file.stem)
def test_a_shipped_migration_is_as_it_was_shipped(file: Path) -> None:
    """Users' files were made by this very source; a correction is a new version, not an edit."""
    assert hashlib.sha256(file.read_bytes()).hexdigest() == PINNED.get(file.stem), "a shipped migration has changed"


def test_every_pinned_migration_is_there() -> None:
    """No shipped migration is missing, and each is in the history under its number."""
    numbers = {int(name[1:3]) for name in PINNED}
    assert numbers == {migration.VERSION for migration in waiaas.migrations.MIGRATIONS}
    assert len(PINNED) == len(numbers)
