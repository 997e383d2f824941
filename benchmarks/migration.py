"""The version-19 change by each tool, on the same generated files, each run in a separate process, in turn.

    python benchmarks/run.py --only migration --sizes 100,10000,100000,1000000

`python benchmarks/migration.py TOOL FILE` is one run: it changes the file, and prints seconds and memory as JSON.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from measure import in_a_process, is_installed, machine, remove, warm, work
from migration_tools import TOOLS
from migration_verifier import faults
from session_files import TRANSACTIONS_A_SESSION, make_file

BASE = "plain-whole"
# A file of this size needs no warm-up, and variants that differ in one setting are not run on it.
_MANY_SESSIONS = 200_000
_FEW_SESSIONS = 1000
_NOT_ON_MANY = {"plain-unchecked", "playhouse-context", "alembic-keys"}


def run(sizes: list[int], rounds: int, folder: Path) -> dict[str, Any]:
    """Measure every tool at every size, and verify the file of each first run."""
    found = [_measure(size, rounds, folder) for size in sorted(sizes)]
    return {"machine": machine(), "transactions_a_session": TRANSACTIONS_A_SESSION, "sizes": found}


def _measure(size: int, rounds: int, folder: Path) -> dict[str, Any]:
    file = folder / f"v18-{size}.db"
    make_file(file, size)
    # Short runs differ more from each other, so there are more of them.
    times = 1 if size >= _MANY_SESSIONS or rounds == 1 else rounds if size > _FEW_SESSIONS else 3 * rounds
    tools = _rounds(file, times)
    found = {"sessions": size, "megabytes": file.stat().st_size / 1e6, "rounds": times, "tools": tools}
    file.unlink()
    ours, playhouse = tools["waiaas"], tools["playhouse"]
    return {**found, "ratio": ours["ratio"], "more": ours["seconds"] - playhouse["seconds"]}


def _rounds(file: Path, rounds: int) -> dict[str, Any]:
    copy = file.with_name("copy.db")
    tools = [name for name, tool in TOOLS.items() if is_installed(tool.needs)]
    if rounds == 1:
        tools = [name for name in tools if name not in _NOT_ON_MANY]
    runs: dict[str, list[dict[str, Any]]] = {tool: [] for tool in tools}
    wrong: dict[str, list[str]] = {}
    for number in range(rounds + 1 if rounds > 1 else 1):
        for tool in _in_turn(tools, number):
            remove(copy)
            shutil.copy(file, copy)
            warm(copy)
            measured = in_a_process(__file__, tool, copy)
            if number == 0:
                wrong[tool] = faults(file, copy)
            # With several rounds, the first one warms up.
            if number or rounds == 1:
                runs[tool].append(measured)
            print(f"  {file.stem} {number} {tool:18} {measured['seconds']:8.3f} s", file=sys.stderr)
    remove(copy)
    return {tool: _summary(runs[tool], runs[BASE], wrong[tool]) for tool in tools}


def _in_turn(tools: list[str], number: int) -> list[str]:
    """Return the tools in turn, starting with another one each round."""
    start = number % len(tools)
    return tools[start:] + tools[:start]


def _summary(runs: list[dict[str, Any]], base: list[dict[str, Any]], wrong: list[str]) -> dict[str, Any]:
    seconds = [run["seconds"] for run in runs]
    return {
        "seconds": statistics.median(seconds),
        "processor": statistics.median(run["processor"] for run in runs),
        "fastest": min(seconds),
        "slowest": max(seconds),
        "ratio": _ratio(runs, base, "seconds"),
        "processor_ratio": _ratio(runs, base, "processor"),
        "anonymous": max(run["anonymous"] for run in runs),
        "resident": max(run["resident"] for run in runs),
        "faults": wrong,
    }


def _ratio(runs: list[dict[str, Any]], base: list[dict[str, Any]], what: str) -> float:
    return statistics.median(run[what] / plain[what] for run, plain in zip(runs, base, strict=True))


if __name__ == "__main__":
    print(json.dumps(work(TOOLS[sys.argv[1]].make(Path(sys.argv[2])))))
