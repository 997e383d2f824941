"""PostgreSQL only: URLs, locks, conflicts, pools, and failures of the server and the network."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.postgresql_server import PASSWORD, Databases, Server
from support.proxy import Proxy

import waiaas
from waiaas import WAIaaSError
from waiaas.backends import postgresql as backend
from waiaas.backends.postgresql import PostgresqlDatabase, open_database
from waiaas.migrations.postgresql import create_or_upgrade
from waiaas.paths import is_postgresql_url

LATEST = waiaas.LATEST_SCHEMA_VERSION

pytestmark = pytest.mark.slow

# The protocol message with this statement.
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
INSERT = "INSERT INTO key_value_store VALUES (%s, %s, 1)"
SELECT = "SELECT value FROM key_value_store WHERE key = %s"
NUMBER = "UPDATE key_value_store SET updated_at = updated_at + 1 WHERE key = %s RETURNING updated_at"


def insert(database: PostgresqlDatabase, key: str, value: str = "1") -> str:
    database.execute_sql(INSERT, (key, value))
    return key


def get(database: PostgresqlDatabase, key: str) -> Any:
    row = database.fetch_latest(SELECT, (key,))
    return None if row is None else row[0]


def reason_of(call: Callable[[], Any]) -> str | None:
    with pytest.raises(WAIaaSError) as caught:
        call()
    error = caught.value
    texts = [str(each) for each in (error, error.details, error.__cause__, error.__context__)]
    assert not any(PASSWORD in text for text in texts)
    return error.reason


class Opener:
    """Opens databases and closes them after the test."""

    def __init__(self) -> None:
        self.databases: list[PostgresqlDatabase] = []

    def __call__(self, url: str, **options: Any) -> PostgresqlDatabase:
        self.databases.append(open_database(url, **options))
        return self.databases[-1]


@pytest.fixture
def open_url() -> Iterator[Opener]:
    open_url = Opener()
    yield open_url
    for database in open_url.databases:
        database.close_all()


@pytest.fixture(scope="module")
def module_server() -> Iterator[Server]:
    server = Server.create()
    try:
        server.execute("CREATE DATABASE wallets")
        database = open_database(server.url("wallets"))
        create_or_upgrade(database)
        database.close_all()
        yield server
    finally:
        server.remove()


@pytest.fixture
def server(module_server: Server) -> Iterator[Server]:
    """A server that a test may stop, kill and configure, with empty tables in its database `wallets`."""
    yield module_server
    if not module_server.is_running():
        module_server.start()
    module_server.execute("ALTER SYSTEM RESET ALL")
    module_server.execute("SELECT pg_reload_conf()")
    module_server.execute("TRUNCATE key_value_store", "wallets")


class TestUrls:
    def test_recognized_urls(self) -> None:
        assert is_postgresql_url("postgresql://h/d")
        assert is_postgresql_url("postgres://h/d")
        assert not any(map(is_postgresql_url, ("wallets.db", "sqlite:///x", b"postgresql://h/d", None)))

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://app:hush@db1/wallets", "postgresql://app@db1/wallets"),
            ("postgres://app:hush@db1:6000/w%20x?sslmode=require", "postgresql://app@db1:6000/w%20x"),
            (
                "postgresql://app:hush@db1,db2:6432/wallets?target_session_attrs=read-write",
                "postgresql://app@db1,db2:6432/wallets?target_session_attrs=read-write",
            ),
            ("postgresql:///wallets?host=/run/postgresql&password=hush", "postgresql:///run/postgresql/wallets"),
        ],
    )
    def test_the_password_is_not_shown(self, url: str, shown: str) -> None:
        """Neither the address, the repr nor any attribute that Peewee keeps contains it."""
        database = open_database(url)
        assert "hush" not in f"{database!r} {database.database} {database.connect_params}"
        assert database.address == shown

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://app:hush%@h/d",
            "postgresql://app:hush@h/d?nonsense=1",
            "postgresql://app:hush@h",
            "postgresql://app:a@hush@h/d",
            "postgresql://app:a/hush@h/d",
            "postgresql://app:12/hush@h/d",
            "postgresql://app:hush/d",
            "postgresql://app:hush@h/d\n",
            "postgresql://app:hush@h/d\0",
            "postgresql://app:hush@h/\udcff",
        ],
    )
    def test_a_malformed_url_is_refused_without_its_cause(self, url: str) -> None:
        """The driver's own text contains the password, so it is not even in the context of the error."""
        with pytest.raises(WAIaaSError) as caught:
            open_database(url)
        assert caught.value.reason == "invalid_url"
        assert "hush" not in str(caught.value.to_dict())
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    def test_an_at_sign_may_be_in_a_parameter(self) -> None:
        """An `@` after the question mark, or an escaped one, is no sign of a password in the wrong place."""
        database = open_database("postgresql://h:5432,i:5433/a%40b?user=app@company&password=hush")
        assert database.address == "postgresql://app%40company@h:5432,i:5433/a%40b"

    def test_a_parameter_that_the_driver_cannot_read_is_refused(self) -> None:
        """A value that only psycopg checks, when it connects, makes the URL invalid."""
        with pytest.raises(WAIaaSError) as caught:
            waiaas.connect("postgresql://app:hush@h/d?connect_timeout=soon")
        assert caught.value.reason == "invalid_url"

    def test_without_psycopg_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backend, "psycopg", None)
        with pytest.raises(WAIaaSError) as caught:
            open_database("postgresql://h/d")
        assert (caught.value.reason, "waiaas[postgresql]" in caught.value.hint) == ("driver_missing", True)


