"""The cost of importing the library, opening a file, and making a backup, compared with the minimum of each.

    python benchmarks/run.py --only startup

`python benchmarks/startup.py connect FILE` measures the opening of one file in one process and prints JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from measure import fetch_memory, in_a_process, machine, remove, warm
from session_files import connect, make_file

LEAST_IMPORT, OUR_IMPORT = "import peewee, marshmallow", "import waiaas"
_OPENINGS = 300


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    file = folder / "startup.db"
    make_file(file, sessions)
    backup = _backups(file, rounds)
    upgraded = folder / "startup-19.db"
    shutil.copy(file, upgraded)
    _upgrade(upgraded)
    found = {
        "machine": machine(),
        "sessions": sessions,
        "megabytes": file.stat().st_size / 1e6,
        "import": _imports(3 * rounds),
        "connect": in_a_process(__file__, "connect", upgraded),
        "backup": backup,
    }
    remove(file)
    remove(upgraded)
    return found


def compared(least: list[float], ours: list[float]) -> dict[str, float]:
    """Return the medians of two series that took turns, and of their ratios pair by pair."""
    return {
        "least": statistics.median(least),
        "ours": statistics.median(ours),
        "ratio": statistics.median(our / little for our, little in zip(ours, least, strict=True)),
    }


def timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def _imports(rounds: int) -> dict[str, float]:
    """Measure whole processes, with compiled modules as in an installed package."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def start(code: str) -> float:
        return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True, env=environment))

    start(OUR_IMPORT)
    pairs = [(start(LEAST_IMPORT), start(OUR_IMPORT)) for _ in range(rounds)]
    return compared(*map(list, zip(*pairs, strict=True)))


def _upgrade(file: Path, *, backup: bool = False) -> None:
    """Upgrade a file in its journal mode, which is kept, and close it."""
    import waiaas

    waiaas.upgrade(file, backup=backup)


def _connects(file: Path) -> dict[str, float]:
    """Measure opening a file of the latest version, reading its schema, and closing it."""
    import waiaas

    def least() -> None:
        database = connect(file)
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        database.close()

    def ours() -> None:
        waiaas.connect(file).peewee.close()

    for job in (least, ours):
        job()
    pairs = [(timed(least), timed(ours)) for _ in range(_OPENINGS)]
    return compared(*map(list, zip(*pairs, strict=True)))


def _backups(file: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Measure what a backup adds to an upgrade, by journal mode, compared with copying and syncing the file."""
    copy, changed = file.with_name("startup.copy"), file.with_name("startup-changed.db")

    def copying() -> float:
        remove(copy)
        warm(file)
        fetch_memory(file)

        def job() -> None:
            shutil.copy(file, copy)
            _flush(copy)

        return timed(job)

    def upgrading(journal_mode: str, *, backup: bool) -> float:
        remove(changed)
        shutil.copy(file, changed)
        with closing(connect(changed)) as database:
            database.execute(f"PRAGMA journal_mode = {journal_mode}")
        warm(changed)
        fetch_memory(file)
        return timed(lambda: _upgrade(changed, backup=backup))

    found = {}
    for journal_mode in ("wal", "delete"):
        pairs = []
        for number in range(rounds + 1):
            least = copying()
            with_backup = upgrading(journal_mode, backup=True)
            added = with_backup - upgrading(journal_mode, backup=False)
            # The first round warms up.
            if number:
                pairs.append((least, added))
        found[journal_mode] = compared(*map(list, zip(*pairs, strict=True)))
    for path in (copy, changed):
        remove(path)
    return found


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    print(json.dumps(_connects(Path(sys.argv[2]))))
