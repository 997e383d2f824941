"""With mutated files, success loses nothing, a refusal changes nothing, and every command ends."""

from __future__ import annotations

import itertools
import json
import os
import select
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.mutated_files import KINDS, VERSIONS
from support.python_processes import start_python

pytestmark = pytest.mark.slow

Case = tuple[int, str, int]
SECONDS = 20
MEGABYTES = 1000
# Of each version and kind: 5,040 files in all.
SEEDS = int(os.environ.get("WAIAAS_MUTATIONS", "210"))


class Worker:
    """A process that tries one file after another, and is killed if it takes too long."""

    def __init__(self) -> None:
        self._process = start_python("-m", "support.mutated_files")

    def try_file(self, case: Case) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(case)}\n")
        self._process.stdin.flush()
        # The limit for four commands; a machine under load gets twice as long.
        ready, _, _ = select.select([self._process.stdout], [], [], 8 * SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            self.__init__()  # type: ignore[misc]
            return {"wrong": ["the process hung or ended"], "seconds": 8 * SECONDS, "memory": 0, "outcomes": {}}
        seen: dict[str, Any] = json.loads(line)
        return seen

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def tried(cases: Iterable[Case], processes: int) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Return each case with its results."""
    workers = [Worker() for _ in range(processes)]
    every = list(cases)

    def share(number: int) -> list[tuple[Case, dict[str, Any]]]:
        return [(case, workers[number].try_file(case)) for case in every[number::processes]]

    try:
        with ThreadPoolExecutor(processes) as threads:
            for results in threads.map(share, range(processes)):
                yield from results
    finally:
        for worker in workers:
            worker.close()


def failures_in(results: Iterable[tuple[Case, dict[str, Any]]]) -> tuple[list[str], dict[str, Any]]:
    """Return the failures with their cases, the counts of outcomes, the longest time and the most memory."""
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    longest, memory, count = 0.0, 0, 0
    for case, seen in results:
        count += 1
        wrong += [f"{case}: {each}" for each in seen["wrong"]]
        outcomes.update([f"{case[1]}: {seen['outcomes'].get('upgrade', 'none')}"])
        longest, memory = max(longest, seen["seconds"]), max(memory, seen["memory"])
    return wrong, {"files": count, "seconds": longest, "megabytes": memory, "outcomes": dict(sorted(outcomes.items()))}


def test_a_few_mutated_files() -> None:
    """For fixed seeds, one file of each version and kind: no traceback, no loss, no change by a refusal."""
    pairs = enumerate(itertools.product(VERSIONS, KINDS))
    cases = [(version, kind, 1000 + number) for number, (version, kind) in pairs]
    wrong, _ = failures_in(tried(cases, 1))
    assert wrong == []


@pytest.mark.stress
def test_thousands_of_mutated_files(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for thousands of files, each command within 20 s and 1 GB."""
    wrong, figures = failures_in(tried(itertools.product(VERSIONS, KINDS, range(SEEDS)), os.cpu_count() or 1))
    with capsys.disabled():
        print(f"\nmutated files: {json.dumps(figures, indent=2)}")
        print("\n".join(wrong))
    assert wrong == []
    assert figures["seconds"] < SECONDS
    assert figures["megabytes"] < MEGABYTES
