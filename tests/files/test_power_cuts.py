"""A power cut at any moment leaves a file completely at its old version or completely at the new one."""

from __future__ import annotations

import os
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import pytest
from support.cut_scenarios import SCENARIOS, Scenario, cut, cut_by_name, recorded
from support.file_calls import Kind, file_calls_library
from support.power_cuts import Model

SHORT = ("upgrade from 18", "upgrade from 18, write-ahead log", "connect, current file", "init", "restore")
MODELS: tuple[Model, ...] = ("weak", "ordered")
# For each scenario and model; some have fewer.
STATES = 520


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in SHORT], ids=lambda scenario: scenario.name)
def test_a_power_cut_loses_nothing(scenario: Scenario, model: Model) -> None:
    """Rows, version and backup are all old or all new; after exit 0 they are new; doing it again finishes."""
    result = cut(scenario, model, count=15, seed=1)
    assert result.violations == []
    assert result.outcomes["new"] > 0


@pytest.mark.parametrize("name", ["upgrade from 18", "connect, current file", "init", "downgrade"])
def test_a_journal_is_on_the_disk_before_the_file_is_written_and_gone_before_the_command_ends(
    tmp_path: Path, name: str
) -> None:
    """The journal's records are synced before its header counts them, and the folder once the journal is deleted."""
    (scenario,) = (each for each in SCENARIOS if each.name == name)
    scenario.make(tmp_path / "wallets.db")
    syncs, journals = Counter[str](), 0
    for call in recorded(scenario, tmp_path / "wallets.db").recording.calls:
        path = Path(call.path).name
        if call.kind == Kind.SYNC:
            syncs[path] += 1
        elif path == "wallets.db-journal" and (call.created or call.kind == Kind.UNLINK):
            syncs.clear()
            journals += call.created
        elif path == "wallets.db" and call.kind == Kind.WRITE and journals:
            assert syncs["wallets.db-journal"] == 2
            assert syncs[tmp_path.name] == 1
    assert journals
    assert syncs == {tmp_path.name: 1}


def test_no_second_copy_is_left_once_the_file_is_changed(tmp_path: Path) -> None:
    """The folder in which the backup was made is gone from the disk before the journal that leads to the commit."""
    (scenario,) = (each for each in SCENARIOS if each.name == "upgrade from 18")
    scenario.make(tmp_path / "wallets.db")
    calls = recorded(scenario, tmp_path / "wallets.db").recording.calls
    removed = [number for number, call in enumerate(calls) if call.kind == Kind.RMDIR]
    syncs = [number for number, call in enumerate(calls) if call.kind == Kind.SYNC and call.path == str(tmp_path)]
    (journal,) = [number for number, call in enumerate(calls) if call.created and call.path.endswith("-journal")]
    assert any(max(removed) < number < journal for number in syncs)


@pytest.mark.stress
def test_twenty_thousand_power_cuts_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for every command that changes a file, in many more states."""
    file_calls_library()
    jobs = [(scenario.name, model, STATES) for scenario in SCENARIOS for model in MODELS]
    results = []
    with get_context("spawn").Pool(os.cpu_count()) as pool, capsys.disabled():
        for result in pool.imap(cut_by_name, jobs):
            print(f"\n{result}", end="", flush=True)
            results.append(result)
        print(f"\n{sum(len(result.states) for result in results)} states")
    assert [violation for result in results for violation in result.violations] == []
    assert sum(len(result.states) for result in results) >= 20_000
    assert all(result.outcomes["new"] for result in results)
