"""The generated files: version 18 as the daemon makes it, with additions of an operator.

Sessions, and 2.5 times as many transactions, over 100 wallets; ids of UUID version 7. In addition to the daemon's
tables and indexes, the table `sessions` has what schema tools are known to lose: an operator's column with a CHECK,
and a trigger.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from support.old_files import DAEMONS_PRAGMAS, create_statements

TRANSACTIONS_A_SESSION = 2.5
WALLETS = 100
#: The daemon's settings of each connection, which every tool gets too.
PRAGMAS = DAEMONS_PRAGMAS
START = 1_700_000_000
_OPERATORS_OWN = (
    "ALTER TABLE sessions ADD COLUMN label TEXT CHECK (label IS NULL OR length(label) BETWEEN 1 AND 64)",
    "CREATE TRIGGER note_revocation AFTER UPDATE OF revoked_at ON sessions WHEN new.revoked_at IS NOT NULL BEGIN"
    " INSERT INTO audit_log (timestamp, event_type, actor, session_id, details, severity)"
    " VALUES (new.revoked_at, 'SESSION_REVOKED', 'operator', new.id, '{}', 'info'); END",
)


def make_file(path: Path, sessions: int) -> None:
    """Make a version-18 file; the same arguments give the same bytes."""
    dice = random.Random(1)
    wallets = [new_id(number, dice) for number in range(WALLETS)]
    ids = [new_id(1000 + number, dice) for number in range(sessions)]
    with filled(path, 18, *_OPERATORS_OWN) as database:
        database.executemany("INSERT INTO schema_version VALUES (?, 1700000000, '')", [(n,) for n in range(1, 19)])
        database.executemany(
            "INSERT INTO wallets (id, name, chain, environment, default_network, public_key, status, created_at,"
            " updated_at) VALUES (?, 'wallet', 'solana', 'testnet', 'devnet', ?, 'ACTIVE', 1700000000, 1700000000)",
            [(wallet, wallet) for wallet in wallets],
        )
        add_sessions(database, "wallet_id", wallets, ids, dice)
        add_transactions(database, "wallet_id", wallets, ids, int(sessions * TRANSACTIONS_A_SESSION), dice)


@contextmanager
def filled(path: Path, version: int, *afterwards: str) -> Iterator[sqlite3.Connection]:
    """Yield a new file of a version, to be filled before its indexes are created and further statements run."""
    statements = list(create_statements(version))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        for statement in statements:
            if statement.startswith("CREATE TABLE"):
                database.execute(statement)
        yield database
        for statement in (*statements, *afterwards):
            if not statement.startswith("CREATE TABLE"):
                database.execute(statement)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def add_sessions(
    database: sqlite3.Connection, owner: str, owners: Sequence[str], ids: Sequence[str], dice: random.Random
) -> None:
    """Add a session for each id; `owner` is the column that references the owner, named as in the version."""
    database.executemany(
        f"INSERT INTO sessions (id, {owner}, token_hash, expires_at, constraints, absolute_expires_at, created_at)"
        """ VALUES (?, ?, ?, 1800000000, '{"maxAmount":"1000000"}', 1900000000, ?)""",
        (
            (id_, dice.choice(owners), f"{dice.getrandbits(256):064x}", START + number)
            for number, id_ in enumerate(ids)
        ),
    )


def add_transactions(
    database: sqlite3.Connection,
    owner: str,
    owners: Sequence[str],
    sessions: Sequence[str],
    count: int,
    dice: random.Random,
) -> None:
    """Add transactions of the owners and the sessions."""
    database.executemany(
        f"INSERT INTO transactions (id, {owner}, session_id, chain, tx_hash, type, amount, to_address, status,"
        " created_at) VALUES (?, ?, ?, 'solana', ?, 'TRANSFER', ?, ?, 'CONFIRMED', ?)",
        (
            (
                new_id(10_000_000 + number, dice),
                dice.choice(owners),
                dice.choice(sessions),
                f"{dice.getrandbits(256):064x}",
                str(number),
                f"{dice.getrandbits(160):044x}",
                START + number,
            )
            for number in range(count)
        ),
    )


def new_id(number: int, dice: random.Random) -> str:
    """Return a UUID of version 7 whose time increases with the number."""
    tail = (7 << 76) | (dice.getrandbits(12) << 64) | (2 << 62) | dice.getrandbits(62)
    return str(uuid.UUID(int=((1_700_000_000_000 + 37 * number) << 80) | tail))


def connect(path: Path | str, **pragmas: object) -> sqlite3.Connection:
    """Open a file with plain sqlite3 and the daemon's PRAGMAs, some of them changed."""
    database = sqlite3.connect(path, isolation_level=None)
    for name, value in {**PRAGMAS, **pragmas}.items():
        database.execute(f"PRAGMA {name} = {value}")
    return database
