"""When a session has ended, by the times in its row, whatever stands there."""

from __future__ import annotations

from peewee import Expression, Node

from waiaas.models import Session
from waiaas.models.fields import LAST_SECOND


def has_ended(end: object, now: float) -> bool:
    """Tell whether what ends at `end`, a time as it is stored, has ended at `now` (Unix seconds).

    SQLite takes any value in a column of times, and whoever writes milliseconds or text there must not make a
    session that lives for ever. So only what ends later, and at a second of the years up to 9999, still lives.

    >>> now = 1_800_000_000
    >>> has_ended(now + 1, now), has_ended(now, now)
    (False, True)
    >>> has_ended((now + 1) * 1000, now), has_ended("2027-01-15", now), has_ended(None, now)
    (True, True, True)
    """
    return not (isinstance(end, (int, float)) and now < end <= LAST_SECOND)


def has_expired(now: int) -> Expression:
    """Return the SQL condition for the sessions whose `expires_at` has ended; text is above every number."""
    return (Session.expires_at <= now) | (Session.expires_at > LAST_SECOND)


def has_not_expired(now: int) -> Node:
    """Return the SQL condition for the sessions whose `expires_at` has not ended.

    Not as a range: most sessions lie in it, and SQLite would read and sort them all for one page of a list.
    """
    condition: Node = ~has_expired(now)
    return condition
