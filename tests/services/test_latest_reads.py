"""A right that one process removes is refused to the next request in every other process."""

from __future__ import annotations

import gc
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase
from support.application import Application, Clock, Scene
from support.line_process import Remote
from support.python_processes import run_python

import waiaas
from waiaas import WAIaaSError
from waiaas.backends.sqlite import WaiaasDatabase

pytestmark = pytest.mark.sqlite("snapshots of cursors and the second connection of a thread")

#: Removes rights in another process: opens a file, makes one call per line, and answers when the call has returned.
ADMINISTRATOR = """
import sys
import waiaas
from waiaas.services import KillSwitchService, SessionService, SessionWalletService, TokenService, WalletService
clock = lambda: now
settings = waiaas.SessionSettings(sessions_per_wallet=2**31 - 1)
print("ready", flush=True)
for line in sys.stdin:
    what, *ids = line.split()
    if what == "open":
        database, now = waiaas.connect(ids[0], busy_timeout=60).peewee, float(ids[1])
        sessions = SessionService(database, settings=settings, clock=clock)
        links = SessionWalletService(database, settings=settings, clock=clock)
        wallets = WalletService(database, clock=clock)
        tokens = TokenService(database, clock=clock)
        kill_switch = KillSwitchService(database, clock=clock)
    elif what == "close":
        database.close_all()
    elif what == "revoke":
        sessions.revoke(*ids, actor="admin")
    elif what == "unlink":
        links.unlink(*ids, actor="admin")
    elif what == "link":
        links.link(*ids, actor="admin")
    elif what == "default":
        links.set_default(*ids, actor="admin")
    elif what == "suspend":
        wallets.suspend(*ids, actor="admin")
    elif what == "resume":
        wallets.resume(*ids, actor="admin")
    elif what == "renew":
        sessions.renew(*ids, actor="admin")
    elif what == "rotate":
        # Twice: the key before last is accepted no more.
        for _ in range(2):
            now += 300
            tokens.rotate(actor="admin")
    elif what == "lock":
        database.execute_sql("INSERT OR REPLACE INTO key_value_store VALUES ('kill_switch_state', 'SUSPENDED', 0)")
    elif what == "unlock":
        kill_switch.recover(actor="sam")
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def administrator() -> Iterator[Remote]:
    """A process that opens one file after the other: it takes longer to start than most tests."""
    with Remote(ADMINISTRATOR) as process:
        yield process


@contextmanager
def file_open_in(administrator: Remote, path: Path, now: float) -> Iterator[Remote]:
    """Let the other process open a file at a time in Unix seconds."""
    assert administrator.ask(f"open {path} {now}") == "done"
    yield administrator
    assert administrator.ask("close") == "done"


@contextmanager
def unfinished_cursor(database: SqliteDatabase) -> Iterator[None]:
    """Open a cursor that has read one of many rows and keeps its snapshot."""
    rows = database.execute_sql("SELECT s.id, k.key FROM sessions AS s, key_value_store AS k, wallets AS w")
    assert rows.fetchone() is not None
    yield
    rows.close()


@contextmanager
def reading_transaction(database: SqliteDatabase) -> Iterator[None]:
    """Open a transaction that has read and keeps its snapshot."""
    with database.atomic():
        database.execute_sql("SELECT count(*) FROM sessions").fetchone()
        yield


@contextmanager
def transaction_without_peewee(database: SqliteDatabase) -> Iterator[None]:
    """Open a transaction without Peewee."""
    connection = database.connection()
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sessions").fetchone()
    yield
    connection.execute("ROLLBACK")


@contextmanager
def transaction_that_wrote_elsewhere(database: SqliteDatabase) -> Iterator[None]:
    """Open a transaction that has read and written to a temporary table only: it does not hold the write lock."""
    database.execute_sql("CREATE TEMP TABLE IF NOT EXISTS notes (note)")
    with database.atomic():
        database.execute_sql("SELECT count(*) FROM sessions").fetchone()
        database.execute_sql("INSERT INTO temp.notes VALUES (1)")
        yield


@contextmanager
def nothing(database: SqliteDatabase) -> Iterator[None]:
    """Open nothing."""
    yield


OPEN: list[Callable[[SqliteDatabase], Any]] = [
    nothing,
    unfinished_cursor,
    reading_transaction,
    transaction_without_peewee,
    transaction_that_wrote_elsewhere,
]

#: What the other process does, and the code with which each call is then refused: `authorize`, and `authenticate` and
#: `resolve` with the session's second wallet; None if it is allowed.
TAKEN: dict[str, tuple[str, tuple[str | None, str | None, str | None]]] = {
    "revoke": ("revoke {session}", ("SESSION_REVOKED", "SESSION_REVOKED", "SESSION_REVOKED")),
    "unlink": ("unlink {session} {second}", ("WALLET_ACCESS_DENIED", None, "WALLET_ACCESS_DENIED")),
    "suspend": ("suspend {second}", ("WALLET_SUSPENDED", None, None)),
    "renew": ("renew {token}", ("INVALID_TOKEN", "INVALID_TOKEN", None)),
    "rotate": ("rotate", ("INVALID_TOKEN", "INVALID_TOKEN", None)),
    "lock": ("lock", ("SYSTEM_LOCKED", "SYSTEM_LOCKED", "SYSTEM_LOCKED")),
}
#: How the other process restores what outlives the session of one round.
UNDO = {"suspend": "resume {second}", "lock": "unlock"}


def code_of(call: Callable[[], Any]) -> str | None:
    try:
        call()
    except WAIaaSError as error:
        return error.code
    return None


@pytest.mark.slow
@pytest.mark.parametrize("has_open", OPEN)
@pytest.mark.parametrize("name", TAKEN)
def test_a_right_removed_by_another_process_is_refused(
    scene: Scene, administrator: Remote, name: str, has_open: Callable[..., Any]
) -> None:
    """The first request after the other process's call has returned is refused, whatever this thread has open."""
    app, session = scene.app, scene.session
    command, expected = TAKEN[name]
    calls = (
        lambda: app.sessions.authorize(session.token, scene.second),
        lambda: app.sessions.authenticate(session.token),
        lambda: app.links.resolve(session.id, scene.second),
    )
    with file_open_in(administrator, app.path, app.clock.now) as other, has_open(app.database):
        assert [code_of(call) for call in calls] == [None, None, None]
        line = command.format(session=session.id, second=scene.second, token=session.token)
        assert other.ask(line) == "done"
        assert tuple(map(code_of, calls)) == expected


