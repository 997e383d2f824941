"""The models use the database that the running task or thread has bound, and never another's."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import InterfaceError, Model, SqliteDatabase, TextField
from support.old_files import query

import waiaas
from waiaas.models import MODELS, BaseModel, KeyValue, Wallet

OWNERS = ("mina", "jun")


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[dict[str, SqliteDatabase]]:
    """One database per owner, each with one row that names its owner."""
    made = {owner: waiaas.connect(tmp_path / f"{owner}.db").peewee for owner in OWNERS}
    for owner, database in made.items():
        database.execute_sql("INSERT INTO key_value_store VALUES ('owner', ?, 0)", (owner,))
    yield made
    assert [model for model in MODELS if model._meta.database is not None] == []
    for database in made.values():
        database.close_all()


def owner_seen() -> str | None:
    """Return the owner of the bound database, or None if the models are not bound."""
    try:
        (row,) = KeyValue.select().where(KeyValue.key == "owner")
    except InterfaceError:
        return None
    return str(row.value)


class TestTasks:
    def test_overlapping_tasks_see_their_own_owner(self, databases: dict[str, SqliteDatabase], tmp_path: Path) -> None:
        """None of 1,000 overlapping tasks over two owners reads or writes a row of the other owner."""
        tasks, wrong = 1000, []
        inside = 0

        async def work(number: int, everybody_is_inside: asyncio.Event) -> None:
            nonlocal inside
            owner = OWNERS[number % 2]
            with databases[owner].bind_ctx(MODELS):
                inside += 1
                if inside == tasks:
                    everybody_is_inside.set()
                await everybody_is_inside.wait()
                KeyValue.create(key=f"task {number}", value=owner, updated_at=0)
                await asyncio.sleep(0)
                seen = {owner_seen(), str(KeyValue.get(KeyValue.key == f"task {number}").value)}
                seen |= {value for (value,) in KeyValue._meta.table.select(KeyValue.value).tuples()}
                if seen != {owner}:
                    wrong.append((number, seen))
            if owner_seen() is not None:
                wrong.append((number, {"still bound"}))

        async def run() -> None:
            everybody_is_inside = asyncio.Event()
            await asyncio.gather(*(work(number, everybody_is_inside) for number in range(tasks)))

        asyncio.run(run())
        assert (inside, wrong) == (tasks, [])
        for owner in OWNERS:
            rows = query(tmp_path / f"{owner}.db", "SELECT value, count(*) FROM key_value_store GROUP BY value")
            assert rows == [(owner, 1 + tasks // 2)]

    def test_a_worker_thread_sees_the_owner_of_its_task(self, databases: dict[str, SqliteDatabase]) -> None:
        """`asyncio.to_thread` inherits the binding of the calling task; other threads start without a binding."""

        async def work(owner: str) -> list[str | None]:
            with databases[owner].bind_ctx(MODELS), ThreadPoolExecutor(1) as threads:
                await asyncio.sleep(0)
                loop = asyncio.get_running_loop()
                return [
                    owner_seen(),
                    await asyncio.to_thread(self.in_thread, databases[owner]),
                    await loop.run_in_executor(threads, owner_seen),
                ]

        async def run() -> list[list[str | None]]:
            return await asyncio.gather(*(work(OWNERS[number % 2]) for number in range(20)))

        assert asyncio.run(run()) == [[OWNERS[number % 2], OWNERS[number % 2], None] for number in range(20)]

    @staticmethod
    def in_thread(database: SqliteDatabase) -> str | None:
        try:
            return owner_seen()
        finally:
            database.close()

    def test_a_task_that_outlives_the_block_is_bound_to_nothing(self, databases: dict[str, SqliteDatabase]) -> None:
        """A task started in a block keeps the block's binding until the block ends, and is then unbound."""
        seen = []

        async def child(go_on: asyncio.Event) -> None:
            seen.append(owner_seen())
            await go_on.wait()
            seen.append(owner_seen())
            with databases["jun"].bind_ctx(MODELS):
                seen.append(owner_seen())
            seen.append(owner_seen())

        async def run() -> None:
            go_on = asyncio.Event()
            with databases["jun"].bind_ctx(MODELS):
                with databases["mina"].bind_ctx(MODELS):
                    task = asyncio.create_task(child(go_on))
                    await asyncio.sleep(0)
                go_on.set()
                await task
                seen.append(owner_seen())

        asyncio.run(run())
        assert seen == ["mina", None, "jun", None, "jun"]

    def test_a_cancelled_task_leaves_nothing_bound(self, databases: dict[str, SqliteDatabase]) -> None:
        """A task cancelled inside its block leaves nothing bound, and other tasks keep their owner."""
        seen = []

        async def work(owner: str, started: asyncio.Event) -> None:
            try:
                with databases[owner].bind_ctx(MODELS):
                    started.set()
                    await asyncio.Event().wait()
            finally:
                seen.append(owner_seen())

        async def run() -> None:
            started = [asyncio.Event() for _ in range(6)]
            tasks = [asyncio.create_task(work(OWNERS[number % 2], each)) for number, each in enumerate(started)]
            for each in started:
                await each.wait()
            with databases["jun"].bind_ctx(MODELS):
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                seen.append(owner_seen())

        asyncio.run(run())
        assert seen == [None] * 6 + ["jun"]

    def test_nested_blocks_of_overlapping_tasks(self, databases: dict[str, SqliteDatabase]) -> None:
        """An inner block applies until it ends, even by an exception, while other tasks run."""

        async def fail_inside(owner: str, seen: list[str | None]) -> None:
            with databases[owner].bind_ctx(MODELS):
                await asyncio.sleep(0)
                seen.append(owner_seen())
                raise KeyError

        async def work(outer: str, inner: str) -> list[str | None]:
            seen: list[str | None] = []
            with databases[outer].bind_ctx(MODELS):
                for _ in range(3):
                    with pytest.raises(KeyError):
                        await fail_inside(inner, seen)
                    await asyncio.sleep(0)
                    seen.append(owner_seen())
            return [*seen, owner_seen()]

        async def run() -> list[list[str | None]]:
            return await asyncio.gather(*(work(OWNERS[n % 2], OWNERS[n // 2 % 2]) for n in range(40)))

        found = asyncio.run(run())
        assert found == [[*[OWNERS[n // 2 % 2], OWNERS[n % 2]] * 3, None] for n in range(40)]

    def test_the_block_of_an_abandoned_async_generator(self, databases: dict[str, SqliteDatabase]) -> None:
        """An async generator that the event loop closes in another task leaves nothing bound in the first one."""
        seen = []

        async def wallets_of(owner: str) -> AsyncIterator[str | None]:
            with databases[owner].bind_ctx(MODELS):
                yield owner_seen()
                yield owner_seen()

        async def run() -> None:
            async for owner in wallets_of("mina"):
                seen.append(owner)
                break
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(owner_seen())

        asyncio.run(run())
        assert seen == ["mina", None]

    @pytest.mark.parametrize("plain", [False, True], ids=["connected", "peewee's own"])
    def test_a_decorated_function_is_bound_while_it_runs(
        self, databases: dict[str, SqliteDatabase], plain: bool
    ) -> None:
        """`bind_ctx` as a decorator binds each call, even in overlapping threads."""
        barrier = threading.Barrier(2, timeout=20)

        def function_of(owner: str) -> Any:
            database = SqliteDatabase(databases[owner].database) if plain else databases[owner]

            @database.bind_ctx(MODELS)
            def work() -> list[str | None]:
                barrier.wait()
                seen = [owner_seen()]
                barrier.wait()
                seen.append(owner_seen())
                database.close()
                return seen

            return work

        with ThreadPoolExecutor(2) as threads:
            found = [each.result() for each in [threads.submit(function_of(owner)) for owner in OWNERS]]
        assert found == [["mina"] * 2, ["jun"] * 2]

    def test_overlapping_tasks_with_peewees_own_database(self, databases: dict[str, SqliteDatabase]) -> None:
        """The `bind_ctx` of a database that Peewee created also binds per task."""

        async def work(owner: str) -> list[str | None]:
            database = SqliteDatabase(databases[owner].database)
            with database.bind_ctx(MODELS):
                await asyncio.sleep(0)
                seen = [owner_seen()]
            database.close()
            return [*seen, owner_seen()]

        async def run() -> list[list[str | None]]:
            return await asyncio.gather(*(work(OWNERS[n % 2]) for n in range(50)))

        assert asyncio.run(run()) == [[OWNERS[n % 2], None] for n in range(50)]


class TestGenerators:
    """A generator runs in the context of its caller."""

    @staticmethod
    def values(database: SqliteDatabase) -> Iterator[str | None]:
        with database.bind_ctx(MODELS):
            yield owner_seen()
            yield owner_seen()

    def test_blocks_that_overlap_are_an_error_and_leave_nothing(self, databases: dict[str, SqliteDatabase]) -> None:
        """If the first of two suspended generators ends first, it raises; nothing is bound after both."""
        first, second = self.values(databases["mina"]), self.values(databases["jun"])
        assert (next(first), next(second)) == ("mina", "jun")
        next(first)
        with pytest.raises(RuntimeError, match="Do not yield inside a bind_ctx block"):
            next(first)
        assert next(second) == "jun"
        assert list(second) == []
        assert owner_seen() is None

    def test_generators_that_end_in_reverse_order(self, databases: dict[str, SqliteDatabase]) -> None:
        """The generator that started last sees its own owner, and the caller's block is unaffected."""
        with databases["jun"].bind_ctx(MODELS):
            first = self.values(databases["mina"])
            next(first)
            assert list(self.values(databases["jun"])) == ["jun", "jun"]
            assert list(first) == ["mina"]
            assert owner_seen() == "jun"

    def test_a_generator_that_is_closed_early(self, databases: dict[str, SqliteDatabase]) -> None:
        """Closing a generator, before or after another ends, leaves nothing bound."""
        with databases["jun"].bind_ctx(MODELS):
            first, second = self.values(databases["mina"]), self.values(databases["mina"])
            next(first)
            next(second)
            first.close()
            assert owner_seen() == "mina"
            second.close()
            assert owner_seen() == "jun"
        assert owner_seen() is None

    def test_a_generator_that_is_closed_in_another_thread(self, databases: dict[str, SqliteDatabase]) -> None:
        """If another thread closes the generator, its block also ends where it began."""
        suspended = self.values(databases["mina"])
        assert next(suspended) == "mina"
        with ThreadPoolExecutor(1) as threads:
            threads.submit(suspended.close).result()
        assert owner_seen() is None
        with databases["jun"].bind_ctx(MODELS):
            assert owner_seen() == "jun"

    def test_a_context_manager_around_the_block(self, databases: dict[str, SqliteDatabase]) -> None:
        """A context manager written as a generator binds its `with` block."""

        @contextmanager
        def models_of(owner: str) -> Iterator[None]:
            with databases[owner].bind_ctx(MODELS):
                yield

        with models_of("mina"):
            with models_of("jun"):
                assert owner_seen() == "jun"
            assert owner_seen() == "mina"


class TestBlocks:
    def test_a_block_is_used_once(self, databases: dict[str, SqliteDatabase]) -> None:
        """A block object cannot be shared by two tasks: entering it again is an error."""
        block = databases["mina"].bind_ctx(MODELS)
        with block:
            pass
        with pytest.raises((RuntimeError, AttributeError)), block:
            pass
        assert owner_seen() is None

    def test_a_copied_context_ends_with_the_block(self, databases: dict[str, SqliteDatabase]) -> None:
        """A context copied inside a block has its binding until the block ends, and none afterwards."""
        with databases["mina"].bind_ctx(MODELS):
            copied = contextvars.copy_context()
            assert copied.run(owner_seen) == "mina"
        assert copied.run(owner_seen) is None

    def test_bind_outside_of_a_block_holds_until_it_is_undone(self, databases: dict[str, SqliteDatabase]) -> None:
        """`bind` applies to the rest of the task, inner blocks take precedence, and `bind(None)` undoes it."""
        databases["mina"].bind(MODELS)
        with databases["jun"].bind_ctx(MODELS):
            assert owner_seen() == "jun"
        assert owner_seen() == "mina"
        for model in MODELS:
            model.bind(None)
        assert owner_seen() is None

    def test_bind_inside_a_block_ends_with_it(self, databases: dict[str, SqliteDatabase]) -> None:
        """A `bind` inside a block is undone at the end of the block."""
        with databases["jun"].bind_ctx(MODELS):
            databases["mina"].bind(MODELS)
            assert owner_seen() == "mina"
        assert owner_seen() is None

    def test_one_model_binds_those_of_its_foreign_keys(self, databases: dict[str, SqliteDatabase]) -> None:
        """A block for one model binds the models connected with it by foreign keys, and no others."""
        with Wallet.bind_ctx(databases["mina"]):
            bound = {model.__name__ for model in MODELS if model._meta.database is databases["mina"]}
        assert bound == {"Wallet", "Session", "SessionWallet", "Transaction", "Policy", "PendingApproval"} | {
            "WalletConnectSession"
        }

    def test_models_of_a_program(self, databases: dict[str, SqliteDatabase]) -> None:
        """A model derived from `BaseModel` is bound in the same way, and a plain Peewee model only in the block."""

        class Note(BaseModel):
            text = TextField()

        class Plain(Model):
            text = TextField()

        with databases["mina"].bind_ctx([Note, Plain]):
            assert Note._meta.database is databases["mina"]
            assert Plain._meta.database is databases["mina"]
            with ThreadPoolExecutor(1) as threads:
                assert threads.submit(lambda: Note._meta.database).result() is None
        assert (Note._meta.database, Plain._meta.database) == (None, None)
