"""What statements are made of.

Those of the path that every request takes are built once, for that costs more than running them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from peewee import SQL, Column, Database, Model, Node, PeeweeException, Query, SqliteDatabase, Value

from waiaas.backends.sqlite import WaiaasDatabase, write_transaction
from waiaas.errors import refusal
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import reason_for
from waiaas.errors.translation import refusal_for, safe_cause, translate_errors
from waiaas.models import MODELS, SessionWallet
from waiaas.paths import file_of

#: Stands for a parameter that is given each time the statement runs, in the order in which they stand in its SQL.
PARAMETER: Final = Value(None)

#: A true flag and a false one, written into the SQL itself.
TRUE: Final = SQL("1")
FALSE: Final = SQL("0")

# SQLite takes at most 32,766 parameters in one statement (https://www.sqlite.org/limits.html), and a row of the audit
# log has 10.
_AT_ONCE = 1000

# An object that hides a table, with SQLite's rule for names: ASCII letters count as equal in both cases.
_HIDDEN: Final = (
    "SELECT name FROM temp.sqlite_master WHERE type IN ('table', 'view') AND lower(name) IN ("
    + ", ".join(f"'{model._meta.table_name}'" for model in MODELS)
    + ") LIMIT 1"
)

_Item = TypeVar("_Item")


def compile_sql(database: Database, query: Query) -> str:
    """Return the SQL of a query in the database's dialect; it has no other parameters than `PARAMETER`."""
    sql, _ = database.get_sql_context().sql(query).query()
    return str(sql)


def in_dialect(database: Database, sql: str) -> str:
    """Return a statement for SQLite as the database takes it: with its own placeholder for `?`.

    The statement names its tables with `main.`, so that a temporary table of the caller's connection, which SQLite
    would take first (https://www.sqlite.org/lang_naming.html), decides nothing. Other databases have no such schema.
    """
    if isinstance(database, SqliteDatabase):
        return sql
    return sql.replace("main.", "").replace("?", database.param)


def fetch(database: Database, sql: str, *parameters: object) -> Any:
    """Run a compiled statement and return its first row, or None; errors become refusals as in `translate_errors`."""
    try:
        return database.execute_sql(sql, parameters).fetchone()
    except Exception:
        # The context manager is entered only now: on this path its cost would count.
        with translate_errors(database):
            raise


def fetch_latest(database: Database, sql: str, *parameters: object, shown: bool = False) -> Any:
    """Run a compiled statement against the latest commit of any process, and return its first row, or None.

    With `shown=True` text that is not UTF-8 comes as `ReplacedText` instead of an error.

    Only the database that `waiaas.connect` returns has a connection for that. On any other Peewee database, a
    statement inside a transaction or next to an unfinished cursor reads the snapshot of that one.
    """
    if not isinstance(database, WaiaasDatabase):
        if shown:
            return _decoding(database.connection(), lambda: fetch(database, sql, *parameters))
        return fetch(database, sql, *parameters)
    try:
        return database.latest().execute(sql, parameters).fetchone()
    except Exception as error:
        if not (shown and reason_for(error) == "unreadable_value"):
            with translate_errors(database):
                raise
    with translate_errors(database):
        latest = database.latest()
        return _decoding(latest, lambda: latest.execute(sql, parameters).fetchone())


@contextmanager
def service_transaction(database: Database, *, durable: bool = False) -> Iterator[None]:
    """Run a block of a service in a `write_transaction`; each error of the database becomes a refusal."""
    try:
        with write_transaction(database, durable=durable):
            refuse_hidden_tables(database)
            yield
    except (PeeweeException, sqlite3.Error) as error:
        raise refusal_for(error, database) from safe_cause(error)


def refuse_hidden_tables(database: Database) -> None:
    """Refuse a connection with a temporary table or view that has the name of one of the library's tables.

    SQLite takes the temporary one for a name without a schema (https://www.sqlite.org/lang_naming.html): a session
    would be revoked there, and its token would stay valid. Raises WAIaaSError with the reason `hidden_table`.
    """
    if isinstance(database, SqliteDatabase):
        found = fetch(database, _HIDDEN)
        if found is not None:
            raise refusal("hidden_table", path=file_of(database), table=found[0])


def refuse_undone(database: Database, model: type[Model], is_kept: bool) -> None:
    """Refuse a change that the transaction no longer has: a right that was taken away would still be there.

    A trigger can skip a row (RAISE(IGNORE), https://www.sqlite.org/lang_createtrigger.html) or set it back, and SQLite
    reports no error. Call it after the last statement that writes, the one for the audit log included. Raises
    WAIaaSError with the reason `change_undone`.
    """
    if not is_kept:
        raise refusal("change_undone", path=file_of(database), table=model._meta.table_name)


class ReplacedText(str):
    """Text that was not UTF-8 in the file, with replacement characters (U+FFFD) for what cannot be decoded.

    :ivar raw: the bytes in the file.
    """

    raw: bytes

    def __new__(cls, raw: bytes) -> ReplacedText:
        """Take the bytes in the file."""
        text = super().__new__(cls, raw.decode(errors="replace"))
        text.raw = raw
        return text


def show(database: Database, read: Callable[[], _Item]) -> _Item:
    """Return what a function reads for an administrator; text that is not UTF-8 comes as `ReplacedText`.

    The function runs a second time if the driver cannot decode a text, so that one row does not hide the others.
    Raises WAIaaSError with the reason `file_replaced` as `WaiaasDatabase.latest` does, and with `hidden_table` as
    `refuse_hidden_tables` does.
    """
    if isinstance(database, WaiaasDatabase):
        database.refuse_replaced()
    refuse_hidden_tables(database)
    try:
        return read()
    except (PeeweeException, sqlite3.Error) as error:
        if reason_for(error) != "unreadable_value":
            raise
    return _decoding(database.connection(), read)


def _decoding(connection: Any, read: Callable[[], _Item]) -> _Item:
    """Run a function while a connection of SQLite returns text that is not UTF-8 as `ReplacedText`."""
    if not hasattr(connection, "text_factory"):
        return read()
    before, connection.text_factory = connection.text_factory, _decode
    try:
        return read()
    finally:
        connection.text_factory = before


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return ReplacedText(text)


def link_order(database: Database, link: Any) -> list[Node]:
    """Return what to order links by, so that they come in the order in which they were made.

    `link` is `SessionWallet` or an alias of it. Links of one request have the same time. In SQLite a new row has a
    larger rowid than every other row of the table (https://www.sqlite.org/autoinc.html). PostgreSQL does not number
    rows: there, links of the same second come in the order of the wallets' ids.
    """
    if isinstance(database, SqliteDatabase):
        return [Column(SessionWallet._meta.table if link is SessionWallet else link, "rowid")]
    return [link.created_at, link.wallet]


def batched(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Split rows or ids into as many as one statement takes."""
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
