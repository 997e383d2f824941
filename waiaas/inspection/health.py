"""Is a database ready for use now? Cheap enough for a probe that runs every few seconds."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peewee import SqliteDatabase

from waiaas.errors import WAIaaSError
from waiaas.errors.driver import sqlite3
from waiaas.errors.sqlite import reason_for
from waiaas.errors.translation import translate_errors
from waiaas.files.backups import backups_of
from waiaas.files.opening import DatabaseFile
from waiaas.inspection.report import Health
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.version import schema_version
from waiaas.models.fields import LAST_SECOND
from waiaas.paths import path_to_open, real_path, size_of
from waiaas.settings import Clock, seconds_of

if TYPE_CHECKING:
    from peewee import Database

# Seconds. A probe that waits longer counts as failed.
_LONGEST_WAIT = 1.0


def health_of(database: Database, clock: Clock) -> Health:
    """Return the health of an open database."""
    try:
        # A connection of a pool goes back to it.
        with getattr(database, "borrowed_connection", nullcontext)():
            version = schema_version(database)
            facts = _facts_of_file(database) if isinstance(database, SqliteDatabase) else _facts_of_server(database)
            if version == LATEST_SCHEMA_VERSION:
                facts |= _facts_of_service(database, seconds_of(clock))
    except WAIaaSError as error:
        return Health(error=error)
    return Health(version=version, **facts)


def _facts_of_service(database: Database, now: int) -> dict[str, Any]:
    live = f"revoked_at IS NULL AND expires_at > {now} AND expires_at <= {LAST_SECOND}"
    with translate_errors(database):
        (sessions,) = database.execute_sql(f"SELECT count(*) FROM sessions WHERE {live}").fetchone()
        state = database.execute_sql("SELECT value FROM key_value_store WHERE key = 'kill_switch_state'").fetchone()
    return {"live_sessions": sessions, "kill_switch": "ACTIVE" if state is None else str(state[0])}


def _facts_of_server(database: Database) -> dict[str, Any]:
    with translate_errors(database):
        started = time.perf_counter()
        (read_only,) = database.execute_sql("SHOW transaction_read_only").fetchone()
    return {"writable": read_only == "off", "lock_wait": time.perf_counter() - started}


def _facts_of_file(database: SqliteDatabase) -> dict[str, Any]:
    real = real_path(database)
    if not real:
        return {"writable": True, "lock_wait": 0.0}
    with translate_errors(database):
        wait = _lock_wait(DatabaseFile(path_to_open(database), real))
        return {
            "writable": os.access(real, os.W_OK) and wait is not None,
            "lock_wait": wait,
            "log_size": size_of(f"{real}-wal"),
            "free_room": shutil.disk_usage(os.path.dirname(real)).free,
            "last_backup": _last_backup(database),
        }


def _lock_wait(file: DatabaseFile) -> float | None:
    """Return how many seconds it takes to get the write lock, which is released at once."""
    started = time.perf_counter()
    try:
        with closing(file.connect("rw", timeout=_LONGEST_WAIT, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if reason_for(error) in ("database_busy", "read_only", "cannot_open"):
            return None
        raise
    return time.perf_counter() - started


def _last_backup(database: SqliteDatabase) -> datetime | None:
    file = getattr(database, "file", None)
    found = backups_of(file.path if isinstance(file, DatabaseFile) else Path(real_path(database)))
    return found[0].made_at if found else None
