"""Temporary stubs for functions and collations that only the user's program has."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from peewee import OperationalError

from waiaas.ddl.sql import fold, quote, tokens, unquote
from waiaas.errors.driver import sqlite3

_Result = TypeVar("_Result")
_Remove = Callable[[], None]

# ALTER TABLE prefixes the message with the object at which it stopped. "unknown function" is the message for one in an
# index or a generated column (sqlite3InvalidFunction in SQLite's main.c).
_MISSING = re.compile(
    r"(?:error in .+: )?(?:no such|unknown) (function|collation sequence): (.+?)(?:\(\))?", re.DOTALL
)
# The message for a WITHOUT ROWID table whose key needs a missing collation (sqlite3WhereBegin in SQLite's where.c).
_NO_COLLATION = "no query solution"
_BUILT_IN = frozenset({"binary", "nocase", "rtrim"})


def stub_missing(database: sqlite3.Connection, error: Exception) -> _Remove | None:
    """Add a stub of the function or collation that an error reports missing; return a function that removes it."""
    missing = _MISSING.fullmatch(str(error))
    if missing is None:
        return None
    kind, name = missing.groups()
    if kind != "function":
        database.create_collation(name, lambda *_: 0)
        return partial(database.create_collation, name, None)
    (trusted,) = database.execute("PRAGMA trusted_schema").fetchone()
    # No CHECK refuses NULL.
    database.create_function(name, -1, lambda *_: None, deterministic=True)
    # An untrusted schema may not use functions that a program has added.
    database.execute("PRAGMA trusted_schema = ON")

    def remove() -> None:
        # The remains of a function that is not deterministic would make SQLite refuse the schema.
        database.create_function(name, -1, None, deterministic=True)
        database.execute(f"PRAGMA trusted_schema = {trusted}")

    return remove


def missing_name(error: Exception) -> str | None:
    """Return the kind and name of the function or collation that an error reports missing, if it does."""
    missing = _MISSING.fullmatch(str(error))
    return " ".join(missing.groups()) if missing else None


def with_stubs(database: sqlite3.Connection, run: Callable[[], _Result]) -> _Result:
    """Run a statement with stubs for missing functions and collations, and remove them.

    Only for statements whose result does not depend on a collation: ALTER TABLE in place, and reading all rows.
    """
    stubs: list[_Remove] = []
    has_all_collations = False
    try:
        while True:
            try:
                return run()
            except (OperationalError, sqlite3.OperationalError) as error:
                if (remove := stub_missing(database, error)) is not None:
                    stubs.append(remove)
                elif str(error) == _NO_COLLATION and not has_all_collations:
                    stubs += _stub_collations(database)
                    has_all_collations = True
                else:
                    raise
    finally:
        for remove in stubs:
            remove()


def _stub_collations(database: sqlite3.Connection) -> list[_Remove]:
    """Add stubs of all missing collations of the schemas, and make SQLite read the schemas again.

    SQLite does not report which collation is missing, and caches in the schema that it is.
    """
    missing = [name for name in _named_collations(database) if not _has_collation(database, name)]
    for name in missing:
        database.create_collation(name, lambda *_: 0)
    database.execute("PRAGMA writable_schema = RESET")
    return [partial(database.create_collation, name, None) for name in missing]


def _has_collation(database: sqlite3.Connection, name: str) -> bool:
    """Return whether a connection has a collation; PRAGMA collation_list also lists removed ones."""
    try:
        database.execute(f"SELECT 'a' = 'b' COLLATE {quote(name)}")
    except sqlite3.OperationalError:
        return False
    return True


def known_collations(database: sqlite3.Connection) -> set[str]:
    """Return the collations that the schemas of a connection use and the connection has."""
    named = _named_collations(database)
    return {name for name in named if fold(name) not in _BUILT_IN and _has_collation(database, name)}


def known_functions(database: sqlite3.Connection) -> set[str]:
    """Return the names of the functions that a connection has."""
    return {name for (name,) in database.execute("SELECT name FROM pragma_function_list").fetchall()}


def _named_collations(database: sqlite3.Connection) -> list[str]:
    named: dict[str, str] = {}
    for (schema,) in database.execute("SELECT name FROM pragma_database_list").fetchall():
        for (sql,) in database.execute(f"SELECT sql FROM {quote(schema)}.sqlite_master WHERE sql LIKE '%collate%'"):
            words = itertools.pairwise(tokens(sql))
            named |= {fold(name.text): unquote(name.text) for word, name in words if word.is_word("collate")}
    return list(named.values())
