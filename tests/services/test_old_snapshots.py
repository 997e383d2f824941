"""In a caller's strict transaction, a service decides by committed data, never by an old snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.application import NOW
from support.concurrent_callers import new_session, new_wallet
from support.service_set import ServiceSet

from waiaas import WAIaaSError
from waiaas.backends.postgresql import PostgresqlDatabase, open_database

LIMIT = 2


class Caller(ServiceSet):
    """The services on a separate connection."""

    def __init__(self, url: str) -> None:
        super().__init__(open_database(url), lambda: NOW + 2_000_000, sessions_per_wallet=LIMIT)


class World:
    """A session with the wallets `a` (its default) and `b`, the wallet `c`, and two callers."""

    def __init__(self, url: str) -> None:
        self.mine, self.other = Caller(url), Caller(url)
        self.other_clock = NOW
        before = ServiceSet(self.mine.database, lambda: NOW, sessions_per_wallet=LIMIT)
        self.a, self.b, self.c = (
            before.wallets.create(**new_wallet(key)[2], actor="admin").id for key in ("a", "b", "c")
        )
        self.session = before.sessions.create(**new_session(self.a, self.b)[2], actor="admin")

    def broken_rules(self) -> list[str]:
        """Return the rules that the rows break, which must be none for any order of changes."""
        rules = {
            "a link to a terminated wallet": "SELECT 1 FROM session_wallets JOIN wallets ON id = wallet_id"
            " WHERE status = 'TERMINATED'",
            "a session in use without one default": "SELECT 1 FROM sessions LEFT JOIN session_wallets"
            " ON session_id = id WHERE revoked_at IS NULL GROUP BY id"
            " HAVING count(*) FILTER (WHERE is_default = 1) <> 1",
            "more sessions than a wallet may have": "SELECT 1 FROM session_wallets JOIN sessions ON id = session_id"
            f" WHERE revoked_at IS NULL GROUP BY wallet_id HAVING count(*) > {LIMIT}",
        }
        database: PostgresqlDatabase = self.other.database
        return [rule for rule, sql in rules.items() if database.fetch_latest(sql)]


@pytest.fixture
def world(postgresql_url: str) -> Iterator[World]:
    world = World(postgresql_url)
    yield world
    for caller in (world.mine, world.other):
        caller.database.close_all()


CHANGES: dict[str, Callable[[World, Caller], Any]] = {
    "create": lambda world, by: by.sessions.create(**new_session(world.a)[2], actor="admin"),
    "link": lambda world, by: by.links.link(world.session.id, world.c, actor="admin"),
    "unlink": lambda world, by: by.links.unlink(world.session.id, world.b, actor="admin"),
    "set_default": lambda world, by: by.links.set_default(world.session.id, world.b, actor="admin"),
    "renew": lambda world, by: by.sessions.renew(world.session.token, actor="admin"),
    "revoke": lambda world, by: by.sessions.revoke(world.session.id, actor="admin"),
    "suspend": lambda world, by: by.wallets.suspend(world.a, actor="admin"),
    "terminate a": lambda world, by: by.wallets.terminate(world.a, actor="admin"),
    "terminate c": lambda world, by: by.wallets.terminate(world.c, actor="admin"),
    "rotate": lambda world, by: by.tokens.rotate(actor="admin"),
    "lock": lambda world, by: by.kill_switch.activate(actor="admin"),
}


@pytest.mark.parametrize("level", ["REPEATABLE READ", pytest.param("SERIALIZABLE", marks=pytest.mark.slow)])
@pytest.mark.parametrize("theirs", CHANGES)
@pytest.mark.parametrize("mine", CHANGES)
def test_a_change_after_an_old_snapshot(world: World, mine: str, theirs: str, level: str) -> None:
    """If another caller's change commits after the transaction has begun, every rule still holds."""

    def run() -> None:
        with world.mine.database.atomic(level):
            world.mine.database.execute_sql("SELECT 1 FROM wallets").fetchall()
            CHANGES[theirs](world, world.other)
            CHANGES[mine](world, world.mine)

    try:
        run()
    except WAIaaSError as error:
        assert error.reason in (None, "transaction_conflict")
    assert world.broken_rules() == []
