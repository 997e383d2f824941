"""What the services need of a database engine, and where SQLite and PostgreSQL differ.

A backend is a Peewee database with the methods of :class:`Backend`. A service never asks which engine it has: it runs
each change as a function through :meth:`Backend.write`, locks the rows by which it decides with :meth:`Backend.lock`,
and reads with :meth:`Backend.read` or :meth:`Backend.fetch_latest`.

**The order of locks**, the same in every service: wallets by id, then sessions by id, then keys. Two changes that
lock in one order wait for each other and never in a circle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

Result = TypeVar("Result")
Row = tuple[Any, ...]


class Backend(ABC):
    """The part of a Peewee database that differs between engines."""

    @abstractmethod
    def dialect(self, sql: str) -> str:
        """Return a statement in the dialect of the engine.

        :param sql: a statement with ``?`` for parameters and ``main.`` before its tables, as SQLite takes it. It has
            no ``?`` and no ``main.`` in a literal. Translate it once and keep the result.
        """

    @abstractmethod
    def read(self, query: Callable[[], Result]) -> Result:
        """Run a function that only reads, and return its result.

        After a lost connection, outside a transaction, the function runs once more on a new connection. A connection
        of a pool goes back to the pool afterwards.

        :raises WAIaaSError: if the database cannot be used; its ``reason`` says why.
        """

    @abstractmethod
    def fetch_latest(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run one statement against the latest commit of any process, and return its first row, or None.

        :param sql: a statement in the dialect of the engine (see :meth:`dialect`).
        :raises WAIaaSError: if the database cannot be used; its ``reason`` says why.
        """

    @abstractmethod
    def write(
        self,
        change: Callable[[], Result],
        *,
        durable: bool = False,
        find: Callable[[], Result | None] | None = None,
    ) -> Result:
        """Run a change in one transaction and return its result, after COMMIT.

        The function may run more than once: after a conflict with another transaction, and after a connection that
        was lost before COMMIT was sent. So it must not change anything outside the database, and it takes new ids and
        times from outside. Nothing of an attempt that failed stays in the database.

        In a transaction that the caller has begun, the function runs once, in a savepoint of that transaction.

        :param durable: whether the change must be on the disk when this returns, whatever the connection's own
            settings are. In a transaction of the caller it is so when that one has committed.
        :param find: looks for the change by the id of its new row, and returns what ``change`` would have returned, or
            None. It is called on a new connection if COMMIT was sent and not answered.
        :raises WAIaaSError: ``commit_unknown`` if COMMIT was sent and not answered and the change was not found;
            ``transaction_conflict`` for a conflict in the caller's own transaction; ``database_busy`` if a lock is
            not free within the busy timeout; other reasons if the database cannot be used. Whatever the function
            itself raises passes unchanged, after a rollback.
        """

    @abstractmethod
    def lock(self, table: str, columns: str, ids: Sequence[str]) -> list[Row]:
        """Lock rows until the transaction ends and return their columns as they are now, in the order of their ids.

        No other service changes anything that depends on a locked row: the links of a session, the sessions that are
        counted for a wallet. An id that has no row is left out. What other tables have to say is read by a later
        statement: only that one sees what was committed while this one waited.

        :param table: ``wallets`` or ``sessions``.
        :param columns: names, separated by commas, such as ``"id, status"``.
        """

    @abstractmethod
    def exclusive_transaction(self) -> AbstractContextManager[None]:
        """Return a context manager for a transaction in which nothing that it reads changes until it commits.

        Services wait until it ends. Inside a transaction of the caller it is a savepoint.
        """
