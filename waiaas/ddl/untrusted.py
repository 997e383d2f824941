"""Settings of a connection for inspecting a file that may be corrupt or hostile.

They follow https://www.sqlite.org/security.html. Each is restored at the end, because the connection may be the
caller's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from waiaas.ddl.connection import plain_rows, pragmas
from waiaas.errors.driver import sqlite3

if TYPE_CHECKING:
    from peewee import SqliteDatabase

_MIB = 2**20
#: Limits (https://www.sqlite.org/limits.html) by their names in `sqlite3` since Python 3.11: the bytes in one value or
#: row, and the instructions in one compiled statement.
INSPECTION_LIMITS: Final[Mapping[str, int]] = {"SQLITE_LIMIT_LENGTH": 64 * _MIB, "SQLITE_LIMIT_VDBE_OP": 5_000_000}
#: The same for a copy of the schema in memory, which has no rows.
SCHEMA_LIMITS: Final[Mapping[str, int]] = {"SQLITE_LIMIT_LENGTH": 16 * _MIB, "SQLITE_LIMIT_VDBE_OP": 1_000_000}

#: How much memory (in bytes) SQLite may use in the command-line program.
HEAP_LIMIT: Final = 512 * _MIB


@contextmanager
def inspecting(database: SqliteDatabase) -> Iterator[None]:
    """Run a block in which a connection returns plain rows, checks the cells of each page, and has limits.

    The file is not mapped into memory: a bad sector of a mapped file ends the process with SIGBUS.
    """
    connection = database.connection()
    settings = pragmas(database, {"cell_size_check": 1, "mmap_size": 0})
    with plain_rows(connection), limited(connection, INSPECTION_LIMITS), settings:
        yield


@contextmanager
def limited(connection: sqlite3.Connection, limits: Mapping[str, int]) -> Iterator[None]:
    """Lower limits of a connection during a block; Python 3.10 cannot set them, so there it has no effect."""
    before = lower_limits(connection, limits)
    try:
        yield
    finally:
        for category, value in before.items():
            connection.setlimit(category, value)  # type: ignore[attr-defined, unused-ignore]


def lower_limits(connection: sqlite3.Connection, limits: Mapping[str, int]) -> dict[int, int]:
    """Lower limits of a connection, and return the previous ones by category."""
    if not (hasattr(connection, "setlimit") and hasattr(connection, "getlimit")):
        return {}
    lowered = {getattr(sqlite3, name): value for name, value in limits.items()}
    before = {category: int(connection.getlimit(category)) for category in lowered}
    for category, value in lowered.items():
        connection.setlimit(category, min(value, before[category]))
    return before


def limit_heap(limit: int = HEAP_LIMIT) -> None:
    """Limit the memory that SQLite allocates in this process, for all connections.

    The limit can later only be lowered (https://www.sqlite.org/pragma.html#pragma_hard_heap_limit), so the library
    leaves it to the program. The command-line program sets it. A statement that needs more fails with `out_of_memory`.
    """
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(f"PRAGMA hard_heap_limit = {limit}")
