"""The settings of sessions, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from waiaas.errors import refusal
from waiaas.models.fields import LAST_SECOND

#: Returns the time in Unix seconds, as `time.time` does.
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
    """How long sessions live and how many a wallet may have; each default is the daemon's.

    :param ttl: how long a token lives, in seconds, if the request does not specify it.
    :param absolute_lifetime: how long after its creation a session ends, even if it is renewed, in seconds.
    :param max_renewals: how often a session may be renewed.
    :param sessions_per_wallet: how many sessions that are neither revoked nor expired may be linked to one wallet.
    :raises ValueError: a value is not an integer, is too small (a time below 1, a count below 0) or is above
        2,147,483,647, which every database can store as a count, and Python as a time (68 years from now).

    >>> SessionSettings(sessions_per_wallet=20).ttl
    2592000
    """

    ttl: int = 2_592_000
    absolute_lifetime: int = 31_536_000
    max_renewals: int = 12
    sessions_per_wallet: int = 5

    def __post_init__(self) -> None:
        """Refuse values out of bounds."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 1 if field.name in ("ttl", "absolute_lifetime") else 0
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
                raise ValueError(f"{field.name} is an integer from {least} to {_MOST}, not {value!r}")
