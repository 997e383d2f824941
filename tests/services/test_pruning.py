"""Pruning removes only what ended long ago, and exports the audit entries that it removes."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from support.old_files import execute, query

import waiaas
from waiaas.progress import Progress
from waiaas.services import pruning

NOW = 1_800_000_000
DAY = 86_400
OLD, RECENT = NOW - 31 * DAY, NOW - 29 * DAY
SESSION = "INSERT INTO sessions (id, token_hash, created_at, absolute_expires_at, expires_at, revoked_at) VALUES"
TRANSACTION = "INSERT INTO transactions (id, wallet_id, session_id, chain, type, status, created_at) VALUES"
# The times of the end of a session, and whether it is removed after 30 days.
ENDS: dict[str, tuple[int, int | None, bool]] = {
    "alive": (NOW + DAY, None, False),
    "expired long ago": (OLD, None, True),
    "expired 30 days ago": (NOW - 30 * DAY, None, True),
    "expired recently": (RECENT, None, False),
    "revoked long ago": (NOW + DAY, OLD, True),
    "revoked recently": (NOW + DAY, RECENT, False),
    "expired long ago, revoked recently": (OLD, RECENT, True),
    "milliseconds": (OLD * 1000, None, False),
}
GONE = {name for name, (_, _, is_gone) in ENDS.items() if is_gone}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else tmp_path / "wallets.db"
    with waiaas.connect(url, clock=lambda: NOW) as opened:
        wallet = opened.wallets.create(name="w", chain="solana", environment="mainnet", public_key="k", actor="admin")
        for name, (expires_at, revoked_at, _) in ENDS.items():
            run(opened, f"{SESSION} (?, 'hash', 1, 1, ?, ?)", name, expires_at, revoked_at)
            run(opened, "INSERT INTO session_wallets VALUES (?, ?, 1, 1)", name, wallet.id)
            run(opened, f"{TRANSACTION} (?, ?, ?, 'solana', 'SIGN', 'CONFIRMED', 1)", name, wallet.id, name)
        yield opened


def run(database: waiaas.Database, sql: str, *values: object) -> list[Any]:
    peewee = database.peewee
    cursor = peewee.execute_sql(peewee.dialect(sql), values)
    return cursor.fetchall() if cursor.description else []


def sessions(database: waiaas.Database) -> set[str]:
    return {id_ for (id_,) in run(database, "SELECT id FROM sessions")}


def events(database: waiaas.Database, event_type: str) -> list[Any]:
    return [(entry.actor, entry.details) for entry in database.audit.list(event_type=event_type)]


def test_sessions_that_ended_long_ago_are_removed(database: waiaas.Database) -> None:
    """Active sessions, recently ended ones, and those with an unreadable expiry are kept; each batch is logged."""
    pruned = database.prune(session_days=30, actor="sam")
    assert (pruned.sessions, pruned.audit_entries) == (len(GONE), 0)
    assert sessions(database) == ENDS.keys() - GONE
    details = {"sessions": len(GONE), "endedBefore": NOW - 30 * DAY}
    assert events(database, "SESSIONS_PRUNED") == [("sam", details)]


def test_links_are_removed_and_transactions_are_kept(database: waiaas.Database) -> None:
    """A removed session's links are removed too; its transactions are kept without a session."""
    database.prune(session_days=30, actor="sam")
    assert {id_ for (id_,) in run(database, "SELECT session_id FROM session_wallets")} == ENDS.keys() - GONE
    kept = dict(run(database, "SELECT id, session_id FROM transactions"))
    assert kept == {name: None if name in GONE else name for name in ENDS}


@pytest.mark.parametrize("status", ["PENDING", "QUEUED", "EXECUTING", "SUBMITTED"])
def test_a_session_with_an_unfinished_transaction_is_kept(database: waiaas.Database, status: str) -> None:
    """A session with an unfinished transaction is kept."""
    run(database, "UPDATE transactions SET status = ? WHERE session_id = 'expired long ago'", status)
    assert database.prune(session_days=30, actor="sam").sessions == len(GONE) - 1
    assert "expired long ago" in sessions(database)


def test_audit_entries_are_exported_before_they_are_removed(database: waiaas.Database, tmp_path: Path) -> None:
    """The export has each removed entry as `audit --json` prints it, in a file that only its owner can read."""
    for number, time in enumerate((OLD, OLD - DAY, RECENT)):
        run(
            database,
            "INSERT INTO audit_log (timestamp, event_type, actor, session_id, details) VALUES (?, ?, 'admin', 's', ?)",
            *(time, f"OLD_{number}", '{"reason": "\\ud800"}'),
        )
    old = [entry.to_dict() for entry in database.audit.list(session_id="s") if entry.event_type != "OLD_2"]
    export = tmp_path / "audit.jsonl"
    pruned = database.prune(audit_days=30, export=export, actor="sam")
    assert (pruned.sessions, pruned.audit_entries, pruned.audit_entries_kept) == (0, 2, 0)
    assert [json.loads(line) for line in export.read_text("utf-8").splitlines()] == old[::-1]
    assert stat.S_IMODE(export.stat().st_mode) == 0o600
    assert [entry.event_type for entry in database.audit.list(session_id="s")] == ["OLD_2"]
    assert events(database, "AUDIT_PRUNED") == [("sam", {"entries": 2, "before": NOW - 30 * DAY})]


