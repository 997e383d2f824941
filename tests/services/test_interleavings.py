"""Two changes at once on PostgreSQL, statement by statement, in every order that the locks allow.

After each run the invariants hold, and outcomes and rows are those of one of the two serial orders. This is what the
order of locks is for; races of threads and processes (test_concurrency.py) check it with real timing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import sql
from support.application import NOW, TABLES, Clock, ServerApplication, broken_invariants
from support.postgresql_server import Databases
from support.stepping import Caller, Operation, orders, run_in_order

from waiaas.backends.postgresql import open_database

pytestmark = pytest.mark.slow

LATER = NOW + 600


class Names(NamedTuple):
    """The ids of a session with a default wallet and another one, of a suspended wallet, and the session's token."""

    session: str
    default: str
    other: str
    suspended: str
    token: str


OPERATIONS = {
    "create": lambda n: lambda s: s.sessions.create(wallet_ids=[n.other, n.default], actor="x"),
    "link": lambda n: lambda s: s.links.link(n.session, n.suspended, actor="x"),
    "unlink": lambda n: lambda s: s.links.unlink(n.session, n.other, actor="x"),
    "set the default": lambda n: lambda s: s.links.set_default(n.session, n.other, actor="x"),
    "renew": lambda n: lambda s: s.sessions.renew(n.token, actor="x"),
    "revoke": lambda n: lambda s: s.sessions.revoke(n.session, actor="x"),
    "suspend": lambda n: lambda s: s.wallets.suspend(n.default, actor="x"),
    "resume": lambda n: lambda s: s.wallets.resume(n.suspended, actor="x"),
    "terminate the default": lambda n: lambda s: s.wallets.terminate(n.default, actor="x"),
    "terminate the other": lambda n: lambda s: s.wallets.terminate(n.other, actor="x"),
    "terminate the suspended": lambda n: lambda s: s.wallets.terminate(n.suspended, actor="x"),
    "create a wallet": lambda n: (
        lambda s: s.wallets.create(name="new", chain="solana", environment="testnet", public_key="new", actor="x")
    ),
    "rotate": lambda n: lambda s: s.tokens.rotate(actor="x"),
    "activate": lambda n: lambda s: s.kill_switch.activate(actor="x"),
    "recover": lambda n: lambda s: s.kill_switch.recover(actor="x"),
}
PAIRS = list(combinations_with_replacement(OPERATIONS, 2))