class TestConnections:
    def test_psycopg_3_and_utf_8_with_any_server_default(self, databases: Databases, open_url: Opener) -> None:
        """Encoding, isolation and time zone do not depend on the settings of the database."""
        with databases.new() as url:
            name = url.rsplit("/", 1)[1]
            for setting in (
                "client_encoding = 'LATIN1'",
                "default_transaction_isolation = 'serializable'",
                "TimeZone = 'Asia/Seoul'",
            ):
                databases.execute(f"ALTER DATABASE {name} SET {setting}")
            database = open_url(url)
            assert type(database.connection()).__mro__[1].__module__ == "psycopg"
            database.write(lambda: insert(database, "키", "값 ✓"))
            assert get(database, "키") == "값 ✓"
            level = database.write(lambda: database.execute_sql("SHOW transaction_isolation").fetchone())
            assert level == ("read committed",)
            with database.atomic():
                assert database.execute_sql("SHOW transaction_isolation").fetchone() == ("read committed",)
            with database.atomic("REPEATABLE READ"):
                assert database.execute_sql("SHOW transaction_isolation").fetchone() == ("repeatable read",)
            database.close_all()

    def test_statements_are_prepared_unless_a_pooler_forbids_it(self, postgresql_url: str, open_url: Opener) -> None:
        for is_prepared in (True, False):
            database = open_url(postgresql_url, prepared_statements=is_prepared)
            for number in (1, 10_000, 10_000_000_000, 7):
                database.fetch_latest("SELECT value FROM key_value_store WHERE updated_at = %s", (number,))
            found = database.execute_sql("SELECT count(*) FROM pg_prepared_statements").fetchone()
            assert found == (int(is_prepared),)

    @pytest.mark.parametrize("is_prepared", [True, False])
    def test_a_lock_is_waited_for_as_long_as_the_busy_timeout(
        self, postgresql_url: str, open_url: Opener, is_prepared: bool
    ) -> None:
        first = open_url(postgresql_url)
        second = open_url(postgresql_url, busy_timeout=0.05, prepared_statements=is_prepared)
        first.write(lambda: insert(first, "a"))
        with first.atomic():
            first.execute_sql(NUMBER, ("a",))
            assert reason_of(lambda: second.write(lambda: second.execute_sql(NUMBER, ("a",)))) == "database_busy"
        second.write(lambda: second.execute_sql(NUMBER, ("a",)))

    def test_an_idle_transaction_ends(self, postgresql_url: str, open_url: Opener) -> None:
        """A client that died in a transaction does not hold its locks for ever."""
        database = open_url(postgresql_url)
        assert database.execute_sql("SHOW idle_in_transaction_session_timeout").fetchone() == ("1min",)

    @pytest.mark.parametrize("is_prepared", [True, False])
    def test_a_temporary_table_never_hides_a_table_of_the_library(
        self, postgresql_url: str, open_url: Opener, is_prepared: bool
    ) -> None:
        """A change is in the table that other connections read, and a transaction does not read a temporary one."""
        database = open_url(postgresql_url, pool_size=1, prepared_statements=is_prepared)
        other = open_url(postgresql_url)
        database.execute_sql("CREATE TEMP TABLE key_value_store (LIKE public.key_value_store)")
        database.write(lambda: insert(database, "a"))
        assert get(other, "a") == "1"
        with database.exclusive_transaction():
            assert get(database, "a") == "1"
        if is_prepared:  # a pooler gives each read another connection of the server
            assert get(database, "a") == "1"

    @pytest.mark.parametrize("is_prepared", [True, False])
    def test_a_search_path_of_the_user_is_kept(
        self, databases: Databases, postgresql_url: str, open_url: Opener, is_prepared: bool
    ) -> None:
        """The settings of the server name the schemas; an explicit place of temporary tables is kept."""
        name = postgresql_url.rsplit("/", 1)[1]
        for path, used in {"public, other": "public, other, pg_temp", "pg_temp, public": "pg_temp, public"}.items():
            databases.execute(f"ALTER DATABASE {name} SET search_path = {path}")
            with open_url(postgresql_url, prepared_statements=is_prepared).exclusive_transaction():
                assert open_url.databases[-1].execute_sql("SHOW search_path").fetchone() == (used,)

    def test_threads_share_a_pool(self, postgresql_url: str, open_url: Opener) -> None:
        """Eight threads share two connections, because every call returns the one that it used."""
        database = open_url(postgresql_url, pool_size=2)
        with ThreadPoolExecutor(8) as pool:
            keys = list(pool.map(lambda n: database.write(lambda: insert(database, f"k{n}")), range(40)))
        assert [get(database, key) for key in keys] == ["1"] * 40
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert database.fetch_latest(query) in ((1,), (2,))

    def test_a_pool_in_use_is_busy(self, postgresql_url: str, open_url: Opener) -> None:
        database = open_url(postgresql_url, pool_size=1, busy_timeout=0.05)
        is_inside, may_end = threading.Event(), threading.Event()

        def hold() -> None:
            with database.exclusive_transaction():
                is_inside.set()
                may_end.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        is_inside.wait()
        assert reason_of(lambda: get(database, "a")) == "pool_exhausted"
        may_end.set()
        holder.join()
        assert get(database, "a") is None

    def test_a_transaction_begun_by_sql_is_refused(self, postgresql: PostgresqlDatabase) -> None:
        postgresql.execute_sql("BEGIN")
        assert reason_of(lambda: postgresql.write(lambda: insert(postgresql, "a"))) == "inside_transaction"
        postgresql.execute_sql("ROLLBACK")
        assert postgresql.write(lambda: insert(postgresql, "a")) == "a"

    def test_close_all_closes_the_connections_of_all_threads(self, postgresql: PostgresqlDatabase) -> None:
        is_open, may_end = threading.Event(), threading.Event()

        def use() -> None:
            get(postgresql, "a")
            is_open.set()
            may_end.wait()

        thread = threading.Thread(target=use)
        thread.start()
        is_open.wait()
        postgresql.close_all()
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'active'"
        may_end.set()
        thread.join()
        deadline = time.monotonic() + 30
        # The server ends its process a moment after the connection is closed.
        while postgresql.fetch_latest(others) != (0,):
            assert time.monotonic() < deadline

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    @pytest.mark.parametrize("pool_size", [None, 2])
    def test_a_forked_process_opens_its_own_connection(
        self, postgresql_url: str, open_url: Opener, pool_size: int | None
    ) -> None:
        database = open_url(postgresql_url, pool_size=pool_size)
        database.write(lambda: insert(database, "parent"))
        mine = database.execute_sql("SELECT pg_backend_pid()").fetchone()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                database.write(lambda: insert(database, "child"))
                database.close_all()
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert database.execute_sql("SELECT pg_backend_pid()").fetchone() == mine
        assert get(database, "child") == "1"


