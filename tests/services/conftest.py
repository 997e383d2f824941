import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.application import Application, Scene, ServerApplication
from support.postgresql_server import Databases

import waiaas
from waiaas.backends.postgresql import open_database


@pytest.fixture(scope="session")
def new_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new file to copy, because creating one takes longer than most tests."""
    path = tmp_path_factory.mktemp("new") / "wallets.db"
    waiaas.connect(path).close()
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


@pytest.fixture(scope="session")
def first_scene(tmp_path_factory: pytest.TempPathFactory, new_file: Path) -> Scene:
    """A closed scene whose file is copied."""
    path = tmp_path_factory.mktemp("scene") / "wallets.db"
    shutil.copy(new_file, path)
    scene = Scene(Application(path))
    scene.app.database.close_all()
    return scene


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test of the services on both engines, unless it is marked as specific to SQLite."""
    if "engine" in metafunc.fixturenames:
        is_about_sqlite = metafunc.definition.get_closest_marker("sqlite") is not None
        # Left out by `-m "not slow"`: a connection to a server takes longer than most tests do.
        postgresql = pytest.param("postgresql", marks=pytest.mark.slow)
        metafunc.parametrize("engine", ["sqlite"] if is_about_sqlite else ["sqlite", postgresql])


@pytest.fixture(scope="session")
def server_url(databases: Databases) -> Iterator[str]:
    """A PostgreSQL database that all tests of this process use in turn."""
    with databases.new() as url:
        yield url


@pytest.fixture
def app(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Application]:
    """The services on a new database, or on that of a scene for a test with a scene."""
    if engine == "postgresql":
        url = request.getfixturevalue("server_url")
        server = ServerApplication(url, open_database(url))
        server.empty()
        yield server
        server.close()
        return
    with_scene = "scene" in request.fixturenames
    source = request.getfixturevalue("first_scene").app.path if with_scene else request.getfixturevalue("new_file")
    application = Application(Path(shutil.copy(source, tmp_path / "wallets.db")))
    yield application
    application.database.close_all()


@pytest.fixture
def scene(engine: str, app: Application, first_scene: Scene) -> Scene:
    """An application in which each change can be made."""
    return Scene(app) if engine == "postgresql" else first_scene.copied(app)
