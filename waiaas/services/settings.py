"""What the services are told: the database, how long sessions live, how many a wallet may have, what time it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from peewee import Database

from waiaas.errors import refusal
from waiaas.models.fields import LAST_SECOND

#: Gives the time in Unix seconds, as `time.time` does.
Clock = Callable[[], float]

_MOST = 2**31 - 1


def seconds_of(clock: Clock) -> int:
    """Return the time of a clock in whole Unix seconds.

    Raises WAIaaSError `DATABASE_UNAVAILABLE` with the reason `clock_unusable` if it is not one of the years 1970 to
    9999: a session that is created then would never end, or has ended.
    """
    now = clock()
    if not 0 <= now <= LAST_SECOND:
        raise refusal("clock_unusable", time=now)
    return int(now)


@dataclass(frozen=True)
class SessionSettings:
    """The settings of the session services; each default is the daemon's.

    `ttl` is how long a token lives (seconds) where the request does not say, `absolute_lifetime` how long a session
    may be renewed at all (seconds from its creation), `max_renewals` how often, and `sessions_per_wallet` how many
    sessions that are neither revoked nor expired may be linked to one wallet.

    Raises ValueError where one of them is not a whole number, is too small (a time below 1, a count below 0) or above
    2,147,483,647: times are then still ones that Python knows (68 years from now), and every database takes the count.

    >>> SessionSettings(sessions_per_wallet=20).ttl
    2592000
    """

    ttl: int = 2_592_000
    absolute_lifetime: int = 31_536_000
    max_renewals: int = 12
    sessions_per_wallet: int = 5

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in ("ttl", "absolute_lifetime") else 0
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
                raise ValueError(f"{field.name} is a whole number from {least} to {_MOST}, not {value!r}")


def checked(database: Database) -> Database:
    """Return the database that a service was given; raises TypeError for what is none, such as a path.

    >>> checked("wallets.db")
    Traceback (most recent call last):
      ...
    TypeError: a service takes a Peewee database, such as waiaas.connect(path) returns, not str
    """
    if not isinstance(database, Database):
        kind = type(database).__name__
        raise TypeError(f"a service takes a Peewee database, such as waiaas.connect(path) returns, not {kind}")
    return database
