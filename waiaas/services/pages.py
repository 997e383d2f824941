"""Long lists, a page at a time, in the order of ids: a row that is added or goes meanwhile shifts no other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from waiaas.schemas import MAX_LIMIT, RequestValidationError
from waiaas.schemas.page import LIMIT_EXPECTED
from waiaas.services.ids import is_id


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_HasId)


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list; `next_after` is what to give as `after` for the part behind it, None at the end."""

    items: tuple[Item, ...]
    next_after: str | None


def check_page(limit: int, after: str | None, status: str | None, statuses: Collection[str]) -> None:
    """Refuse a limit out of bounds, what is no `next_after`, an unknown status: `ACTION_VALIDATION_FAILED`."""
    errors = {}
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_LIMIT:
        errors["limit"] = [LIMIT_EXPECTED]
    if after is not None and not is_id(after):
        errors["after"] = ["Must be the next_after of a page."]
    if status is not None and status not in statuses:
        errors["status"] = [f"Must be one of: {', '.join(statuses)}."]
    if errors:
        raise RequestValidationError(errors)


def page_of(items: Sequence[Item], limit: int) -> Page[Item]:
    """Make a page of up to `limit` items; one item more than that tells that there is a next page."""
    shown = tuple(items[:limit])
    return Page(shown, shown[-1].id if len(items) > limit else None)
