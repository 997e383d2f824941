"""What every list has: a limit, and a cursor to the next page."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from marshmallow import validate

from waiaas.schemas.base import RequestSchema, ResponseSchema, StrictInteger, UUIDText

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_LIMIT",
    "PageRequestSchema",
    "PageResponseSchema",
    "QueryInteger",
]

#: How many items a page has where the request does not say.
DEFAULT_LIMIT: Final = 50

#: The most items that a page may have.
MAX_LIMIT: Final = 200

#: What is said of a limit out of bounds.
LIMIT_EXPECTED: Final = f"Must be an integer from 1 to {MAX_LIMIT}."

_Loaded = TypeVar("_Loaded")

# Python's int() reads digits of every script, signs, blanks and underscores, and gives up at 4300 digits.
_DIGITS = re.compile("[0-9]{1,18}")


class QueryInteger(StrictInteger):
    """An integer in a query string, where everything is text: 1 to 18 decimal digits, or an integer as in JSON.

    :raises marshmallow.ValidationError: the value is anything else: a sign, blanks, a fraction.

    >>> QueryInteger().deserialize("50")
    50
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value) is not None:
            return int(value)
        return super()._deserialize(value, attr, data, **kwargs)


class PageRequestSchema(RequestSchema[_Loaded]):
    """Which page of a list is asked for.

    ``limit``
        an integer from 1 to 200, as text or as a number; 50 where it is left out.
    ``after``
        a UUID: the ``nextAfter`` of the page before; left out for the first page.
    """

    limit = QueryInteger(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT, error=LIMIT_EXPECTED),
        error_messages={"invalid": LIMIT_EXPECTED, "null": LIMIT_EXPECTED},
    )
    after = UUIDText(load_default=None, allow_none=False)


class PageResponseSchema(ResponseSchema):
    """A page of a list; a subclass says of what.

    ``nextAfter``
        the ``after`` of the request for the next page, or null where this page is the last.
    """

    next_after = UUIDText(required=True, allow_none=True)