class TestTransactions:
    def test_conflicts_are_tried_again(self, postgresql_url: str, open_url: Opener) -> None:
        """Of two changes that lock in opposite orders, the server aborts one, which is then retried."""
        database, attempts = open_url(postgresql_url), []
        for key in "ab":
            database.write(lambda key=key: insert(database, key))
        both = threading.Barrier(2)

        def change(first: str, second: str) -> None:
            attempts.append(first)
            database.execute_sql(NUMBER, (first,))
            if len(attempts) <= 2:
                both.wait()
            database.execute_sql(NUMBER, (second,))

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda order: database.write(lambda: change(*order)), ["ab", "ba"]))
        assert len(attempts) == 3
        assert database.fetch_latest("SELECT sum(updated_at) FROM key_value_store") == (6,)

    def test_a_conflict_in_the_callers_transaction_is_the_callers(self, postgresql_url: str, open_url: Opener) -> None:
        """Only the code that began the transaction can retry it."""
        mine, other = open_url(postgresql_url), open_url(postgresql_url)
        mine.write(lambda: insert(mine, "a"))
        with mine.atomic("REPEATABLE READ"):
            assert get(mine, "a") == "1"
            mine.execute_sql("SELECT 1 FROM key_value_store").fetchall()
            other.write(lambda: other.execute_sql(NUMBER, ("a",)))
            assert reason_of(lambda: mine.write(lambda: mine.execute_sql(NUMBER, ("a",)))) == "transaction_conflict"

    @pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
    def test_a_read_sees_the_latest_commit_in_any_transaction(
        self, postgresql_url: str, open_url: Opener, level: str
    ) -> None:
        """Revocations after the transaction began are seen, and so are uncommitted changes of the services."""
        mine, other = open_url(postgresql_url), open_url(postgresql_url)
        with mine.atomic(level):
            mine.execute_sql("SELECT 1 FROM key_value_store").fetchall()
            other.write(lambda: insert(other, "a"))
            assert get(mine, "a") == "1"
            mine.write(lambda: insert(mine, "b"))
            assert get(mine, "b") == "1"

    @pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
    def test_a_locked_row_is_never_decided_by_an_old_snapshot(
        self, postgresql_url: str, open_url: Opener, level: str
    ) -> None:
        """A caller's transaction that began before a lock was taken and released conflicts, or reads again."""
        mine, other = open_url(postgresql_url), open_url(postgresql_url)
        insert_session = (
            "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at)"
            " VALUES ('s', '', 9, 9, 1)"
        )
        mine.write(lambda: mine.execute_sql(insert_session))

        def decide(database: PostgresqlDatabase) -> bool:
            database.lock("sessions", "id", ["s"])
            if database.execute_sql("SELECT count(*) FROM key_value_store").fetchone() != (0,):
                return False
            insert(database, f"by {id(database)}")
            return True

        with mine.atomic(level):
            mine.execute_sql("SELECT 1 FROM sessions").fetchall()
            assert other.write(lambda: decide(other))
            if level == "READ COMMITTED":
                assert not mine.write(lambda: decide(mine))
            else:
                assert reason_of(lambda: mine.write(lambda: decide(mine))) == "transaction_conflict"

    def test_services_wait_for_an_exclusive_transaction(self, postgresql_url: str, open_url: Opener) -> None:
        """Nothing that an exclusive transaction has read changes until it commits."""
        mine, other = open_url(postgresql_url), open_url(postgresql_url, busy_timeout=0.05)
        with mine.exclusive_transaction():
            assert reason_of(lambda: other.write(lambda: insert(other, "a"))) == "database_busy"
            assert reason_of(lambda: other.exclusive_transaction().__enter__()) == "database_busy"
            assert get(other, "a") is None
        other.write(lambda: insert(other, "a"))

    def test_a_durable_change_is_on_the_disk(self, databases: Databases, open_url: Opener) -> None:
        """Even if the database is configured for asynchronous commits."""
        with databases.new() as url:
            databases.execute(f"ALTER DATABASE {url.rsplit('/', 1)[1]} SET synchronous_commit = off")
            database = open_url(url)
            show = lambda: database.execute_sql("SHOW synchronous_commit").fetchone()[0]  # noqa: E731
            assert (database.write(show), database.write(show, durable=True), show()) == ("off", "on", "off")
            database.close_all()


