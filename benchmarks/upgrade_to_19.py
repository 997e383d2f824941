"""How long the upgrade to version 19 takes, and how much memory, beside plain sqlite3.

    python benchmarks/upgrade_to_19.py --sessions 200000 --rounds 5

Both sides get a copy of the same generated version-18 file and have the daemon's PRAGMAs. Plain sqlite3 runs the
least statements that give the same tables, in one transaction, with one whole-file `foreign_key_check`; the
library runs `waiaas.upgrade(database, backup=False)`. They take turns, each run in a process of its own; the figure to
look at is the ratio, pair by pair. Memory is the peak of RssAnon (the mapped file does not count), sampled every 2 ms.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from old_files import create_statements

TRANSACTIONS_A_SESSION = 2.5
WALLETS = 100
PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "foreign_keys = ON",
    "busy_timeout = 5000",
    "cache_size = -64000",
    "mmap_size = 268435456",
    "temp_store = MEMORY",
)
PLAIN = (
    "PRAGMA foreign_keys = OFF",
    "BEGIN IMMEDIATE",
    "CREATE TABLE session_wallets ("
    " session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,"
    " wallet_id TEXT NOT NULL REFERENCES wallets(id) ON DELETE CASCADE,"
    " is_default INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, PRIMARY KEY (session_id, wallet_id))",
    "INSERT INTO session_wallets SELECT id, wallet_id, 1, created_at FROM sessions WHERE wallet_id IS NOT NULL",
    "CREATE INDEX idx_session_wallets_session ON session_wallets(session_id)",
    "CREATE INDEX idx_session_wallets_wallet ON session_wallets(wallet_id)",
    "DROP INDEX idx_sessions_wallet_id",
    "ALTER TABLE sessions DROP COLUMN wallet_id",
    "PRAGMA foreign_key_check",
    "INSERT INTO schema_version VALUES (19, 1800000000, 'version 19')",
    "COMMIT",
    "PRAGMA foreign_keys = ON",
)


def make_file(path: Path, sessions: int, *, ids: str) -> None:
    """Make a version-18 file; `ids` are `ordered` (UUID version 7, as the daemon makes them) or `random`."""
    dice = random.Random(1)

    def new_id(number: int) -> str:
        if ids == "random":
            return str(uuid.UUID(int=dice.getrandbits(128)))
        tail = (7 << 76) | (dice.getrandbits(12) << 64) | (2 << 62) | dice.getrandbits(62)
        return str(uuid.UUID(int=((1_700_000_000_000 + 37 * number) << 80) | tail))

    wallets = [new_id(n) for n in range(WALLETS)]
    session_ids = [new_id(1000 + n) for n in range(sessions)]
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        statements = list(create_statements(18))
        for statement in statements:
            if statement.startswith("CREATE TABLE"):
                database.execute(statement)
        database.executemany("INSERT INTO schema_version VALUES (?, 1700000000, '')", [(n,) for n in range(1, 19)])
        database.executemany(
            "INSERT INTO wallets (id, name, chain, environment, default_network, public_key, status, created_at,"
            " updated_at) VALUES (?, 'wallet', 'solana', 'testnet', 'devnet', ?, 'ACTIVE', 1700000000, 1700000000)",
            [(wallet, wallet) for wallet in wallets],
        )
        database.executemany(
            "INSERT INTO sessions (id, wallet_id, token_hash, expires_at, constraints, absolute_expires_at,"
            """ created_at) VALUES (?, ?, ?, 1800000000, '{"maxAmount":"1000000"}', 1900000000, ?)""",
            (
                (session, dice.choice(wallets), f"{dice.getrandbits(256):064x}", 1_700_000_000 + number)
                for number, session in enumerate(session_ids)
            ),
        )
        database.executemany(
            "INSERT INTO transactions (id, wallet_id, session_id, chain, tx_hash, type, amount, to_address, status,"
            " created_at) VALUES (?, ?, ?, 'solana', ?, 'TRANSFER', ?, ?, 'CONFIRMED', ?)",
            (
                (
                    new_id(10_000_000 + number),
                    dice.choice(wallets),
                    dice.choice(session_ids),
                    f"{dice.getrandbits(256):064x}",
                    str(number),
                    f"{dice.getrandbits(160):044x}",
                    1_700_000_000 + number,
                )
                for number in range(int(sessions * TRANSACTIONS_A_SESSION))
            ),
        )
        for statement in statements:
            if not statement.startswith("CREATE TABLE"):
                database.execute(statement)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def run_plain(path: Path) -> tuple[float, float]:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in PRAGMAS:
            database.execute(f"PRAGMA {pragma}")
        with PeakMemory() as memory:
            started = time.perf_counter()
            for statement in PLAIN:
                if database.execute(statement).fetchall() and "check" in statement:
                    raise SystemExit("foreign-key violations")
            return time.perf_counter() - started, memory.peak()


def run_waiaas(path: Path, *, backup: bool = False) -> tuple[float, float]:
    import waiaas

    database = waiaas.connect(path, upgrade=False)
    with PeakMemory() as memory:
        started = time.perf_counter()
        waiaas.upgrade(database, backup=backup)
        seconds = time.perf_counter() - started
        peak = memory.peak()
    waiaas.close(database)
    return seconds, peak


class PeakMemory:
    """The peak of this process's RssAnon, in MB, while it is entered."""

    def __enter__(self) -> PeakMemory:
        self._peak, self._done = _rss_anon(), threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._sampler.join()

    def peak(self) -> float:
        return self._peak

    def _sample(self) -> None:
        while not self._done.wait(0.002):
            self._peak = max(self._peak, _rss_anon())


def _rss_anon() -> float:
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1000


def measure(side: str, file: Path, folder: Path) -> tuple[float, float]:
    copy = folder / "copy.db"
    shutil.copy(file, copy)
    with copy.open("rb") as stream:  # the same warm file for both sides
        while stream.read(1 << 24):
            pass
    command = [sys.executable, __file__, "--side", side, str(copy)]
    seconds, peak = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for left in folder.glob("copy.db*"):
        left.unlink()
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--ids", choices=["ordered", "random"], default="ordered")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are made (default: the temporary folder)")
    parser.add_argument("--side", nargs=2, metavar=("SIDE", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run = {"plain": run_plain, "waiaas": run_waiaas}[options.side[0]]
        print(json.dumps(run(Path(options.side[1]))))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        file = folder / "v18.db"
        make_file(file, options.sessions, ids=options.ids)
        print(
            f"{options.sessions:,} sessions, {int(options.sessions * TRANSACTIONS_A_SESSION):,} transactions,"
            f" {options.ids} ids, {file.stat().st_size / 1e6:.0f} MB, SQLite {sqlite3.sqlite_version}"
        )
        measure("waiaas", file, folder)  # warm-up
        ratios = []
        for _ in range(options.rounds):
            (plain, plain_peak), (ours, our_peak) = measure("plain", file, folder), measure("waiaas", file, folder)
            ratios.append(ours / plain)
            print(
                f"  plain {plain:6.2f} s {plain_peak:4.0f} MB   waiaas {ours:6.2f} s {our_peak:4.0f} MB"
                f"   ratio {ours / plain:.2f}"
            )
        print(f"  median ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
