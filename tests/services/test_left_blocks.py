"""Blocks of transactions in generators, left in another thread than they were entered in, or too early."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.application import Scene

from waiaas import WAIaaSError
from waiaas.backends.postgresql import open_database

Block = Generator[None, None, None]
InThread = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def in_thread() -> Iterator[InThread]:
    """Calls a function in another thread, always the same one, and returns its result."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda call: pool.submit(call).result()


def begin(scene: Scene) -> Block:
    """Return a generator that is suspended in a transaction in which a wallet was suspended."""

    def suspend() -> Block:
        with scene.app.database.exclusive_transaction():
            scene.app.wallets.suspend(scene.first, actor="admin")
            yield

    block = suspend()
    next(block)
    return block


def put(scene: Scene, key: str) -> None:
    scene.app.execute("INSERT INTO key_value_store (key, value, updated_at) VALUES (?, '', 0)", key)


def keys(scene: Scene) -> list[str]:
    return [key for (key,) in scene.app.query("SELECT key FROM key_value_store WHERE value = '' ORDER BY key")]


def close(block: Block, in_thread: InThread) -> None:
    in_thread(block.close)


def collect(block: Block, in_thread: InThread) -> None:
    circle: list[Any] = [block]
    circle.append(circle)
    del block, circle
    in_thread(gc.collect)


def finish(block: Block, in_thread: InThread) -> None:
    with pytest.raises(RuntimeError, match="left in another thread"):
        in_thread(lambda: next(block, None))


@pytest.mark.parametrize("leave", [close, collect, finish])
def test_is_undone(scene: Scene, in_thread: InThread, leave: Callable[[Block, InThread], None]) -> None:
    """Nothing of the block is kept, and the next change of the thread that entered it is committed."""
    before = scene.app.rows()
    blocks = [begin(scene)]
    leave(blocks.pop(), in_thread)
    assert scene.app.rows() == before
    assert scene.app.wallets.get(scene.first).status == "ACTIVE"
    scene.app.sessions.revoke(scene.session.id, actor="admin")
    assert scene.app.query("SELECT revoked_at FROM sessions WHERE id = ?", scene.session.id) != [(None,)]


def test_the_lock_is_free_at_once(scene: Scene, in_thread: InThread) -> None:
    """Other threads do not wait until the thread that entered the block does something."""
    close(begin(scene), in_thread)
    revoked = in_thread(lambda: scene.app.sessions.revoke(scene.session.id, actor="admin"))
    assert revoked.status == "REVOKED"


def test_a_statement_of_its_own_is_committed(scene: Scene, in_thread: InThread) -> None:
    """The next statement of the thread that entered the block is not part of the transaction either."""
    close(begin(scene), in_thread)
    put(scene, "a")
    assert keys(scene) == ["a"]


def test_a_transaction_of_the_thread_that_leaves_it(scene: Scene, in_thread: InThread) -> None:
    """It stays all or nothing, whether it commits or fails."""
    database = scene.app.database

    def during(block: Block, *, fail: bool) -> None:
        with database.atomic():
            database.execute_sql("SELECT 1 FROM sessions").fetchall()
            block.close()
            put(scene, f"{fail} 1")
            put(scene, f"{fail} 2")
            if fail:
                raise KeyError

    block = begin(scene)
    in_thread(lambda: during(block, fail=False))
    block = begin(scene)
    with pytest.raises(KeyError):
        in_thread(lambda: during(block, fail=True))
    assert keys(scene) == ["False 1", "False 2"]


def test_a_block_of_the_thread_that_entered_it(scene: Scene, in_thread: InThread) -> None:
    """What the thread does inside the transaction is refused until it has left its own blocks."""
    before = scene.app.rows()
    block = begin(scene)

    def take_part() -> None:
        with scene.app.database.exclusive_transaction():
            scene.app.sessions.revoke(scene.session.id, actor="admin")
            close(block, in_thread)
            with pytest.raises(WAIaaSError):
                scene.app.sessions.revoke(scene.alone.id, actor="admin")

    with pytest.raises(RuntimeError, match="left in another thread"):
        take_part()
    assert scene.app.rows() == before
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"
    assert scene.app.query("SELECT revoked_at FROM sessions WHERE id = ?", scene.session.id) != [(None,)]


def test_a_block_inside_a_transaction(scene: Scene, in_thread: InThread) -> None:
    """The transaction around a block that another thread has left raises, and nothing of it is kept."""
    before = scene.app.rows()

    def lose_a_block() -> None:
        with scene.app.database.exclusive_transaction():
            scene.app.sessions.revoke(scene.session.id, actor="admin")
            close(begin(scene), in_thread)

    with pytest.raises(RuntimeError, match="left in another thread"):
        lose_a_block()
    assert scene.app.rows() == before
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"
    assert scene.app.query("SELECT revoked_at FROM sessions WHERE id = ?", scene.session.id) != [(None,)]


@pytest.mark.parametrize("leave", [lambda block: block.close(), lambda block: next(block, None)], ids=["close", "end"])
def test_a_block_that_is_left_before_one_inside_it(scene: Scene, leave: Callable[[Block], object]) -> None:
    """Nothing of either block is kept, even in one thread, and each that is not closed raises."""
    before = scene.app.rows()
    block = begin(scene)

    def overlap() -> None:
        with scene.app.database.exclusive_transaction():
            scene.app.sessions.revoke(scene.session.id, actor="admin")
            leave(block)
            scene.app.sessions.revoke(scene.alone.id, actor="admin")

    with pytest.raises((RuntimeError, WAIaaSError)):
        overlap()
    assert scene.app.rows() == before
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"
    assert scene.app.query("SELECT revoked_at FROM sessions WHERE id = ?", scene.session.id) != [(None,)]


@pytest.mark.slow
class TestPool:
    """Threads that share connections."""

    def test_a_connection_goes_back_to_the_pool(self, postgresql_url: str, in_thread: InThread) -> None:
        """The thread that leaves the block keeps the connection that it uses, and the other one's is replaced."""
        database = open_database(postgresql_url, pool_size=2)

        def suspended() -> Block:
            with database.exclusive_transaction():
                database.execute_sql("INSERT INTO key_value_store VALUES ('a', '', 0)")
                yield

        def read() -> object:
            used = database.connection()
            block.close()
            return database.connection() is used

        for _ in range(3):
            block = suspended()
            next(block)
            assert in_thread(lambda: database.read(read)) is True
            assert database.read(lambda: database.execute_sql("SELECT key FROM key_value_store").fetchall()) == []
        database.close_all()
