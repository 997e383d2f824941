"""Tokens and CREATE TABLE statements, by SQLite's own rules."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiaas.ddl.sql import fold, names, parse_create_table, quote, tokens, unquote

HARD_TABLE = """CREATE TABLE "odd ""n"" table" (
  -- a comment with a , and a ( in it
  id INTEGER PRIMARY KEY, /* another, with 'quotes' */
  [b c] TEXT DEFAULT 'it''s (not, over)' CHECK ("b c" <> ')' OR ((1 = 1))),
  `d` NUMERIC(10, 2) NOT NULL REFERENCES other (x, y) ON DELETE SET NULL,
  e TEXT GENERATED ALWAYS AS (substr("b c", 1, 2)) VIRTUAL,
  f, -- no type
  CONSTRAINT "named, too" UNIQUE (d, f),
  FOREIGN KEY (d, f) REFERENCES other (x, y) DEFERRABLE INITIALLY DEFERRED,
  CHECK (f IN (1, 2, 3))
) STRICT, WITHOUT  ROWID"""


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_quoting_is_what_sqlite_reads_back(name: str) -> None:
    """A quoted identifier with any content is one token, unquotes to itself, and names a column in SQLite."""
    (token,) = tokens(quote(name))
    assert (unquote(token.text), token.name) == (name, fold(name))
    with closing(sqlite3.connect(":memory:")) as database:
        cursor = database.execute(f"SELECT 1 AS {quote(name)}")
        assert cursor.description[0][0] == name


@given(st.text(alphabet=st.sampled_from("abc_'\"`[](),-/* \n.x0$é한")))
def test_no_character_is_lost_between_tokens(sql: str) -> None:
    """Tokens are in order and do not overlap, and only white space and comments are between them."""
    end = 0
    for token in tokens(sql):
        assert token.start >= end
        assert sql[token.start : token.end] == token.text
        assert not list(tokens(sql[end : token.start]))
        end = token.end


def test_a_difficult_table_is_split_into_its_entries() -> None:
    """Commas and parentheses in strings, comments and quoted names split nothing."""
    table = parse_create_table(HARD_TABLE)
    assert [(item.kind, item.name) for item in table.items] == [
        ("column", "id"),
        ("column", "b c"),
        ("column", "d"),
        ("column", "e"),
        ("column", "f"),
        ("constraint", None),
        ("constraint", None),
        ("constraint", None),
    ]
    assert table.options == {"strict", "without rowid"}
    assert table.column("B C").tokens[0].text == "[b c]"
    with pytest.raises(KeyError):
        table.column("g")


def columns_in_sqlite(sql: str, table: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(sql)
        return [row[1] for row in database.execute(f"PRAGMA table_xinfo({quote(table)})")]


PLAIN = "CREATE TABLE t (a INT, -- first\n b TEXT DEFAULT ',', c, UNIQUE (a, c), CHECK (c > 0) /* last */ )"


def test_entries_can_be_removed_and_added() -> None:
    """SQLite accepts a definition with an entry removed or added, or under another name."""
    table = parse_create_table(PLAIN)
    unique, check = (item for item in table.items if item.kind == "constraint")
    assert columns_in_sqlite(table.without(table.column("b")).sql, "t") == ["a", "c"]
    bare = table.without(check)
    assert "/* last */" in bare.sql
    only = bare.without(next(item for item in bare.items if item.tokens[0].text == "UNIQUE"))
    assert columns_in_sqlite(only.without(only.column("c")).sql, "t") == ["a", "b"]
    assert columns_in_sqlite(table.with_column_after("A", "z REAL"), "t") == ["a", "z", "b", "c"]
    assert columns_in_sqlite(table.renamed('new "t"'), 'new "t"') == ["a", "b", "c"]
    assert "UNIQUE" not in table.without(unique).sql


@pytest.mark.parametrize(
    "constraint",
    ["PRIMARY KEY (a)", "unique (a)", "CHECK (a)", "FOREIGN KEY (a) REFERENCES p", "CONSTRAINT c CHECK (a)"],
)
def test_a_table_constraint_is_not_a_column(constraint: str) -> None:
    """Each kind of table constraint is distinguished from a column, even from one with such a quoted name."""
    table = parse_create_table(f'CREATE TABLE t (a, "{constraint.split()[0]}" TEXT, {constraint})')
    assert [item.kind for item in table.items] == ["column", "column", "constraint"]


def test_dropping_a_column_equals_sqlites() -> None:
    """Removing a column from the text leaves the same tokens as SQLite's own DROP COLUMN."""
    for column, sql in (("b", "CREATE TABLE t (a, b TEXT, c)"), ("c", "CREATE TABLE t (a, b TEXT,\n  c -- x\n)")):
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute(sql)
            database.execute(f"ALTER TABLE t DROP COLUMN {column}")
            (left,) = database.execute("SELECT sql FROM sqlite_master").fetchone()
        parsed = parse_create_table(sql)
        ours = parsed.without(parsed.column(column)).sql
        assert [token.text for token in tokens(ours)] == [token.text for token in tokens(left)]


@pytest.mark.parametrize("sql", ["CREATE VIRTUAL TABLE t USING fts5(a)", "SELECT 1", "CREATE TABLE t (a, (b)"])
def test_other_statements_are_refused(sql: str) -> None:
    """A virtual table, another statement or an incomplete one is a ValueError."""
    with pytest.raises(ValueError, match=r"CREATE TABLE|parentheses"):
        parse_create_table(sql)


def test_names_are_found_as_identifiers_only() -> None:
    """A name is found in any case and quotes, but not inside strings, comments or longer names."""
    assert names("SELECT [Wallet_ID] FROM t", "wallet_id")
    assert not names("SELECT 'wallet_id', wallet_id2 /* wallet_id */ FROM t -- wallet_id", "wallet_id")


def test_only_ascii_letters_are_folded() -> None:
    """Only A to Z are folded, as in SQLite."""
    assert fold("ÄBC") == "Äbc"