class TestFailures:
    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    @pytest.mark.parametrize("pool_size", [None, 2])
    def test_a_restart_is_not_noticed_between_calls(
        self, server: Server, open_url: Opener, mode: str, pool_size: int | None
    ) -> None:
        """Every connection is dead afterwards; the next read and the next change simply succeed."""
        database = open_url(server.url("wallets"), pool_size=pool_size)
        database.write(lambda: insert(database, "a"))
        server.restart(mode)
        assert get(database, "a") == "1"
        server.restart(mode)
        database.write(lambda: insert(database, "b"))
        assert get(database, "b") == "1"

    def test_a_restart_within_a_change_runs_it_again(self, server: Server, open_url: Opener) -> None:
        database, attempts = open_url(server.url("wallets")), []

        def change() -> str:
            attempts.append(insert(database, "a"))
            if len(attempts) == 1:
                server.restart("immediate")
            return insert(database, "b")

        assert database.write(change) == "b"
        assert (len(attempts), get(database, "a"), get(database, "b")) == (2, "1", "1")

    def test_a_restart_within_the_callers_transaction_ends_it(self, server: Server, open_url: Opener) -> None:
        """Nothing after the loss is committed alone, and the next transaction works."""
        database = open_url(server.url("wallets"))

        def block() -> None:
            with database.atomic():
                database.write(lambda: insert(database, "a"))
                server.restart("immediate")
                assert reason_of(lambda: database.write(lambda: insert(database, "b"))) == "connection_lost"
                database.write(lambda: insert(database, "c"))

        assert reason_of(block) == "connection_lost"
        assert [get(database, key) for key in "abc"] == [None] * 3
        database.write(lambda: insert(database, "d"))

    def test_a_server_that_is_down(self, server: Server, open_url: Opener) -> None:
        database = open_url(server.url("wallets"))
        database.write(lambda: insert(database, "a"))
        server.kill()
        assert reason_of(lambda: get(database, "a")) == "server_unavailable"
        assert reason_of(lambda: database.write(lambda: insert(database, "b"))) == "server_unavailable"
        server.start()
        assert (get(database, "a"), get(database, "b")) == ("1", None)

    @pytest.mark.parametrize("is_synchronous", [True, False])
    def test_a_promoted_standby_takes_over(self, server: Server, open_url: Opener, is_synchronous: bool) -> None:
        """With both hosts in the URL, a failover needs no code of the user."""
        standby = server.standby("standby", synchronous=is_synchronous)
        try:
            url = server.url("wallets").replace(f":{server.port}", f":{server.port},127.0.0.1:{standby.port}")
            database = open_url(f"{url}?target_session_attrs=read-write")
            for number in range(20):
                database.write(lambda number=number: insert(database, f"k{number}"))
            server.kill()
            assert reason_of(lambda: database.write(lambda: insert(database, "lost"))) == "server_unavailable"
            standby.promote()
            database.write(lambda: insert(database, "after"))
            (kept,) = database.fetch_latest("SELECT count(*) FROM key_value_store") or (0,)
            assert kept == 21 if is_synchronous else kept >= 1
        finally:
            database.close_all()
            standby.remove()

    def test_a_primary_that_became_read_only_is_abandoned(self, server: Server, open_url: Opener) -> None:
        """The connection to a read-only server is closed, and the next one finds the other server."""
        standby = server.standby("standby")
        try:
            url = server.url("wallets").replace(f":{server.port}", f":{server.port},127.0.0.1:{standby.port}")
            database = open_url(f"{url}?target_session_attrs=read-write")
            assert get(database, "a") is None
            standby.promote()
            server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            server.execute("SELECT pg_reload_conf()")
            while database.fetch_latest("SHOW default_transaction_read_only") == ("off",):
                pass
            database.write(lambda: insert(database, "a"))
            assert standby.execute("SELECT key FROM key_value_store", "wallets") == [("a",)]
        finally:
            database.close_all()
            standby.remove()

    def test_a_read_only_server(self, server: Server, open_url: Opener) -> None:
        database = open_url(f"{server.url('wallets')}?options=-c%20default_transaction_read_only%3Don")
        assert get(database, "a") is None
        assert reason_of(lambda: database.write(lambda: insert(database, "a"))) == "server_read_only"

    def test_a_full_disk(self, server: Server, open_url: Opener) -> None:
        """The change is refused with a retryable reason and rolled back, and reads continue."""
        ((path,),) = server.execute("SELECT pg_relation_filepath('key_value_store')", "wallets")
        server.stop()
        # A device without any space.
        (server.data / path).unlink()
        (server.data / path).symlink_to("/dev/full")
        server.start()
        database = open_url(server.url("wallets"))
        with pytest.raises(WAIaaSError) as caught:
            database.write(lambda: insert(database, "a"))
        assert (caught.value.reason, caught.value.retryable) == ("disk_full", True)
        assert database.fetch_latest("SELECT count(*) FROM schema_version") == (LATEST,)
        server.execute("TRUNCATE key_value_store", "wallets")
        assert database.write(lambda: insert(database, "a")) == "a"

    def test_refused_logins(self, server: Server, open_url: Opener) -> None:
        server.execute("DROP ROLE IF EXISTS reader, single")
        server.execute("CREATE ROLE reader LOGIN PASSWORD 'correct-horse'")
        server.execute("CREATE ROLE single LOGIN PASSWORD 'correct-horse' CONNECTION LIMIT 0")
        calls = {
            server.url("wallets", password="wrong"): "access_denied",
            server.url("wallets", user="nobody_knows"): "access_denied",
            f"postgresql://postgres@127.0.0.1:{server.port}/wallets": "access_denied",
            server.url("nowhere"): "database_not_found",
            server.url("wallets", user="single"): "too_many_connections",
            server.url("wallets", user="reader"): "insufficient_privilege",
        }
        assert {url: reason_of(lambda url=url: get(open_url(url), "a")) for url in calls} == calls

    @pytest.mark.parametrize("is_committed", [True, False])
    def test_a_commit_without_a_response_is_looked_up(
        self, server: Server, open_url: Opener, is_committed: bool
    ) -> None:
        """The change is found by its row. If it is not found it may still arrive, so it is not retried."""
        attempts = []

        def change() -> str:
            attempts.append(1)
            return insert(database, "a")

        def find() -> str | None:
            return "found" if get(database, "a") else None

        with Proxy.before(server.port) as proxy:
            database = open_url(server.url("wallets", port=proxy.port))
            get(database, "a")
            if is_committed:
                proxy.cut_after = COMMIT
                assert database.write(change, find=find) == "found"
            else:
                proxy.cut_before = COMMIT
                assert reason_of(lambda: database.write(change, find=find)) == "commit_unknown"
            assert len(attempts) == 1
            assert get(database, "a") == ("1" if is_committed else None)
            database.close_all()

    def test_a_commit_without_a_response_that_cannot_be_looked_up(self, server: Server, open_url: Opener) -> None:
        with Proxy.before(server.port) as proxy:
            database = open_url(server.url("wallets", port=proxy.port))
            proxy.cut_after = COMMIT
            assert reason_of(lambda: database.write(lambda: insert(database, "a"))) == "commit_unknown"
            proxy.cut_after = COMMIT
            with pytest.raises(backend.CommitUnknownError), database.atomic():
                insert(database, "b")
            assert (get(database, "a"), get(database, "b")) == ("1", "1")
            database.close_all()

    def test_a_disconnected_network(self, server: Server, open_url: Opener) -> None:
        with Proxy.before(server.port) as proxy:
            database = open_url(server.url("wallets", port=proxy.port))
            database.write(lambda: insert(database, "a"))
            proxy.cut()
            assert get(database, "a") == "1"
            proxy.stop()
            assert reason_of(lambda: get(database, "a")) == "server_unavailable"
            database.close_all()

    def test_a_network_that_drops_everything(
        self, server: Server, open_url: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call ends even if neither a response nor an error ever arrives."""
        monkeypatch.setattr(backend, "_ANSWER_WITHIN", 0.3)
        monkeypatch.setattr(backend, "_NETWORK", {**backend._NETWORK, "connect_timeout": 2})
        with Proxy.before(server.port) as proxy:
            database = open_url(server.url("wallets", port=proxy.port), busy_timeout=0.1)
            database.write(lambda: insert(database, "a"))
            proxy.freeze()
            assert reason_of(lambda: get(database, "a")) == "server_unavailable"
            proxy.flows.set()
            assert get(database, "a") == "1"
            database.close_all()
