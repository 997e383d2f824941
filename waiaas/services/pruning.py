"""Pruning: remove sessions that ended long ago and old entries of the audit log, without stopping other writers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TextIO

from waiaas.backends.base import Backend, Row
from waiaas.backends.sqlite import sync_folder
from waiaas.errors import refusal
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.progress import Progress, ProgressCallback
from waiaas.services.changes import Event, Journal, write
from waiaas.services.ids import check_actor
from waiaas.services.statements import ReplacedText, marks, read, run
from waiaas.settings import Clock, seconds_of

# Rows per transaction: other writers wait for one at a time.
_BATCH = 200
_DAY = 86_400

# A session that was revoked or has expired never comes back to life. Text, which SQLite takes in a column of times, is
# above every number: a session whose end cannot be read is kept. So is one whose transaction is under way.
_IS_OLD_SESSION = """\
(s.revoked_at <= ? OR s.expires_at <= ?) AND NOT EXISTS
(SELECT 1 FROM main.transactions AS t WHERE t.session_id = s.id
 AND t.status IN ('PENDING', 'QUEUED', 'EXECUTING', 'SUBMITTED'))"""
_COUNT_SESSIONS = f"SELECT count(*) FROM main.sessions AS s WHERE {_IS_OLD_SESSION}"
_NEXT_SESSIONS = (
    f"SELECT s.id FROM main.sessions AS s WHERE s.id > ? AND {_IS_OLD_SESSION} ORDER BY s.id LIMIT {_BATCH}"
)

_COUNT_ENTRIES = "SELECT count(*) FROM main.audit_log WHERE timestamp < ?"
_COLUMNS = (
    *("id", "timestamp", "event_type", "actor", "wallet_id", "session_id", "tx_id", "details", "severity"),
    "ip_address",
)
# The keys of `AuditEntry.to_dict`.
_KEYS = (
    *("id", "timestamp", "eventType", "actor", "walletId", "sessionId", "txId", "details", "severity"),
    "ipAddress",
)
# In the order of ids, which is nearly that of times: `+` keeps the index of times from being sorted for each batch.
_NEXT_ENTRIES = f"""\
SELECT {", ".join(_COLUMNS)} FROM main.audit_log WHERE id > ? AND +timestamp < ? ORDER BY id LIMIT {_BATCH}"""


@dataclass(frozen=True)
class Pruned:
    """What was removed: sessions, entries of the audit log, and entries that the export could not hold and were kept.

    The links of a session go with it.
    """

    sessions: int
    audit_entries: int
    audit_entries_kept: int = 0


class Pruning:
    """Removes what ended or happened long ago, in batches.

    Each batch is a separate transaction. A pause as long as the batch then lets other writers in.
    """

    def __init__(
        self,
        database: Backend,
        *,
        session_days: int | None,
        audit_days: int | None,
        clock: Clock,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Convert the ages in days to times; None removes nothing of that kind."""
        self._database = database
        self._now = seconds_of(clock)
        self._sessions_before = _before(self._now, "session_days", session_days)
        self._audit_before = _before(self._now, "audit_days", audit_days)
        self._progress = progress

    def count(self) -> Pruned:
        """Return what `run` would remove now."""
        before = self._sessions_before
        return Pruned(
            self._count(_COUNT_SESSIONS, before, before) if before is not None else 0,
            self._count(_COUNT_ENTRIES, self._audit_before) if self._audit_before is not None else 0,
        )

    def run(self, *, actor: str, export: str | os.PathLike[str] | None = None) -> Pruned:
        """Remove it; entries of the audit log are exported first, if a file is given."""
        check_actor(actor)
        if self._database.in_transaction():
            raise refusal("inside_transaction")
        total = self.count()
        sessions = self._prune_sessions(actor, total.sessions)
        if self._audit_before is None:
            return Pruned(sessions, 0)
        if export is None:
            return Pruned(sessions, *self._prune_audit(actor, total.audit_entries, None))
        with _new_file(export) as file:
            return Pruned(sessions, *self._prune_audit(actor, total.audit_entries, file))

    def _count(self, sql: str, *parameters: object) -> int:
        return int(read(self._database, lambda: run(self._database, sql, *parameters).fetchone())[0])

    def _prune_sessions(self, actor: str, total: int) -> int:
        before, removed = self._sessions_before, 0
        if before is None:
            return 0
        for rows in self._batches(_NEXT_SESSIONS, "", before, before):
            ids = [row[0] for row in rows]
            removed += self._remove(
                actor,
                _delete_sessions(len(ids)),
                (*ids, before, before),
                lambda count: Event("SESSIONS_PRUNED", {"sessions": count, "endedBefore": before}),
            )
            self._report("removing sessions", removed, total)
        return removed

    def _prune_audit(self, actor: str, total: int, export: TextIO | None) -> tuple[int, int]:
        removed, kept, before = 0, 0, self._audit_before
        for rows in self._batches(_NEXT_ENTRIES, 0, before):
            chosen = rows if export is None else [row for row in rows if _fits_json(row)]
            kept += len(rows) - len(chosen)
            if not chosen:
                continue
            if export is not None:
                _write(export, chosen)
            ids = [row[0] for row in chosen]
            removed += self._remove(
                actor,
                _delete_entries(len(ids)),
                tuple(ids),
                lambda count: Event("AUDIT_PRUNED", {"entries": count, "before": before}),
            )
            self._report("removing entries of the audit log", removed, total)
        return removed, kept

    def _batches(self, sql: str, first: object, *parameters: object) -> Iterator[Sequence[Row]]:
        """Yield the rows to remove, in the order of their ids, which are in the first column."""
        after = first

        def query() -> Sequence[Row]:
            rows: Sequence[Row] = run(self._database, sql, after, *parameters).fetchall()
            return rows

        while rows := read(self._database, query):
            started = time.monotonic()
            yield rows
            after = rows[-1][0]
            time.sleep(time.monotonic() - started)

    def _remove(self, actor: str, sql: str, parameters: tuple[object, ...], event: Callable[[int], Event]) -> int:
        def change(journal: Journal) -> int:
            count = int(run(self._database, sql, *parameters).rowcount)
            journal.record(self._now, actor, [event(count)])
            return count

        return write(self._database, change)

    def _report(self, phase: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(Progress(phase, None, min(done, total), total))


def _before(now: int, name: str, days: int | None) -> int | None:
    if days is None:
        return None
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise ValueError(f"{name} is a whole number of days, 0 or more, not {days!r}")
    return now - days * _DAY


@cache
def _delete_sessions(count: int) -> str:
    return f"DELETE FROM main.sessions AS s WHERE s.id IN ({marks(count)}) AND {_IS_OLD_SESSION}"


@cache
def _delete_entries(count: int) -> str:
    return f"DELETE FROM main.audit_log WHERE id IN ({marks(count)})"


def _fits_json(row: Row) -> bool:
    """Return whether JSON can hold a row: SQLite takes bytes, and text that is not UTF-8, in any column."""
    return not any(isinstance(value, bytes | ReplacedText) for value in row)


def _write(file: TextIO, rows: Sequence[Row]) -> None:
    """Write entries and wait until the disk has them: then they may be removed."""
    file.writelines(f"{json.dumps(_entry(row))}\n" for row in rows)
    file.flush()
    os.fsync(file.fileno())


def _entry(row: Row) -> dict[str, Any]:
    """Return an entry as `AuditEntry.to_dict` has it; details that are not an object stay the text that is stored."""
    entry = dict(zip(_KEYS, row, strict=True))
    try:
        details = json.loads(entry["details"])
    except (ValueError, TypeError, RecursionError):
        return entry
    return {**entry, "details": details} if isinstance(details, dict) else entry


@contextmanager
def _new_file(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Create a file that only its owner can read, and that still exists after a power failure."""
    try:
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            sync_folder(os.path.abspath(path))
            yield file
    except OSError as error:
        reason = "file_exists" if isinstance(error, FileExistsError) else reason_for(error)
        raise refusal(reason or "cannot_open", path=os.fspath(path), cause=cause_of(error)) from error
