"""Rows as lines: SQLite and PostgreSQL produce the same bytes."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from waiaas.models.postgresql import Column, Table
from waiaas.transfer.obstacles import Scan
from waiaas.transfer.rows import Digest, column_names, lines_of_file, lines_of_server

TABLE = Table(
    "t",
    (
        Column("id", "bigint", False, None, None),
        Column("amount", "double precision", True, None, None),
        Column("a", "text", True, None, None),
        Column("b", "text", True, None, None),
    ),
    ("id",),
    (),
    (),
    (),
)
TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
SEPARATORS = ["%s", "\xfd\xfe\xff", "\\N", "\\.", "\t", "\n", "\r\n", "\b\f\v", "a\tb\nc", "", "\\", "키"]
NUMBERS = st.none() | st.floats(allow_nan=False)
ROWS = st.lists(st.tuples(NUMBERS, TEXTS | st.sampled_from(SEPARATORS), TEXTS | st.sampled_from(SEPARATORS)))


def both(url: str, rows: list[tuple[Any, ...]]) -> tuple[bytes, bytes, list[tuple[Any, ...]]]:
    """Return the lines of the file, the lines of the server after the copy, and the server's rows."""
    with closing(sqlite3.connect(":memory:")) as file, psycopg.connect(url) as server:
        file.text_factory = bytes
        file.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, amount REAL, a TEXT, b TEXT)")
        file.executemany("INSERT INTO t (amount, a, b) VALUES (?, ?, ?)", rows)
        scan = Scan()
        scan.read(file, TABLE)
        lines = b"".join(each for _, each in lines_of_file(file, TABLE, scan.special))
        cursor = server.cursor()
        cursor.execute(TABLE.create().replace("TABLE t", "TEMPORARY TABLE t"))
        with cursor.copy(f"COPY t ({column_names(TABLE)}) FROM STDIN") as copy:
            copy.write(lines)
        back = b"".join(each for _, each in lines_of_server(server, TABLE))
        stored = cursor.execute("SELECT amount, a, b FROM t ORDER BY id").fetchall()
        server.rollback()
        return lines, back, stored


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_both_sides_have_the_same_lines_and_values(postgresql_url: str, rows: list[tuple[Any, ...]]) -> None:
    lines, back, stored = both(postgresql_url, rows)
    assert lines == back
    assert stored == rows


@pytest.mark.parametrize(
    "number",
    [
        *(0.0, -0.0, 1.0, 0.1, 1e-4, 1e-5, 123456789012345.6, 999999999999999.9, 1e15, -1e15, 1234567890123456.0),
        *(
            1234567890123456.8,
            -9007199254740993.0,
            9999999999999998.0,
            1e16,
            4.631533380448022e16,
            1.5e300,
            5e-324,
            math.inf,
            -math.inf,
        ),
    ],
)
def test_numbers_keep_every_digit(postgresql_url: str, number: float) -> None:
    """Numbers keep every digit, even if PostgreSQL writes them in another form."""
    lines, back, stored = both(postgresql_url, [(number, "x", None)])
    assert lines == back
    assert stored == [(number, "x", None)]


def test_a_long_table(postgresql_url: str) -> None:
    """All rows of several blocks come once each, in their order, those that need escaping too."""
    rows = [(None, f"{number}", "\t" if number % 7 == 0 else None) for number in range(6000)]
    lines, back, stored = both(postgresql_url, rows)
    assert lines == back
    assert stored == rows


def test_a_digest_depends_on_the_order_of_the_rows() -> None:
    def digest(*lines: bytes) -> tuple[int, str]:
        found = Digest()
        for each in lines:
            found.add(1, each)
        return found.rows, found.checksum

    assert digest(b"a\n", b"b\n") == digest(b"a\n", b"b\n")
    assert digest(b"a\n", b"b\n") != digest(b"b\n", b"a\n")
    assert digest() != digest(b"\n")
