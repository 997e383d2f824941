"""The schema of a SQLite file as a flat dictionary of facts, so that two files can be compared.

It is independent of the library, to be neutral: it uses SQLite's PRAGMAs and, for what they do not return, the stored
SQL. Spelling (case of names, quotes, white space) does not matter, meaning does.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Facts = dict[str, Any]

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>[xX]?'(?:[^']|'')*')"
    r'|(?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^]]*\])|(?P<word>[\w$.]+)|(?P<sign>\|\||<>|!=|[<>=]=|->>?|.)',
    re.DOTALL,
)
_CONSTRAINTS = ("constraint", "primary", "unique", "check", "foreign")


class Token(NamedTuple):
    kind: str
    text: str


class Difference(NamedTuple):
    """What the later file has lost, gained or changed; each described in words."""

    lost: list[str]
    changed: list[str]
    added: list[str]

    def __bool__(self) -> bool:
        return bool(self.lost or self.changed or self.added)


def facts(database: sqlite3.Connection) -> Facts:
    """Return everything in a file's schema that a program may rely on, by a readable name."""
    found: Facts = {}
    rows = database.execute("SELECT type, name, tbl_name, sql FROM main.sqlite_master ORDER BY rowid").fetchall()
    for kind, name, table, sql in rows:
        if kind == "table" and not name.lower().startswith("sqlite_"):
            found.update(_table(database, name, sql))
        elif kind == "index" and sql:
            columns = _index_columns(database, name)
            found[f"index {name.lower()}"] = (table.lower(), columns, _after(sql, "on"), "unique" in _words(sql)[:2])
        elif kind in ("trigger", "view"):
            found[f"{kind} {name.lower()}"] = canonical(sql)
        elif name == "sqlite_stat1":
            for on, index, numbers in database.execute("SELECT tbl, idx, stat FROM main.sqlite_stat1").fetchall():
                found[f"statistics of {(index or on).lower()}"] = numbers
    return found


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """Compare two files' facts."""
    return Difference(
        [name for name in before if name not in after],
        [name for name in before if name in after and before[name] != after[name]],
        [name for name in after if name not in before],
    )


def canonical(sql: str) -> str:
    """Return SQL in a canonical spelling, without white space, comments, quotes and the case of names."""
    return " ".join(_spelling(token) for token in _tokens(sql))


def checks(sql: str) -> Iterator[str]:
    """Return the CHECK expressions of a CREATE TABLE statement in canonical spelling."""
    tokens = _tokens(sql)
    for at, token in enumerate(tokens[:-1]):
        if token == Token("word", "check") and tokens[at + 1].text == "(":
            inside = _inside(tokens, at + 1)
            while inside[0].text == "(" and len(_inside(inside, 0)) == len(inside) - 2:
                inside = inside[1:-1]
            yield " ".join(map(_spelling, inside))


def _table(database: sqlite3.Connection, table: str, sql: str) -> Iterator[tuple[str, Any]]:
    name, tokens = table.lower(), _tokens(sql)
    columns = database.execute(f"PRAGMA main.table_xinfo({quote(table)})").fetchall()
    yield f"table {name}", sorted(set(_words(sql[sql.rindex(")") :])) & {"strict", "rowid"})
    yield f"order of the columns of {name}", [column[1].lower() for column in columns]
    for _, column, type_, not_null, default, key, hidden in columns:
        affinity = _affinity(type_)
        # A rowid is never NULL, even if its column is declared otherwise.
        never_null = bool(not_null) or (bool(key) and affinity == "integer")
        yield f"column {name}.{column.lower()}", (affinity, never_null, _default(default, affinity), key, hidden)
    yield from _clauses(name, tokens, {column[1].lower() for column in columns})
    for check, times in Counter(checks(sql)).items():
        yield f"CHECK ({check}) of {name}", times
    for comment in re.findall(r"--[^\n]*|/\*.*?\*/", _without_texts(sql), re.DOTALL):
        yield f"comment {comment.strip()} of {name}", True
    if Token("word", "autoincrement") in tokens:
        yield f"AUTOINCREMENT of {name}", True
    keys: dict[int, list[tuple[Any, ...]]] = {}
    for row in database.execute(f"PRAGMA main.foreign_key_list({quote(table)})").fetchall():
        keys.setdefault(row[0], []).append(row)
    for parts in keys.values():
        parts.sort(key=lambda row: row[1])
        own = ", ".join(part[3].lower() for part in parts)
        _, _, parent, _, _, on_update, on_delete, _ = parts[0]
        to = tuple((part[4] or "id").lower() for part in parts)
        yield f"foreign key {name} ({own})", (parent.lower(), to, on_update, on_delete)
    deferred = sum(token == Token("word", "deferred") for token in tokens)
    if deferred:
        yield f"deferred foreign keys of {name}", deferred
    for _, index, _unique, origin, _ in database.execute(f"PRAGMA main.index_list({quote(table)})").fetchall():
        if origin != "c":
            columns_of = _index_columns(database, index)
            names = ", ".join(str(column) for column, *_ in columns_of)
            yield f"{'PRIMARY KEY' if origin == 'pk' else 'UNIQUE'} ({names}) of {name}", columns_of


