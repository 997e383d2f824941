"""The services on PostgreSQL: the lifecycle of a session, races of threads, and errors in a caller's transaction."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from multiprocessing.pool import Pool
from threading import Barrier
from typing import Any

import pytest
from support.application import broken_invariants
from support.concurrent_callers import new_session, new_wallet
from support.postgresql_load import SESSIONS_PER_WALLET, load
from support.service_set import ServiceSet

from waiaas import WAIaaSError
from waiaas.backends.postgresql import CommitUnknownError, PostgresqlDatabase, open_database
from waiaas.services import IssuedSession

NOW = 1_800_000_000


class Services(ServiceSet):
    """The services with a clock that stops until `now` is set."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.now = NOW
        super().__init__(database, lambda: self.now, sessions_per_wallet=2)

    def wallet(self, key: str) -> str:
        return str(self.wallets.create(**new_wallet(key)[2], actor="admin").id)

    def session(self, *wallet_ids: str) -> IssuedSession:
        return self.sessions.create(**new_session(*wallet_ids)[2], actor="admin")


@pytest.fixture
def services(postgresql: PostgresqlDatabase) -> Services:
    return Services(postgresql)


def test_the_lifecycle_of_a_session(services: Services) -> None:
    """All operations work as on SQLite, and each writes its row in the audit log."""
    a, b, c = map(services.wallet, "abc")
    session = services.session(a, b)
    assert services.sessions.authenticate(session.token).wallet_id == a
    services.links.link(session.id, c, actor="admin")
    services.links.set_default(session.id, c, actor="admin")
    services.links.unlink(session.id, a, actor="admin")
    assert [wallet.id for wallet in services.links.list(session.id)] == [c, b]
    assert (services.links.resolve(session.id), services.links.resolve(session.id, b)) == (c, b)
    services.wallets.suspend(b, "lost key", actor="admin")
    services.wallets.resume(b, actor="admin")
    services.wallets.terminate(c, actor="admin")
    assert services.sessions.get(session.id).default_wallet_id == b
    services.now += 2_000_000
    services.tokens.rotate(actor="admin")
    renewed = services.sessions.renew(session.token, actor="admin")
    with pytest.raises(WAIaaSError) as caught:
        services.sessions.authenticate(session.token)
    assert caught.value.code == "INVALID_TOKEN"
    assert services.sessions.authenticate(renewed.token).wallet_id == b
    assert [each.id for each in services.sessions.list(b, status="ACTIVE").items] == [session.id]
    assert [each.id for each in services.wallets.list(status="TERMINATED").items] == [c]
    services.sessions.revoke(session.id, actor="admin")
    events = services.database.execute_sql("SELECT event_type FROM audit_log ORDER BY id").fetchall()
    assert [event for (event,) in events] == [
        *["WALLET_CREATED"] * 3,
        "SESSION_ISSUED",
        "SESSION_WALLET_LINKED",
        "SESSION_DEFAULT_WALLET_SET",
        "SESSION_WALLET_UNLINKED",
        "WALLET_SUSPENDED",
        "WALLET_ACTIVATED",
        "SESSION_DEFAULT_WALLET_SET",
        "WALLET_TERMINATED",
        "KEY_ROTATED",
        "SESSION_RENEWED",
        "SESSION_REVOKED",
    ]


@pytest.mark.parametrize("no_id", [uuid.UUID(int=7), 7, b"7", ["7"], True, "\ud800", "\0"], ids=repr)
def test_an_invalid_id_does_not_end_the_transaction(services: Services, no_id: Any) -> None:
    """An invalid id is refused as on SQLite, and the caller's transaction can continue and commit."""
    wallet = services.wallet("a")
    session = services.session(wallet)
    calls: list[Callable[[], Any]] = [
        lambda: services.links.resolve(no_id),
        lambda: services.links.resolve(session.id, no_id),
        lambda: services.links.link(session.id, no_id, actor="admin"),
        lambda: services.sessions.get(no_id),
        lambda: services.sessions.list(no_id),
        lambda: services.wallets.terminate(no_id, actor="admin"),
    ]
    with services.database.atomic():
        services.wallets.suspend(wallet, actor="admin")
        for call in calls:
            with pytest.raises(WAIaaSError) as caught:
                call()
            assert caught.value.code == "ACTION_VALIDATION_FAILED"
    assert services.wallets.get(wallet).status == "SUSPENDED"


def race(services: Services, *calls: Callable[[], Any]) -> list[str]:
    """Return the results of calls made at the same moment, one per thread."""
    barrier = Barrier(len(calls))

    def one(call: Callable[[], Any]) -> str:
        barrier.wait()
        try:
            call()
        except WAIaaSError as error:
            return error.code
        finally:
            services.database.close()
        return "done"

    with ThreadPoolExecutor(len(calls)) as pool:
        return sorted(pool.map(one, calls))