def test_nothing_is_removed_if_the_export_exists(database: waiaas.Database, tmp_path: Path) -> None:
    """An existing file is neither overwritten nor extended."""
    run(database, "UPDATE audit_log SET timestamp = 1")
    export = tmp_path / "audit.jsonl"
    export.write_text("kept")
    with pytest.raises(waiaas.WAIaaSError) as caught:
        database.prune(audit_days=30, export=export, actor="sam")
    assert caught.value.reason == "file_exists"
    assert export.read_text() == "kept"
    assert database.prune(audit_days=30, actor="sam", dry_run=True).audit_entries == 1


def test_a_full_disk_keeps_what_was_not_exported(
    database: waiaas.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry is removed only after its export is on the disk."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    run(database, "UPDATE audit_log SET timestamp = 1")
    monkeypatch.setattr(pruning.os, "fsync", full)
    monkeypatch.setattr(pruning, "sync_folder", lambda _: None)
    with pytest.raises(waiaas.WAIaaSError) as caught:
        database.prune(audit_days=30, export=tmp_path / "audit.jsonl", actor="sam")
    assert caught.value.reason == "disk_full"
    assert [entry.event_type for entry in database.audit.list()] == ["WALLET_CREATED"]


def test_entries_that_json_cannot_represent_are_kept(tmp_path: Path) -> None:
    """Entries with bytes, which SQLite allows in any column, are kept, because the export could not contain them."""
    path = tmp_path / "wallets.db"
    with waiaas.connect(path, clock=lambda: NOW):
        pass
    values = ["x'ff'", "CAST(x'ff' AS TEXT)", "'not JSON'"]
    insert = "INSERT INTO audit_log (timestamp, event_type, actor, details) VALUES (1, 'E', 'a', {})"
    execute(path, *map(insert.format, values))
    with waiaas.connect(path, clock=lambda: NOW) as database:
        pruned = database.prune(audit_days=30, export=tmp_path / "audit.jsonl", actor="sam")
    assert (pruned.audit_entries, pruned.audit_entries_kept) == (1, 2)
    assert json.loads((tmp_path / "audit.jsonl").read_text())["details"] == "not JSON"
    assert query(path, "SELECT hex(details) FROM audit_log WHERE event_type = 'E'") == [("FF",), ("FF",)]


def test_many_sessions_are_removed_in_batches(database: waiaas.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is a transaction with an audit entry, and progress is reported after each."""
    with database.transaction():
        for number in range(2 * pruning._BATCH):
            run(database, f"{SESSION} (?, 'hash', 1, 1, 1, NULL)", f"many {number:04}")
    total, reports = 2 * pruning._BATCH + len(GONE), list[Progress]()
    assert database.prune(session_days=30, actor="sam", dry_run=True).sessions == total
    assert database.prune(session_days=30, actor="sam", progress=reports.append).sessions == total
    counts = [details["sessions"] for _, details in events(database, "SESSIONS_PRUNED")]
    assert sorted(counts) == [len(GONE), pruning._BATCH, pruning._BATCH]
    assert [(report.done, report.total) for report in reports][-1] == (total, total)


def test_an_interruption_keeps_what_was_removed(database: waiaas.Database) -> None:
    """Committed batches stay removed and recorded, and the next call continues."""

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.prune(session_days=30, actor="sam", progress=interrupt)
    assert sessions(database) == ENDS.keys() - GONE
    assert database.prune(session_days=30, actor="sam").sessions == 0


def test_a_transaction_of_the_caller_is_refused(database: waiaas.Database) -> None:
    """In a caller's transaction all batches would be one, so it is refused."""
    with database.transaction(), pytest.raises(waiaas.WAIaaSError) as caught:
        database.prune(session_days=30, actor="sam")
    assert caught.value.reason == "inside_transaction"
    assert sessions(database) == ENDS.keys()


@pytest.mark.parametrize("days", [-1, 1.5, True, "30"])
@pytest.mark.parametrize("name", ["session_days", "audit_days"])
def test_days_are_whole_numbers(tmp_path: Path, name: str, days: Any) -> None:
    """A number of days that is not a whole number raises ValueError."""
    with waiaas.connect(tmp_path / "wallets.db") as database, pytest.raises(ValueError, match=name):
        database.prune(**{name: days}, actor="sam")


def test_the_log_of_a_file_becomes_short_again(tmp_path: Path) -> None:
    """Every connection limits the size of the log that a large change leaves."""
    with waiaas.connect(tmp_path / "wallets.db") as database:
        assert database.peewee.execute_sql("PRAGMA journal_size_limit").fetchone() == (67_108_864,)
