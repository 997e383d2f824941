"""Run the benchmarks, write `benchmarks/results/*.json`, and make the tables and plots of `docs/benchmarks.rst`.

    pip install -r benchmarks/requirements.txt
    python benchmarks/run.py

With `--only` and smaller `--sizes` it takes a minute instead of an hour. A tool that is not installed is skipped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fidelity
import hot_path
import migration
import mixed_load
import moving
import report
import startup
import writes

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=["migration", "fidelity", "startup", "hot_path", "writes", "mixed_load", "moving"]
    )
    parser.add_argument("--sizes", type=_numbers, default=[10_000, 100_000, 1_000_000], help="sessions of `migration`")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each tool, after one to warm up")
    parser.add_argument("--sessions", type=int, default=100_000, help="sessions of the other benchmarks")
    parser.add_argument("--seconds", type=float, default=60, help="how long `mixed_load` takes")
    parser.add_argument("--folder", type=Path, help="folder of the generated files (default: the temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        jobs: dict[str, Callable[[], Any]] = {
            "migration": lambda: migration.run(options.sizes, options.rounds, folder, _read("migration")),
            "fidelity": lambda: fidelity.run(folder),
            "startup": lambda: startup.run(options.sessions, options.rounds, folder),
            "hot_path": lambda: hot_path.run(options.sessions, 10 * options.rounds, folder),
            "writes": lambda: writes.run(options.sessions, 5 * options.rounds, folder),
            "mixed_load": lambda: mixed_load.run(options.sessions, options.seconds, folder),
            "moving": lambda: moving.run(2 * options.sessions, options.rounds, folder),
        }
        for job in options.only or jobs:
            print(job, file=sys.stderr)
            _write(job, jobs[job]())
    report.write(RESULTS)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _read(name: str) -> dict[str, Any]:
    """Return the result of an earlier run, or an empty one."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def _write(name: str, result: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
