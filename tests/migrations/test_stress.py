"""Long runs of what the other tests show once; left out unless asked for: `tox -e stress`."""

from __future__ import annotations

import collections
import contextlib
import itertools
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killing import Trial
from old_files import make_file, query

pytestmark = pytest.mark.stress

KILLS = 130  # in flight, of each version in each journal mode: 520 in all
UPGRADE = """
import sys, waiaas
from waiaas.database import open_to_change
with open_to_change(sys.argv[1]) as database:
    print("ready", flush=True)
    waiaas.upgrade(database, clock=lambda: 1_800_000_000, progress=lambda p: print(p.version, p.phase, flush=True))
    print("done", flush=True)
"""
CONNECT = """
import sys, waiaas
sys.stdin.readline()
database = waiaas.connect(sys.argv[1])
assert waiaas.compatibility(database).action == "ok"
waiaas.close(database)
"""


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", UPGRADE, str(path)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )


def moments(path: Path) -> list[tuple[str, float]]:
    """What an upgrade prints, from `ready` on, and for how many seconds each line is the last one."""
    lines = []
    with start(path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append((line.rstrip("\n"), time.monotonic()))
    return [(line, after - moment) for (line, moment), (_, after) in itertools.pairwise(lines)]


def kill_after(path: Path, lines: int, seconds: float) -> str | None:
    """Kill an upgrade so long after it printed so many lines; the last line printed, None if it was done already."""
    with start(path) as process:
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        rest = process.stdout.read().splitlines()
    if process.returncode == 0 or "done" in rest:
        return None
    return rest[-1] if rest else ""


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
@pytest.mark.parametrize("version", [1, 18])
def test_kill_9_at_random_moments(tmp_path: Path, version: int, wal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A process killed at any moment leaves the file wholly at its version or wholly at 19, and nothing is lost.

    Only kills before the upgrade was done count; they take turns in its phases, each at a random moment of it.
    """
    trial = Trial(make_file(tmp_path / "original.db", version, rows=1500, wal=wal))
    phases = moments(trial.begin())
    dice = random.Random(f"{version} {wal}")
    turns = [
        turn for _ in range(2 * KILLS // len(phases) + 1) for turn in dice.sample(range(len(phases)), len(phases))
    ]
    killed, versions = collections.Counter[str](), collections.Counter[int]()
    for turn in turns:
        last = kill_after(trial.begin(), turn + 1, dice.uniform(0, phases[turn][1]))
        found = trial.version_afterwards()
        if last is not None:
            killed[last or phases[turn][0]] += 1
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
    assert len(killed) > len({phase for phase, _ in phases}) * 3 // 4


@pytest.mark.parametrize("version", [1, 18])
def test_eight_processes_open_one_old_file(tmp_path: Path, version: int) -> None:
    """Of eight processes that connect at once one upgrades, the others wait and go on, and none fails: 200 rounds."""
    original = make_file(tmp_path / "original.db", version, rows=30, wal=False)
    path = tmp_path / "shared.db"
    for number in range(100):
        shutil.copy(original, path)
        processes = [
            subprocess.Popen([sys.executable, "-c", CONNECT, str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            for _ in range(8)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        errors = [process.communicate()[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, (number, errors)
        assert query(path, "SELECT count(*), max(version) FROM schema_version") == [(19, 19)]
        assert len(list(tmp_path.glob("shared.db.v*.backup"))) == 1
        for left in tmp_path.glob("shared.db*"):
            left.unlink()
