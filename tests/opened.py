"""What `connect` gives: a connection with its PRAGMAs, or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase

import waiaas
from waiaas import WAIaaSError

DAEMONS_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 1,
    "foreign_keys": 1,
    "busy_timeout": 5000,
    "cache_size": -64000,
    "mmap_size": 268435456,
    "temp_store": 2,
}


def pragmas(database: SqliteDatabase) -> dict[str, Any]:
    return {name: database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in DAEMONS_PRAGMAS}


def refused(path: str | Path, **options: Any) -> WAIaaSError:
    """The error with which `connect` refuses a path."""
    with pytest.raises(WAIaaSError) as caught:
        waiaas.connect(path, **options)
    assert caught.value.code == "SCHEMA_INCOMPATIBLE"
    return caught.value
