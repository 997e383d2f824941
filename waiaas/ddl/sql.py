"""SQL text: tokens, quoting, and the parts of a CREATE TABLE statement.

SQLite stores each definition exactly as it was written. Editing it, or checking whether it names a column, requires a
tokenizer: quotes, comments and parentheses inside string literals would mislead a regular expression. The token rules
are those of SQLite's own tokenizer
(https://www.sqlite.org/lang_keywords.html, https://www.sqlite.org/lang_comment.html).
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

# A word consists of letters, digits, `_`, `$` and everything that is not ASCII. The class here lists the rest: Python
# takes a hundred times as long to compile one that reaches to the end of Unicode, and every import would wait.
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\n\f\r]+ | --[^\n]* | /\*.*?(?:\*/|\Z))
  | (?P<blob>[xX]'[^']*')
  | (?P<word>[^\x00-@\[-^`{-\x7f][^\x00-#%-/:-@\[-^`{-\x7f]*)
  | (?P<string>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\])
  | (?P<number>0[xX][0-9a-fA-F]+ | (?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CONSTRAINT_WORDS = frozenset({"constraint", "primary", "unique", "check", "foreign"})


class DefinitionError(ValueError):
    """A text that is not a CREATE TABLE statement."""


class Token(NamedTuple):
    """One token of SQL: its kind, its text, and its position."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def name(self) -> str | None:
        """The identifier, unquoted and in lower case; None if the token cannot be one."""
        if self.kind == "word":
            return fold(self.text)
        if self.kind == "quoted":
            return fold(unquote(self.text))
        return None

    def is_word(self, *words: str) -> bool:
        """Return whether this is one of some keywords (in lower case)."""
        return self.kind == "word" and fold(self.text) in words


class Item(NamedTuple):
    """One entry of a CREATE TABLE statement: a column definition or a table constraint."""

    kind: str
    name: str | None
    tokens: tuple[Token, ...]

    @property
    def start(self) -> int:
        """Where the entry's first token starts in the statement."""
        return self.tokens[0].start

    @property
    def end(self) -> int:
        """Where the entry's last token ends in the statement."""
        return self.tokens[-1].end


class CreateTable(NamedTuple):
    """A parsed CREATE TABLE statement; `body` is where the outer parentheses open and close."""

    sql: str
    items: tuple[Item, ...]
    body: tuple[int, int]

    @property
    def options(self) -> frozenset[str]:
        """The table options after the closing parenthesis, in lower case (`strict`, `without rowid`)."""
        words = " ".join(token.text for token in tokens(self.sql[self.body[1] + 1 :]))
        return frozenset(" ".join(fold(option).split()) for option in words.split(",") if option.strip())

    def column(self, name: str) -> Item:
        """Return the definition of a column; its name is compared as SQLite does, ignoring ASCII case.

        :raises KeyError: if the statement has no such column.
        """
        for item in self.items:
            if item.kind == "column" and item.name == fold(name):
                return item
        raise KeyError(name)

    def renamed(self, name: str) -> str:
        """Return the statement for a table of another name with the same columns and constraints."""
        return f"CREATE TABLE {quote(name)} {self.sql[self.body[0] :]}"

    def without(self, item: Item) -> CreateTable:
        """Return the statement without one of its entries and the comma of that entry.

        A comment after the comma is kept, because it may belong to the next entry.
        """
        index = self.items.index(item)
        if index + 1 < len(self.items):
            start, end = item.start, self._comma_before(index + 1) + 1
        else:
            start, end = self._comma_before(index), item.end
        return parse_create_table(self.sql[:start] + self.sql[end:])

    def end_of(self, item: Item) -> int:
        """Return where the next entry starts, or the closing parenthesis is: comments before it are the entry's."""
        index = self.items.index(item) + 1
        return self.items[index].start if index < len(self.items) else self.body[1]

    def with_entry(self, item: Item, text: str) -> CreateTable:
        """Return the statement with another text for one of its entries."""
        return parse_create_table(self.sql[: item.start] + text + self.sql[item.end :])

    def with_column_after(self, name: str, definition: str) -> str:
        """Return the statement with one more column definition, after the column `name`."""
        end = self.column(name).end
        return f"{self.sql[:end]}, {definition}{self.sql[end:]}"

    def _comma_before(self, index: int) -> int:
        between = range(self.items[index - 1].end, self.items[index].start)
        return next(t.start for t in tokens(self.sql) if t.text == "," and t.start in between)


def fold(name: str) -> str:
    """Lower-case a name as SQLite compares names: ASCII letters only."""
    # `lower` takes a fifth of the time.
    return name.lower() if name.isascii() else name.translate(_ASCII_LOWER)


