"""Long repetitions of other tests, skipped by default: `tox -e stress`."""

from __future__ import annotations

import collections
import itertools
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from support.interrupted_upgrades import Trial, Victims
from support.old_files import make_file, query
from support.python_processes import start_python

pytestmark = pytest.mark.stress

KILLS = 130  # in flight, of each version in each journal mode: 520 in all
NEVER = 1_000_000
CONNECT = """
import sys, waiaas
print("ready", flush=True)
for line in sys.stdin:
    database = waiaas.connect(line.rstrip("\\n")).peewee
    action = waiaas.status(database).action
    database.close_all()
    print(action, flush=True)
"""


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
@pytest.mark.parametrize("version", [1, 18])
def test_kill_9_at_random_moments(tmp_path: Path, version: int, wal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A process killed at any moment leaves the complete old version or version 19, and loses nothing.

    Only kills before the upgrade finished count; they are spread over its phases, each at a random moment.
    """
    trial = Trial(make_file(tmp_path / "original.db", version, rows=600, wal=wal))
    dice = random.Random(f"{version} {wal}")
    killed, versions = collections.Counter[str](), collections.Counter[int]()
    with Victims("phase", "kill from outside") as victims:
        phases = victims.upgrade(trial.begin(), NEVER).phases
        lengths = [after - before for (before, _), (after, _) in itertools.pairwise(phases)]
        lengths.append(max(lengths))
        trials = itertools.chain.from_iterable(
            dice.sample(range(len(phases)), len(phases)) for _ in range(4 * KILLS // len(phases) + 1)
        )
        for number in trials:
            ended = victims.upgrade(trial.begin(), number, dice.uniform(0, lengths[number]))
            found = trial.version_afterwards()
            if ended.how == "killed":
                killed[ended.phases[-1][1]] += 1
                versions[found] += 1
            if killed.total() == KILLS:
                break
    with capsys.disabled():
        journal = "write-ahead log" if wal else "rollback journal"
        print(f"\nfrom version {version}, {journal}: {killed.total()} killed in flight, found at {dict(versions)}")
        for phase, count in killed.most_common():
            print(f"  {count:4} {phase}")
    assert killed.total() == KILLS
    assert versions.keys() <= {version, 19}
    assert len(killed) > len({phase for _, phase in phases}) * 3 // 4


@pytest.mark.parametrize("version", [1, 18])
def test_eight_processes_open_one_old_file(tmp_path: Path, version: int) -> None:
    """Of eight processes that connect at once, one upgrades, the others wait, and none fails: 200 rounds."""
    original = make_file(tmp_path / "original.db", version, rows=30)
    path = tmp_path / "shared.db"
    processes = [start_python("-c", CONNECT) for _ in range(8)]
    assert [next_line(process) for process in processes] == ["ready"] * 8
    for number in range(100):
        shutil.copy(original, path)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
        assert [next_line(process) for process in processes] == ["ok"] * 8, number
        assert query(path, "SELECT count(*), max(version) FROM schema_version") == [(19, 19)]
        assert len(list(tmp_path.glob("shared.db.v*.backup"))) == 1
        for left in tmp_path.glob("shared.db*"):
            left.unlink()
    for process in processes:
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
