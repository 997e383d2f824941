r"""Rows as lines of PostgreSQL's COPY format, from either engine, so that both sides can be compared byte for byte.

The format is in https://www.postgresql.org/docs/current/sql-copy.html: a line per row, a tab between columns,
``\N`` for NULL, and a backslash before what would be read otherwise. SQLite itself joins the columns of a row, which
is several times faster than Python. It calls Python for numbers with a fraction, of which it would write 15 digits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from waiaas.ddl.sql import quote
from waiaas.errors.driver import sqlite3
from waiaas.models.postgresql import Column, Table

if TYPE_CHECKING:
    import psycopg

_ROWS_AT_ONCE: Final = 500
_LAST_ROWID: Final = 2**63 - 1
_ESCAPES: Final = (
    ("\\", "\\\\"),
    ("\b", "\\b"),
    ("\f", "\\f"),
    ("\n", "\\n"),
    ("\r", "\\r"),
    ("\t", "\\t"),
    ("\v", "\\v"),
)
#: The characters that are escaped.
SPECIAL: Final = tuple(character.encode() for character, _ in _ESCAPES)
# PostgreSQL writes numbers from here on with an exponent, and maybe with a digit more than Python.
_LARGE: Final = "1e15"


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


def blocks(connection: sqlite3.Connection, table: Table) -> Iterator[tuple[int, int]]:
    """Yield ranges of rowids that have all rows of a table, in their order."""
    source = f"FROM main.{quote(table.name)}"
    (low,) = connection.execute(f"SELECT min(rowid) {source}").fetchone()
    while low is not None:
        following = connection.execute(
            f"SELECT rowid {source} WHERE rowid > ? ORDER BY rowid LIMIT 1 OFFSET {_ROWS_AT_ONCE}", (low,)
        ).fetchone()
        yield low, following[0] - 1 if following else _LAST_ROWID
        low = following and following[0]


def lines_of_file(
    connection: sqlite3.Connection, table: Table, special: Container[tuple[str, str]]
) -> Iterator[tuple[int, bytes]]:
    """Yield numbers of rows and their lines, as PostgreSQL would write them, in the order of the rowids.

    :param connection: a connection that returns text as bytes; all text of the table is UTF-8 without a NUL.
    :param special: the tables and columns with text that has special characters; no other is escaped.
    """
    connection.create_function("copied_text", 1, _escape)
    connection.create_function("copied_fraction", 1, _fraction)
    columns = copied_columns(table)
    values = ", ".join(_value(column, is_special=(table.name, column.name) in special) for column in columns)
    line = "\t".join(["%s"] * len(columns))
    source = f"FROM main.{quote(table.name)} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
    query = f"SELECT count(*), group_concat(line, '\n') FROM (SELECT printf('{line}', {values}) AS line {source})"
    for block in blocks(connection, table):
        rows, lines = connection.execute(query, block).fetchone()
        yield rows, lines + b"\n"


def lines_of_server(
    connection: psycopg.Connection[Any], table: Table, order: str | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yield numbers of rows and their lines, as a server has them; no other transaction may change the table.

    :param order: what to order the rows by, or None for the order in which the server keeps them.
    """
    columns, fractions = column_names(table), [column.name for column in table.columns if _is_fraction(column)]
    large = " OR ".join(f"abs({name}) >= {_LARGE}" for name in fractions) or "false"
    ((count, has_large),) = connection.execute(f"SELECT count(*), bool_or({large}) FROM {table.name}").fetchall()
    source = f"(SELECT {columns} FROM {table.name} ORDER BY {order})" if order else f"{table.name} ({columns})"
    with connection.cursor() as cursor, cursor.copy(f"COPY {source} TO STDOUT") as copy:
        while rows := _read(copy, connection.pgconn, min(count, _ROWS_AT_ONCE)):
            count -= len(rows)
            if has_large:
                rows = [_with_own_fractions(row, len(fractions)) for row in rows]
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


def _value(column: Column, *, is_special: bool) -> str:
    """Return an expression of SQLite for a value as COPY has it."""
    name = quote(column.name)
    if is_special:
        return f"CASE WHEN {name} IS NULL THEN '\\N' ELSE copied_text({name}) END"
    if _is_fraction(column):
        return f"CASE WHEN {name} IS NULL THEN '\\N' ELSE copied_fraction({name}) END"
    return f"ifnull({name}, '\\N')"


def _escape(text: str) -> str:
    for special, escaped in _ESCAPES:
        text = text.replace(special, escaped)
    return text


def _fraction(value: float) -> str:
    """Write a number with the fewest digits that are read as the same one, as PostgreSQL does if it is not large."""
    return repr(value).removesuffix(".0")


def _with_own_fractions(line: bytes, fractions: int) -> bytes:
    """Write the numbers at the end of a line as this module does."""
    start, *numbers = line[:-1].rsplit(b"\t", fractions)
    own = [number if number == b"\\N" else _fraction(float(number)).encode() for number in numbers]
    return b"\t".join((start, *own)) + b"\n"
