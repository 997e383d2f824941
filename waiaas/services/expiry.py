"""When a session has expired, by the times in its row, whatever values these are."""

from __future__ import annotations

from peewee import OP, SQL, Expression, Node, NodeList

from waiaas.models import Session
from waiaas.models.fields import LAST_SECOND


def is_expired(end: object, now: float) -> bool:
    """Return whether `end`, a stored time, has passed at `now` (Unix seconds).

    SQLite takes any value in a column of times, and milliseconds or text there must not make a session that
    never expires. So only an end that is later, and a second of the years up to 9999, has not passed.

    >>> now = 1_800_000_000
    >>> is_expired(now + 1, now), is_expired(now, now)
    (False, True)
    >>> is_expired((now + 1) * 1000, now), is_expired("2027-01-15", now), is_expired(None, now)
    (True, True, True)
    """
    return not (isinstance(end, (int, float)) and now < end <= LAST_SECOND)


#: SQL for a session `s` that is neither revoked nor expired; its parameter is the time.
#: The `+` keeps the index of `expires_at` out of use: nearly all sessions are in that range. SQLite would read and
#: sort them for one page of a list, and PostgreSQL, in a prepared statement, to count the sessions of one wallet.
IS_ALIVE = f"s.revoked_at IS NULL AND NOT (+s.expires_at <= ? OR +s.expires_at > {LAST_SECOND})"


def has_expired(now: int) -> Expression:
    """Return the SQL condition for sessions that have expired; text is above every number."""
    return (Session.expires_at <= now) | (Session.expires_at > LAST_SECOND)


def has_not_expired(now: int) -> Node:
    """Return the SQL condition for sessions that have not expired; see `IS_ALIVE`."""
    end = NodeList((SQL("+"), Session.expires_at), glue="")
    condition: Node = ~(Expression(end, OP.LTE, now) | Expression(end, OP.GT, LAST_SECOND))
    return condition
