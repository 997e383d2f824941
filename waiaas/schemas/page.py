"""What all lists have: a limit, and a cursor to the next page."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

from waiaas.schemas.base import RequestSchema, ResponseSchema, StrictInteger, UUIDText, integer_range

#: The number of items per page unless the request has a limit.
DEFAULT_LIMIT: Final = 50

#: The maximum number of items per page.
MAX_LIMIT: Final = 200

_Loaded = TypeVar("_Loaded")

# Python's int() accepts digits of every script, signs, blanks and underscores, and refuses more than 4,300 digits.
_DIGITS = re.compile("[0-9]{1,18}")


class QueryInteger(StrictInteger):
    """An integer of a query string, where all values are text: 1 to 18 decimal digits, or a JSON integer.

    >>> QueryInteger().deserialize("50")
    50
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and _DIGITS.fullmatch(value) is not None:
            return int(value)
        return super()._deserialize(value, attr, data, **kwargs)


class PageRequestSchema(RequestSchema[_Loaded]):
    """The query parameters of a list, all optional."""

    limit = QueryInteger(
        load_default=DEFAULT_LIMIT,
        **integer_range("integer_range", 1, MAX_LIMIT),
        metadata={"description": f"The maximum number of items, 1 to {MAX_LIMIT}; {DEFAULT_LIMIT} if left out."},
    )
    after = UUIDText(
        load_default=None,
        allow_none=False,
        metadata={"description": "The `nextAfter` of the previous page; left out for the first page."},
    )


class PageResponseSchema(ResponseSchema):
    """A page of a list."""

    next_after = UUIDText(
        required=True,
        allow_none=True,
        metadata={"description": "The `after` of the request for the next page; null on the last page."},
    )
