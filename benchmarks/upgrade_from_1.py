"""The time and memory of each version on the way from version 1 to 19.

    python benchmarks/upgrade_from_1.py --sessions 100000

The file has three transactions for each session. The seconds are those of `report.steps` of `waiaas.upgrade`, without
a backup; memory is the peak of RssAnon (the mapped file does not count).

The slowest is version 13: it adds columns in the middle of `transactions`, which SQLite can only do by a table
rebuild, so all rows are copied and nine indexes are created. Versions 9 and 12 change its CHECKs: its rows are checked
and its definition is written. Version 3 renames an index in place. So no row is copied twice. Version 6 is next: it
writes the network into every transaction.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
from pathlib import Path

from measure import work
from session_files import START, add_sessions, add_transactions, filled, new_id

import waiaas

TRANSACTIONS_A_SESSION = 3
AGENTS = 100


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="folder of the generated file (default: the temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path = Path(name) / "wallets.db"
        make_file(path, options.sessions)
        print(
            f"{options.sessions:,} sessions, {options.sessions * TRANSACTIONS_A_SESSION:,} transactions,"
            f" {path.stat().st_size / 1e6:.0f} MB, SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}"
        )
        reports: list[waiaas.UpgradeReport] = []
        measured = work(lambda: reports.append(waiaas.upgrade(path, backup=False)))
    (report,) = reports
    for step in report.steps:
        print(f"  {step.version:2} {step.seconds:7.2f} s {step.rows:9,} rows written   {step.description}")
    checks = report.seconds - sum(step.seconds for step in report.steps)
    print(f"     {checks:7.2f} s for the lock, the checks and the commit")
    print(
        f"     {report.seconds:7.2f} s in all, {measured['processor']:.2f} s of the processor,"
        f" peak memory {measured['anonymous']:.0f} MB"
    )


if __name__ == "__main__":
    main()
