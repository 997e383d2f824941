"""An index that does not match its rows never affects what an upgrade writes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.old_files import dump, execute, make_file, query, session_id, wallet_id

import waiaas
from waiaas import WAIaaSError
from waiaas.files.page_check import damage
from waiaas.migrations.opening import open_to_change


def page_of(path: Path, index: str) -> tuple[int, int]:
    """Return where the only page of an index starts and ends in a file."""
    ((root,),) = query(path, "SELECT rootpage FROM sqlite_master WHERE name = ?", index)
    ((size,),) = query(path, "PRAGMA page_size")
    return (root - 1) * size, root * size


def replace_in_index(path: Path, index: str, old: bytes, new: bytes) -> None:
    """Replace bytes in the pages of an index, which must contain them once."""
    start, end = page_of(path, index)
    content = bytearray(path.read_bytes())
    assert content[start:end].count(old) == 1
    content[start:end] = content[start:end].replace(old, new)
    path.write_bytes(content)


def other(id_: str) -> bytes:
    """Return the bytes of an id with one bit flipped in its last letter."""
    return id_[:-1].encode() + bytes([id_[-1].encode()[0] ^ 1])


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_link_gets_the_id_of_its_session(tmp_path: Path, wal: bool) -> None:
    """A flipped bit in the index of session ids is refused as corruption, and no link gets the wrong id."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    replace_in_index(path, "sqlite_autoindex_sessions_1", session_id(3).encode(), other(session_id(3)))
    before = path.read_bytes()
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database)
    assert caught.value.reason == "corrupt"
    assert path.read_bytes() == before


@pytest.mark.parametrize("skip_orphans", [False, True])
def test_a_corrupt_index_does_not_orphan_a_session(v18: Path, skip_orphans: bool) -> None:
    """A flipped bit in the index of wallet ids does not orphan a session: the file is refused."""
    replace_in_index(v18, "sqlite_autoindex_wallets_1", wallet_id(1).encode(), other(wallet_id(1)))
    before = v18.read_bytes()
    with open_to_change(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database, skip_orphans=skip_orphans)
    assert caught.value.reason == "corrupt" if skip_orphans else "orphan_sessions"
    assert v18.read_bytes() == before


def test_rows_missing_in_an_index_are_renamed(tmp_path: Path) -> None:
    """Rows that are missing in an index of event names are still renamed by version 3."""
    path = make_file(tmp_path / "wallets.db", 2)
    execute(path, "UPDATE audit_log SET event_type = 'AGENT_CREATED' WHERE id = 5")
    replace_in_index(path, "idx_audit_log_event_type", b"AGENT_CREATED", b"AGENT_CREATEX")
    before = path.read_bytes()
    with open_to_change(path) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database, backup=False)
    assert caught.value.reason == "corrupt"
    assert path.read_bytes() == before


def test_check_compares_indexes_with_rows(v18: Path) -> None:
    """`check` reports an index of any table that does not match its rows."""
    replace_in_index(v18, "sqlite_autoindex_policies_1", *policy(v18))
    with open_to_change(v18) as database:
        findings = waiaas.check(database).findings
    assert {finding.kind for finding in findings} == {"damage"}
    assert any("sqlite_autoindex_policies_1" in finding.message for finding in findings)


def policy(path: Path) -> tuple[bytes, bytes]:
    ((id_,),) = query(path, "SELECT id FROM policies LIMIT 1")
    return id_.encode(), other(id_)


def test_a_backup_with_a_damaged_index_of_wallets_is_not_verified(v18: Path) -> None:
    """The verification of a backup compares the indexes that a change uses."""
    replace_in_index(v18, "sqlite_autoindex_wallets_1", wallet_id(1).encode(), other(wallet_id(1)))
    with closing(sqlite3.connect(v18)) as database:
        assert damage(database, checks=False, indexes_of=()) == []
        assert damage(database, checks=False, indexes_of=["wallets"]) != []
        assert damage(database, checks=False) != []


def test_an_index_with_a_function_of_the_program_is_skipped(v18: Path) -> None:
    """An index that uses a missing function cannot be compared; all others are."""
    with closing(sqlite3.connect(v18, isolation_level=None)) as database:
        database.create_function("mine", 1, lambda text: text[::-1], deterministic=True)
        database.execute("CREATE TABLE own (a TEXT UNIQUE)")
        database.execute("INSERT INTO own VALUES ('ab')")
        database.execute("CREATE INDEX own_mine ON own (mine(a))")
    before = dump(v18)
    with closing(sqlite3.connect(v18)) as database:
        assert damage(database, checks=False) == []
    replace_in_index(v18, "sqlite_autoindex_wallets_1", wallet_id(1).encode(), other(wallet_id(1)))
    with closing(sqlite3.connect(v18)) as database:
        assert damage(database, checks=False) != []
    assert dump(v18) == before
