"""Changes: a function that runs in one transaction, with the rows that it writes into the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

from waiaas.backends.base import Backend, Row
from waiaas.errors import refusal
from waiaas.models.fields import to_json
from waiaas.paths import file_of
from waiaas.services.statements import Statement, batched, marks, refuse_hidden_tables, run, run_together, shown

_Result = TypeVar("_Result")

# Columns per inserted row.
_COLUMNS = 8
_SAME_ROW = (
    "SELECT 1 FROM main.audit_log WHERE id = ? AND timestamp = ? AND event_type = ? AND actor = ?"
    " AND coalesce(wallet_id, '') = coalesce(?, '') AND coalesce(session_id, '') = coalesce(?, '')"
    " AND coalesce(tx_id, '') = coalesce(?, '') AND details = ? AND severity = ?"
)


class Event(NamedTuple):
    """A row for the audit log: what happened, to which wallet, session or transaction; never a secret."""

    event_type: str
    details: dict[str, Any]
    wallet_id: str | None = None
    session_id: str | None = None
    tx_id: str | None = None
    severity: str = "info"


class Journal:
    """Writes the audit log of one change; the id of its last row shows whether the change was committed."""

    def __init__(self, database: Backend) -> None:
        """Keep the database of the change."""
        self._database = database
        self._last: tuple[object, ...] | None = None

    def begin(self) -> None:
        """Forget the rows of an attempt that was rolled back."""
        self._last = None

    def record(self, now: int, actor: str, events: Sequence[Event], *changes: Statement) -> None:
        """Make changes of different rows, and write their events, of one moment (Unix seconds) and one actor."""
        for some in batched(events):
            values: list[object] = []
            for event in some:
                values += (now, event.event_type, actor, event.wallet_id, event.session_id, event.tx_id)
                values += (to_json(event.details), event.severity)
            insert = _insert(len(some), self._database.returning_id), values
            cursor = run_together(self._database, (*changes, insert))
            changes = ()
            if self._database.returning_id:
                ids = cursor.fetchall()
                if len(ids) != len(some):  # a trigger has skipped a row
                    raise refusal("change_undone", path=file_of(self._database), table="audit_log")
                self._last = (*ids[-1], *values[-_COLUMNS:])

    def is_committed(self) -> bool:
        """Return whether the change is in the database; one that wrote no row has changed nothing.

        The id alone would not show it: after a crash or a failover, the server may reuse the ids of lost transactions.
        The row is locked, which the server writes to its log, so that this transaction waits for a synchronous standby
        as the change did: a server that crashed while it waited for the standby shows, after its
        restart, rows that the standby does not have.
        """
        if self._last is None:
            return True
        locking = " FOR NO KEY UPDATE" if self._database.for_update else ""
        return run(self._database, _SAME_ROW + locking, *self._last).fetchone() is not None


def write(
    database: Backend, change: Callable[[Journal], _Result], *, durable: bool = False, alone: bool = False
) -> _Result:
    """Run a change in one transaction and return its result; see `Backend.write`.

    If COMMIT was not answered, the rows of the audit log show whether it was done.
    """
    journal = Journal(database)
    results: list[_Result] = []

    def attempt() -> list[_Result]:
        journal.begin()
        refuse_hidden_tables(database)
        results[:] = [change(journal)]
        return results

    def find() -> list[_Result] | None:
        return results if journal.is_committed() else None

    (result,) = database.write(attempt, durable=durable, alone=alone, find=find)
    return result


def lock(database: Backend, table: str, columns: str, ids: Sequence[str], *, will_change: bool = False) -> list[Row]:
    """Lock rows and return their columns, in the order of their ids; see `Backend.lock`."""
    return shown(database, lambda: database.lock(table, columns, ids, will_change=will_change))


def refuse_undone(database: Backend, table: str, is_kept: Callable[[], object]) -> None:
    """Refuse a change that the transaction no longer has: the right would still be in force.

    A trigger can skip a row (RAISE(IGNORE), https://www.sqlite.org/lang_createtrigger.html) or reset it, and SQLite
    reports no error. The triggers of a server are its administrator's own; those of a file come with the file. Call it
    after the last statement that writes, the one for the audit log included. Raises WAIaaSError with the reason
    `change_undone`.
    """
    if database.has_foreign_triggers and not is_kept():
        raise refusal("change_undone", path=file_of(database), table=table)


@cache
def _insert(rows: int, returning: str) -> str:
    values = ", ".join([f"({marks(_COLUMNS)})"] * rows)
    return (
        "INSERT INTO main.audit_log"
        " (timestamp, event_type, actor, wallet_id, session_id, tx_id, details, severity)"
        f" VALUES {values}{returning}"
    )
