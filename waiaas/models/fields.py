"""Peewee fields in the stored form of the WAIaaS daemon: Unix seconds, 0/1 flags, JSON text, closed vocabularies.

Each field writes its DEFAULT and CHECK clauses into the DDL itself, so that a table made from the models has
them too, whoever inserts the rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from peewee import SQL, AutoField, BigIntegerField, Context, Field, IntegerField, Node, NodeList, TextField, Value

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)

#: `0001-01-01T00:00:00Z`, the first second that a Python datetime can hold, in Unix seconds.
FIRST_SECOND = -62_135_596_800
#: `9999-12-31T23:59:59Z`, the last second that a Python datetime can hold, in Unix seconds.
LAST_SECOND = 253_402_300_799


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
        if isinstance(value, datetime):
            if value.utcoffset() is None:
                raise ValueError(f"{self.name} takes a timezone-aware datetime, not the naive {value!r}")
            return (value - _EPOCH) // timedelta(seconds=1)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise ValueError(f"{self.name} takes a timezone-aware datetime or Unix seconds, not {value!r}")

    def python_value(self, value: Any) -> Any:
        """Return an aware UTC datetime; None stays None, and a stored value that is no number as it is.

        Seconds outside the years 1 to 9999, such as milliseconds where seconds belong, are the first or the last
        second of these years: one bad row does not hide the others, and comes before or after them as in the file.
        """
        if not isinstance(value, (int, float)):
            return value
        try:
            return _EPOCH + timedelta(seconds=value)
        except OverflowError:
            return _FIRST if value < 0 else _LAST


class JSONText(TextField):
    """A JSON value, stored as the text that JavaScript's `JSON.stringify` makes of it.

    That is without spaces, with non-ASCII characters as they are and numbers as JavaScript writes them. NaN and
    infinities, which JSON has not, are refused with ValueError. Peewee's own JSONField is bound to one database
    at a time for the whole process, and this library serves several in different threads.
    """

    def db_value(self, value: Any) -> Any:
        """Return JSON text; None is SQL NULL, and a query expression stays one."""
        return value if value is None or isinstance(value, Node) else to_json(value)

    def python_value(self, value: Any) -> Any:
        """Return the value that the JSON text stands for; SQL NULL is None."""
        return value if value is None else json.loads(value)

    def __eq__(self, value: object) -> Any:
        return super().__eq__(self._sought(value))

    def __ne__(self, value: object) -> Any:
        return super().__ne__(self._sought(value))

    __hash__ = TextField.__hash__

    def _sought(self, value: object) -> object:
        """A list stands for itself in a comparison, not for several SQL values."""
        return value if value is None or isinstance(value, Node) else Value(to_json(value), converter=False)


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
    """Return a value as the JSON text that the daemon stores, which JavaScript's `JSON.stringify` makes.

    Takes None, bools, strings, numbers, lists, tuples and dictionaries with string keys. Raises TypeError for
    anything else, and ValueError for NaN and infinities.

    >>> to_json({"limit": 1.0, "small": 1e-7, "memo": "점심"})
    '{"limit":1,"small":1e-7,"memo":"점심"}'
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json_string(key)}:{to_json(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    if isinstance(value, str):
        return _json_string(value)
    if isinstance(value, float):
        return _json_number(value)
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    raise TypeError(f"not a JSON value: {value!r}")


def _json_string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a key of a JSON object is a string, not {value!r}")
    text = json.dumps(value, ensure_ascii=False)
    # JSON.stringify escapes lone surrogates, which UTF-8 cannot hold.
    return "".join(c if not "\ud800" <= c <= "\udfff" else f"\\u{ord(c):04x}" for c in text)


def _json_number(value: float) -> str:
    """Write a number as ECMAScript does (ECMA-262, Number::toString): the digits are Python's, the form is not."""
    if not math.isfinite(value):
        raise ValueError(f"JSON has no {value!r}")
    if value == 0:
        return "0"
    sign, digits_of, exponent = Decimal(repr(value)).as_tuple()
    digits = "".join(map(str, digits_of)).rstrip("0")
    point = len(digits_of) + int(exponent)
    minus = "-" if sign else ""
    if len(digits) <= point <= 21:
        return f"{minus}{digits.ljust(point, '0')}"
    if 0 < point <= 21:
        return f"{minus}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{minus}{digits[0]}{fraction}e{point - 1:+d}"
