from pathlib import Path

import pytest
from hypothesis import settings
from old_files import make_file

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture
def v18(tmp_path: Path) -> Path:
    """A version-18 file with linked rows of hard values in every table."""
    return make_file(tmp_path / "wallets.db")
