"""Several workers of a service that start at once on an old file: `python benchmarks/starts.py [--help]`.

Each worker is a process that calls `waiaas.connect` and then reads. One of them upgrades, the others wait. Prints the
starts that failed, the backups of each start, and how long the last worker waited. It takes some minutes, and 3 GB of
disk.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from session_files import make_file

import waiaas


def work(path: Path, start: Any, results: Any) -> None:
    """Open the file together with the other workers, and send what happened."""
    start.wait()
    started = time.perf_counter()
    try:
        with waiaas.connect(path) as database:
            found = "upgraded" if database.upgrade_report else "waited"
            database.sessions.list(limit=1)
    except BaseException as error:
        found = f"failed: {error!r}"
    results.put((found, time.perf_counter() - started))


def start_workers(path: Path, workers: int) -> dict[str, Any]:
    """Start workers on a file, and return what each did, and how many backups there are then."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(workers), context.Queue()
    processes = [context.Process(target=work, args=(path, start, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    return {
        "workers": Counter(name for name, _ in found),
        "backups": len(waiaas.backups(path)),
        "seconds": max(seconds for _, seconds in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=400_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--starts", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_file(folder / "old.db", options.sessions)
        starts = []
        for _ in range(options.starts):
            shutil.copy(folder / "old.db", folder / "wallets.db")
            starts.append(start_workers(folder / "wallets.db", options.workers))
            for file in folder.glob("wallets.db*"):
                file.unlink()
    outcomes = sum((each["workers"] for each in starts), Counter[str]())
    failed = {name: count for name, count in outcomes.items() if name.startswith("failed")}
    answer = {
        "starts": len(starts),
        "workers": dict(outcomes),
        "failed": sum(failed.values()),
        "backups_per_start": sorted({each["backups"] for each in starts}),
        "longest_seconds": round(max(each["seconds"] for each in starts), 1),
    }
    print(json.dumps(answer))
    if failed or answer["backups_per_start"] != [1]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
