"""Fixtures for the tests of a program that uses this library; pytest is needed, and is not a dependency.

Name the module in the `conftest.py` at the root of the tests::

    pytest_plugins = ["waiaas.testing"]
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peewee import SqliteDatabase

from waiaas.database import close, connect
from waiaas.demo import make_version_18

__all__ = ["WalletClock", "old_wallet_file", "wallet_clock", "wallet_database"]


class WalletClock:
    """A clock that stands until it is told to move: give it to a service as its `clock`.

    >>> clock = WalletClock(1_800_000_000)
    >>> clock.advance(60)
    >>> clock()
    1800000060
    """

    def __init__(self, seconds: int) -> None:
        """Take the time that it shows, in Unix seconds."""
        self._seconds = seconds

    def __call__(self) -> int:
        """Return the time in Unix seconds."""
        return self._seconds

    def advance(self, seconds: int) -> None:
        """Let that many seconds pass."""
        self._seconds += seconds


@pytest.fixture
def wallet_clock() -> WalletClock:
    """A clock that stands at 1,800,000,000 (2027-01-15 08:00 UTC)."""
    return WalletClock(1_800_000_000)


@pytest.fixture
def wallet_database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """A new, empty database at the latest schema version, in a file of the test's own.

    It is closed afterwards for the thread of the test. The models are bound to nothing, as in a program.
    """
    database = connect(tmp_path / "wallets.db")
    yield database
    close(database)


@pytest.fixture
def old_wallet_file(tmp_path: Path) -> Path:
    """The path of a version-18 file with 3 wallets, 12 sessions and 60 transactions, the same at each run."""
    path = tmp_path / "old-wallets.db"
    make_version_18(path)
    return path
