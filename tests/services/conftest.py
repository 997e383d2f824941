import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from world import World

import waiaas


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new file, to be copied: making one takes longer than most tests do."""
    path = tmp_path_factory.mktemp("new") / "wallets.db"
    waiaas.close(waiaas.connect(path))
    return path


@pytest.fixture
def world(tmp_path: Path, new_file: Path) -> Iterator[World]:
    """A new file with the services on it."""
    path = tmp_path / "wallets.db"
    shutil.copy(new_file, path)
    made = World(path)
    yield made
    waiaas.close(made.database)
