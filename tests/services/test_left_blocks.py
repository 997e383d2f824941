"""Blocks of transactions in generators, left in another thread than they were entered in, or too early."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import count
from types import FrameType
from typing import Any

import pytest
from peewee import PeeweeException
from support.application import Application, Scene

from waiaas import WAIaaSError
from waiaas.backends.postgresql import open_database
from waiaas.backends.sqlite import write_transaction

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


def test_a_savepoint_that_is_left_before_one_inside_it(scene: Scene) -> None:
    """Nothing of the transaction is kept, and the error of the block inside is raised unchanged."""
    before = scene.app.rows()

    def overlap() -> None:
        with scene.app.database.atomic():
            block = begin(scene)
            try:
                with scene.app.database.exclusive_transaction():
                    scene.app.sessions.revoke(scene.session.id, actor="admin")
                    with pytest.raises(RuntimeError, match="before a block inside it"):
                        next(block, None)
                    raise KeyError("of the block")
            except KeyError:
                pass

    with pytest.raises(RuntimeError, match="before a block inside it"):
        overlap()
    assert scene.app.rows() == before
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"


def is_reached(number: int, action: Callable[[], object], call: Callable[[], object]) -> bool:
    """Call a function, with an action before one of its lines in the library or in Peewee; return whether it has it.

    The garbage collector can run there, or another thread.
    """
    lines = count(1)
    done = []

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        if not any(part in frame.f_code.co_filename for part in ("waiaas", "peewee")):
            return None
        if event == "line" and next(lines) == number:
            sys.settrace(None)
            action()
            done.append(True)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(WAIaaSError, RuntimeError, PeeweeException):
            call()
    finally:
        sys.settrace(before)
    return bool(done)


@pytest.mark.slow
@pytest.mark.parametrize("is_own", [False, True], ids=["another thread", "the same thread"])
def test_at_any_moment_of_a_change(scene: Scene, in_thread: InThread, is_own: bool) -> None:
    """A change inside the block is kept as a whole or not at all, and the next one is committed."""
    app = scene.app
    for number in count(1, 7):
        blocks = [begin(scene)]
        leave = partial(next, (block.close() for block in blocks)) if is_own else partial(close, blocks[0], in_thread)
        reached = is_reached(number, leave, lambda: app.sessions.revoke(scene.session.id, actor="admin"))
        if not reached:
            leave()
            break
        ((revoked_at,),) = app.query("SELECT revoked_at FROM sessions WHERE id = ?", scene.session.id)
        assert (revoked_at is not None) == ("SESSION_REVOKED" in {event for event, *_ in app.events()}), number
        assert app.wallets.get(scene.first).status == "ACTIVE", number
        app.sessions.revoke(scene.alone.id, actor="admin")
        assert app.query("SELECT revoked_at FROM sessions WHERE id = ?", scene.alone.id) != [(None,)], number
        app.execute("UPDATE sessions SET revoked_at = NULL")
        app.execute("DELETE FROM audit_log")


@pytest.mark.slow
def test_at_any_moment_of_the_first_use_in_another_thread(scene: Scene) -> None:
    """A block that is collected while a thread opens its connection is undone, and both threads go on."""
    for number in count(1, 5):
        block = begin(scene)
        with ThreadPoolExecutor(1) as pool:
            read = partial(scene.app.wallets.get, scene.first)
            reached = pool.submit(is_reached, number, block.close, read).result()
            block.close()
            put(scene, f"{number}")
            assert pool.submit(read).result().status == "ACTIVE"
        assert f"{number}" in keys(scene)
        if not reached:
            break


def test_the_next_transaction(scene: Scene, in_thread: InThread) -> None:
    """It is committed, whichever method of Peewee begins it."""
    database = scene.app.database
    for name in ("atomic", "transaction", "savepoint"):
        close(begin(scene), in_thread)
        with getattr(database, name)():
            put(scene, name)
    assert keys(scene) == ["atomic", "savepoint", "transaction"]


def test_a_savepoint_in_a_transaction_begun_by_hand(scene: Scene) -> None:
    """Peewee's own block is used."""
    database = scene.app.database
    with database.manual_commit():
        database.begin()
        with database.savepoint():
            put(scene, "a")
        database.commit()
    assert keys(scene) == ["a"]


def test_a_commit_of_the_transaction(scene: Scene, in_thread: InThread) -> None:
    """A transaction that is undone cannot be committed from a block inside it."""
    before = scene.app.rows()

    def commit_too_early() -> None:
        with scene.app.database.atomic() as transaction:
            scene.app.sessions.revoke(scene.session.id, actor="admin")
            close(begin(scene), in_thread)
            transaction.commit()

    with pytest.raises(RuntimeError, match="left in another thread"):
        commit_too_early()
    assert scene.app.rows() == before


@pytest.mark.sqlite
def test_reads_by_hand_after_it_see_the_latest_commit(scene: Scene, in_thread: InThread) -> None:
    """A transaction that the thread begins by hand is not taken for the one with the write lock."""
    database, token = scene.app.database, scene.session.token
    close(begin(scene), in_thread)
    with database.manual_commit():
        database.execute_sql("BEGIN")
        database.execute_sql("SELECT count(*) FROM sessions").fetchone()
        Application(scene.app.path, scene.app.clock).sessions.revoke(scene.session.id, actor="admin")
        with pytest.raises(WAIaaSError):
            scene.app.sessions.authorize(token)
        database.execute_sql("ROLLBACK")


@pytest.mark.sqlite
def test_the_level_of_another_connection_stays(scene: Scene, in_thread: InThread) -> None:
    """A durable block that another thread leaves does not change how that thread's commits are synced."""
    database = scene.app.database

    def suspended() -> Block:
        with write_transaction(database, durable=True):
            yield

    def level_after(block: Block) -> Any:
        database.execute_sql("PRAGMA synchronous = EXTRA")
        block.close()
        return database.execute_sql("PRAGMA synchronous").fetchone()

    block = suspended()
    next(block)
    assert in_thread(lambda: level_after(block)) == (3,)


_FORK = """
import os, sys, waiaas
database = waiaas.connect(sys.argv[1])
child = None
try:
    with database.transaction():
        child = os.fork()
        if child == 0:
            raise KeyError("of the child")
        assert os.waitpid(child, 0)[1] == 0
except KeyError:
    os._exit(0)
finally:
    if child == 0:
        os._exit(1)
"""


@pytest.mark.sqlite
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_error_in_a_forked_process(scene: Scene) -> None:
    """The error of a block that a forked process leaves is raised unchanged."""
    done = subprocess.run([sys.executable, "-c", _FORK, str(scene.app.path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
class TestPool:
    """Threads that share connections."""

    def test_a_thread_that_has_ended(self, postgresql_url: str) -> None:
        """Its place in the pool is free."""
        database = open_database(postgresql_url, pool_size=2, busy_timeout=0.1)

        def suspended() -> Block:
            with database.exclusive_transaction():
                yield

        for _ in range(3):
            block = suspended()
            thread = threading.Thread(target=next, args=(block,))
            thread.start()
            thread.join()
            block.close()
        assert database.fetch_latest("SELECT 1") == (1,)
        database.close_all()

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
