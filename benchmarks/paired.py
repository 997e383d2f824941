"""The calls of every request, compared with plain `sqlite3` and with another version of this library.

    python benchmarks/paired.py [--before FOLDER] [--sessions 20000] [--rounds 200]

`FOLDER` has the source of the other version (`git worktree add FOLDER REVISION`). Each contender has its own process
and copy of the file. They take turns by blocks of calls, and each measures the processor time of its block, so that
other programs on the machine matter little. Prints one line per comparison: the median of the ratios, block by block,
and the medians in microseconds per call.

`authorize` is compared with `Plain` of `hot_path.py`: one prepared statement, PyJWT, the hash, the times, the kill
switch, the link and the status. It does not read the keys and does not check that the path leads to the same file.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hot_path import Plain
from issued_sessions import Issued, make_issued_file

from waiaas.services import SessionService, SessionWalletService

ROOT = Path(__file__).resolve().parent.parent
_PER_BLOCK = 50


class _Contender:
    """A process that runs blocks of calls and measures them."""

    def __init__(self, name: str, file: Path, tree: Path) -> None:
        copy = file.with_name(f"{name}.db")
        shutil.copy(file, copy)
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--work", name, str(copy)],
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measure(self, operation: str, seed: int) -> float:
        """Return the processor seconds of a block of calls; the seed selects the sessions."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([operation, seed]), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate()


def _compare(operation: str, ours: _Contender, other: _Contender, rounds: int) -> str:
    pairs = []
    for number in range(rounds + 1):
        if number % 2:
            pair = ours.measure(operation, number), other.measure(operation, number)
        else:
            pair = tuple(reversed((other.measure(operation, number), ours.measure(operation, number))))
        pairs.append(pair)
    pairs = pairs[1:]  # the first round warms up
    ratio = statistics.median(one / two for one, two in pairs)
    one, two = (1e6 * statistics.median(series) / _PER_BLOCK for series in zip(*pairs, strict=True))
    return f"{operation}: {ratio:.3f} ({one:.1f} and {two:.1f} microseconds)"


def _calls(name: str, file: Path) -> dict[str, Callable[[Issued], Any]]:
    if name == "sqlite3":
        plain = Plain(file)
        return {"authorize": lambda each: plain.authorize(each.token)}
    import waiaas

    if Path(waiaas.__file__).parents[1] != Path(os.environ["PYTHONPATH"]):
        raise SystemExit(f"{waiaas.__file__} is not the version to measure")
    database = waiaas.connect(file).peewee
    sessions, links = SessionService(database), SessionWalletService(database)
    return {
        "authorize": lambda each: sessions.authorize(each.token),
        "authenticate": lambda each: sessions.authenticate(each.token),
        "resolve": lambda each: links.resolve(each.session),
        "resolve a named wallet": lambda each: links.resolve(each.session, each.other),
    }


def _work(name: str, file: Path) -> None:
    """Run blocks as the parent requests them, until it closes the pipe."""
    issued = [Issued(*each) for each in json.loads(file.with_name("issued.json").read_text("utf-8"))]
    calls = _calls(name, file)
    for line in sys.stdin:
        operation, seed = json.loads(line)
        some, call = random.Random(seed).choices(issued, k=_PER_BLOCK), calls[operation]
        started = time.thread_time()
        for each in some:
            call(each)
        print(time.thread_time() - started, flush=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "issued.db"
        issued = make_issued_file(file, options.sessions)
        file.with_name("issued.json").write_text(json.dumps(issued), "utf-8")
        contenders = {"waiaas": ROOT, "sqlite3": ROOT, **({"before": options.before} if options.before else {})}
        running = {name: _Contender(name, file, tree.resolve()) for name, tree in contenders.items()}
        try:
            print("with sqlite3,", _compare("authorize", running["waiaas"], running["sqlite3"], options.rounds))
            for operation in ("authenticate", "resolve", "resolve a named wallet") if options.before else ():
                print("with before,", _compare(operation, running["waiaas"], running["before"], options.rounds))
        finally:
            for contender in running.values():
                contender.end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        _work(sys.argv[2], Path(sys.argv[3]))
    else:
        _main()
