r"""Rows as lines of PostgreSQL's COPY format, from either engine, so that both sides can be compared byte for byte.

The format is in https://www.postgresql.org/docs/current/sql-copy.html: a line per row, a tab between columns,
``\N`` for NULL, and a backslash before what would be read otherwise. SQLite itself joins the columns of a row, which
is several times faster than Python; numbers with a fraction are the exception, for SQLite writes 15 digits of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from waiaas.ddl.sql import quote
from waiaas.errors.driver import sqlite3
from waiaas.models.postgresql import Column, Table

if TYPE_CHECKING:
    import psycopg

_ROWS_AT_ONCE: Final = 2000
# Bytes that UTF-8 does not have stand for NULL, the end of a column and the end of a row until the rest is escaped.
_NULL, _COLUMN, _ROW = b"\xff", b"\xfe", b"\xfd"
_ESCAPES: Final = (
    (b"\\", b"\\\\"),
    (b"\b", b"\\b"),
    (b"\f", b"\\f"),
    (b"\n", b"\\n"),
    (b"\r", b"\\r"),
    (b"\t", b"\\t"),
    (b"\v", b"\\v"),
)
_SEPARATORS: Final = bytes.maketrans(_COLUMN + _ROW, b"\t\n")
# How PostgreSQL writes what Python writes in another way.
_UNUSUAL: Final[dict[float | None, bytes]] = {None: _NULL, math.inf: b"Infinity", -math.inf: b"-Infinity"}


class Digest:
    """Counts rows and hashes their lines, in the order in which they come."""

    def __init__(self, blocks: Iterable[tuple[int, bytes]] = ()) -> None:
        """Begin with blocks of rows, each the number of rows and their lines."""
        self.rows = 0
        self._hash = hashlib.sha256()
        for rows, lines in blocks:
            self.add(rows, lines)

    def add(self, rows: int, lines: bytes) -> None:
        """Add whole lines."""
        self.rows += rows
        self._hash.update(lines)

    @property
    def checksum(self) -> str:
        """The SHA-256 of all lines, in hexadecimal digits."""
        return self._hash.hexdigest()


def copied_columns(table: Table) -> tuple[Column, ...]:
    """Return the columns of a table in the order in which they are copied: fractions last."""
    return tuple(sorted(table.columns, key=_is_fraction))


def column_names(table: Table) -> str:
    """Return the names of the columns in the order in which they are copied, for a statement."""
    return ", ".join(column.name for column in copied_columns(table))


def lines_of_file(connection: sqlite3.Connection, table: Table, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield numbers of rows and their lines, as PostgreSQL would write them.

    :param connection: a connection that returns text as bytes; all text of the table is UTF-8 without a NUL.
    :param order: what to order the rows by; each row comes once.
    """
    columns = copied_columns(table)
    fractions = [quote(column.name) for column in columns if _is_fraction(column)]
    whole = [f"ifnull({quote(column.name)}, {_text(_NULL)})" for column in columns if not _is_fraction(column)]
    joined = f"printf({_text(_COLUMN.join([b'%s'] * len(whole)))}, {', '.join(whole)})"
    cursor = connection.execute(
        f"SELECT {', '.join([joined, *fractions])} FROM main.{quote(table.name)} ORDER BY {order}"
    )
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield len(rows), _join(rows, len(fractions))


def lines_of_server(
    connection: psycopg.Connection[Any], table: Table, count: int, order: str | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield numbers of rows and their lines, as a server has them.

    :param count: how many rows there are; if there are more, they come, too.
    :param order: what to order the rows by, or None for the order in which the server keeps them.
    """
    columns, fractions = column_names(table), sum(map(_is_fraction, table.columns))
    source = f"(SELECT {columns} FROM {table.name} ORDER BY {order})" if order else f"{table.name} ({columns})"
    with connection.cursor() as cursor, cursor.copy(f"COPY {source} TO STDOUT") as copy:
        while rows := _read(copy, connection.pgconn, min(count, _ROWS_AT_ONCE)):
            count -= len(rows)
            if fractions:
                rows = [_with_own_fractions(row, fractions) for row in rows]
            yield len(rows), b"".join(rows)


def _read(copy: psycopg.Copy, connection: psycopg.pq.abc.PGconn, count: int) -> list[bytes]:
    """Read so many rows, or one more if none is expected; no row at the end.

    `copy.read` takes several times as long as a call of libpq, but it can also wait, and it ends the copy.
    """
    rows = []
    for _ in range(max(1, count)):
        size, row = connection.get_copy_data(1) if count > 0 else (0, None)
        line = bytes(row) if row is not None and size > 0 else bytes(copy.read())
        if not line:
            break
        rows.append(line)
    return rows


def _is_fraction(column: Column) -> bool:
    return column.type == "double precision"


def _text(text: bytes) -> str:
    """Return an expression of SQLite for a text of any bytes."""
    return f"CAST(x'{text.hex()}' AS TEXT)"


def _join(rows: Sequence[tuple[Any, ...]], fractions: int) -> bytes:
    """Return the lines of rows that SQLite has joined."""
    if fractions:
        joined = _ROW.join([_COLUMN.join((row[0], *map(_fraction, row[1:]))) for row in rows])
    else:
        joined = _ROW.join([row[0] for row in rows])
    for special, escaped in _ESCAPES:
        # Most are absent, and searching costs less than replacing.
        if special in joined:
            joined = joined.replace(special, escaped)
    return joined.translate(_SEPARATORS).replace(_NULL, b"\\N") + b"\n"


def _fraction(value: float | None) -> bytes:
    """Write a number with the fewest digits that are read as the same number."""
    return _UNUSUAL.get(value) or b"%a" % value


def _with_own_fractions(line: bytes, fractions: int) -> bytes:
    """Write the numbers at the end of a line as this module does: PostgreSQL may write a digit more."""
    start, *numbers = line[:-1].rsplit(b"\t", fractions)
    own = [number if number == b"\\N" else _fraction(float(number)) for number in numbers]
    return line if own == numbers else b"\t".join((start, *own)) + b"\n"
