import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.service_harness import World

import waiaas


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new file to copy, because creating one takes longer than most tests."""
    path = tmp_path_factory.mktemp("new") / "wallets.db"
    waiaas.close(waiaas.connect(path))
    return path


#: A token, a JWT without its prefix, a key or a hash.
_SECRET = re.compile(r'wai_sess_|eyJ|[0-9a-f]{64}|"secret"')


@pytest.fixture(autouse=True)
def log_without_secrets(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The services never log a token, key or hash, at any log level."""
    caplog.set_level(logging.DEBUG, logger="waiaas")
    yield
    for record in caplog.get_records("call"):
        if record.name.startswith("waiaas"):
            text = logging.Formatter().format(record)
            assert not _SECRET.search(text), text


@pytest.fixture
def world(tmp_path: Path, new_file: Path) -> Iterator[World]:
    """The services on a new file."""
    path = tmp_path / "wallets.db"
    shutil.copy(new_file, path)
    made = World(path)
    yield made
    waiaas.close(made.database)
