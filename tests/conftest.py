import gc
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import settings
from support.memory_databases import OPEN
from support.old_files import make_file
from support.postgresql_server import Databases

from waiaas.backends.postgresql import PostgresqlDatabase, open_database

# Temporary files are in memory if there is space: most tests commit, and would wait for the disk. That a commit is on
# the disk is shown by recorded file calls (test_power_cuts.py), which are the same for every file system.
if "TMPDIR" not in os.environ and Path("/dev/shm").is_dir() and shutil.disk_usage("/dev/shm").free > 2 << 30:
    os.environ["TMPDIR"] = tempfile.tempdir = "/dev/shm"

# The parent of the tests may ignore signals (nohup, a job in the background), and child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGTERM", "SIGHUP"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)

# A separate program with its own requirements: tox -e mutation.
collect_ignore = ["support/mutation_testing.py"]


def pytest_sessionstart() -> None:
    """Skip all tests in `tox -e sqlite` if the Python has SQLite built in, because another cannot be loaded."""
    if os.environ.get("WAIAAS_NEWER_SQLITE") and sqlite3.sqlite_version_info < (3, 53):
        pytest.exit(f"skipped: this Python has SQLite {sqlite3.sqlite_version} built in", returncode=0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start more test processes than there are cores, by half, for slow tests: they wait for servers and processes."""
    cores = os.cpu_count() or 1
    return cores if "not slow" in config.getoption("markexpr") else cores * 3 // 2


#: What makes a test slow: its own server, and tests that only some tox environments run.
_SLOW_FIXTURES, _SLOW_MARKERS = {"databases"}, {"benchmarks", "package", "site", "stress"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as slow that need a PostgreSQL server or have their own tox environment."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if _SLOW_FIXTURES & fixtures or any(item.get_closest_marker(name) for name in _SLOW_MARKERS):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Exclude the thousands of collected tests from garbage collections."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """Show the SQLite version of the tests."""
    return f"SQLite {sqlite3.sqlite_version}"


settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("stress", deadline=None, database=None, max_examples=2000)
settings.load_profile("stress" if os.environ.get("WAIAAS_STRESS") else "repeatable")


@pytest.fixture(autouse=True, scope="session")
def no_memory_limit() -> Iterator[None]:
    """Do not limit SQLite's memory if a test runs a command in this process: the limit cannot be raised again."""
    with patch("waiaas.cli.commands.limit_heap"):
        yield


@pytest.fixture
def v18(tmp_path: Path) -> Path:
    """A version-18 file with linked rows of difficult values in every table, alone in its folder."""
    return make_file(tmp_path / "wallets.db")


@pytest.fixture(autouse=True)
def close_memory_databases() -> Iterator[None]:
    """Close the in-memory databases of a test."""
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The PostgreSQL server of this test process, on which each test gets its own database."""
    with Databases.start() as databases:
        yield databases


@pytest.fixture
def postgresql_url(databases: Databases) -> Iterator[str]:
    """The URL of a new PostgreSQL database with the tables of the newest version, without rows."""
    with databases.new() as url:
        yield url


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[PostgresqlDatabase]:
    """A new PostgreSQL database with the tables of the newest version, open."""
    database = open_database(postgresql_url)
    yield database
    database.close_all()
