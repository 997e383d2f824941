"""Verifies the result of the version-19 change, in the same way for every tool."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from schema_facts import Facts, difference, facts, quote

JUNCTION = (
    "CREATE TABLE session_wallets ("
    " session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,"
    " wallet_id TEXT NOT NULL REFERENCES wallets(id) ON DELETE CASCADE,"
    " is_default INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL, PRIMARY KEY (session_id, wallet_id))"
)
JUNCTION_INDEXES = (
    "CREATE INDEX idx_session_wallets_session ON session_wallets(session_id)",
    "CREATE INDEX idx_session_wallets_wallet ON session_wallets(wallet_id)",
)
_GONE = {
    "column sessions.wallet_id",
    "foreign key sessions (wallet_id)",
    "index idx_sessions_wallet_id",
}


def faults(before: Path, after: Path) -> list[str]:
    """Describe what is wrong with a file after the change, or return nothing if it is correct."""
    with closing(sqlite3.connect(f"file:{after}?mode=ro", uri=True)) as database:
        database.execute("ATTACH ? AS old", (f"file:{before}?mode=ro&immutable=1",))
        database.execute("PRAGMA cache_size = -200000")
        return [*_schema_faults(before, database), *_row_faults(database), *_damage(database)]


def _schema_faults(before: Path, database: sqlite3.Connection) -> Iterator[str]:
    found = difference(_expected(before), facts(database))
    for verb, names in (("lost", found.lost), ("changed", found.changed), ("left over", found.added)):
        yield from (f"{verb}: {name}" for name in names)


def _expected(before: Path) -> Facts:
    with (
        closing(sqlite3.connect(f"file:{before}?mode=ro&immutable=1", uri=True)) as old,
        closing(sqlite3.connect(":memory:")) as new,
    ):
        for statement in (JUNCTION, *JUNCTION_INDEXES):
            new.execute(statement)
        expected = {name: value for name, value in facts(old).items() if name not in _GONE} | facts(new)
        order = "order of the columns of sessions"
        expected[order] = [column for column in expected[order] if column != "wallet_id"]
        return expected


def _row_faults(database: sqlite3.Connection) -> Iterator[str]:
    tables = [
        name
        for (name,) in database.execute(
            "SELECT name FROM old.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ).fetchall()
    ]
    present = {name for (name,) in database.execute("SELECT name FROM main.sqlite_master").fetchall()}
    for table in tables:
        if table not in present:
            yield f"lost: table {table} with its rows"
        elif table != "schema_version":
            yield from _differing_rows(database, table)
    if "session_wallets" in present:
        yield from _link_faults(database)


def _differing_rows(database: sqlite3.Connection, table: str) -> Iterator[str]:
    name = quote(table)
    new = {row[1] for row in database.execute(f"PRAGMA main.table_info({name})").fetchall()}
    columns = database.execute(f"PRAGMA old.table_info({name})").fetchall()
    key = " AND ".join(f"n.{quote(column[1])} = o.{quote(column[1])}" for column in columns if column[5])
    kept = [quote(column[1]) for column in columns if column[1] in new]

    def values(side: str) -> str:
        return ", ".join(f"{side}.{column}, typeof({side}.{column})" for column in kept)

    (wrong,) = database.execute(
        f"SELECT count(*) FROM old.{name} AS o LEFT JOIN main.{name} AS n ON {key}"
        f" WHERE ({values('n')}) IS NOT ({values('o')})"
    ).fetchone()
    counts = [database.execute(f"SELECT count(*) FROM {schema}.{name}").fetchone()[0] for schema in ("old", "main")]
    if wrong:
        yield f"wrong: {wrong:,} of {counts[0]:,} rows of {table}"
    elif counts[0] != counts[1]:
        yield f"wrong: {table} has {counts[1]:,} rows, not {counts[0]:,}"


def _link_faults(database: sqlite3.Connection) -> Iterator[str]:
    (expected,) = database.execute("SELECT count(*) FROM old.sessions WHERE wallet_id IS NOT NULL").fetchone()
    (right,) = database.execute(
        "SELECT count(*) FROM main.session_wallets AS link"
        " JOIN old.sessions AS session ON session.id = link.session_id"
        " AND session.wallet_id = link.wallet_id AND session.created_at = link.created_at AND link.is_default = 1"
    ).fetchone()
    (found,) = database.execute("SELECT count(*) FROM main.session_wallets").fetchone()
    if not expected == right == found:
        yield f"wrong: {expected - right:,} of {expected:,} links"


def _damage(database: sqlite3.Connection) -> Iterator[str]:
    (result,) = database.execute("PRAGMA main.quick_check(1)").fetchone()
    if result != "ok":
        yield f"damaged: {result}"
    violations = len(database.execute("PRAGMA main.foreign_key_check").fetchall())
    if violations:
        yield f"{violations:,} foreign-key violations"
