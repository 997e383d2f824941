"""The cost of the calls of every request: `authorize`, `authenticate`, `resolve`, and loading a request.

    python benchmarks/run.py --only hot_path

In one process, on copies of one file: see `request_sides.py`. The sides take turns by blocks of calls on the same
sessions. Each measures the processor time of its block, because nothing here waits, and the result is the median of
the ratios, block by block.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from issued_sessions import Issued, make_issued_file
from measure import in_a_process, is_installed, machine, remove
from request_sides import SIDES, Side

from waiaas.schemas import CreateSessionRequestSchema

OPERATIONS: dict[str, Callable[[Side, Issued], Any]] = {
    "authorize": lambda side, each: side.authorize(each.token),
    "authenticate": lambda side, each: side.authenticate(each.token),
    "resolve": lambda side, each: side.resolve(each.session, None),
    "resolve a named wallet": lambda side, each: side.resolve(each.session, each.other),
}
_PER_BLOCK = 200
# Rows without a table: the one from which statements join, and the connection's temporary objects.
_NO_TABLE = re.compile(r"SCAN (CONSTANT ROW|o|temp\.sqlite_master)")


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure in a separate process; see `_measure`."""
    return {"machine": machine(), "sessions": sessions, **in_a_process(__file__, sessions, rounds, folder)}


def _measure(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    file = folder / "hot.db"
    issued = make_issued_file(file, sessions)
    sides = {name: make(_copy(file, name)) for name, make in SIDES.items() if is_installed(name)}
    dice = random.Random(3)
    results = {name: _blocks(call, sides, issued, rounds, dice) for name, call in OPERATIONS.items()}
    found = {"operations": results, "load": _loads(rounds, issued), "scans": _scans(sides["waiaas"], issued)}
    for name in ("hot", *(f"hot-{name}" for name in SIDES)):
        remove(folder / f"{name}.db")
    return found


def _copy(file: Path, name: str) -> Path:
    return Path(shutil.copy(file, file.with_name(f"hot-{name}.db")))


def _blocks(
    call: Callable[[Side, Issued], Any], sides: dict[str, Side], issued: list[Issued], rounds: int, dice: random.Random
) -> dict[str, Any]:
    """Let the sides take turns on the same sessions, starting with another one each time; compare their results."""
    names = list(sides)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        some = dice.choices(issued, k=min(_PER_BLOCK, len(issued)))
        results: dict[str, list[Any]] = {}
        for name in names[number % len(names) :] + names[: number % len(names)]:
            side, started = sides[name], time.thread_time()
            results[name] = [call(side, each) for each in some]
            if number:  # the first round warms up
                times[name].append((time.thread_time() - started) / len(some))
        if any(result != results["sqlite3"] for result in results.values()):
            raise SystemExit("two sides have different results")
    return _compared(times)


def _compared(times: dict[str, list[float]]) -> dict[str, Any]:
    base = next(iter(times.values()))
    return {
        name: {
            "microseconds": 1e6 * statistics.median(series),
            "ratio": statistics.median(one / least for one, least in zip(series, base, strict=True)),
        }
        for name, series in times.items()
    }


def _loads(rounds: int, issued: list[Issued]) -> dict[str, Any]:
    """Load the request that creates a session, compared with a plain marshmallow schema of the same fields."""
    from marshmallow import Schema, fields, validate

    class Bare(Schema):
        wallet_id = fields.UUID(data_key="walletId")
        wallet_ids = fields.List(fields.UUID(), data_key="walletIds", validate=validate.Length(min=1))
        default_wallet_id = fields.UUID(data_key="defaultWalletId")
        ttl = fields.Integer(strict=True, load_default=None, validate=validate.Range(300, 604_800))
        constraints = fields.Dict(load_default=None, allow_none=True)

    requests = [
        {"walletIds": [each.default, each.other], "defaultWalletId": each.other, "ttl": 3600, "constraints": {"a": 1}}
        for each in issued[:_PER_BLOCK]
    ]
    schemas: dict[str, Schema] = {"marshmallow": Bare(), "waiaas": CreateSessionRequestSchema()}
    times: dict[str, list[float]] = {name: [] for name in schemas}
    for number in range(rounds + 1):
        for name in sorted(schemas, reverse=bool(number % 2)):
            started = time.thread_time()
            for request in requests:
                schemas[name].load(request)
            if number:
                times[name].append((time.thread_time() - started) / len(requests))
    return _compared(times)


def _scans(ours: Any, issued: Sequence[Issued]) -> list[str]:
    """Return the steps of this library's statements that scan a table; there should be none."""
    statements: list[str] = []
    connection: sqlite3.Connection = ours.database.latest()
    connection.set_trace_callback(statements.append)
    for call in OPERATIONS.values():
        call(ours, issued[0])
    connection.set_trace_callback(None)
    return [
        f"{step}: {statement}"
        for statement in statements
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
        if step.startswith("SCAN") and not _NO_TABLE.fullmatch(step)
    ]


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
