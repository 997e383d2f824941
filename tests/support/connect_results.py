"""The databases and refusals of `connect`, and files opened without an upgrade."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.old_files import DAEMONS_PRAGMAS

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.sqlite import WaiaasDatabase
from waiaas.files.opening import DatabaseFile


def pragmas(database: SqliteDatabase) -> dict[str, Any]:
    return {name: database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in DAEMONS_PRAGMAS}


def refused(path: str | Path, **options: Any) -> WAIaaSError:
    """Return the error with which `connect` refuses a path."""
    with pytest.raises(WAIaaSError) as caught:
        waiaas.connect(path, **options)
    assert caught.value.reason is not None
    return caught.value


def open_unchanged(path: str | Path, *, busy_timeout: float = 5.0) -> WaiaasDatabase:
    """Open a file with the library's own connections, without an upgrade."""
    file = DatabaseFile(str(path))
    database = WaiaasDatabase(file.name, file=file, timeout=busy_timeout, pragmas={"foreign_keys": "ON"})
    database.connect()
    return database
