"""What all services share: their arguments."""

from __future__ import annotations

import time

from peewee import Database

from waiaas.backends.base import Backend
from waiaas.settings import Clock, SessionSettings


class Service:
    """Takes a database at the latest schema version, the settings of sessions, and a clock.

    :param database: the Peewee database of what ``waiaas.connect`` returns: ``connect(path).peewee``.
    :param settings: how long sessions live and how many a wallet may have; the daemon's if None.
    :param clock: returns the time in Unix seconds.
    :raises TypeError: ``database`` is anything else, such as a path.
    """

    def __init__(
        self, database: Database, *, settings: SessionSettings | None = None, clock: Clock = time.time
    ) -> None:
        """Keep the database, the settings and the clock."""
        self._database = require_database(database)
        self._settings = settings or SessionSettings()
        self._clock = clock
        self._prepare()

    def _prepare(self) -> None:
        """Translate the statements that run for each request into the dialect of the database, once."""

    def __repr__(self) -> str:
        """Return the name of the class: a database's own `repr` may show a password."""
        return f"<{type(self).__name__}>"


def require_database(database: Database) -> Backend:
    """Return the database that a service was given; raises TypeError for anything else, such as a path.

    >>> require_database("wallets.db")
    Traceback (most recent call last):
      ...
    TypeError: a service takes waiaas.connect(...).peewee, not str
    """
    if not isinstance(database, Backend):
        raise TypeError(f"a service takes waiaas.connect(...).peewee, not {type(database).__name__}")
    return database
