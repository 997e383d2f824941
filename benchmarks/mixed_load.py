"""Eight threads on one file that mix the calls of requests and every change.

    python benchmarks/run.py --only mixed_load

Version 0.1.0 gets the same load. Measures the throughput, and the duration of each operation (median and 99th
percentile). A refusal that the rules require (a wallet that is already linked, a token that another thread has just
renewed) is counted separately; anything else is an error, and there must be none. At the end `waiaas.check` checks the
file.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from issued_sessions import Issued, make_issued_file
from measure import in_a_tree, machine, remove
from session_files import START

import waiaas
from waiaas.services import SessionService, SessionWalletService

THREADS = 8
_ROOT = Path(__file__).resolve().parent.parent
# Version 0.1.0 has this benchmark, too, with the same mix.
_RUN = """\
import mixed_load, pathlib
print(json.dumps(mixed_load.run(int(sys.argv[1]), float(sys.argv[2]), pathlib.Path(sys.argv[3]))))
"""
#: The share of each operation, in percent.
MIX = {
    "authenticate": 38,
    "resolve": 38,
    "create": 6,
    "link": 4,
    "unlink": 4,
    "set_default": 4,
    "renew": 4,
    "revoke": 2,
}
#: Refusals that the rules require when threads use the same sessions.
EXPECTED = {
    "authenticate": {"INVALID_TOKEN", "SESSION_REVOKED"},
    "resolve": {"WALLET_ACCESS_DENIED", "SESSION_REVOKED"},
    "create": set(),
    "link": {"WALLET_ALREADY_LINKED", "SESSION_NOT_FOUND"},
    "unlink": {
        *("WALLET_ACCESS_DENIED", "CANNOT_REMOVE_DEFAULT_WALLET", "SESSION_REQUIRES_WALLET", "SESSION_NOT_FOUND")
    },
    "set_default": {"WALLET_ACCESS_DENIED", "SESSION_NOT_FOUND"},
    "renew": {"SESSION_RENEWAL_MISMATCH", "SESSION_REVOKED", "RENEWAL_TOO_EARLY"},
    "revoke": set(),
}


class Worker(threading.Thread):
    """One thread with its own random generator that makes random calls until the end of the time."""

    def __init__(self, database: Any, issued: list[Issued], wallets: list[str], number: int, until: float) -> None:
        super().__init__()
        settings = waiaas.SessionSettings(sessions_per_wallet=1_000_000)
        self.times: dict[str, list[float]] = defaultdict(list)
        self.refusals: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._database, self._until = database, until
        self._issued, self._wallets, self._dice = issued, wallets, random.Random(number)
        self._sessions = SessionService(database, settings=settings)
        self._links = SessionWalletService(database, settings=settings)

    def run(self) -> None:
        operations, weights = list(MIX), list(MIX.values())
        while time.perf_counter() < self._until:
            for operation in self._dice.choices(operations, weights, k=100):
                self._call(operation, self._job(operation))
        self._database.close()

    def _call(self, operation: str, job: Callable[[], object]) -> None:
        started = time.perf_counter()
        try:
            job()
        except waiaas.WAIaaSError as error:
            known = error.code in EXPECTED[operation]
            (self.refusals if known else self.errors)[f"{operation}: {error.code} {error.reason or ''}".strip()] += 1
        except Exception as error:
            self.errors[f"{operation}: {type(error).__name__}: {error}"] += 1
        self.times[operation].append(time.perf_counter() - started)

    def _job(self, operation: str) -> Callable[[], object]:
        some, wallet = self._dice.choice(self._issued), self._dice.choice(self._wallets)
        request: Any = {
            "wallet_ids": [some.default, wallet] if wallet != some.default else [wallet],
            "default_wallet_id": some.default,
            "ttl": 3600,
            "constraints": None,
        }
        jobs: dict[str, Callable[[], object]] = {
            "authenticate": lambda: self._sessions.authenticate(some.token),
            "resolve": lambda: self._links.resolve(some.session),
            "create": lambda: self._sessions.create(**request, actor="admin"),
            "link": lambda: self._links.link(some.session, wallet, actor="admin"),
            "unlink": lambda: self._links.unlink(some.session, some.other, actor="admin"),
            "set_default": lambda: self._links.set_default(some.session, some.other, actor="admin"),
            "renew": lambda: self._sessions.renew(some.token, actor="admin"),
            "revoke": lambda: self._sessions.revoke(some.session, actor="admin"),
        }
        return jobs[operation]


def compare(sessions: int, seconds: float, folder: Path, before: Path | None) -> dict[str, Any]:
    """Put the load on version 0.1.0 and on this one, each in its own process."""
    trees = {"before": before, "waiaas": _ROOT} if before else {"waiaas": _ROOT}
    sides = {name: in_a_tree(tree, _RUN, sessions, seconds, folder) for name, tree in trees.items()}
    result = {"machine": machine(), "sides": sides}
    if before:
        ours, theirs = (_seconds_per_call(sides[name]) for name in ("waiaas", "before"))
        result["ratio"] = ours / theirs
    return result


def _seconds_per_call(side: dict[str, Any]) -> float:
    return float(side["seconds"] / sum(each["calls"] for each in side["operations"].values()))


def run(sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Run the threads on one file for this number of seconds."""
    file = folder / "mixed.db"
    # The tokens have just passed half of their lifetime, so that each may be renewed once.
    issued = make_issued_file(file, sessions, expires_at=START + 2 * (int(time.time()) - START) - 60)
    wallets = sorted({each.default for each in issued})
    database = waiaas.connect(file).peewee
    started = time.perf_counter()
    workers = [Worker(database, issued, wallets, number, started + seconds) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - started
    report = waiaas.check(database)
    database.close_all()
    found = {
        "machine": machine(),
        "sessions": sessions,
        "threads": THREADS,
        "seconds": took,
        "operations": _by_operation(workers),
        "refusals": dict(sum((worker.refusals for worker in workers), Counter())),
        "errors": dict(sum((worker.errors for worker in workers), Counter())),
        "check": [str(finding) for finding in report.findings],
        "sessions_without_one_default": _without_one_default(file),
    }
    remove(file)
    return found


def _by_operation(workers: list[Worker]) -> dict[str, dict[str, float]]:
    found = {}
    for operation in MIX:
        times = sorted(seconds for worker in workers for seconds in worker.times[operation])
        found[operation] = {
            "calls": len(times),
            "p50": statistics.median(times),
            "p99": times[int(0.99 * (len(times) - 1))],
            "longest": times[-1],
        }
    return found


def _without_one_default(file: Path) -> int:
    """Count the active sessions that do not have exactly one default wallet, with plain SQL."""
    with closing(sqlite3.connect(file)) as database:
        (count,) = database.execute(
            "SELECT count(*) FROM sessions WHERE revoked_at IS NULL AND 1 <>"
            " (SELECT count(*) FROM session_wallets AS l WHERE l.session_id = sessions.id AND l.is_default = 1)"
        ).fetchone()
        return int(count)
