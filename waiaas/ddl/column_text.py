"""The text of one column's definition: its type and its clauses, changed one at a time.

The grammar is SQLite's (https://www.sqlite.org/syntax/column-constraint.html). Everything else in the text stays,
comments too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from waiaas.ddl.sql import CreateTable, Item, Token, comments, parse_create_table, unquote

_STARTS = (
    *("constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references"),
    *("generated", "as", "deferrable"),
)


class Clause(NamedTuple):
    """One clause: what it is (`not null`, `default`, …), its own name or None, and where it is in the statement."""

    kind: str
    name: str | None
    start: int
    end: int


class ColumnText(NamedTuple):
    """The parts of a column's definition; `type` is where its type is (an empty range if there is none)."""

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
    parser = _Parser(item.tokens)
    type_ = parser.type()
    return ColumnText(definition, item, type_, tuple(parser.clauses()))


class _Parser:
    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._at = 1

    def type(self) -> tuple[int, int]:
        first = self._at
        while self._at < len(self._tokens) and not self._tokens[self._at].is_word(*_STARTS):
            self._at += 1
        end = self._tokens[self._at - 1].end
        return (self._tokens[first].start, end) if self._at > first else (end, end)

    def clauses(self) -> list[Clause]:
        found = []
        while self._at < len(self._tokens):
            start, name = self._tokens[self._at].start, self._name()
            kind = self._clause() if self._at < len(self._tokens) and not self._is("constraint") else "constraint"
            found.append(Clause(kind, name, start, self._tokens[self._at - 1].end))
        return found

    def _name(self) -> str | None:
        if not self._skip("constraint"):
            return None
        self._at += 1
        return unquote(self._tokens[self._at - 1].text)

    def _clause(self) -> str:
        word = self._tokens[self._at].text.lower()
        self._at += 1
        if word == "not":
            if self._skip("null"):
                word = "not null"
            else:
                self._skip("deferrable")
                word = "deferrable"
        if word == "primary":
            self._skip("key")
            self._skip("asc", "desc")
        elif word == "check":
            self._group()
        elif word == "default":
            self._value()
        elif word == "collate":
            self._at += 1
        elif word == "references":
            self._reference()
        elif word in ("generated", "as"):
            if word == "generated":
                self._skip("always")
                self._skip("as")
            self._group()
            self._skip("stored", "virtual")
        if word == "deferrable" and self._skip("initially"):
            self._at += 1
        if self._is("on") and self._is("conflict", ahead=1):
            self._at += 3
        if word == "primary":
            self._skip("autoincrement")
        return word

    def _value(self) -> None:
        if self._text() == "(":
            self._group()
        else:
            self._at += 2 if self._text() in ("+", "-") else 1

    def _reference(self) -> None:
        self._at += 1
        self._group()
        while True:
            if self._skip("match"):
                self._at += 1
            elif self._is("on") and self._is("delete", "update", "insert", ahead=1):
                self._at += 2
                self._at += 2 if self._is("set", "no") else 1
            else:
                return

    def _group(self) -> None:
        """Skip what is in parentheses, if there are any."""
        depth = 0
        while self._at < len(self._tokens):
            depth += {"(": 1, ")": -1}.get(self._text(), 0)
            if depth == 0 and self._text() != ")":
                return
            self._at += 1
            if depth == 0:
                return

    def _text(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _is(self, *words: str, ahead: int = 0) -> bool:
        at = self._at + ahead
        return at < len(self._tokens) and self._tokens[at].is_word(*words)

    def _skip(self, *words: str) -> bool:
        if not self._is(*words):
            return False
        self._at += 1
        return True