class TestOwnChanges:
    """In a transaction in which a service has changed something, its own changes are visible."""

    @pytest.mark.parametrize("lock", [None, "IMMEDIATE"])
    def test_a_session_of_this_transaction_is_visible(self, scene: Scene, lock: str | None) -> None:
        """A session that was created in the transaction is authorized in it, and a revoked one is refused."""
        app = scene.app
        with app.database.atomic(lock):
            session = app.session(scene.third)
            assert app.sessions.authorize(session.token).wallet.id == scene.third
            app.sessions.revoke(scene.session.id, actor="admin")
            with pytest.raises(WAIaaSError) as caught:
                app.sessions.authenticate(scene.session.token)
            assert caught.value.code == "SESSION_REVOKED"
            app.links.link(session.id, scene.second, actor="admin")
            assert app.links.resolve(session.id, scene.second) == scene.second

    def test_a_rolled_back_change_is_not_visible(self, scene: Scene) -> None:
        """After a rollback, decisions read the file again."""
        app = scene.app
        with app.database.atomic() as transaction:
            session = app.session(scene.third)
            app.sessions.revoke(scene.session.id, actor="admin")
            transaction.rollback()
            assert app.sessions.authorize(scene.session.token).session_id == scene.session.id
            with pytest.raises(WAIaaSError, match="no such session"):
                app.sessions.authorize(session.token)

    def test_an_uncommitted_change_is_invisible_to_other_threads(self, scene: Scene) -> None:
        """Another thread reads the latest commit while this thread's transaction has uncommitted changes."""
        app, codes = scene.app, list[str | None]()

        def ask() -> None:
            codes.append(code_of(lambda: app.sessions.authorize(scene.session.token)))
            app.database.close()

        with app.database.atomic():
            app.sessions.revoke(scene.session.id, actor="admin")
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
        assert codes == [None]
        assert code_of(lambda: app.sessions.authorize(scene.session.token)) == "SESSION_REVOKED"

    def test_a_later_read_transaction_sees_the_latest_commit(self, scene: Scene, administrator: Remote) -> None:
        """A transaction that only reads sees the latest commit, even if an earlier transaction has written."""
        app = scene.app
        with app.database.atomic():
            app.session(scene.third)
        with file_open_in(administrator, app.path, app.clock.now) as other, transaction_without_peewee(app.database):
            assert other.ask(f"revoke {scene.session.id}") == "done"
            assert code_of(lambda: app.sessions.authorize(scene.session.token)) == "SESSION_REVOKED"


