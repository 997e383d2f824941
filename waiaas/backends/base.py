"""The interface between the services and a database engine, where SQLite and PostgreSQL differ.

A backend is a Peewee database with the methods of :class:`Backend`. A service never asks which engine it has: it runs
each change as a function through :meth:`Backend.write`, locks the rows by which it decides with :meth:`Backend.lock`,
and reads with :meth:`Backend.read` or :meth:`Backend.fetch_latest`.

**The order of locks**, the same in every service: wallets by id, then sessions by id, then keys. Two changes that
lock in one order wait for each other and never in a circle.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, ClassVar, TypeVar

from peewee import Database

from waiaas.backends.blocks import Transaction
from waiaas.errors import refusal

Result = TypeVar("Result")
Row = tuple[Any, ...]

#: The primary key of each table whose rows are locked, and a column that no rule depends on.
LOCKED = {"wallets": ("id", "created_at"), "sessions": ("id", "created_at"), "key_value_store": ("key", "updated_at")}


# The transactions that the current task (or thread) has begun, by the id of their databases.
_begun: ContextVar[Mapping[int, object]] = ContextVar("waiaas.transactions")
_NOTHING: Mapping[int, object] = {}


class ThreadState(threading.local):
    """The state of a thread, in addition to Peewee's connection."""

    #: Identifies, in its context, the task that began the transaction, and the tasks that it has started since.
    owner: object = None
    #: Whether the transaction is known to hold the write lock of a file.
    holds_lock: bool = False


