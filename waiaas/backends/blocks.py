"""Peewee's blocks of transactions and savepoints, for threads: each must be left in the thread that entered it."""

from __future__ import annotations

import os
from typing import Any

from peewee import _savepoint, _transaction


class Transaction(_transaction):
    """A transaction that is undone as a whole if one of its blocks is left in another thread, or too early.

    A generator that is suspended in a block can be resumed, or collected, by any thread. Peewee would end the
    transaction of that thread, and leave this one open: what its own thread does next would become part of it.
    """

    #: Whether it was rolled back before all its blocks were left in its thread.
    is_undone = False

    def __enter__(self) -> Transaction:
        outer = self.db._state.transactions[:1]
        self._outermost: Transaction = outer[0] if outer and isinstance(outer[0], Transaction) else self
        #: The blocks that are not left yet: its own and those of its savepoints.
        self.blocks: set[object] = set()
        self._process = os.getpid()
        super().__enter__()
        self._connection = self.db.connection()
        self._outermost.blocks.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if self._outermost.can_end(self):
            super().__exit__(kind, *error)
        elif kind is None:
            raise _not_committed()

    def can_end(self, block: object) -> bool:
        """Note that a block is left, and return whether Peewee can end it; if it cannot, undo everything."""
        self.blocks.discard(block)
        is_misplaced = self not in self.db._state.transactions or (block is self and self.blocks)
        if is_misplaced and not self.is_undone:
            self.is_undone = True
            if self._process == os.getpid():
                self.db.undo(self._connection)
        return not self.is_undone


class Savepoint(_savepoint):
    """A savepoint in a `Transaction`."""

    def __enter__(self) -> Savepoint:
        self._outermost: Transaction = self.db._state.transactions[0]
        self._outermost.blocks.add(self)
        try:
            super().__enter__()
        except BaseException:
            self._outermost.blocks.discard(self)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        if self._outermost.can_end(self):
            super().__exit__(kind, *error)
        elif kind is None:
            raise _not_committed()


def _not_committed() -> RuntimeError:
    return RuntimeError(
        "A transaction was rolled back: one of its blocks was left in another thread than it was entered in, or before"
        " a block inside it. Do not yield inside a transaction."
    )
