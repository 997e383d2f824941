"""Estimates from its SQL how much SQLite has to compile for a view or trigger.

SQLite replaces each name of a view, or of a common table expression, with its definition. Sixteen views that each name
the previous one twice become 65,536 queries: gigabytes of memory, and minutes without a reaction to signals. The time
of the estimate is linear in the length of the SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from waiaas.ddl.schema import StoredObject
from waiaas.ddl.sql import Token, fold, tokens, unquote

#: Larger ones are not compiled. This is several times the largest schema of any real program.
LARGEST_EXPANSION = 5_000


def expansions(views: Iterable[StoredObject]) -> dict[str, int]:
    """Return how many names each view (by its name in lower case) has after all views are expanded."""
    texts = {fold(view.name): view.sql for view in views}
    sizes: dict[str, int] = {}
    for name in texts:
        _measure(name, texts, sizes)
    return sizes


def expansion(sql: str, views: Mapping[str, int]) -> int:
    """Return how many names an SQL text has after the views, whose numbers are given, are expanded."""
    local: dict[str, int] = {}
    # The word before each open parenthesis; and the count before it, if a common table expression starts there.
    opened: list[tuple[str, int | None]] = []
    total, named, before = 0, "", ""
    words = list(tokens(sql))
    for number, word in enumerate(words):
        if word.text == "(":
            opened.append((named or before, total if named else None))
            total, named = 0 if named else total, ""
        elif word.text == ")" and opened:
            name, counted = opened.pop()
            if counted is not None:
                local[name], total = total, counted
            elif _starts_common_table(words, number + 1):
                named = name
        elif _starts_common_table(words, number + 1):
            named = _name(word)
        else:
            total += local.get(_name(word), views.get(_name(word), 1))
        before = _name(word)
    return total


def _starts_common_table(words: list[Token], at: int) -> bool:
    """Return whether `AS (`, `AS MATERIALIZED (` or `AS NOT MATERIALIZED (` follows."""
    if at >= len(words) or not words[at].is_word("as"):
        return False
    following = [word for word in words[at + 1 : at + 4] if not word.is_word("not", "materialized")]
    return bool(following) and following[0].text == "("


def _measure(name: str, texts: Mapping[str, str], sizes: dict[str, int]) -> None:
    """Measure a view after the views that it names, without recursion: views can be nested thousands deep."""
    pending, waiting = [name], {name}
    while pending:
        view = pending[-1]
        if view in sizes:
            pending.pop()
            continue
        named = ({_name(word) for word in tokens(texts[view])} & texts.keys()) - {view}
        missing = [each for each in named if each not in sizes and each not in waiting]
        if missing:
            pending += missing
            waiting.update(missing)
        else:
            sizes[view] = min(expansion(texts[view], sizes), LARGEST_EXPANSION + 1)
            pending.pop()


def _name(word: Token) -> str:
    return fold(unquote(word.text))
