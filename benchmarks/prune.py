"""How long writers wait while `prune` removes ended sessions.

    python benchmarks/run.py --only prune

Each writer is a process that creates sessions as fast as it can, first alone, then while one more process prunes.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

from measure import machine

import waiaas
from waiaas.models import Session, SessionWallet

WRITERS = 4


def run(sessions: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Let the writers work alone for this number of seconds, and then while so many sessions are pruned."""
    path = folder / "wallets.db"
    wallet = make_file(path, sessions)
    alone, pruning = (measure(path, wallet, WRITERS, seconds) for seconds in (seconds, None))
    return {"machine": machine(), "sessions": sessions, "writers": WRITERS, "alone": alone, "pruning": pruning}


def make_file(path: Path, ended: int) -> str:
    """Make a file with sessions of one wallet that ended long ago, and return the id of a wallet for the writers."""
    with waiaas.connect(path) as database, database.models():
        wallet, other = (
            database.wallets.create(name=key, chain="solana", environment="mainnet", public_key=key, actor="admin")
            for key in ("ended", "alive")
        )
        for start in range(0, ended, 1000):
            rows = [_row(number) for number in range(start, min(start + 1000, ended))]
            links = [{"session": row["id"], "wallet": wallet.id, "is_default": True, "created_at": 1} for row in rows]
            with database.transaction():
                Session.insert_many(rows).execute()
                SessionWallet.insert_many(links).execute()
        return other.id


def _row(number: int) -> dict[str, Any]:
    times = {"expires_at": 2, "absolute_expires_at": 2, "created_at": 1}
    return {"id": f"00000000-0000-7000-8000-{number:012x}", "token_hash": f"hash {number}", **times}


def write(path: Path, wallet: str, start: Any, is_over: Any, waits: Any) -> None:
    """Create and revoke sessions until it is over, and send how long each change took."""
    settings = waiaas.SessionSettings(sessions_per_wallet=2**31 - 1)
    taken = []
    with waiaas.connect(path, settings=settings, busy_timeout=60) as database:
        start.wait()
        while not is_over.is_set():
            started = time.perf_counter()
            session = database.sessions.create(wallet_ids=[wallet], actor="writer")
            taken.append(time.perf_counter() - started)
            started = time.perf_counter()
            database.sessions.revoke(session.id, actor="writer")
            taken.append(time.perf_counter() - started)
    waits.put(taken)


def measure(path: Path, wallet: str, writers: int, alone: float | None) -> dict[str, Any]:
    """Let writers work alone for some seconds, or while the file is pruned."""
    context = multiprocessing.get_context("spawn")
    start, is_over, waits = context.Barrier(writers + 1), context.Event(), context.Queue()
    processes = [context.Process(target=write, args=(path, wallet, start, is_over, waits)) for _ in range(writers)]
    for process in processes:
        process.start()
    start.wait()
    started, removed = time.perf_counter(), 0
    if alone is None:
        with waiaas.connect(path, busy_timeout=60) as database:
            removed = database.prune(session_days=30, actor="admin").sessions
    else:
        time.sleep(alone)
    seconds = time.perf_counter() - started
    is_over.set()
    taken = sorted(wait for _ in processes for wait in waits.get())
    for process in processes:
        process.join()
    return {
        "removed": removed,
        "seconds": round(seconds, 2),
        "changes": len(taken),
        "median_ms": round(1000 * taken[len(taken) // 2], 2),
        "p99_ms": round(1000 * taken[len(taken) * 99 // 100], 1),
        "longest_ms": round(1000 * taken[-1], 1),
    }
