r"""Rows as lines of PostgreSQL's COPY format, from either engine, so that both sides can be compared byte for byte.

The format is in https://www.postgresql.org/docs/current/sql-copy.html: a line per row, a tab between columns,
``\N`` for NULL, and a backslash before what would be read otherwise. SQLite itself joins the columns of a row, which
is several times faster than Python; numbers with a fraction are the exception, for SQLite writes 15 digits of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from waiaas.ddl.sql import quote
from waiaas.errors.driver import sqlite3
from waiaas.models.postgresql import Column, Table

_ROWS_AT_ONCE: Final = 2000
# Placeholders for NULL, the end of a column and the end of a row until everything else is escaped. Text with a NUL is
# refused before; text with one of the others takes the slow path.
_NULL, _COLUMN, _ROW = b"\0", b"\x1f", b"\x1e"
_ESCAPES: Final = (
    (b"\\", b"\\\\"),
    (b"\b", b"\\b"),
    (b"\f", b"\\f"),
    (b"\n", b"\\n"),
    (b"\r", b"\\r"),
    (b"\t", b"\\t"),
    (b"\v", b"\\v"),
)
_SEPARATORS: Final = ((_COLUMN, b"\t"), (_ROW, b"\n"), (_NULL, b"\\N"))


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

    :param connection: a connection that returns text as bytes.
    :param order: what to order the rows by; each row comes once.
    """
    columns = copied_columns(table)
    fractions = sum(map(_is_fraction, columns))
    whole = [quote(column.name) for column in columns if not _is_fraction(column)]
    joined = f" || x'{_COLUMN.hex()}' || ".join(f"coalesce({column}, char(0))" for column in whole)
    selected = ", ".join([joined, *(quote(column.name) for column in columns[len(whole) :])])
    source = f"FROM main.{quote(table.name)} ORDER BY {order}"
    cursor = connection.execute(f"SELECT {selected} {source}")
    done = 0
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        lines = _join(rows, len(columns), fractions)
        if lines is None:
            cursor = connection.execute(f"SELECT {column_names(table)} {source} LIMIT -1 OFFSET {done}")
            yield from _escaped_one_by_one(cursor)
            return
        done += len(rows)
        yield len(rows), lines


def lines_of_server(copy: Iterable[Any], table: Table) -> Iterator[tuple[int, bytes]]:
    """Yield numbers of rows and their lines, from those that psycopg's COPY … TO STDOUT returns one by one."""
    fractions = sum(map(_is_fraction, table.columns))
    lines: Iterator[bytes] = map(bytes, copy)
    if fractions:
        lines = (_with_own_fractions(line, fractions) for line in lines)
    while block := list(islice(lines, _ROWS_AT_ONCE)):
        yield len(block), b"".join(block)


def _is_fraction(column: Column) -> bool:
    return column.type == "double precision"


def _join(rows: Sequence[tuple[Any, ...]], columns: int, fractions: int) -> bytes | None:
    """Return the lines of rows that SQLite has joined; None if a text contains one of the separators."""
    if fractions:
        joined = _ROW.join([_COLUMN.join((row[0], *map(_fraction, row[1:]))) for row in rows])
    else:
        joined = _ROW.join([row[0] for row in rows])
    if joined.count(_COLUMN) != len(rows) * (columns - 1) or joined.count(_ROW) != len(rows) - 1:
        return None
    for special, escaped in (*_ESCAPES, *_SEPARATORS):
        # Most are absent, and searching costs less than replacing.
        if special in joined:
            joined = joined.replace(special, escaped)
    return joined + b"\n"


def _escaped_one_by_one(cursor: sqlite3.Cursor) -> Iterator[tuple[int, bytes]]:
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield len(rows), b"".join(b"\t".join(map(_escape, row)) + b"\n" for row in rows)


def _escape(value: object) -> bytes:
    if value is None:
        return b"\\N"
    if isinstance(value, float):
        return _fraction(value)
    text = value if isinstance(value, bytes) else str(value).encode()
    for special, escaped in _ESCAPES:
        text = text.replace(special, escaped)
    return text


def _fraction(value: float | None) -> bytes:
    """Write a number with the fewest digits that are read as the same number."""
    return _NULL if value is None else repr(value).replace("inf", "Infinity").encode()


def _with_own_fractions(line: bytes, fractions: int) -> bytes:
    """Write the numbers at the end of a line as this module does: PostgreSQL may write a digit more."""
    start, *numbers = line.rstrip(b"\n").rsplit(b"\t", fractions)
    if all(number == b"\\N" for number in numbers):
        return line
    own = (number if number == b"\\N" else _fraction(float(number)) for number in numbers)
    return b"\t".join((start, *own)) + b"\n"