def test_writers_take_turns(services: Services) -> None:
    """Concurrent callers get the results of a serial order, and none gets a serialization failure."""
    for number in range(20):
        wallet, key = services.wallet(f"key {number}"), f"other {number}"
        session = services.session(wallet)
        assert race(services, *[lambda wallet=wallet: services.session(wallet)] * 3) == [
            "SESSION_LIMIT_EXCEEDED",
            "SESSION_LIMIT_EXCEEDED",
            "done",
        ]
        assert race(services, *[lambda key=key: services.wallet(key)] * 2) == ["ACTION_VALIDATION_FAILED", "done"]
        services.now += 2_000_000
        renew = [lambda token=session.token: services.sessions.renew(token, actor="admin")] * 3
        assert race(services, *renew) == ["SESSION_RENEWAL_MISMATCH", "SESSION_RENEWAL_MISMATCH", "done"]


def test_an_error_rolls_back_its_own_block(services: Services) -> None:
    """An error rolls back its own `write_transaction` block; changes of the outer block remain."""

    def write_and_fail(key: str) -> None:
        with services.database.exclusive_transaction():
            services.wallet(key)
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail("alone")
    with services.database.exclusive_transaction():
        services.wallet("around")
        with pytest.raises(KeyError):
            write_and_fail("inside")
    assert [wallet.name for wallet in services.wallets.list().items] == ["around"]


# What the rules refuse when callers meet on the same rows.
REFUSED_BY_RULES = {
    *("SESSION_NOT_FOUND", "SESSION_LIMIT_EXCEEDED", "WALLET_TERMINATED", "WALLET_ALREADY_LINKED", "done"),
    *("WALLET_ACCESS_DENIED", "SESSION_REQUIRES_WALLET", "CANNOT_REMOVE_DEFAULT_WALLET"),
}


@pytest.fixture(scope="module")
def eight_processes() -> Iterator[Pool]:
    with get_context("spawn").Pool(8) as pool:
        yield pool


