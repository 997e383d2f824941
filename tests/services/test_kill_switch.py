"""The kill switch: what it locks, its transitions, and the rights that activation removes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from support.application import NOW, Application, Scene, expect_refusal
from support.line_process import Remote

from waiaas import WAIaaSError
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema
from waiaas.services import KillSwitch

#: Requests of agents, and calls that grant rights.
LOCKED: dict[str, Callable[[Scene], Any]] = {
    "authorize": lambda scene: scene.app.sessions.authorize(scene.session.token),
    "authorize a wallet": lambda scene: scene.app.sessions.authorize(scene.session.token, scene.second),
    "authorize a bad token": lambda scene: scene.app.sessions.authorize("wai_sess_x"),
    "authenticate": lambda scene: scene.app.sessions.authenticate(scene.session.token),
    "resolve": lambda scene: scene.app.links.resolve(scene.session.id),
    "resolve a wallet": lambda scene: scene.app.links.resolve(scene.session.id, scene.second),
    "resolve for an unknown session": lambda scene: scene.app.links.resolve(scene.first),
    "renew": lambda scene: scene.app.sessions.renew(scene.session.token, actor="admin"),
    "create": lambda scene: scene.app.sessions.create(
        **CreateSessionRequestSchema().load({"walletId": scene.third}), actor="sam"
    ),
    "create a wallet": lambda scene: scene.app.wallets.create(
        **CreateWalletRequestSchema().load(
            {"name": "n", "chain": "solana", "environment": "testnet", "publicKey": "new-key"}
        ),
        actor="admin",
    ),
    "link": lambda scene: scene.app.links.link(scene.session.id, scene.third, actor="admin"),
    "resume": lambda scene: scene.app.wallets.resume(scene.suspended, actor="admin"),
}
#: Calls that remove rights, and reads.
UNLOCKED: dict[str, Callable[[Scene], Any]] = {
    "revoke": lambda scene: scene.app.sessions.revoke(scene.session.id, actor="admin"),
    "unlink": lambda scene: scene.app.links.unlink(scene.session.id, scene.second, actor="admin"),
    "set the default": lambda scene: scene.app.links.set_default(scene.session.id, scene.second, actor="admin"),
    "suspend": lambda scene: scene.app.wallets.suspend(scene.first, actor="admin"),
    "terminate": lambda scene: scene.app.wallets.terminate(scene.first, actor="admin"),
    "rotate": lambda scene: scene.app.tokens.rotate(actor="admin"),
    "get a session": lambda scene: scene.app.sessions.get(scene.session.id),
    "list sessions": lambda scene: scene.app.sessions.list(),
    "list links": lambda scene: scene.app.links.list(scene.session.id),
    "get a wallet": lambda scene: scene.app.wallets.get(scene.first),
    "list wallets": lambda scene: scene.app.wallets.list(),
    "verify": lambda scene: scene.app.tokens.verify(scene.session.token),
    "state": lambda scene: scene.app.kill_switch.state(),
}
#: Stored values that lock, as SQL; `key_value_store.value` accepts any of them except NULL.
LOCKING_WORDS = ["'SUSPENDED'", "'LOCKED'", "''", "'active'", "'ACTIVE '", "'RECOVERING'"]
# What only SQLite lets in.
LOCKING_VALUES = ["X'414354495645'", "1", "'ACTIVE' || char(0)"]


def store(app: Application, value: str) -> None:
    """Write the state directly, without the services."""
    app.execute("DELETE FROM key_value_store WHERE key = 'kill_switch_state'")
    app.execute(f"INSERT INTO key_value_store VALUES ('kill_switch_state', {value}, 0)")


@pytest.mark.parametrize("name", LOCKED)
def test_a_locked_system_refuses(scene: Scene, name: str) -> None:
    """Requests of agents and calls that grant rights are `SYSTEM_LOCKED` (503) as soon as the state is stored."""
    store(scene.app, "'SUSPENDED'")
    with expect_refusal(scene.app, "SYSTEM_LOCKED") as caught:
        LOCKED[name](scene)
    assert caught.value.http_status == 503
    store(scene.app, "'ACTIVE'")
    if "bad" in name or "unknown" in name:
        with pytest.raises(WAIaaSError, match=r"token|no such session"):
            LOCKED[name](scene)
    else:
        LOCKED[name](scene)


@pytest.mark.parametrize("name", UNLOCKED)
def test_rights_can_be_removed_while_the_system_is_locked(scene: Scene, name: str) -> None:
    """While the system is locked, an administrator can remove rights and read."""
    store(scene.app, "'LOCKED'")
    UNLOCKED[name](scene)


@pytest.mark.parametrize("value", LOCKING_WORDS)
@pytest.mark.parametrize("name", ["authorize", "authenticate", "resolve", "link"])
def test_every_word_but_active_locks(scene: Scene, value: str, name: str) -> None:
    """A state of another word or case locks the system; a missing row does not."""
    check_lock(scene, value, name)


@pytest.mark.sqlite("SQLite takes any value in any column")
@pytest.mark.parametrize("value", LOCKING_VALUES)
@pytest.mark.parametrize("name", ["authorize", "authenticate", "resolve", "link"])
def test_every_value_but_active_locks(scene: Scene, value: str, name: str) -> None:
    """A state of another type locks the system."""
    check_lock(scene, value, name)


def check_lock(scene: Scene, value: str, name: str) -> None:
    store(scene.app, value)
    with expect_refusal(scene.app, "SYSTEM_LOCKED"):
        LOCKED[name](scene)
    assert scene.app.kill_switch.state().is_locked
    scene.app.execute("DELETE FROM key_value_store WHERE key = 'kill_switch_state'")
    LOCKED[name](scene)
    assert not scene.app.kill_switch.state().is_locked


@pytest.fixture
def scene_that_takes_null(scene: Scene, engine: str) -> Iterator[Scene]:
    """A scene whose table of keys has no NOT NULL."""
    app = scene.app
    if engine == "postgresql":
        app.execute("ALTER TABLE key_value_store ALTER value DROP NOT NULL")
        yield scene
        app.execute("DELETE FROM key_value_store")
        app.execute("ALTER TABLE key_value_store ALTER value SET NOT NULL")
    else:
        app.execute("CREATE TABLE copied AS SELECT * FROM key_value_store")
        app.execute("DROP TABLE key_value_store")
        app.execute("ALTER TABLE copied RENAME TO key_value_store")
        yield scene


@pytest.mark.parametrize("name", ["authorize", "authenticate", "resolve", "link", "create"])
def test_a_state_that_is_null_locks(scene_that_takes_null: Scene, name: str) -> None:
    """A state of NULL, which another program's table may allow, locks the system too."""
    app = scene_that_takes_null.app
    store(app, "NULL")
    with expect_refusal(app, "SYSTEM_LOCKED"):
        LOCKED[name](scene_that_takes_null)
    assert app.kill_switch.state() == KillSwitch("UNKNOWN", None, None)