class Stage:
    """A database that is reset before each run, and two callers."""

    def __init__(self, url: str) -> None:
        self.app = ServerApplication(url, open_database(url), Clock(NOW), sessions_per_wallet=2)
        app = self.app
        default, other, suspended = (app.wallet(name=name) for name in ("default", "other", "suspended"))
        app.wallets.suspend(suspended, actor="x")
        session = app.session(default, other, ttl=1000)
        self.names = Names(session.id, default, other, suspended, session.token)
        app.clock.now = LATER
        app.execute("DELETE FROM audit_log")
        app.execute("INSERT INTO key_value_store VALUES ('kill_switch_state', 'ACTIVE', 0)")
        app.execute(
            "INSERT INTO transactions (id, wallet_id, session_id, chain, type, created_at)"
            " VALUES ('t-1', ?, ?, 'solana', 'TRANSFER', 0)",
            *(default, session.id),
        )
        self.rows = app.rows()
        self.reset_statements = self._statements_to_reset()
        self.labels = {id_: name for name, id_ in self.names._asdict().items()}
        self.callers = [Caller(url, lambda: LATER, sessions_per_wallet=2) for _ in range(2)]
        self.server = psycopg.connect(url, autocommit=True)
        self.runs = 0

    def reset(self) -> None:
        """Bring back the rows of the beginning, in one round trip: it is done before each of many thousand runs."""
        self.server.execute(self.reset_statements)

    def _statements_to_reset(self) -> sql.Composed:
        filled = [(table, rows) for table, rows in self.rows.items() if rows]
        return sql.SQL("; ").join(
            [
                *(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in reversed(TABLES)),
                *(
                    sql.SQL("INSERT INTO {} VALUES {}").format(
                        sql.Identifier(table),
                        sql.SQL(", ").join(
                            sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, row))) for row in rows
                        ),
                    )
                    for table, rows in filled
                ),
            ]
        )

    def serial(self, first: Operation, second: Operation) -> tuple[str, str, Any]:
        """Run one operation after the other, and return their outcomes and the rows."""
        self.reset()
        for caller, operation in zip(self.callers, (first, second), strict=True):
            caller.call(operation)
        return self.callers[0].outcome, self.callers[1].outcome, self.found()

    def found(self) -> Any:
        """Return the rows, without what differs from run to run: new ids, hashes of tokens, and keys."""
        rows = self.app.rows()
        known = {row[0]: row for row in self.rows["sessions"]}
        keys = {row[0]: row[1] for row in self.rows["key_value_store"]}
        sessions = [(self._label(row[0]), row[1] == known.get(row[0], row)[1], *row[2:]) for row in rows["sessions"]]
        links = [(self._label(row[0]), self._label(row[1]), *row[2:4]) for row in rows["session_wallets"]]
        wallets = [(self._label(row[0]), *row[1:]) for row in rows["wallets"]]
        stored = [
            (row[0], row[1] == keys.get(row[0]) if "secret" in row[1] else row[1]) for row in rows["key_value_store"]
        ]
        log = [(row[2], row[3], *map(self._label, row[4:7]), self._labelled(row[7])) for row in rows["audit_log"]]
        return (
            sorted(sessions),
            sorted(links),
            sorted(wallets),
            sorted(stored),
            sorted(log, key=repr),
            rows["transactions"],
        )

    def broken_invariants(self) -> list[str]:
        """Return the violations that no order of changes may leave in the database."""
        return broken_invariants(self.app.query, 2)

    def deadlocks(self) -> int:
        """Return how many deadlocks the server has resolved; the library would have run those changes again."""
        for caller in self.callers:
            caller.call(lambda services: services.database.execute_sql("SELECT pg_stat_force_next_flush()"))
        (row,) = self.app.query("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(row[0])

    def close(self) -> None:
        for caller in self.callers:
            caller.close()
        self.server.close()
        self.app.close()

    def _label(self, id_: str | None) -> str | None:
        return self.labels.get(id_, "new") if id_ is not None else None

    def _labelled(self, details: str) -> str:
        for id_, label in self.labels.items():
            details = details.replace(id_, label)
        return json.dumps(json.loads(details), sort_keys=True)


@pytest.fixture(scope="module")
def stage(databases: Databases) -> Iterator[Stage]:
    with databases.new() as url:
        stage = Stage(url)
        yield stage
        deadlocks = stage.deadlocks()
        print(f"\n{stage.runs} interleavings, {deadlocks} deadlocks")
        stage.close()
        assert deadlocks == 0


def check_pair(stage: Stage, pair: tuple[str, str], switches: int | None) -> int:
    """Run a pair of operations in every order with so many switches, and return how many there were."""
    first, second = (OPERATIONS[name](stage.names) for name in pair)
    one, (code, other_code, rows) = stage.serial(first, second), stage.serial(second, first)
    serial = [one, (other_code, code, rows)]

    def run(choices: Any) -> Any:
        stage.reset()
        return run_in_order(stage.callers, [first, second], choices, stage.server)

    count = 0
    for order in orders(run, switches):
        count += 1
        outcome = (stage.callers[0].outcome, stage.callers[1].outcome, stage.found())
        assert outcome in serial, f"{pair} in the order {order}: {outcome[:2]}"
        assert stage.broken_invariants() == [], f"{pair} in the order {order}"
    stage.runs += count
    return count


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_one_switch_between_two_changes(stage: Stage, pair: tuple[str, str]) -> None:
    """A change that another one interrupts at any statement has the outcome of a serial order, as the other has."""
    assert check_pair(stage, pair, switches=1) >= 4


@pytest.mark.stress
@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_every_order_of_two_changes(stage: Stage, pair: tuple[str, str]) -> None:
    """Every order of the statements of two changes that the locks allow has the outcome of a serial order.

    Terminating a wallet has twice as many statements as the others, and millions of orders; those with five switches
    stand for all. A statement does not see what an open transaction has changed (READ COMMITTED). So two neighbours
    can be exchanged, unless one of them ends its transaction or waits for the other. What counts is how far one
    transaction is when the other one ends, and whether it waits then. Four switches reach that: one runs so far, the
    other takes its locks, the first waits, the other ends, and the first goes on.
    """
    is_long = any(name.startswith("terminate") for name in pair)
    assert check_pair(stage, pair, switches=5 if is_long else None) >= 4
