"""Refusals that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.old_files import contents

import waiaas
from waiaas import WAIaaSError
from waiaas.migrations.opening import open_to_change


def refusal_of(change: Callable[[], object], unchanged: Callable[[], object]) -> WAIaaSError:
    """Return the error with which a change is refused; the result of `unchanged` is the same before and after."""
    before = unchanged()
    with pytest.raises(WAIaaSError) as caught:
        change()
    assert unchanged() == before
    return caught.value


def refused(database: SqliteDatabase, change: Callable[[], object]) -> WAIaaSError:
    """Return the error with which a change outside a transaction is refused; the database's dump is unchanged."""
    error = refusal_of(change, lambda: list(database.connection().iterdump()))
    assert not database.in_transaction()
    assert not database.connection().in_transaction
    return error


def refused_upgrade(path: Path, **options: Any) -> WAIaaSError:
    """Return the error with which the upgrade of a file is refused; no byte of the file or its folder changes."""
    return refusal_of(lambda: _upgrade(path, **options), lambda: contents(path.parent))


def _upgrade(path: Path, **options: Any) -> None:
    with open_to_change(path) as database:
        waiaas.upgrade(database, **options)