def test_activation_removes_every_right(scene: Scene) -> None:
    """Activation revokes sessions, cancels pending transactions, suspends active wallets, and changes nothing else."""
    app = scene.app
    for number, status in enumerate(["QUEUED", "EXECUTING", "SUBMITTED", "CONFIRMED"]):
        app.execute(
            "INSERT INTO transactions (id, wallet_id, chain, type, status, created_at)"
            " VALUES (?, ?, 'solana', 'TRANSFER', ?, 0)",
            *(f"t-2{number}", scene.second, status),
        )
    app.execute("UPDATE wallets SET status = 'TERMINATED' WHERE id = ?", scene.third)
    switch = app.kill_switch.activate(actor="sam")
    assert switch == KillSwitch("SUSPENDED", datetime.fromtimestamp(NOW + 600, timezone.utc), "sam")
    assert app.query("SELECT DISTINCT revoked_at FROM sessions") == [(NOW + 600,)]
    cancelled = [("CANCELLED", "Kill switch activated")] * 3
    assert app.query("SELECT status, error FROM transactions ORDER BY id") == [
        *cancelled,
        ("SUBMITTED", None),
        ("CONFIRMED", None),
    ]
    emergency = ("SUSPENDED", NOW + 600, "Kill switch activated")
    wallets = "SELECT status, suspended_at, suspension_reason FROM wallets WHERE id IN (?, ?) ORDER BY id"
    assert app.query(wallets, scene.first, scene.second) == [emergency, emergency]
    # One was already suspended, and one is terminated.
    assert app.query(wallets, scene.third, scene.suspended) == [("TERMINATED", None, None), ("SUSPENDED", NOW, None)]
    assert app.query("SELECT key, value FROM key_value_store WHERE key LIKE 'kill_switch%' ORDER BY key") == [
        ("kill_switch_activated_at", str(NOW + 600)),
        ("kill_switch_activated_by", "sam"),
        ("kill_switch_state", "SUSPENDED"),
    ]


