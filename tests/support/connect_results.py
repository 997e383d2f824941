"""What `connect` gives: a connection with its PRAGMAs, or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.old_files import DAEMONS_PRAGMAS

import waiaas
from waiaas import WAIaaSError


def pragmas(database: SqliteDatabase) -> dict[str, Any]:
    return {name: database.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in DAEMONS_PRAGMAS}


def refused(path: str | Path, **options: Any) -> WAIaaSError:
    """The error with which `connect` refuses a path."""
    with pytest.raises(WAIaaSError) as caught:
        waiaas.connect(path, **options)
    assert caught.value.reason is not None
    return caught.value
