"""The exceptions from which another one came."""

from __future__ import annotations

from collections.abc import Iterator


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and each one that it came from: causes, contexts, and the original of a Peewee error."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [each.__cause__, each.__context__, getattr(each, "orig", None)]
