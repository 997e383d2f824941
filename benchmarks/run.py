"""Run all benchmarks, and write their results, tables and plots.

    pip install -e . -r benchmarks/requirements.txt
    python benchmarks/run.py

It takes about fifteen minutes on two processors. Let nothing else run meanwhile. Results are in `benchmarks/results`;
the tables and plots in `docs/benchmarks` are part of `docs/benchmarks.rst`. After each benchmark it prints every
figure, its target, and its ratio to the last recorded run: a ratio above 1 means slower. `--only` names the benchmarks
to run. A tool that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django_sessions
import failover
import fidelity
import figures
import hot_path
import http_load
import in_apps
import migration
import mixed_load
import moving
import postgresql
import prune
import report
import startup
import upgrade_from_1
import writes
from measure import describe, machine, tree_of

ROOT = Path(__file__).resolve().parent.parent
_SIZES = [100, 10_000, 100_000, 200_000]
#: Each benchmark, from the options, the folder of its files, and the tree of version 0.1.0 (None without git).
BENCHMARKS: dict[str, Callable[[argparse.Namespace, Path, Path | None], dict[str, Any]]] = {
    "migration": lambda o, folder, _: migration.run(o.sizes, o.rounds, folder),
    "upgrade_from_1": lambda o, folder, before: upgrade_from_1.run(o.sessions, o.rounds, folder, before),
    "fidelity": lambda o, folder, _: fidelity.run(folder, o.limit),
    "startup": lambda o, folder, _: startup.run(o.sessions, o.rounds, folder),
    "hot_path": lambda o, folder, _: hot_path.run(o.sessions, 10 * o.rounds, folder),
    "django_sessions": lambda o, folder, _: django_sessions.run(o.sessions // 5, 5 * o.rounds, folder),
    "writes": lambda o, folder, _: writes.run(o.sessions, 5 * o.rounds, folder),
    "mixed_load": lambda o, folder, before: mixed_load.compare(o.sessions, o.seconds, folder, before),
    "prune": lambda o, folder, _: prune.run(o.sessions, o.seconds, folder),
    "http_load": lambda o, folder, _: http_load.run(o.clients, o.seconds, folder),
    "in_apps": lambda o, folder, _: in_apps.run(o.sessions // 5, 10 * o.rounds, folder),
    "postgresql": lambda o, folder, _: postgresql.run(o.sessions, o.rounds, o.seconds / 10, folder),
    "failover": lambda o, folder, _: failover.run(o.rounds),
    "moving": lambda o, folder, _: moving.run(2 * o.sessions, (o.rounds + 1) // 2, folder),
}


def main() -> None:
    options = _options()
    results, page = options.output / "benchmarks" / "results", options.output / "docs" / "benchmarks"
    last = figures.read(results)
    print(describe(machine()))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        before = tree_of(figures.BEFORE, Path(name))
        for benchmark in options.only or BENCHMARKS:
            print(f"\n{benchmark}", flush=True)
            folder = Path(name) / benchmark
            folder.mkdir()
            _write(results / f"{benchmark}.json", BENCHMARKS[benchmark](options, folder, before))
            print(figures.compare(figures.read(results), last, benchmark), flush=True)
    report.write(results, page)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--sizes", type=_numbers, default=_SIZES, help="sessions of migration")
    parser.add_argument("--sessions", type=int, default=100_000, help="sessions of the others (moving: twice as many)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side, after one to warm up")
    parser.add_argument("--seconds", type=float, default=15, help="how long a load lasts")
    parser.add_argument("--clients", type=int, default=200, help="clients of http_load")
    parser.add_argument("--limit", type=int, help="only so many cases and kills of fidelity")
    parser.add_argument("--folder", type=Path, help="folder of the generated files (default: the temporary folder)")
    parser.add_argument("--output", type=Path, default=ROOT, help="folder of the results (default: the repository)")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _write(file: Path, result: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{json.dumps(result, indent=1, ensure_ascii=False)}\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
