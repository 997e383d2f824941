"""A power failure at any moment leaves the complete old version or the complete new version."""

from __future__ import annotations

import os
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import pytest
from support.cut_scenarios import MODELS, SCENARIOS, cut, cut_by_name, log_of
from support.file_calls import Kind, file_calls_library

pytestmark = pytest.mark.slow

NAMES = [scenario.name for scenario in SCENARIOS]
# In the long form only, because they are similar to others.
LONG = (
    "upgrade from 18, no backup, write-ahead log",
    "upgrade from 1",
    "connect, new file",
    "init, empty file",
    "downgrade, no backup",
    "downgrade, no backup, write-ahead log",
)
# For each scenario and model; a short command has fewer.
STATES = 560


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LONG])
def test_a_power_failure_loses_nothing(name: str) -> None:
    """Rows, version and backup are all old or all new, new after exit code 0, and a second run completes."""
    for result in cut(name, count=6, seed=1, finish_every=4):
        assert result.violations == []
        assert result.outcomes["new"] > 0


@pytest.mark.parametrize("name", ["upgrade from 18", "connect, current file", "init", "downgrade"])
def test_the_journal_is_synced_before_the_file_and_deleted_before_the_end(name: str) -> None:
    """Journal records are synced before the header counts them, and the folder after the journal is deleted."""
    log = log_of(name)
    syncs, journals = Counter[str](), 0
    for call in log.recording.calls:
        path = Path(call.path).name
        if call.kind == Kind.SYNC:
            syncs[path] += 1
        elif path == "wallets.db-journal" and (call.created or call.kind == Kind.UNLINK):
            syncs.clear()
            journals += call.created
        elif path == "wallets.db" and call.kind == Kind.WRITE and journals:
            assert syncs["wallets.db-journal"] == 2
            assert syncs[log.folder.name] == 1
    assert journals
    assert syncs == {log.folder.name: 1}


def test_no_second_copy_is_left_after_the_change() -> None:
    """The folder of the unfinished backup is deleted on disk before the commit's journal exists."""
    log = log_of("upgrade from 18")
    calls = log.recording.calls
    removed = [number for number, call in enumerate(calls) if call.kind == Kind.RMDIR]
    syncs = [number for number, call in enumerate(calls) if call.kind == Kind.SYNC and call.path == str(log.folder)]
    (journal,) = [number for number, call in enumerate(calls) if call.created and call.path.endswith("-journal")]
    assert any(max(removed) < number < journal for number in syncs)


@pytest.mark.parametrize("version", [1, 18])
def test_a_small_cache_writes_pages_to_the_database_before_the_commit(version: int) -> None:
    """The journal gets more pages after the database was written, so the transaction has not ended."""
    calls = log_of(f"upgrade from {version}, small cache").recording.calls
    writes = [Path(call.path).name for call in calls if call.kind == Kind.WRITE]
    assert "wallets.db-journal" in writes[writes.index("wallets.db") :]


def test_a_small_cache_writes_pages_to_the_log_before_the_commit() -> None:
    """Frames of the log are written twice, which SQLite only does within the same transaction."""
    calls = log_of("upgrade from 18, small cache, write-ahead log").recording.calls
    writes = [(Path(call.path).name, call.offset) for call in calls if call.kind == Kind.WRITE]
    until_checkpoint = writes[: [name for name, _ in writes].index("wallets.db")]
    frames = Counter(offset for name, offset in until_checkpoint if name == "wallets.db-wal")
    assert max(frames.values()) > 1


@pytest.mark.stress
def test_twenty_thousand_power_failures_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for every command that changes a file, in many more states."""
    file_calls_library()
    started, distinct, results = time.monotonic(), 0, []
    with get_context("spawn").Pool(os.cpu_count()) as pool, capsys.disabled():
        for of_scenario in pool.imap(cut_by_name, [(name, STATES) for name in NAMES]):
            print("", *of_scenario, sep="\n", end="", flush=True)
            results += of_scenario
            distinct += len(set[object]().union(*(result.states for result in of_scenario)))
        violations = [violation for result in results for violation in result.violations]
        checked = ", ".join(f"{sum(len(r.states) for r in results if r.model == model)} {model}" for model in MODELS)
        seconds = time.monotonic() - started
        print(f"\n{distinct} distinct states ({checked}), {len(violations)} violations, {seconds:.0f} s")
    assert violations == []
    assert distinct >= 20_000
    assert all(result.outcomes["new"] for result in results)