class TestSecondConnection:
    """The connection that reads the latest commit."""

    @staticmethod
    def open_files(path: Path) -> int:
        folder = Path("/proc/self/fd")
        return sum(os.path.realpath(link) == str(path) for link in folder.iterdir())

    def test_it_cannot_write(self, scene: Scene) -> None:
        """It is read-only."""
        database = scene.app.database
        assert isinstance(database, WaiaasDatabase)
        assert database.latest() is not database.connection()
        assert database.latest().execute("PRAGMA query_only").fetchone() == (1,)

    def test_it_is_opened_at_the_first_decision(self, app: Application) -> None:
        """A thread opens the second connection at its first decision, and only once."""
        session = app.session(app.wallet())
        app.database.close()
        before = self.open_files(app.path)
        app.sessions.get(session.id)
        assert self.open_files(app.path) == before + 1
        for _ in range(20):
            app.sessions.authorize(session.token)
        assert self.open_files(app.path) == before + 2

    @pytest.mark.parametrize("close", [lambda database: database.close_all(), lambda database: database.close()])
    def test_closing_closes_both(self, app: Application, close: Callable[[Any], None]) -> None:
        """Both ways to close the database close both connections, even if only the second is open."""
        session = app.session(app.wallet())
        app.sessions.authorize(session.token)
        app.database.close()
        before = self.open_files(app.path)
        app.sessions.authorize(session.token)
        assert self.open_files(app.path) == before + 1
        close(app.database)
        assert self.open_files(app.path) == before == 0
        assert not Path(f"{app.path}-wal").exists()

    @pytest.mark.slow
    def test_ended_threads_leave_no_connection(self, app: Application) -> None:
        """No connection remains after threads that use and close the database end."""
        session = app.session(app.wallet())

        def ask() -> None:
            app.sessions.authorize(session.token)
            app.database.close()

        open_files = []
        for _ in range(20):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            gc.collect()
            open_files.append(self.open_files(app.path))
        # SQLite keeps one closed file open for the next connection, because closing it would release its locks.
        assert set(open_files) == {2}

    def test_it_does_not_prevent_checkpoints(self, app: Application) -> None:
        """It never prevents a checkpoint of the write-ahead log."""
        session = app.session(app.wallet())
        with closing(Application(app.path, app.clock).database) as other:
            other.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
            app.sessions.authorize(session.token)
            app.database.close()
            app.sessions.authorize(session.token)
            assert other.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0

    def test_an_in_memory_database_has_one_connection(self) -> None:
        """An in-memory database has one connection, which sees its own changes."""
        database = waiaas.connect(":memory:").peewee
        assert isinstance(database, WaiaasDatabase)
        assert database.latest() is database.connection()
        database.close_all()

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    def test_a_forked_child_opens_its_own(self, scene: Scene) -> None:
        """A forked child neither uses nor closes the second connection of its parent."""
        code = """
import os, sys, waiaas
from waiaas.services import SessionService
database = waiaas.connect(sys.argv[1]).peewee
clock = lambda: float(sys.argv[3])
sessions = SessionService(database, clock=clock)
sessions.authorize(sys.argv[2])
parents = database.latest()
child = os.fork()
if child == 0:
    sessions.authorize(sys.argv[2])
    assert database.latest() is not parents
    sessions.revoke(sessions.authorize(sys.argv[2]).session_id, actor="admin")
    database.close_all()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert database.latest() is parents
try:
    sessions.authorize(sys.argv[2])
except waiaas.WAIaaSError as error:
    print(error.code)
database.close_all()
"""
        app = scene.app
        assert run_python(code, app.path, scene.session.token, app.clock.now) == "SESSION_REVOKED\n"


def ask_in_a_loop(path: Path, rounds: int) -> tuple[int, int]:
    """Let another process remove rights, and return the number of answers and of stale answers.

    An answer is stale if it allows what the other process had removed when its call returned.
    """
    clock = Clock()
    app = Application(path, clock, sessions_per_wallet=2**31 - 1)
    first, second = app.wallet(), app.wallet()
    answers = stale = 0
    # Its clock is ahead, so that tokens are in the second half of their lifetime and can be renewed.
    with Remote(ADMINISTRATOR) as administrator, file_open_in(administrator, path, clock.now + 200) as other:
        for number in range(rounds):
            session = app.session(first, second, ttl=300)
            name = list(TAKEN)[number % len(TAKEN)]
            command, expected = TAKEN[name]
            calls = (
                lambda session=session: app.sessions.authorize(session.token, second),
                lambda session=session: app.sessions.authenticate(session.token),
                lambda session=session: app.links.resolve(session.id, second),
            )
            with OPEN[number // len(TAKEN) % len(OPEN)](app.database):
                assert [code_of(call) for call in calls] == [None, None, None]
                assert other.ask(command.format(session=session.id, second=second, token=session.token)) == "done"
                codes = [code_of(call) for call in calls]
            pairs = [pair for pair in zip(codes, expected, strict=True) if pair[1] is not None]
            answers += len(pairs)
            stale += sum(code != right for code, right in pairs)
            if name == "rotate":
                clock.now += 600
            elif name in UNDO:
                assert other.ask(UNDO[name].format(second=second)) == "done"
    app.database.close_all()
    return answers, stale


@pytest.mark.slow
def test_no_answer_is_stale(tmp_path: Path, new_file: Path) -> None:
    """In a loop, with cursors and transactions open, no request is allowed after its right was removed."""
    shutil.copy(new_file, tmp_path / "wallets.db")
    answers, stale = ask_in_a_loop(tmp_path / "wallets.db", 2 * len(OPEN) * len(TAKEN))
    assert (answers, stale) == (130, 0)


@pytest.mark.stress
def test_no_answer_is_stale_for_long(tmp_path: Path, new_file: Path) -> None:
    """The same for 2,600 answers."""
    shutil.copy(new_file, tmp_path / "wallets.db")
    answers, stale = ask_in_a_loop(tmp_path / "wallets.db", 40 * len(OPEN) * len(TAKEN))
    assert (answers, stale) == (2600, 0)