def test_recovery_restores_no_right(scene: Scene) -> None:
    """Recovery deletes the stored details; sessions stay revoked and wallets suspended."""
    app = scene.app
    app.kill_switch.activate(actor="sam")
    app.kill_switch.escalate(actor="kim")
    assert app.kill_switch.state().activated_by == "sam"
    assert app.kill_switch.recover(actor="kim") == KillSwitch("ACTIVE", None, None)
    assert app.query("SELECT key, value FROM key_value_store WHERE key LIKE 'kill_switch%'") == [
        ("kill_switch_state", "ACTIVE")
    ]
    with expect_refusal(app, "SESSION_REVOKED"):
        app.sessions.authorize(scene.session.token)
    session = app.session(app.wallet(), scene.first)
    with expect_refusal(app, "WALLET_SUSPENDED"):
        app.sessions.authorize(session.token, scene.first)
    events = app.query("SELECT event_type, actor, details FROM audit_log WHERE severity = 'critical' ORDER BY id")
    assert events == [
        ("KILL_SWITCH_ACTIVATED", "sam", '{"sessions":2,"transactions":1,"wallets":3}'),
        ("KILL_SWITCH_ESCALATED", "kim", "{}"),
        ("KILL_SWITCH_RECOVERED", "kim", '{"from":"LOCKED"}'),
    ]


REFUSED = [
    ("'ACTIVE'", "escalate", "INVALID_STATE_TRANSITION"),
    ("'ACTIVE'", "recover", "KILL_SWITCH_NOT_ACTIVE"),
    ("'SUSPENDED'", "activate", "KILL_SWITCH_ALREADY_ACTIVE"),
    ("'LOCKED'", "activate", "KILL_SWITCH_ALREADY_ACTIVE"),
    ("'LOCKED'", "escalate", "INVALID_STATE_TRANSITION"),
    ("'unknown'", "escalate", "INVALID_STATE_TRANSITION"),
]
MADE = [
    ("'ACTIVE'", "activate", "SUSPENDED"),
    ("'SUSPENDED'", "escalate", "LOCKED"),
    ("'SUSPENDED'", "recover", "ACTIVE"),
    ("'LOCKED'", "recover", "ACTIVE"),
    ("'unknown'", "activate", "SUSPENDED"),
    ("X'00'", "recover", "ACTIVE"),
]


@pytest.mark.parametrize(("state", "method", "code"), REFUSED)
def test_an_unknown_transition_is_refused(scene: Scene, state: str, method: str, code: str) -> None:
    """Every transition that the daemon does not make is refused with its code and changes nothing."""
    store(scene.app, state)
    with expect_refusal(scene.app, code):
        getattr(scene.app.kill_switch, method)(actor="sam")


