"""Peewee fields that store values as the WAIaaS daemon does: Unix seconds, 0/1 flags, JSON text, closed vocabularies.

Each field writes its DEFAULT and CHECK clauses into the DDL, so they also apply to rows that other programs insert.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from peewee import SQL, AutoField, BigIntegerField, Context, Field, IntegerField, Node, NodeList, TextField, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)

#: `0001-01-01T00:00:00Z`, the first second that a Python datetime can hold, in Unix seconds.
FIRST_SECOND = -62_135_596_800
#: `9999-12-31T23:59:59Z`, the last second that a Python datetime can hold, in Unix seconds.
LAST_SECOND = 253_402_300_799


def sql_literal(value: object) -> str:
    """Return a text, number or bool as an SQL literal."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(int(value) if isinstance(value, bool) else value)


class _ColumnClauses(Field):
    """A field that writes its Python default and its set of values into the DDL."""

    def __init__(self, *args: Any, values: Sequence[str | int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.values = values

    def ddl(self, ctx: Context) -> NodeList:
        """Return the column definition with its DEFAULT and CHECK clauses."""
        clauses: list[Node] = [super().ddl(ctx)]
        if self.default is not None:
            clauses.append(SQL(f"DEFAULT {sql_literal(self.default)}"))
        if self.values is not None:
            allowed = ", ".join(sql_literal(value) for value in self.values)
            null = f'"{self.column_name}" IS NULL OR ' if self.null else ""
            clauses.append(SQL(f'CHECK ({null}"{self.column_name}" IN ({allowed}))'))
        return NodeList(clauses)


class Text(_ColumnClauses, TextField):
    """TEXT, optionally with a closed vocabulary (``values``)."""


class Integer(_ColumnClauses, BigIntegerField):
    """INTEGER of 64 bits on every engine, because times in 32 bits end in 2038."""


class Flag(_ColumnClauses, IntegerField):
    """A bool, stored as 0 or 1 in an INTEGER column."""

    def db_value(self, value: Any) -> Any:
        """Return 0 or 1; None stays None."""
        return value if value is None else int(bool(value))

    def python_value(self, value: Any) -> Any:
        """Return a bool; None stays None."""
        return value if value is None else bool(value)


class UTCDateTime(BigIntegerField):
    """A time: an aware UTC ``datetime`` in Python, whole Unix seconds (rounded down) in the column.

    Takes aware datetimes in any timezone, or Unix seconds as an int. Raises ValueError for a naive datetime, because
    its meaning depends on the timezone of the machine.
    """

    def db_value(self, value: Any) -> Any:
        """Return Unix seconds; None stays None."""
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                raise ValueError(f"{self.name} takes a timezone-aware datetime, not the naive {value!r}")
            return (value - _EPOCH) // timedelta(seconds=1)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise ValueError(f"{self.name} takes a timezone-aware datetime or Unix seconds, not {value!r}")

    def python_value(self, value: Any) -> Any:
        """Return an aware UTC datetime; None, and a stored value that is not a number, are returned unchanged.

        Seconds outside the years 1 to 9999 (milliseconds, for example) become the first or last second of these years.
        So one bad row does not hide the others, and the order of rows is that of the column.
        """
        if not isinstance(value, (int, float)):
            return value
        try:
            return _EPOCH + timedelta(seconds=value)
        except OverflowError:
            return _FIRST if value < 0 else _LAST


class JSONText(TextField):
    """A JSON value, stored as compact text.

    Peewee's own JSONField belongs to one database at a time per process, and this library serves several at once.
    """

    def db_value(self, value: Any) -> Any:
        """Return JSON text; None is SQL NULL, and a query expression is returned unchanged."""
        return value if value is None or isinstance(value, Node) else to_json(value)

    def python_value(self, value: Any) -> Any:
        """Return the parsed JSON text; SQL NULL is None."""
        return value if value is None else json.loads(value)

    def __eq__(self, value: object) -> Any:
        return super().__eq__(self._to_compare(value))

    def __ne__(self, value: object) -> Any:
        return super().__ne__(self._to_compare(value))

    __hash__ = TextField.__hash__

    def _to_compare(self, value: object) -> object:
        """Compare with the JSON text: Peewee would expand a list to several SQL values."""
        return value if value is None or isinstance(value, Node) else Value(to_json(value), converter=False)


class AutoIncrement(AutoField):
    """An INTEGER PRIMARY KEY AUTOINCREMENT: no id is reused, not even that of a deleted row."""

    def __init__(self) -> None:
        super().__init__()
        # SQLite chooses the id; the daemon's table has no NOT NULL here.
        self.null = True

    def ddl(self, ctx: Context) -> NodeList:
        """Return the column definition; the keyword exists only in SQLite."""
        definition = super().ddl(ctx)
        is_sqlite = ctx.state.field_types[self.field_type] == "INTEGER"
        return NodeList((definition, SQL("AUTOINCREMENT"))) if is_sqlite else definition


# Created once, because `json.dumps` would create one per value.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def to_json(value: Any) -> str:
    """Return a value as compact JSON text, with non-ASCII characters unescaped.

    :raises TypeError: if the value has no JSON form.
    :raises ValueError: for NaN and infinities.

    >>> to_json({"limit": 1.5, "memo": "점심"})
    '{"limit":1.5,"memo":"점심"}'
    """
    text = _encode(value)
    # A lone surrogate has no UTF-8 form; its escape in Python is also its escape in JSON.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
