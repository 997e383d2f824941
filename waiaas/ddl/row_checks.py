"""Finds the rows that violate a new constraint: SQLite reports that there are some, but not which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from peewee import SqliteDatabase

from waiaas.ddl.connection import read
from waiaas.ddl.sql import Token, after_on, parse_create_table, quote, tokens
from waiaas.errors import WAIaaSError, refusal

_ROWS_LISTED = 1000
# The storage classes of each type in a STRICT table (https://www.sqlite.org/stricttables.html).
_STRICT_TYPES = {
    "int": ("integer",),
    "integer": ("integer",),
    "real": ("real", "integer"),
    "text": ("text",),
    "blob": ("blob",),
}


def value_not_allowed(table: str, column: str, rows: Sequence[tuple[object, object]]) -> WAIaaSError:
    """Return the refusal of values that a constraint does not allow; `rows` holds each row's id and its value."""
    values = sorted({repr(value) for _, value in rows})
    ids = [row for row, _ in rows]
    return refusal("value_not_allowed", table=table, column=column, values=values, rows=ids, count=len(ids))


def duplicates_of(
    database: SqliteDatabase, table: str, row_name: str, create_index: str
) -> tuple[str, list[tuple[Any, Any]]]:
    """Return the columns of a UNIQUE index, and the id and values of each row that is not unique in them."""
    terms, where = _index_terms(create_index)
    return ", ".join(terms), duplicates(database, f"main.{quote(table)}", row_name, terms, where)


def duplicates(
    database: SqliteDatabase, source: str, row_name: str, terms: Iterable[str], where: str = "1"
) -> list[tuple[Any, Any]]:
    """Return the rows of a source that are equal in all terms; NULL equals nothing."""
    keys = list(terms)
    shown = " || ', ' || ".join(f"quote({term})" for term in keys)
    filled = " AND ".join(f"({term}) IS NOT NULL" for term in keys)
    return read(
        database,
        f"SELECT id, value FROM (SELECT {row_name} AS id, {shown} AS value,"
        f" count(*) OVER (PARTITION BY {', '.join(keys)}) AS equal FROM {source} WHERE ({where}) AND {filled})"
        f" WHERE equal > 1 LIMIT {_ROWS_LISTED}",
    )


def strict_condition(type_: str, column: str) -> str | None:
    """Return the condition for values that a column of a STRICT table refuses; None if it accepts all."""
    stored = _STRICT_TYPES.get(type_.lower())
    if stored is None:
        return None
    kinds = ", ".join(f"'{kind}'" for kind in ("null", *stored))
    return f"typeof({column}) NOT IN ({kinds})"


def _index_terms(create_index: str) -> tuple[list[str], str]:
    """Return the terms of a CREATE INDEX statement without ASC or DESC, and its WHERE condition."""
    # Parsed as a table: the terms are where columns are, and WHERE is where table options are.
    parts = parse_create_table(f"CREATE TABLE terms {after_on(create_index)}")
    rest = parts.sql[parts.body[1] + 1 :]
    where = next((rest[word.end :] for word in tokens(rest) if word.is_word("where")), "1")
    return [_without_order(parts.sql, item.tokens) for item in parts.items], where.rstrip("; \n")


def _without_order(sql: str, term: Sequence[Token]) -> str:
    last = term[-2] if len(term) > 1 and term[-1].is_word("asc", "desc") else term[-1]
    return sql[term[0].start : last.end]
