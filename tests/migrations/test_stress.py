"""Long runs of what the other tests show once; left out unless asked for: `tox -e stress`."""

from __future__ import annotations

import collections
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from old_files import dump, make_file, query

import waiaas
from waiaas.database import open_to_change

pytestmark = pytest.mark.stress

KILLS = 260  # of each version: 520 in all
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
    process = subprocess.Popen(
        [sys.executable, "-c", UPGRADE, str(path)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finished(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def upgraded(path: Path) -> dict[str, list[Any]]:
    with open_to_change(path) as database:
        waiaas.upgrade(database, backup=False, clock=lambda: 1_800_000_000)
        assert waiaas.check(database).findings == []
    return dump(path)


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
@pytest.mark.parametrize("version", [1, 18])
def test_kill_9_at_random_moments(tmp_path: Path, version: int, wal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """A process killed at any moment leaves the file wholly at its version or wholly at 19, and nothing is lost."""
    original = make_file(tmp_path / "original.db", version, rows=1500, wal=wal)
    before = dump(original)
    after = upgraded(Path(shutil.copy(original, tmp_path / "reference.db")))
    dice = random.Random(f"{version} {wal}")
    path = tmp_path / "killed.db"
    longest, phases, versions = 0.3, collections.Counter[str](), collections.Counter[int]()
    for number in range(KILLS // 2):
        shutil.copy(original, path)
        process = start(path)
        if finished(process, dice.uniform(0, longest)):
            longest *= 0.95
        else:
            longest *= 1.02
            process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        phases[output.splitlines()[-1] if output else "before the first"] += 1
        with open_to_change(path) as database:
            found = waiaas.compatibility(database).version
        assert found in (version, 19), number
        versions[int(str(found))] += 1
        assert dump(path) == (before if found == version else after), number
        for copy in tmp_path.glob("killed.db.v*.backup"):
            assert dump(copy) == before, number
        assert upgraded(path) == after, number
        for left in [*tmp_path.glob("killed.db*"), *tmp_path.glob(".killed.db*")]:
            left.unlink()
    with capsys.disabled():
        print(f"\nfrom {version}, {'wal' if wal else 'journal'}: found at {dict(versions)}; killed in {dict(phases)}")
    assert len(phases) > 5


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
