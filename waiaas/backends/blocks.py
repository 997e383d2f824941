"""Peewee's blocks of transactions and savepoints, for threads: each must be left in the thread that entered it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from peewee import OperationalError, _savepoint, _transaction


class RolledBackError(OperationalError):
    """A statement in a transaction that was rolled back already."""

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("the transaction was rolled back; leave it and begin again")


class Transaction(_transaction):
    """A transaction that is undone as a whole if one of its blocks is left in another thread, or too early.

    A generator that is suspended in a block can be resumed, or collected, by any thread. Peewee would end the
    transaction of that thread, and leave this one open: what its own thread does next would become part of it.

    Another thread can leave a block at any moment, even between two operations of a statement, and the garbage
    collector may not wait for a lock. So the thread that leaves the last block rolls back: nothing runs in one then.
    """

    _begin: Callable[[], None]
    #: Whether it must not be committed.
    is_undone = False
    #: Whether it was rolled back after that.
    is_over = False

    def __enter__(self) -> Transaction:
        self._outermost = outermost(self.db) or self
        #: The blocks that are not left yet, in the order in which they began: its own and those of its savepoints.
        self.blocks: dict[object, None] = {}
        self._process = os.getpid()
        self._turn = threading.Lock()
        if self._outermost is self:
            self._begin()
        self.connection = self.db.connection()
        self._outermost.blocks[self] = None
        # Last: after a KeyboardInterrupt before this line, the thread is in no transaction.
        self.db.push_transaction(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if self._outermost.can_end(self, kind):
            super().__exit__(kind, *error)

    def commit(self, begin: bool = True) -> None:
        """Commit it, and begin again."""
        if self._outermost.is_undone:
            raise _not_committed()
        super().commit(begin)

    def can_end(self, block: object, kind: type[BaseException] | None) -> bool:
        """Note that a block is left, and return whether Peewee can end it; if it cannot, undo everything.

        Raises RuntimeError if it cannot, unless an error (`kind`) leaves the block: that one is raised then.
        """
        # The thread may be at its first use of the database: it has no transactions yet.
        is_of_thread = self in getattr(self.db._state, "transactions", ())
        if not is_of_thread or self.db.is_in_use(self.connection) or [*self.blocks][-1:] != [block]:
            self.is_undone = True
        self.leave(block)
        if self.is_undone and kind is None:
            raise _not_committed()
        return not self.is_undone

    def leave(self, block: object) -> None:
        """Note that a block is left; roll back if it was the last one of a transaction that is undone."""
        self.blocks.pop(block, None)
        if self.is_undone and not self.blocks and self._turn.acquire(blocking=False):
            if self._process == os.getpid():
                self.db.undo(self.connection)
            self.is_over = True


class Savepoint(_savepoint):
    """A savepoint in a `Transaction`; outside a transaction, or after the end of one, a new transaction."""

    _alone: Transaction | None = None

    def __enter__(self) -> Savepoint:
        self._outermost = outermost(self.db)
        if self._outermost is not None:
            self._enter_in(self._outermost)
        elif self.db._state.transactions:  # begun by hand
            super().__enter__()
        else:
            self._alone = self.db.transaction().__enter__()
        return self

    def _enter_in(self, transaction: Transaction) -> None:
        transaction.blocks[self] = None
        try:
            super().__enter__()
            if transaction.is_undone:
                raise RolledBackError
        except BaseException:
            if transaction.is_undone:
                # SQLite begins a transaction for a savepoint that is in none.
                self.db.undo(transaction.connection)
            transaction.leave(self)
            raise

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if self._alone is not None:
            self._alone.__exit__(kind, *error)
        elif self._outermost is None or self._outermost.can_end(self, kind):
            super().__exit__(kind, *error)


def outermost(database: Any) -> Transaction | None:
    """Return the outermost transaction of this thread; None if it is in none, or in one that it began by hand."""
    # In one step: the garbage collector can end a transaction at any moment.
    transactions = database._state.transactions[:1] if database.in_transaction() else ()
    return next((outer for outer in transactions if isinstance(outer, Transaction)), None)


def is_undone(transaction: object) -> bool:
    """Return whether a transaction must not be committed; one that was begun by hand always can be."""
    return isinstance(transaction, Transaction) and transaction.is_undone


def _not_committed() -> RuntimeError:
    return RuntimeError(
        "A transaction was rolled back: one of its blocks was left in another thread than it was entered in, or before"
        " a block inside it. Do not yield inside a transaction."
    )
