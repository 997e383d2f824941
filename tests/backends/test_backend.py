"""The behaviour that services rely on, on both engines: reads, changes, locks and exclusive transactions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.base import Backend

INSERT = "INSERT INTO main.key_value_store (key, value, updated_at) VALUES (?, ?, ?)"
SELECT = "SELECT value FROM main.key_value_store WHERE key = ?"
SESSION = (
    "INSERT INTO main.sessions (id, token_hash, expires_at, absolute_expires_at, created_at) VALUES (?, ?, 9, 9, 1)"
)


class Store:
    """A backend with one key and its value."""

    def __init__(self, database: Any) -> None:
        assert isinstance(database, Backend)
        self.database: Any = database

    def insert(self, key: str, value: str) -> None:
        self.database.execute_sql(self.database.dialect(INSERT), (key, value, 1))

    def get(self, key: str) -> str | None:
        row = self.database.fetch_latest(self.database.dialect(SELECT), (key,))
        return None if row is None else str(row[0])


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        database: Any = waiaas.connect(tmp_path / "wallets.db").peewee
        yield Store(database)
        database.close_all()
    else:
        yield Store(request.getfixturevalue("postgresql"))


def test_a_change_is_committed_and_its_result_returned(store: Store) -> None:
    def change() -> int:
        store.insert("a", "100 % of ?")
        return 7

    assert store.database.write(change) == 7
    assert store.get("a") == "100 % of ?"
    assert store.database.read(lambda: store.get("b")) is None


@pytest.mark.parametrize("durable", [False, True])
def test_a_failed_change_is_rolled_back(store: Store, durable: bool) -> None:
    """An exception of the function is raised unchanged, and its changes are rolled back."""

    def change() -> None:
        store.insert("a", "1")
        raise KeyError("a")

    with pytest.raises(KeyError):
        store.database.write(change, durable=durable)
    assert store.get("a") is None
    store.database.write(lambda: store.insert("a", "2"), durable=durable)
    assert store.get("a") == "2"


def test_an_error_of_a_statement_is_refused_without_values(store: Store) -> None:
    """A violated constraint becomes a refusal whose texts contain no value of the row."""
    store.database.write(lambda: store.insert("hush", "1"))
    with pytest.raises(WAIaaSError) as caught:
        store.database.write(lambda: store.insert("hush", "2"))
    assert caught.value.code == "DATABASE_UNAVAILABLE"
    assert "hush" not in f"{caught.value} {caught.value.details} {caught.value.__cause__!r}"


def test_a_change_inside_a_transaction_of_the_caller(store: Store) -> None:
    """A failed change is rolled back alone, and the caller's transaction decides about the others."""

    def fail() -> None:
        store.insert("b", "1")
        raise KeyError

    def leave() -> None:
        with store.database.atomic():
            store.database.write(lambda: store.insert("lost", "1"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave()
    with store.database.atomic():
        store.database.write(lambda: store.insert("a", "1"))
        with pytest.raises(KeyError):
            store.database.write(fail)
        assert store.get("a") == "1"
    assert [store.get(key) for key in ("lost", "a", "b")] == [None, "1", None]


def test_locked_rows_come_in_the_order_of_their_ids(store: Store) -> None:
    """Each id is returned once, ids without a row are skipped, and the row is unchanged."""
    for id_ in "bac":
        store.database.write(
            lambda id_=id_: store.database.execute_sql(store.database.dialect(SESSION), (id_, f"#{id_}"))
        )

    def lock(*ids: str) -> list[Any]:
        rows: list[Any] = store.database.write(lambda: store.database.lock("sessions", "token_hash, created_at", ids))
        return [tuple(row) for row in rows]

    assert lock("c", "a", "zzz", "c", "b") == [("#a", 1), ("#b", 1), ("#c", 1)]
    assert lock("b") == [("#b", 1)]
    assert lock("zzz") == []
    assert lock() == []


def test_an_exclusive_transaction_is_all_or_nothing(store: Store) -> None:
    with store.database.exclusive_transaction():
        store.insert("a", "1")
        store.database.write(lambda: store.insert("b", "1"))
        with store.database.exclusive_transaction():
            store.insert("c", "1")

    def fail() -> None:
        with store.database.exclusive_transaction():
            store.insert("d", "1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [store.get(key) for key in "abcd"] == ["1", "1", "1", None]
