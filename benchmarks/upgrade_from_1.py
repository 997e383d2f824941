"""How long each version takes on the way from version 1 to 19, and how much memory.

    python benchmarks/upgrade_from_1.py --sessions 100000

The file has three transactions for each session. The seconds are those of the report that `waiaas.upgrade` gives
(`report.steps`), without a backup; memory is the peak of RssAnon (the mapped file does not count).

The slowest three are versions 9, 12 and 13: each of them changes a CHECK of `transactions` or puts columns in the
middle of it, which SQLite does only by a table rebuild, so all rows are copied and nine indexes are made anew, three
times. One rebuild for the three would be quicker, but no step would then end at its version's own schema, by which it
is tested and by which a refusal names its version. Version 6 is next: it writes the network into every transaction.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from measure import work
from old_files import create_statements

import waiaas

TRANSACTIONS_A_SESSION = 3
AGENTS = 100
START = 1_700_000_000


def make_file(path: Path, sessions: int) -> None:
    """Make a version-1 file."""
    dice = random.Random(1)
    agents, session_ids = list(ids(dice, AGENTS)), list(ids(dice, sessions))
    transactions = list(ids(dice, sessions * TRANSACTIONS_A_SESSION))
    statements = list(create_statements(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        for statement in statements:
            if statement.startswith("CREATE TABLE"):
                database.execute(statement)
        database.execute("INSERT INTO schema_version VALUES (1, ?, '')", (START,))
        database.executemany(
            "INSERT INTO agents (id, name, chain, network, public_key, created_at, updated_at)"
            " VALUES (?, 'agent', 'solana', ?, ?, ?, ?)",
            ((agent, dice.choice(("mainnet", "devnet", "testnet")), agent, START, START) for agent in agents),
        )
        database.executemany(
            "INSERT INTO sessions (id, agent_id, token_hash, expires_at, constraints, absolute_expires_at, created_at)"
            """ VALUES (?, ?, ?, 1800000000, '{"maxAmount":"1000000"}', 1900000000, ?)""",
            (
                (session, dice.choice(agents), f"{dice.getrandbits(256):064x}", START + number)
                for number, session in enumerate(session_ids)
            ),
        )
        database.executemany(
            "INSERT INTO transactions (id, agent_id, session_id, chain, tx_hash, type, amount, to_address, status,"
            " created_at) VALUES (?, ?, ?, 'solana', ?, 'TRANSFER', ?, ?, 'CONFIRMED', ?)",
            (
                (
                    transaction,
                    dice.choice(agents),
                    dice.choice(session_ids),
                    f"{dice.getrandbits(256):064x}",
                    str(number),
                    f"{dice.getrandbits(160):044x}",
                    START + number,
                )
                for number, transaction in enumerate(transactions)
            ),
        )
        for statement in statements:
            if not statement.startswith("CREATE TABLE"):
                database.execute(statement)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def ids(dice: random.Random, count: int) -> Iterator[str]:
    """UUIDs of version 7, one every 37 ms."""
    for number in range(count):
        tail = (7 << 76) | (dice.getrandbits(12) << 64) | (2 << 62) | dice.getrandbits(62)
        yield str(uuid.UUID(int=((1000 * START + 37 * number) << 80) | tail))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the file is made (default: the temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path = Path(name) / "wallets.db"
        make_file(path, options.sessions)
        print(
            f"{options.sessions:,} sessions, {options.sessions * TRANSACTIONS_A_SESSION:,} transactions,"
            f" {path.stat().st_size / 1e6:.0f} MB, SQLite {sqlite3.sqlite_version}, Python {sys.version.split()[0]}"
        )
        database = waiaas.connect(path, upgrade=False)
        reports: list[waiaas.UpgradeReport] = []
        measured = work(lambda: reports.append(waiaas.upgrade(database, backup=False)))
        waiaas.close(database)
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