@pytest.mark.slow
@pytest.mark.parametrize("level", [None, "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_processes_at_once_break_no_invariant(
    postgresql: PostgresqlDatabase, postgresql_url: str, eight_processes: Pool, level: str
) -> None:
    """Eight processes change the same few rows, with or without their own transactions, at every isolation level.

    Without its own transaction, no caller gets a conflict or a deadlock.
    """
    load(postgresql_url, 8, 10, None, NOW)  # so that not all begin with the same first wallet
    calls = [(postgresql_url, seed, 40, level, NOW) for seed in range(8)]
    outcomes = sum(eight_processes.starmap(load, calls), Counter())
    assert broken_invariants(lambda sql: postgresql.execute_sql(sql).fetchall(), SESSIONS_PER_WALLET) == []
    assert outcomes["done"] > 10
    conflicts = {"transaction_conflict", "SerializationFailure", "OperationalError"} if level else set()
    assert outcomes.keys() <= REFUSED_BY_RULES | conflicts, outcomes


def test_a_change_takes_few_round_trips(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside BEGIN and COMMIT, creating a session, linking and renewing take three statements."""
    a, b, c = map(services.wallet, "abc")
    session = services.session(a)
    services.sessions.authenticate(session.token)
    statements: list[str] = []
    execute = services.database.execute_sql

    def count(sql: str, parameters: Any = None) -> Any:
        statements.append(sql)
        return execute(sql, parameters)

    monkeypatch.setattr(services.database, "execute_sql", count)
    counts = {}
    services.session(b, c)
    counts["create"] = len(statements)
    services.links.link(session.id, c, actor="admin")
    counts["link"] = len(statements) - sum(counts.values())
    services.now += 2_000_000
    services.sessions.renew(session.token, actor="admin")
    counts["renew"] = len(statements) - sum(counts.values())
    assert counts == {"create": 3, "link": 3, "renew": 3}, statements


def test_no_prepared_statement_reads_all_living_sessions(postgresql: PostgresqlDatabase, postgresql_url: str) -> None:
    """The plan that PostgreSQL makes without knowing the parameters reads the sessions of one wallet only."""
    postgresql.execute_sql(
        "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at)"
        " SELECT n::text, '', %s, %s, 1 FROM generate_series(1, 5000) AS n",
        (NOW + 9, NOW + 9),
    )
    postgresql.execute_sql("ANALYZE")
    services = Services(open_database(f"{postgresql_url}?options=-c%20plan_cache_mode%3Dforce_generic_plan"))
    a, b = services.wallet("a"), services.wallet("b")
    for _ in range(4):
        session = services.session(a)
        services.links.link(session.id, b, actor="admin")
        services.sessions.revoke(session.id, actor="admin")
        assert len(services.sessions.list(status="ACTIVE", limit=3)) == 3
    services.database.execute_sql("SELECT pg_stat_force_next_flush()")
    read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'idx_sessions_expires_at'"
    assert services.database.execute_sql(read).fetchall() == [(0,)]
    services.database.close_all()


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("name", ["create a session", "create a wallet", "link", "resume", "renew"])
def test_an_old_snapshot_grants_nothing_after_the_kill_switch(
    services: Services, postgresql_url: str, level: str, name: str
) -> None:
    """A caller's transaction that began before the kill switch was activated grants no right after it."""
    a, b = services.wallet("a"), services.wallet("b")
    session = services.session(a)
    services.wallets.suspend(b, actor="admin")
    services.now += 2_000_000
    grants: dict[str, Callable[[], Any]] = {
        "create a session": lambda: services.session(a),
        "create a wallet": lambda: services.wallet("new"),
        "link": lambda: services.links.link(session.id, b, actor="admin"),
        "resume": lambda: services.wallets.resume(b, actor="admin"),
        "renew": lambda: services.sessions.renew(session.token, actor="admin"),
    }
    other = Services(open_database(postgresql_url))

    def grant_late() -> None:
        with services.database.atomic(level):
            services.database.execute_sql("SELECT count(*) FROM key_value_store").fetchone()
            other.kill_switch.activate(actor="admin")
            grants[name]()

    with pytest.raises(WAIaaSError) as caught:
        grant_late()
    assert caught.value.reason == "transaction_conflict" or caught.value.code == "SYSTEM_LOCKED"
    other.database.close_all()


@pytest.mark.parametrize("is_manual", [False, True], ids=["statement", "manual_commit"])
def test_an_old_snapshot_of_a_transaction_begun_by_hand_grants_nothing(
    services: Services, postgresql_url: str, is_manual: bool
) -> None:
    """A token that was revoked since the snapshot is refused."""
    session, database = services.session(services.wallet("a")), services.database
    other = Services(open_database(postgresql_url))
    with database.manual_commit() if is_manual else nullcontext():
        database.execute_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        database.execute_sql("SELECT count(*) FROM sessions").fetchone()
        other.sessions.revoke(session.id, actor="admin")
        with pytest.raises(WAIaaSError, match="revoked"):
            services.sessions.authorize(session.token)
        database.execute_sql("ROLLBACK")
    other.database.close_all()


def test_a_change_whose_audit_row_a_trigger_skips_is_refused(services: Services) -> None:
    """A trigger of the server can suppress a row; nothing is changed then."""
    session = services.session(services.wallet("a"))
    services.database.execute_sql(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER skip BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION skip()"
    )
    with pytest.raises(WAIaaSError) as caught:
        services.sessions.revoke(session.id, actor="admin")
    assert (caught.value.reason, caught.value.details["table"]) == ("change_undone", "audit_log")
    assert services.sessions.authorize(session.token).session_id == session.id


class TestUnansweredCommit:
    """COMMIT was sent, and the connection ended before the answer."""

    @pytest.mark.parametrize("is_committed", [True, False])
    @pytest.mark.parametrize("name", ["create", "link", "unlink", "revoke"])
    def test_the_audit_log_shows_whether_it_was_done(
        self, services: Services, monkeypatch: pytest.MonkeyPatch, name: str, is_committed: bool
    ) -> None:
        """A change that was committed returns its result, and one that was not is `commit_unknown`, not repeated."""
        a, b, c = map(services.wallet, "abc")
        session = services.session(a, b)
        changes: dict[str, Callable[[], Any]] = {
            "create": lambda: services.session(c),
            "link": lambda: services.links.link(session.id, c, actor="admin"),
            "unlink": lambda: services.links.unlink(session.id, b, actor="admin"),
            "revoke": lambda: services.sessions.revoke(session.id, actor="admin"),
        }
        before = len(services.audit.list())

        def commit() -> None:
            monkeypatch.undo()
            services.database.commit() if is_committed else services.database.rollback()
            raise CommitUnknownError("the connection was lost")

        monkeypatch.setattr(services.database, "commit", commit)
        if is_committed:
            changes[name]()
        else:
            with pytest.raises(WAIaaSError) as caught:
                changes[name]()
            assert caught.value.reason == "commit_unknown"
        assert len(services.audit.list()) == before + is_committed
