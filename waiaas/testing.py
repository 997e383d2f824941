"""Pytest fixtures for programs that use this library; pytest is not a dependency of it.

Name the module in the `conftest.py` at the root of the tests::

    pytest_plugins = ["waiaas.testing"]
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from waiaas.database import Database, connect
from waiaas.demo import make_version_18

__all__ = ["WalletClock", "old_wallet_file", "wallet_clock", "wallet_database"]


class WalletClock:
    """A clock that does not move until `advance` is called.

    >>> clock = WalletClock(1_800_000_000)
    >>> clock.advance(60)
    >>> clock()
    1800000060
    """

    def __init__(self, seconds: int) -> None:
        """Set the time, in Unix seconds."""
        self._seconds = seconds

    def __call__(self) -> int:
        """Return the time in Unix seconds."""
        return self._seconds

    def advance(self, seconds: int) -> None:
        """Add seconds to the time."""
        self._seconds += seconds


@pytest.fixture
def wallet_clock() -> WalletClock:
    """The clock of `wallet_database`: 1,800,000,000 (2027-01-15 08:00 UTC) until a test moves it."""
    return WalletClock(1_800_000_000)


@pytest.fixture
def wallet_database(tmp_path: Path, wallet_clock: WalletClock) -> Iterator[Database]:
    """A new, empty database at the latest schema version, in a file of the test's own.

    Its services have the clock of `wallet_clock`. It is closed afterwards, for the threads of the test too.
    """
    with connect(tmp_path / "wallets.db", clock=wallet_clock) as database:
        yield database


@pytest.fixture
def old_wallet_file(tmp_path: Path) -> Path:
    """The path of a version-18 file with 3 wallets, 12 sessions and 60 transactions, the same at each run."""
    path = tmp_path / "old-wallets.db"
    make_version_18(path)
    return path