@pytest.mark.parametrize(("state", "method", "result"), MADE)
def test_a_transition_of_the_daemon_succeeds(scene: Scene, state: str, method: str, result: str) -> None:
    """The daemon's transitions, and transitions from an unknown state, return the new state."""
    store(scene.app, state)
    assert getattr(scene.app.kill_switch, method)(actor="sam").state == result
    assert scene.app.kill_switch.state().state == result


@pytest.mark.parametrize("table", ["sessions", "transactions", "wallets", "key_value_store", "audit_log"])
def test_a_failed_activation_changes_nothing(scene: Scene, table: str) -> None:
    """If a write to one table fails, the whole activation is rolled back."""
    event = "INSERT" if table in ("key_value_store", "audit_log") else "UPDATE"
    with (
        scene.app.failing(event, table) as reason,
        expect_refusal(scene.app, "DATABASE_UNAVAILABLE", reason),
    ):
        scene.app.kill_switch.activate(actor="sam")


@pytest.mark.parametrize("stored", ["'yesterday'", "'-1'", "''", "'999999999999'", "'١'"])
def test_an_unreadable_stored_time_is_omitted(scene: Scene, stored: str) -> None:
    """A time or name in another format than the daemon's is omitted and does not hide the state."""
    check_unreadable_time(scene, stored)


@pytest.mark.sqlite("SQLite takes any value in any column")
def test_a_stored_time_of_another_type_is_omitted(scene: Scene) -> None:
    """A BLOB is not a time, and does not hide the state either."""
    check_unreadable_time(scene, "X'31'")


def check_unreadable_time(scene: Scene, stored: str) -> None:
    scene.app.kill_switch.activate(actor="sam")
    scene.app.execute(f"UPDATE key_value_store SET value = {stored} WHERE key LIKE 'kill_switch_activated%'")
    switch = scene.app.kill_switch.state()
    assert (switch.state, switch.activated_at) == ("SUSPENDED", None)
    assert scene.app.kill_switch.escalate(actor="sam").state == "LOCKED"


@pytest.mark.sqlite("SQLite takes any value in any column")
def test_stored_values_that_are_not_utf_8_do_not_block_an_administrator(scene: Scene) -> None:
    """With any stored bytes, the state can be read, and the system can be locked and recovered."""
    app = scene.app
    store(app, "CAST(X'ff' AS TEXT)")
    with pytest.raises(WAIaaSError) as caught:
        app.sessions.authorize(scene.session.token)
    assert (caught.value.code, app.kill_switch.state().state) == ("SYSTEM_LOCKED", "UNKNOWN")
    app.kill_switch.activate(actor="sam")
    app.execute("UPDATE key_value_store SET value = CAST(X'ff' AS TEXT) WHERE key LIKE 'kill_switch_activated%'")
    assert app.kill_switch.escalate(actor="sam") == KillSwitch("LOCKED", None, None)
    assert app.kill_switch.recover(actor="sam") == KillSwitch("ACTIVE", None, None)


ACTIVATE = """
import sys
import waiaas
from waiaas.services import KillSwitchService
database = waiaas.connect(sys.argv[1], busy_timeout=60).peewee
print("ready", flush=True)
for line in sys.stdin:
    try:
        print(KillSwitchService(database).activate(actor="sam").state, flush=True)
    except waiaas.WAIaaSError as error:
        print(error.code, flush=True)
database.close_all()
"""


@pytest.mark.slow
def test_one_of_two_processes_activates(scene: Scene) -> None:
    """If two processes activate at once, one succeeds, the other is refused, and the audit log has one row."""
    with Remote(ACTIVATE, scene.app.target) as first, Remote(ACTIVATE, scene.app.target) as second:
        for each in (first, second):
            each.send("activate")
        assert sorted(each.answer() for each in (first, second)) == ["KILL_SWITCH_ALREADY_ACTIVE", "SUSPENDED"]
    assert scene.app.query("SELECT count(*) FROM audit_log WHERE event_type = 'KILL_SWITCH_ACTIVATED'") == [(1,)]
