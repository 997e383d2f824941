from collections.abc import Iterator
from pathlib import Path

import pytest
from world import World

import waiaas


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A new file with the services on it."""
    made = World(tmp_path / "wallets.db")
    yield made
    waiaas.close(made.database)