class Backend(Database, ABC):
    """The part of a Peewee database that differs between engines."""

    #: Whether a table can have triggers of others: those of a file come with the file.
    has_foreign_triggers: ClassVar[bool] = False
    #: What ends an INSERT, so that it returns the id of the new row; empty if no id is needed.
    returning_id: ClassVar[str] = ""
    #: Whether statements that change different rows can be one (https://www.postgresql.org/docs/current/queries-with.html
    #: #QUERIES-WITH-MODIFYING), which saves round trips.
    joins_changes: ClassVar[bool] = False

    _thread: ThreadState
    # Peewee's record of this thread's connection and transactions.
    _state: Any
    _clear_commit_callbacks: Any

    def transaction(self, *arguments: Any, **options: Any) -> Transaction:
        """Return the context manager of a transaction, with the arguments of `begin`."""
        return Transaction(self, *arguments, **options)

    def in_transaction(self) -> bool:
        """Return whether this thread is in a transaction. One that was undone is over when all its blocks are left."""
        transactions = self._state.transactions
        outer = transactions[:1]
        if outer and getattr(outer[0], "is_over", False):
            transactions.clear()
            self._clear_commit_callbacks()
            self._thread.holds_lock = False
        return bool(transactions)

    def top_transaction(self) -> Any:
        """Return the innermost transaction of Peewee that this thread is in, or None."""
        return next(iter(self._state.transactions[-1:]), None) if self.in_transaction() else None

    def transaction_depth(self) -> int:
        """Return how many transactions of Peewee this thread is in."""
        return len(self._state.transactions) if self.in_transaction() else 0

    @abstractmethod
    def undo(self, connection: Any) -> None:
        """Roll back the transaction of any thread's connection, which may be in use or closed.

        This can run at any moment, in Python's garbage collector, so it waits for no lock.
        """

    def is_in_use(self, connection: Any) -> bool:
        """Return whether a statement of this thread is running, which would wait for the next one forever."""
        return False

    def remember_owner(self) -> None:
        """Note that the current task has begun this thread's transaction."""
        self._thread.owner = object()
        _begun.set({**_begun.get(_NOTHING), id(self): self._thread.owner})

    def is_owner(self) -> bool:
        """Return whether this thread's transaction is that of the current task, or of one that has started it."""
        return _begun.get(_NOTHING).get(id(self)) is self._thread.owner

    def refuse_other_task(self) -> None:
        """Refuse to take part in the transaction of another task of this thread (`inside_transaction`).

        Tasks of asyncio share the thread's connection. What one does in the transaction of another, and reports as
        done, would be undone if that one fails.
        """
        if self.in_transaction() and not self.is_owner():
            raise refusal("inside_transaction")

    @abstractmethod
    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement in the dialect of the engine, and return its cursor."""

    @abstractmethod
    def dialect(self, sql: str) -> str:
        """Return a statement in the dialect of the engine.

        :param sql: a statement with ``?`` for parameters and ``main.`` before its tables, as SQLite takes it. It has
            no ``?`` and no ``main.`` in a literal. The order of links is ``l.rowid``, if their table is called ``l``.
            Translate it once and keep the result.
        """

    @abstractmethod
    def read(self, query: Callable[[], Result]) -> Result:
        """Run a function that only reads, and return its result.

        After a lost connection, outside a transaction, the function runs once more on a new connection. A connection
        of a pool goes back to the pool afterwards.

        :raises WAIaaSError: if the database cannot be used, with its ``reason``.
        """

    @abstractmethod
    def fetch_latest(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run one statement against the latest commit of any process, and return its first row, or None.

        :param sql: a statement in the dialect of the engine (see :meth:`dialect`).
        :raises WAIaaSError: if the database cannot be used, with its ``reason``.
        """

    @abstractmethod
    def write(
        self,
        change: Callable[[], Result],
        *,
        durable: bool = False,
        alone: bool = False,
        find: Callable[[], Result | None] | None = None,
    ) -> Result:
        """Run a change in one transaction and return its result, after COMMIT.

        The function may run more than once: after a conflict with another transaction, and after a connection that
        was lost before COMMIT was sent. So it must not change anything outside the database, and it takes new ids and
        times from outside. Nothing of an attempt that failed stays in the database.

        In a transaction that the caller has begun, the function runs once, in a savepoint of that transaction.

        :param durable: whether the change must be on the disk when this returns, regardless of the connection's
            settings. In a transaction of the caller, it is on the disk once that transaction has committed.
        :param alone: whether to exclude concurrent changes, as in :meth:`exclusive_transaction`.
        :param find: looks for the change by the id of its new row, and returns the result of ``change``, or None if
            it is not found. It is called on a new connection if COMMIT was sent and not answered, and locks the
            row if it can: its result is then as durable as the change itself.
        :raises WAIaaSError: ``commit_unknown`` if COMMIT was sent and not answered and the change was not found;
            ``transaction_conflict`` for a conflict in the caller's own transaction; ``database_busy`` if a lock is
            not free within the busy timeout; other reasons if the database cannot be used. Whatever the function
            itself raises passes unchanged, after a rollback.
        """

    @abstractmethod
    def lock(self, table: str, columns: str, ids: Sequence[str], *, will_change: bool = False) -> list[Row]:
        """Lock rows until the transaction ends, and return their current columns, in the order of their ids.

        No other service changes anything that depends on a locked row: the links of a session, the sessions that are
        counted for a wallet. Ids without a row are skipped. Read other tables in a later statement: only
        that one sees what was committed while this one waited.

        :param table: ``wallets``, ``sessions``, or ``key_value_store``, whose rows have a key for an id.
        :param columns: names, separated by commas, such as ``"id, status"``.
        :param will_change: whether the caller writes these rows itself in this transaction, unless it changes nothing.
        """

    @abstractmethod
    def lock_link(
        self, wallet_id: str, wallet_columns: str, session_id: str, session_columns: str
    ) -> tuple[Row | None, Row | None]:
        """Lock a wallet and then a session, as :meth:`lock` does, and return their columns; None for a missing one.

        If the wallet is missing, the session is not locked, and None.
        """

    @abstractmethod
    def exclusive_transaction(self) -> AbstractContextManager[None]:
        """Return a context manager for a transaction in which nothing that it reads changes until it commits.

        Services wait until it ends. Inside a transaction of the caller it is a savepoint.
        """
