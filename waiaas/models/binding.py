"""Which database the models use: one binding per task, in a `ContextVar`.

Peewee keeps the database of a model in the model, for the whole process. A program with one database per owner needs
more: overlapping asyncio tasks, and threads, must each see the database of their owner. A context variable
(https://peps.python.org/pep-0567/) has a value per task and per thread; `asyncio.to_thread` and `asyncio.create_task`
copy the values of the task that calls them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from peewee import Database, Metadata, Model, Table


class _Block:
    """A `with` block that binds models; copies of its binding in other contexts end with it."""

    ended = False


#: The binding of `Model.bind` outside of a block: it remains until the next call.
_OUTSIDE = _Block()

_Bindings = tuple[tuple[_Block, "Database | None"], ...]


class TaskMetadata(Metadata):
    """Metadata of a model whose database is the one that the running task has bound, or None.

    There is no default: in a program with several owners, it would be another owner's database.
    """

    def __init__(self, model: type[Model], **options: Any) -> None:
        """Take the arguments of Peewee's class."""
        # The blocks around the running code of the task, the innermost last. Blocks of generators can end in any
        # order.
        self._bindings: ContextVar[_Bindings] = ContextVar(f"{model.__name__}.database", default=())
        self._shared_table: _ModelTable | None = None
        super().__init__(model, **options)

    @property
    def database(self) -> Database | None:
        """The database of the innermost block, or None if that block ended in another task."""
        bindings = self._bindings.get()
        if not bindings:
            return None
        block, database = bindings[-1]
        return None if block.ended else database

    @database.setter
    def database(self, database: Database | None) -> None:
        """Replace the innermost binding, as `Model.bind` and Peewee's own `bind_ctx` do."""
        *outer, (block, _) = self._bindings.get() or ((_OUTSIDE, None),)
        unbound = block is _OUTSIDE and database is None
        self._bindings.set(tuple(outer) if unbound else (*outer, (block, database)))

    @property
    def table(self) -> Table:
        """The table of the model, which all tasks share."""
        if self._shared_table is None:
            columns = [field.column_name for field in self.sorted_fields]
            self._shared_table = _ModelTable(self.table_name, columns, schema=self.schema, _model=self.model)
        return self._shared_table

    @table.deleter
    def table(self) -> None:
        self._shared_table = None

    def set_database(self, database: Any) -> None:
        """Bind the model in this task; the schema manager, shared by all tasks, reads the binding each time."""
        self.database = database

    def enter(self, block: _Block, database: Database) -> None:
        """Bind the model for a block."""
        self._bindings.set((*self._bindings.get(), (block, database)))

    def is_covered(self, block: _Block) -> bool:
        """Return whether a later block has not ended in this task."""
        blocks = [other for other, _ in self._bindings.get()]
        return block in blocks[:-1]

    def leave(self, block: _Block) -> None:
        """Remove the binding of a block at any position; the blocks that have not ended remain."""
        left = tuple(binding for binding in self._bindings.get() if binding[0] is not block)
        self._bindings.set(() if all(other.ended for other, _ in left) else left)


class _ModelTable(Table):
    """The table of a model. Its database is always that of the model."""

    _model: type[Model]

    @property
    def _database(self) -> Database | None:
        database: Database | None = self._model._meta.database
        return database

    @_database.setter
    def _database(self, database: Database | None) -> None:
        """Ignore the database, which Peewee sets when it creates a table or binds one with its model."""


@contextmanager
def bind_block(
    database: Database, models: Iterable[type[Model]], bind_refs: bool = True, bind_backrefs: bool = True
) -> Iterator[Iterable[type[Model]]]:
    """Bind models to a database for a block, in the task that runs it. Takes what Peewee's `bind_ctx` takes.

    A task or thread that copied the context inside the block has the same binding until the block ends, and none
    afterwards.

    :raises RuntimeError: at the end of a block in which another block has begun and not ended. A generator that is
        suspended inside a block binds the models of its caller, and one of the two uses the other's database.
    """
    block = _Block()
    reached = _with_related(models, bind_refs, bind_backrefs)
    previous = [model._meta.database for model in reached]
    try:
        for model in reached:
            if isinstance(model._meta, TaskMetadata):
                model._meta.enter(block, database)
            else:
                model._meta.set_database(database)
        yield models
        _refuse_overlap(block, reached)
    finally:
        block.ended = True
        for model, before in zip(reached, previous, strict=True):
            if isinstance(model._meta, TaskMetadata):
                model._meta.leave(block)
            else:
                model._meta.set_database(before)


def _with_related(models: Iterable[type[Model]], refs: bool, backrefs: bool) -> list[type[Model]]:
    """Return models, and those that foreign keys connect with them, each once."""
    found = dict.fromkeys(models)
    for model in list(found) if refs or backrefs else ():
        found |= dict.fromkeys(related for _, related, _ in model._meta.model_graph(refs=refs, backrefs=backrefs))
    return list(found)


def _refuse_overlap(block: _Block, models: Iterable[type[Model]]) -> None:
    if any(isinstance(model._meta, TaskMetadata) and model._meta.is_covered(block) for model in models):
        raise RuntimeError(
            "A bind_ctx block ended before one that began inside it, in a generator that was suspended there: "
            "one of the two used the other's database. Do not yield inside a bind_ctx block."
        )
