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


class Scenario:
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
def scenario(postgresql_url: str) -> Iterator[Scenario]:
    scenario = Scenario(postgresql_url)
    yield scenario
    for caller in (scenario.mine, scenario.other):
        caller.database.close_all()


CHANGES: dict[str, Callable[[Scenario, Caller], Any]] = {
    "create": lambda scenario, by: by.sessions.create(**new_session(scenario.a)[2], actor="admin"),
    "link": lambda scenario, by: by.links.link(scenario.session.id, scenario.c, actor="admin"),
    "unlink": lambda scenario, by: by.links.unlink(scenario.session.id, scenario.b, actor="admin"),
    "set_default": lambda scenario, by: by.links.set_default(scenario.session.id, scenario.b, actor="admin"),
    "renew": lambda scenario, by: by.sessions.renew(scenario.session.token, actor="admin"),
    "revoke": lambda scenario, by: by.sessions.revoke(scenario.session.id, actor="admin"),
    "suspend": lambda scenario, by: by.wallets.suspend(scenario.a, actor="admin"),
    "terminate a": lambda scenario, by: by.wallets.terminate(scenario.a, actor="admin"),
    "terminate c": lambda scenario, by: by.wallets.terminate(scenario.c, actor="admin"),
    "rotate": lambda scenario, by: by.tokens.rotate(actor="admin"),
    "lock": lambda scenario, by: by.kill_switch.activate(actor="admin"),
}


@pytest.mark.parametrize("level", ["REPEATABLE READ", pytest.param("SERIALIZABLE", marks=pytest.mark.slow)])
@pytest.mark.parametrize("theirs", CHANGES)
@pytest.mark.parametrize("mine", CHANGES)
def test_a_change_after_an_old_snapshot(scenario: Scenario, mine: str, theirs: str, level: str) -> None:
    """If another caller's change commits after the transaction has begun, every rule still holds."""

    def run() -> None:
        with scenario.mine.database.atomic(level):
            scenario.mine.database.execute_sql("SELECT 1 FROM wallets").fetchall()
            CHANGES[theirs](scenario, scenario.other)
            CHANGES[mine](scenario, scenario.mine)

    try:
        run()
    except WAIaaSError as error:
        assert error.reason in (None, "transaction_conflict")
    assert scenario.broken_rules() == []
