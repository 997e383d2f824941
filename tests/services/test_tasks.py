"""Tasks of asyncio share a thread and its connection, but not a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from support.application import Scene

import waiaas
from waiaas import WAIaaSError


class TaskFailedError(Exception):
    """Ends the transaction of the first task."""


def during_a_transaction(scene: Scene, call: Callable[[], Any], *, lock: str | None = None) -> Any:
    """Suspend a wallet in the transaction of one task, let another one call something, and roll back."""
    is_inside, is_done = asyncio.Event(), asyncio.Event()
    database = scene.app.database

    async def first() -> None:
        with suppress(TaskFailedError), database.atomic(lock) if lock else database.exclusive_transaction():
            scene.app.wallets.suspend(scene.first, actor="admin")
            is_inside.set()
            await is_done.wait()
            raise TaskFailedError

    async def second() -> Any:
        await is_inside.wait()
        try:
            return call()
        finally:
            is_done.set()

    async def both() -> Any:
        return (await asyncio.gather(first(), second()))[1]

    return asyncio.run(both())


@pytest.mark.parametrize(
    "call",
    [
        lambda scene: scene.app.sessions.revoke(scene.session.id, actor="admin"),
        lambda scene: scene.app.sessions.get(scene.session.id),
        lambda scene: scene.app.database.exclusive_transaction().__enter__(),
        lambda scene: scene.app.database.atomic().__enter__(),
    ],
    ids=["write", "read", "transaction", "atomic"],
)
def test_another_task_is_refused(scene: Scene, call: Callable[[Scene], Any]) -> None:
    """What a task does in the transaction of another one would be undone with it, so it is refused."""
    before = scene.app.rows()
    with pytest.raises(WAIaaSError) as caught:
        during_a_transaction(scene, lambda: call(scene))
    assert caught.value.reason == "inside_transaction"
    assert scene.app.rows() == before
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"


def test_another_task_decides_by_the_latest_commit(scene: Scene) -> None:
    """A token is checked by what is committed, not by what the other task may still roll back."""
    found = during_a_transaction(scene, lambda: scene.app.sessions.authorize(scene.session.token))
    assert (found.wallet.id, found.wallet.status) == (scene.first, "ACTIVE")
    assert during_a_transaction(scene, lambda: scene.app.links.resolve(scene.session.id)) == scene.first


def test_a_task_of_the_transaction_is_part_of_it(scene: Scene) -> None:
    """A task that was started in a transaction takes part in it."""

    async def both() -> None:
        async def part() -> None:
            assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"

        with scene.app.database.exclusive_transaction():
            await asyncio.create_task(part())

    asyncio.run(both())
    assert scene.app.sessions.get(scene.session.id).status == "REVOKED"


@pytest.mark.sqlite
def test_a_database_in_memory_has_no_latest_commit() -> None:
    """A database in memory has one connection, so a task is refused while another one is in a transaction."""
    with waiaas.connect(":memory:") as database:
        is_inside, is_done = asyncio.Event(), asyncio.Event()

        async def first() -> None:
            with database.transaction():
                is_inside.set()
                await is_done.wait()

        async def second() -> str | None:
            await is_inside.wait()
            with pytest.raises(WAIaaSError) as caught:
                database.sessions.authorize("wai_sess_")
            is_done.set()
            return caught.value.reason

        async def both() -> tuple[None, str | None]:
            return await asyncio.gather(first(), second())

        assert asyncio.run(both())[1] == "inside_transaction"
