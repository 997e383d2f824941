"""Lists in pages, in the order of ids: a row that is added or deleted between two pages shifts no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from peewee import SQL, Field, Node, NodeList, Value

from waiaas.errors import FieldMessage
from waiaas.schemas import MAX_LIMIT, RequestValidationError
from waiaas.services.ids import is_id
from waiaas.services.statements import ReplacedText

_HEX = re.compile("x'(?:[0-9a-f]{2})*'")


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item")
_Identified = TypeVar("_Identified", bound=_HasId)


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list; `next_after` is the `after` of the next page, None on the last.

    >>> page = Page(("one", "two"), None)
    >>> len(page), list(page), page.next()
    (2, ['one', 'two'], None)
    """

    items: tuple[Item, ...]
    next_after: str | None
    _read: Callable[[str], Page[Item]] | None = field(default=None, repr=False, compare=False)

    def __iter__(self) -> Iterator[Item]:
        """Iterate over the items of this page."""
        return iter(self.items)

    def __len__(self) -> int:
        """Return the number of items of this page."""
        return len(self.items)

    def next(self) -> Page[Item] | None:
        """Read the next page of the same list.

        :returns: the page after this one; None if this one is the last.
        """
        if self._read is None or self.next_after is None:
            return None
        return self._read(self.next_after)


def check_page(
    limit: int,
    after: str | None,
    status: str | None = None,
    statuses: Collection[str] = (),
    is_place: Callable[[object], bool] = is_id,
) -> None:
    """Refuse a limit out of bounds, a wrong `after` or an unknown status: `ACTION_VALIDATION_FAILED`."""
    errors = {}
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_LIMIT:
        errors["limit"] = [FieldMessage("integer_range", min=1, max=MAX_LIMIT)]
    if after is not None and not is_place(after):
        errors["after"] = [FieldMessage("next_after")]
    if status is not None and status not in statuses:
        errors["status"] = [FieldMessage("one_of", choices=", ".join(statuses))]
    if errors:
        raise RequestValidationError(errors)


def page_of(items: Sequence[_Identified], limit: int, read: Callable[[str], Page[_Identified]]) -> Page[_Identified]:
    """Make a page of up to `limit` items; if there is one item more, `read` reads the next page."""
    shown = tuple(items[:limit])
    return Page(shown, _place_of(shown[-1].id) if len(items) > limit else None, read)


def is_after(column: Field, place: str) -> Node:
    """Return the SQL condition for the rows after a `next_after`."""
    if not _HEX.fullmatch(place):
        return column > place
    raw = bytes.fromhex(place[2:-1])
    try:
        return column > raw.decode()
    except UnicodeDecodeError:
        return column > NodeList((SQL("CAST("), Value(raw, converter=False), SQL("AS TEXT)")))


def _place_of(id_: str) -> str:
    """Return an id that `check_page` takes and that `is_after` reads back: as hexadecimal bytes if need be."""
    if isinstance(id_, ReplacedText):
        return f"x'{id_.raw.hex()}'"
    return id_ if is_id(id_) and not _HEX.fullmatch(id_) else f"x'{id_.encode().hex()}'"