def _clauses(name: str, tokens: list[Token], columns: set[str]) -> Iterator[tuple[str, Any]]:
    """Return what no PRAGMA returns: collations, conflict clauses, generated expressions, constraints' names."""
    opening = next((i for i, token in enumerate(tokens) if token.text == "("), None)
    if opening is None:
        return
    for item in _items(_inside(tokens, opening)):
        head = item[0]
        is_column = not (head.kind == "word" and head.text in _CONSTRAINTS) and _spelling(head) in columns
        owner = f"{name}.{_spelling(head)}" if is_column else name
        for at, token in enumerate(item[:-1]):
            following = item[at + 1]
            if token == Token("word", "collate"):
                yield f"COLLATE of {owner}", _spelling(following)
            elif token == Token("word", "conflict"):
                yield f"ON CONFLICT of {owner}", _spelling(following)
            elif token == Token("word", "constraint"):
                yield f"constraint name {_spelling(following)} of {name}", True
            elif token == Token("word", "as") and following.text == "(":
                yield f"expression of {owner}", " ".join(map(_spelling, _inside(item, at + 1)))


def _items(tokens: list[Token]) -> Iterator[list[Token]]:
    depth, item = 0, []
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            yield item
            item = []
        else:
            item.append(token)
    yield item


def _inside(tokens: list[Token], opening: int) -> list[Token]:
    """Return the tokens inside the parenthesis that opens there."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if depth == 0:
            return tokens[opening + 1 : at]
    return tokens[opening + 1 :]


def _index_columns(database: sqlite3.Connection, index: str) -> list[tuple[Any, ...]]:
    rows = database.execute(f"PRAGMA main.index_xinfo({quote(index)})").fetchall()
    return [
        ((column or "expression").lower(), descending, collation.lower())
        for *_, column, descending, collation, key in rows
        if key
    ]


def _after(sql: str, word: str) -> str:
    """Return the canonical text after the start of the column list: names, expressions and the condition."""
    tokens = _tokens(sql)
    on = next(i for i, token in enumerate(tokens) if token == Token("word", word))
    return " ".join(map(_spelling, tokens[on + 2 :]))


def _affinity(type_: str) -> str:
    """Return the affinity of a type (https://www.sqlite.org/datatype3.html#determination_of_column_affinity)."""
    name = type_.lower()
    parts = (
        ("integer", ("int",)),
        ("text", ("char", "clob", "text")),
        ("blob", ("blob",)),
        ("real", ("real", "floa", "doub")),
    )
    found = next((affinity for affinity, words in parts if any(word in name for word in words)), "numeric")
    return found if name not in ("", "any") else f"any {name}".strip()


def _default(default: str | None, affinity: str) -> str | None:
    """Return a canonical default; in a numeric column, a quoted one is the number that SQLite stores."""
    if default is None:
        return None
    spelt = canonical(default)
    while spelt.startswith("( ") and spelt.endswith(" )"):
        spelt = spelt[2:-2]
    return spelt.strip("'") if affinity == "integer" else spelt


def _words(sql: str) -> list[str]:
    return [token.text for token in _tokens(sql) if token.kind == "word"]


def _without_texts(sql: str) -> str:
    return "".join(match[0] if match.lastgroup not in ("text", "quoted") else "''" for match in _TOKEN.finditer(sql))


def _tokens(sql: str) -> list[Token]:
    found = []
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        if kind not in ("space", "comment"):
            found.append(Token(kind, match[0].lower() if kind == "word" else match[0]))
    return found


def _spelling(token: Token) -> str:
    if token.kind != "quoted":
        return token.text
    inside = token.text[1:-1]
    return inside.replace(token.text[-1] * 2, token.text[-1]).lower()


def quote(name: str) -> str:
    """Return a quoted name."""
    return '"' + name.replace('"', '""') + '"'
