"""What happens to callers and to acknowledged changes when a PostgreSQL server is lost.

    python benchmarks/run.py --only failover

Callers create and revoke sessions all the time. A server crashes and restarts; or a primary loses its power or its
network, and its synchronous standby is promoted. A thread that opens a new connection for each call, next to them,
shows when the server is there again. Afterwards every acknowledged change is looked for.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from measure import machine

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

_CALLERS, _FAILOVERS_PER_ROUND = 8, 7


def run(rounds: int) -> dict[str, Any]:
    """Lose servers, and return counts, and the longest seconds from a new connection's success to a caller's."""
    restarts = _restart(rounds)
    counts, failovers = _fail_over(_FAILOVERS_PER_ROUND * rounds)
    return {
        "machine": machine(),
        "callers": _CALLERS,
        "restarts": len(restarts),
        "restart_seconds": max(restarts),
        "failovers": len(failovers),
        "failover_seconds": max(failovers),
        "counts": counts,
    }


def _restart(rounds: int) -> list[float]:
    from support.failover import new_server, restart_delay

    server = new_server(fsync="on")
    try:
        return [restart_delay(server, number) for number in range(rounds)]
    finally:
        server.remove()


def _fail_over(runs: int) -> tuple[dict[str, int], list[float]]:
    from support.failover import Cluster, run_failover

    total: Counter[str] = Counter()
    delays = []
    cluster = Cluster(fsync="on")
    try:
        for number in range(runs):
            counts = run_failover(cluster, _CALLERS, number, by_network=bool(number % 2))
            cluster.renew()
            delays.append(counts.pop("late_ms") / 1000)
            total.update(counts)
    finally:
        cluster.remove()
    return dict(total), delays
