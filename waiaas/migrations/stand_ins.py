"""Functions and collations that only the user's own program has, stood in for while SQLite compiles or checks."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

# ALTER TABLE puts the object at which it stopped before the message. "unknown function" is the text for one in an
# index or a generated column (sqlite3InvalidFunction in SQLite's main.c).
_MISSING = re.compile(
    r"(?:error in .+: )?(?:no such|unknown) (function|collation sequence): (.+?)(?:\(\))?", re.DOTALL
)


def stand_in(database: sqlite3.Connection, error: Exception) -> Callable[[], None] | None:
    """Give a connection what an error says that it lacks; return what takes it away again.

    None is returned for an error that is about something else.
    """
    missing = _MISSING.fullmatch(str(error))
    if missing is None:
        return None
    kind, name = missing.groups()
    if kind == "function":
        # NULL is what no CHECK refuses.
        database.create_function(name, -1, lambda *_: None, deterministic=True)
        return lambda: database.create_function(name, -1, None)
    database.create_collation(name, lambda *_: 0)
    return lambda: database.create_collation(name, None)


def missing_name(error: Exception) -> str | None:
    """Return the function or collation that an error says is missing, with the word for it; None for another error."""
    missing = _MISSING.fullmatch(str(error))
    return " ".join(missing.groups()) if missing else None
