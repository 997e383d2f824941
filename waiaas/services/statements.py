"""Statements: SQL compiled once, and rows that the driver cannot decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, TypeVar

from peewee import PeeweeException

from waiaas.backends.base import Backend
from waiaas.backends.sqlite import WaiaasDatabase
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import reason_for
from waiaas.errors.translation import translate_errors
from waiaas.models import MODELS
from waiaas.paths import file_of

# SQLite takes at most 32,766 parameters in one statement (https://www.sqlite.org/limits.html), and a row of the audit
# log has 10.
_AT_ONCE = 1000

# An object that hides a table, with SQLite's rule for names: ASCII letters count as equal in both cases.
_HIDDEN: Final = (
    "SELECT name FROM temp.sqlite_master WHERE type IN ('table', 'view') AND lower(name) IN ("
    + ", ".join(f"'{model._meta.table_name}'" for model in MODELS)
    + ") LIMIT 1"
)

#: Sets a value of `key_value_store`, whether there is one or not.
STORE: Final = """\
INSERT INTO main.key_value_store (key, value, updated_at) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"""

_Item = TypeVar("_Item")

#: A statement and its parameters.
Statement = tuple[str, Sequence[object]]

# Statements in the dialect of a class of databases.
_compiled: dict[tuple[type[Backend], str], str] = {}


def run(database: Backend, sql: str, *parameters: object) -> Any:
    """Run a statement and return its cursor; it is translated into the dialect of the database once.

    A statement names its tables with `main.`, so that a temporary table of the caller's connection, which SQLite would
    take first (https://www.sqlite.org/lang_naming.html), decides nothing.
    """
    key = type(database), sql
    compiled = _compiled.get(key)
    if compiled is None:
        compiled = _compiled.setdefault(key, database.dialect(sql))
    return database.execute_sql(compiled, parameters)


def run_together(database: Backend, statements: Sequence[Statement]) -> Any:
    """Run statements that change different rows, in order or as one statement, and return the cursor of the last.

    As one, none sees what the others have changed, and foreign keys are checked at its end.
    """
    if database.joins_changes:
        sql = _joined(tuple(sql for sql, _ in statements))
        return run(database, sql, *chain.from_iterable(parameters for _, parameters in statements))
    for sql, parameters in statements:
        cursor = run(database, sql, *parameters)
    return cursor


@cache
def _joined(statements: tuple[str, ...]) -> str:
    *changes, last = statements
    named = ", ".join(f"change_{number} AS ({change})" for number, change in enumerate(changes))
    return f"WITH {named} {last}" if changes else last


@cache
def marks(count: int) -> str:
    """Return the parameters of a list.

    >>> marks(3)
    '?, ?, ?'
    """
    return ", ".join("?" * count)


def fetch_latest(database: Backend, sql: str, *parameters: object, show: bool = False) -> Any:
    """Run a compiled statement against the latest commit of any process, and return its first row, or None.

    With `show`, text that is not UTF-8 is returned as `ReplacedText` instead of raising an error.
    """
    try:
        return database.fetch_latest(sql, parameters)
    except WAIaaSError as error:
        if not show or error.reason != "unreadable_value" or not isinstance(database, WaiaasDatabase):
            raise
    with translate_errors(database):
        latest = database.latest()
        return _decoding(latest, lambda: latest.execute(sql, parameters).fetchone())


def read(database: Backend, query: Callable[[], _Item]) -> _Item:
    """Return what a function reads for an administrator; text that is not UTF-8 is returned as `ReplacedText`.

    Raises WAIaaSError with the reason `file_replaced` as `WaiaasDatabase.latest` does, and with `hidden_table` as
    `refuse_hidden_tables` does.
    """

    def checked() -> _Item:
        if isinstance(database, WaiaasDatabase):
            database.refuse_replaced()
        refuse_hidden_tables(database)
        return shown(database, query)

    return database.read(checked)


def refuse_hidden_tables(database: Backend) -> None:
    """Refuse a connection with a temporary table or view that has the name of one of the library's tables.

    SQLite takes the temporary one for a name without a schema (https://www.sqlite.org/lang_naming.html): a session
    would be revoked there, and its token would stay valid. Raises WAIaaSError with the reason `hidden_table`.
    """
    if isinstance(database, WaiaasDatabase):
        found = database.execute_sql(_HIDDEN).fetchone()
        if found is not None:
            raise refusal("hidden_table", path=file_of(database), table=found[0])


class ReplacedText(str):
    """Text that was not UTF-8 in the file, with replacement characters (U+FFFD) for what cannot be decoded.

    :ivar raw: the bytes in the file.
    """

    raw: bytes

    def __new__(cls, raw: bytes) -> ReplacedText:
        """Decode the bytes in the file."""
        text = super().__new__(cls, raw.decode(errors="replace"))
        text.raw = raw
        return text


def shown(database: Backend, query: Callable[[], _Item]) -> _Item:
    """Return what a function reads; it runs again, with `ReplacedText`, if the driver cannot decode a text.

    So one row does not hide the others.
    """
    try:
        return query()
    except (PeeweeException, sqlite3.Error) as error:
        if not isinstance(database, WaiaasDatabase) or reason_for(error) != "unreadable_value":
            raise
    return _decoding(database.connection(), query)


def _decoding(connection: Any, query: Callable[[], _Item]) -> _Item:
    """Run a function while a connection of SQLite returns text that is not UTF-8 as `ReplacedText`."""
    before, connection.text_factory = connection.text_factory, _decode
    try:
        return query()
    finally:
        connection.text_factory = before


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return ReplacedText(text)


def batched(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Split rows or ids into as many as one statement takes."""
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
