"""Edits the definition of one column, its type or its clauses, and keeps the rest of the text, including comments.

The grammar is SQLite's (https://www.sqlite.org/syntax/column-constraint.html).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from waiaas.ddl.sql import CreateTable, Item, Token, comments, parse_create_table, unquote

_STARTS = (
    *("constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references"),
    *("generated", "as", "deferrable"),
)
# A keyword after one of these is part of the same clause, as in NOT NULL, ON DELETE SET DEFAULT and COLLATE unique.
_BEFORE_MORE = ("not", "default", "set", "always", "constraint", "collate", "references")


class Clause(NamedTuple):
    """One clause: its kind (`not null`, `default`, …), its constraint name or None, its position in the statement."""

    kind: str
    name: str | None
    start: int
    end: int


class ColumnText(NamedTuple):
    """The parts of a column's definition; `type` is the position of its type (an empty range without a type)."""

    definition: CreateTable
    item: Item
    type: tuple[int, int]
    clauses: tuple[Clause, ...]

    def has(self, kind: str) -> bool:
        """Return whether there is a clause of a kind."""
        return any(clause.kind == kind for clause in self.clauses)

    def with_type(self, type_: str) -> CreateTable:
        """Return the table's definition with another type for this column."""
        start, end = self.type
        return self._edited([(start, end, f" {type_}" if start == end else type_)])

    def with_clause(self, text: str) -> CreateTable:
        """Return the table's definition with one more clause at the end of this column."""
        return self._edited([(self.item.end, self.item.end, f" {text}")])

    def without(self, is_meant: Callable[[Clause], bool]) -> CreateTable:
        """Return the table's definition without some clauses of this column; comments inside them stay."""
        return self._edited([(c.start, c.end, self._comments_in(c)) for c in self.clauses if is_meant(c)])

    def _comments_in(self, clause: Clause) -> str:
        inside = [text for start, text in comments(self.definition.sql) if clause.start <= start < clause.end]
        return "".join(f"{text}\n" if text.startswith("--") else text for text in inside)

    def _edited(self, edits: list[tuple[int, int, str]]) -> CreateTable:
        sql = self.definition.sql
        for start, end, text in sorted(edits, reverse=True):
            before = sql[:start] if text else sql[:start].rstrip(" ")
            sql = before + text + sql[end:]
        return parse_create_table(sql)


def column_text(definition: CreateTable, name: str) -> ColumnText:
    """Return the parts of a column's definition.

    :raises KeyError: if the table has no such column.

    >>> text = column_text(parse_create_table("CREATE TABLE t (a INT NOT NULL DEFAULT (1 + 1) CHECK (a > 0))"), "a")
    >>> [clause.kind for clause in text.clauses]
    ['not null', 'default', 'check']
    >>> text.without(lambda clause: clause.kind == "default").sql
    'CREATE TABLE t (a INT NOT NULL CHECK (a > 0))'
    """
    item = definition.column(name)
    starts = list(_starts(item.tokens))
    clauses = tuple(_clause(item.tokens[i:j]) for i, j in itertools.pairwise([*starts, len(item.tokens)]))
    type_ = item.tokens[1 : (starts[0] if starts else len(item.tokens))]
    end = item.tokens[0].end
    return ColumnText(definition, item, (type_[0].start, type_[-1].end) if type_ else (end, end), clauses)


def _starts(words: Sequence[Token]) -> Iterator[int]:
    """Yield where each clause starts: at a keyword outside parentheses that is not part of another clause."""
    depth = 0
    for i, word in enumerate(words[1:], 1):
        depth += {"(": 1, ")": -1}.get(word.text, 0)
        two, before = words[max(i - 2, 0)], words[i - 1]
        is_more = before.is_word(*_BEFORE_MORE) and not two.is_word("set")
        is_named = two.is_word("constraint") and not word.is_word("constraint")
        if depth == 0 and word.is_word(*_STARTS) and not is_more and not is_named:
            yield i


def _clause(words: Sequence[Token]) -> Clause:
    name = unquote(words[1].text) if words[0].is_word("constraint") else None
    texts = [word.text.lower() for word in (words[2:] if name is not None else words)]
    kind = texts[0] if texts else "constraint"
    if kind == "not":
        kind = "not null" if texts[1] == "null" else texts[1]
    return Clause(kind, name, words[0].start, words[-1].end)
