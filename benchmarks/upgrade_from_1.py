"""The upgrade from version 1 to 19, next to that of version 0.1.0 of this library.

    python benchmarks/run.py --only upgrade_from_1

The file has three transactions for each session. Both upgrade a copy of it, without a backup, in turn, and must make
the same rows and tables. Memory is the peak of RssAnon (the mapped file does not count).

The slowest version is 13: it adds columns in the middle of `transactions`, which SQLite can only do by a table
rebuild, so all rows are copied and nine indexes are created. Versions 9 and 12 change its CHECKs: its rows are checked
and its definition is written. Version 3 renames an index in place. So no row is copied twice. Version 6 is next: it
writes the network into every transaction.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import statistics
import sys
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

from measure import in_a_tree, machine, remove, warm
from schema_facts import facts, quote
from session_files import START, add_sessions, add_transactions, filled, new_id

TRANSACTIONS_A_SESSION = 3
AGENTS = 100
_ROOT = Path(__file__).resolve().parent.parent
_UPGRADE = """\
from measure import work
# 0.1.0 upgrades an open database, and this version a path.
target = sys.argv[1] if hasattr(waiaas, "move") else waiaas.connect(sys.argv[1], upgrade=False)
reports = []
measured = work(lambda: reports.append(waiaas.upgrade(target, backup=False)))
steps = [[step.version, step.seconds, step.rows, step.description] for step in reports[0].steps]
print(json.dumps({**measured, "seconds": reports[0].seconds, "steps": steps}))
"""


def run(sessions: int, rounds: int, folder: Path, before: Path | None) -> dict[str, Any]:
    """Upgrade copies of one file in turn, and compare the results."""
    file = folder / "v1.db"
    make_file(file, sessions)
    trees = {"before": before, "waiaas": _ROOT} if before else {"waiaas": _ROOT}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for number in range(rounds):
        for name in sorted(trees, reverse=bool(number % 2)):
            copy = folder / f"{name}.db"
            remove(copy)
            shutil.copy(file, copy)
            warm(copy)
            runs[name].append(in_a_tree(trees[name], _UPGRADE, copy))
            print(f"  {name:8} {runs[name][-1]['seconds']:8.2f} s", file=sys.stderr)
    result = {
        "machine": machine(),
        "sessions": sessions,
        "megabytes": file.stat().st_size / 1e6,
        "rounds": rounds,
        "sides": {name: _summary(measured) for name, measured in runs.items()},
        "steps": runs["waiaas"][-1]["steps"],
    }
    if before:
        _refuse_different(folder / "before.db", folder / "waiaas.db")
        pairs = zip(runs["waiaas"], runs["before"], strict=True)
        result["ratio"] = statistics.median(ours["seconds"] / theirs["seconds"] for ours, theirs in pairs)
    return result


def make_file(path: Path, sessions: int) -> None:
    """Make a version-1 file."""
    dice = random.Random(1)
    agents = [new_id(number, dice) for number in range(AGENTS)]
    ids = [new_id(1000 + number, dice) for number in range(sessions)]
    with filled(path, 1) as database:
        database.execute("INSERT INTO schema_version VALUES (1, ?, '')", (START,))
        database.executemany(
            "INSERT INTO agents (id, name, chain, network, public_key, created_at, updated_at)"
            " VALUES (?, 'agent', 'solana', ?, ?, ?, ?)",
            ((agent, dice.choice(("mainnet", "devnet", "testnet")), agent, START, START) for agent in agents),
        )
        add_sessions(database, "agent_id", agents, ids, dice)
        add_transactions(database, "agent_id", agents, ids, sessions * TRANSACTIONS_A_SESSION, dice)


def _summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in ("seconds", "processor", "anonymous")}


def _refuse_different(one: Path, other: Path) -> None:
    """Compare two files: schema by schema, and row by row, except for when a version was applied and its words."""
    with closing(sqlite3.connect(one)) as first, closing(sqlite3.connect(other)) as second:
        if facts(first) != facts(second):
            raise SystemExit("the upgrades have made different tables")
        tables = first.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = "version" if table == "schema_version" else "*"
            rows = [each.execute(f"SELECT {columns} FROM {quote(table)}") for each in (first, second)]
            if any(a != b for a, b in zip_longest(*rows)):
                raise SystemExit(f"the upgrades have made different rows in {table}")