def quote(name: str) -> str:
    """Quote an identifier.

    >>> print(quote('odd "name" of a table'))
    "odd ""name"" of a table"
    """
    return '"' + name.replace('"', '""') + '"'


def unquote(text: str) -> str:
    """Remove the quotes of an identifier written in any of SQLite's ways, string quotes among them.

    >>> unquote("[my table]"), unquote('"a""b"'), unquote("plain")
    ('my table', 'a"b', 'plain')
    """
    if text[:1] == "[":
        return text[1:-1]
    if text[:1] in ('"', "`", "'"):
        return text[1:-1].replace(text[0] * 2, text[0])
    return text


def first_name(sql: str) -> str:
    """Return the name at the start of SQL, such as that of the column in its definition.

    >>> first_name('"my column" TEXT NOT NULL')
    'my column'
    """
    return unquote(next(tokens(sql)).text)


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of SQL, without white space and comments.

    >>> [token.text for token in tokens("a /* , */ IN ('x, y') -- end")]
    ['a', 'IN', '(', "'x, y'", ')']
    """
    new = tuple.__new__  # that of a NamedTuple takes twice as long
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup
        if kind != "space":
            start, end = match.span()
            yield new(Token, (kind, sql[start:end], start, end))


def comments(sql: str) -> Iterator[tuple[int, str]]:
    """Yield the position and the text of each comment."""
    for match in _TOKEN.finditer(sql):
        text = match.group()
        if match.lastgroup == "space" and text[:2] in ("--", "/*"):
            yield match.start(), text


def names(sql: str, name: str) -> bool:
    """Return whether SQL contains an identifier, in any case and any quotes.

    >>> names('CREATE INDEX i ON t(lower("Wallet_ID"))', "wallet_id")
    True
    >>> names("CREATE INDEX i ON t(id) WHERE note <> 'wallet_id'", "wallet_id")
    False
    """
    return any(token.name == fold(name) for token in tokens(sql))


def may_contain(sql: str, word: str) -> bool:
    """Return whether SQL contains the letters of a keyword (in lower case); if not, it need not be tokenized."""
    return word in sql.lower()


def without_argument(sql: str, name: str) -> str:
    """Return a CREATE VIRTUAL TABLE statement without the argument `name=…` of its module.

    >>> without_argument("CREATE VIRTUAL TABLE f USING fts5(body, tokenize = 'icu ko', prefix=2)", "tokenize")
    'CREATE VIRTUAL TABLE f USING fts5(body, prefix=2)'
    >>> without_argument("CREATE VIRTUAL TABLE f USING fts4(tokenize=icu, body)", "tokenize")
    'CREATE VIRTUAL TABLE f USING fts4(body)'
    """
    start = sql.find("(")
    try:
        items = parse_create_table(f"CREATE TABLE f {sql[start:]}").items
    except DefinitionError:
        return sql
    kept = [item for item in items if not item.tokens[0].is_word(name)]
    if len(kept) == len(items):
        return sql
    offset = start - len("CREATE TABLE f ")
    return f"{sql[:start]}({', '.join(sql[item.start + offset : item.end + offset] for item in kept)})"


def after_on(index_sql: str) -> str:
    """Return the part of CREATE INDEX after the table's name, which can name columns."""
    on = next(token for token in tokens(index_sql) if token.is_word("on"))
    return index_sql[index_sql.index("(", on.end) :]


# A migration needs the same tables repeatedly; 256 is more than the number of tables in a file.
@lru_cache(maxsize=256)
def parse_create_table(sql: str) -> CreateTable:
    """Split a CREATE TABLE statement, as SQLite stores it, into its entries.

    :raises ValueError: for a statement without a column list (a virtual table).
    """
    all_tokens = list(tokens(sql))
    opening = next((i for i, token in enumerate(all_tokens) if token.text == "("), None)
    if opening is None or any(token.is_word("virtual") for token in all_tokens[:opening]):
        raise DefinitionError(f"not a CREATE TABLE statement with a column list: {sql}")
    entries: list[list[Token]] = [[]]
    depth = 1
    for token in all_tokens[opening + 1 :]:
        text = token.text
        if text == "(":
            depth += 1
        elif text == ")":
            depth -= 1
        if depth == 0:
            items = tuple(_item(entry) for entry in entries if entry)
            return CreateTable(sql, items, (all_tokens[opening].start, token.start))
        if depth == 1 and text == ",":
            entries.append([])
        else:
            entries[-1].append(token)
    raise DefinitionError(f"unbalanced parentheses: {sql}")


def _item(entry: list[Token]) -> Item:
    if entry[0].is_word(*_CONSTRAINT_WORDS):
        return Item("constraint", None, tuple(entry))
    return Item("column", fold(unquote(entry[0].text)), tuple(entry))
