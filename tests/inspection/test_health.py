"""The health of a database, for monitors that request it every few seconds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.old_files import make_file
from support.postgresql_server import Databases
from support.sqlite_files import files, plain

import waiaas

LATEST = waiaas.LATEST_SCHEMA_VERSION

NOW = 1_800_000_000


def now() -> float:
    return NOW


def test_of_a_file_in_use(tmp_path: Path) -> None:
    """Version, lock, log, free space, backup, sessions and kill switch are reported, and are plain JSON."""
    path = tmp_path / "wallets.db"
    with waiaas.connect(path, clock=now) as database:
        wallet = database.wallets.create(
            name="trading", chain="solana", environment="mainnet", public_key="key", actor="sam"
        )
        live, revoked, _ = (
            database.sessions.create(wallet_ids=[wallet.id], ttl=ttl, actor="sam") for ttl in (3600, 3600, 300)
        )
        database.sessions.revoke(revoked.id, actor="sam")
        waiaas.backup(database, clock=now)
        found = database.health()
        later = waiaas.health(path, clock=lambda: NOW + 600)
        assert (found.ok, found.writable, found.kill_switch) == (True, True, "ACTIVE")
        assert found.version == waiaas.LATEST_SCHEMA_VERSION
        assert (found.live_sessions, later.live_sessions) == (2, 1)
        assert found.last_backup is not None
        assert found.last_backup.timestamp() == NOW
        assert found.lock_wait is not None
        assert found.log_size
        assert found.free_room
        database.kill_switch.activate(actor="sam")
        assert database.health().kill_switch == "SUSPENDED"
    assert json.loads(json.dumps(found.to_dict()))["last_backup"] == "2027-01-15T08:00:00+00:00"
    assert live.status == "ACTIVE"


def test_of_a_locked_file(tmp_path: Path) -> None:
    """A write lock that is not free within a second is reported without further waiting."""
    path = make_file(tmp_path / "wallets.db", LATEST, wal=True)
    with plain(path, "BEGIN IMMEDIATE"):
        found = waiaas.health(path)
    assert (found.ok, found.writable, found.lock_wait, found.version) == (False, False, None, LATEST)


def test_of_an_older_file(v18: Path) -> None:
    """A database of an older version is not healthy, and is not upgraded."""
    before = files(v18.parent)
    found = waiaas.health(v18)
    assert (found.ok, found.version, found.live_sessions, found.error) == (False, 18, None, None)
    assert files(v18.parent) == before


@pytest.mark.parametrize("content", [None, b"not a database"])
def test_of_files_that_are_not_databases(tmp_path: Path, content: bytes | None) -> None:
    """A database that cannot be opened raises nothing, but its health has an error."""
    path = tmp_path / "wallets.db"
    if content is not None:
        path.write_bytes(content)
    found = waiaas.health(path)
    assert not found.ok
    assert found.error is not None
    assert found.error.reason == ("file_not_found" if content is None else "not_a_database")
    assert found.to_dict("ko")["error"]["message"] == found.error.to_dict("ko")["message"]


def test_of_a_database_in_memory() -> None:
    """An in-memory database has neither log nor disk."""
    with waiaas.connect(":memory:") as database:
        found = database.health()
    assert (found.ok, found.log_size, found.free_room, found.last_backup) == (True, None, None, None)


@pytest.mark.slow
def test_of_a_database_on_a_server(databases: Databases) -> None:
    """A server has no log file, but it has sessions, a version and a kill switch."""
    with databases.new() as url:
        found = waiaas.health(url)
    assert (found.ok, found.version, found.live_sessions, found.kill_switch) == (True, LATEST, 0, "ACTIVE")


def test_a_connection_of_a_pool_goes_back(databases: Databases) -> None:
    """A monitor in a separate thread does not keep a connection of the pool."""
    with databases.new() as url, waiaas.connect(url, pool_size=1, busy_timeout=0.2) as database:
        assert database.health().ok
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(lambda: len(database.wallets.list())).result() == 0
