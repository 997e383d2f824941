"""Peewee fields in the stored form of the WAIaaS daemon: Unix seconds, 0/1 flags, JSON text, closed vocabularies.

Each field writes its DEFAULT and CHECK clauses into the DDL itself, so that a table made from the models has
them too, whoever inserts the rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from peewee import SQL, AutoField, BigIntegerField, Context, Field, IntegerField, Node, NodeList, TextField

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _literal(value: object) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(int(value) if isinstance(value, bool) else value)


class _ColumnClauses(Field):
    """A field whose Python default stands in the DDL as well, and whose values may be a closed set."""

    def __init__(self, *args: Any, values: Sequence[str | int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.values = values

    def ddl(self, ctx: Context) -> NodeList:
        """Return the column definition with its DEFAULT and CHECK clauses."""
        clauses: list[Node] = [super().ddl(ctx)]
        if self.default is not None:
            clauses.append(SQL(f"DEFAULT {_literal(self.default)}"))
        if self.values is not None:
            allowed = ", ".join(_literal(value) for value in self.values)
            null = f'"{self.column_name}" IS NULL OR ' if self.null else ""
            clauses.append(SQL(f'CHECK ({null}"{self.column_name}" IN ({allowed}))'))
        return NodeList(clauses)


class Text(_ColumnClauses, TextField):
    """TEXT, optionally one of a closed vocabulary (`values`)."""


class Integer(_ColumnClauses, BigIntegerField):
    """INTEGER of up to 64 bits on every database: 32 would end in the year 2038."""


class Flag(_ColumnClauses, IntegerField):
    """A bool, stored as 0 or 1 in an INTEGER column."""

    def db_value(self, value: Any) -> Any:
        """Return 0 or 1; None stays None."""
        return value if value is None else int(bool(value))

    def python_value(self, value: Any) -> Any:
        """Return a bool; None stays None."""
        return value if value is None else bool(value)


class UTCDateTime(BigIntegerField):
    """A moment: a timezone-aware UTC `datetime` in Python, whole Unix seconds (rounded down) in the column.

    Takes aware datetimes of any timezone, or Unix seconds as an int. A naive datetime is refused with
    ValueError: which moment it means depends on the machine that asks.
    """

    def db_value(self, value: Any) -> Any:
        """Return Unix seconds; None stays None."""
        if not isinstance(value, datetime):
            return super().db_value(value)  # type: ignore[no-untyped-call]
        if value.tzinfo is None:
            raise ValueError(f"{self.name} takes a timezone-aware datetime, not the naive {value!r}")
        return (value - _EPOCH) // timedelta(seconds=1)

    def python_value(self, value: Any) -> Any:
        """Return an aware UTC datetime; None stays None, and a stored value that is no number as it is."""
        return _EPOCH + timedelta(seconds=value) if isinstance(value, (int, float)) else value


class JSONText(TextField):
    """A JSON value, stored as the text that JavaScript's `JSON.stringify` makes of it.

    That is without spaces, with non-ASCII characters as they are and whole floats without a fraction. NaN and
    infinities, which JSON has not, are refused with ValueError. Peewee's own JSONField is bound to one database
    at a time for the whole process, and this library serves several in different threads.
    """

    def db_value(self, value: Any) -> Any:
        """Return JSON text; None is SQL NULL, and a query expression stays one."""
        return value if value is None or isinstance(value, Node) else to_json(value)

    def python_value(self, value: Any) -> Any:
        """Return the value that the JSON text stands for; SQL NULL is None."""
        return value if value is None else json.loads(value)


class AutoIncrement(AutoField):
    """An INTEGER PRIMARY KEY AUTOINCREMENT: an id is never given twice, not even that of a deleted row."""

    def __init__(self) -> None:
        super().__init__()
        # SQLite gives the id itself; the daemon's table does not say NOT NULL.
        self.null = True

    def ddl(self, ctx: Context) -> NodeList:
        """Return the column definition; only SQLite knows, and needs, the keyword."""
        definition = super().ddl(ctx)
        is_sqlite = ctx.state.field_types[self.field_type] == "INTEGER"
        return NodeList((definition, SQL("AUTOINCREMENT"))) if is_sqlite else definition


def to_json(value: Any) -> str:
    """Return a value as the JSON text that the daemon stores.

    >>> to_json({"limit": 1.0, "memo": "점심"})
    '{"limit":1,"memo":"점심"}'
    """
    text = json.dumps(_whole_floats_as_integers(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # JSON.stringify escapes lone surrogates, which UTF-8 cannot hold.
    return "".join(c if not "\ud800" <= c <= "\udfff" else f"\\u{ord(c):04x}" for c in text)


def _whole_floats_as_integers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole_floats_as_integers(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole_floats_as_integers(each) for each in value]
    return value
