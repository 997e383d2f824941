"""If a trigger undoes the removal of a right, the call raises an error and everything is rolled back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from support.application import Scene, expect_refusal

pytestmark = pytest.mark.sqlite("triggers that come with a file")


class Removal(NamedTuple):
    """A call that removes a right: its effect, table and column, and the value to which a trigger resets it."""

    call: Callable[[Scene], Any]
    statement: str
    table: str
    column: str
    reset: str


def renew(scene: Scene) -> None:
    scene.app.sessions.renew(scene.session.token, actor="admin")


def rotate(scene: Scene) -> None:
    scene.app.tokens.rotate(actor="admin")


def terminate(scene: Scene) -> None:
    scene.app.wallets.terminate(scene.first, actor="admin")


def activate(scene: Scene) -> None:
    scene.app.kill_switch.activate(actor="sam")


def escalate(scene: Scene) -> None:
    scene.app.kill_switch.escalate(actor="sam")


def unlink(scene: Scene) -> None:
    scene.app.links.unlink(scene.session.id, scene.second, actor="admin")


RELINK = "INSERT OR IGNORE INTO session_wallets VALUES (old.session_id, old.wallet_id, old.is_default, old.created_at)"
REMOVALS = {
    "revoke": Removal(
        lambda scene: scene.app.sessions.revoke(scene.session.id, actor="admin"),
        "UPDATE",
        "sessions",
        "revoked_at",
        "NULL",
    ),
    "renew": Removal(renew, "UPDATE", "sessions", "token_hash", "old.token_hash"),
    "renew: the count": Removal(renew, "UPDATE", "sessions", "renewal_count", "old.renewal_count"),
    "unlink": Removal(unlink, "DELETE", "session_wallets", "", RELINK),
    "set the default": Removal(
        lambda scene: scene.app.links.set_default(scene.session.id, scene.second, actor="admin"),
        *("UPDATE", "session_wallets", "is_default", "old.is_default"),
    ),
    "suspend": Removal(
        lambda scene: scene.app.wallets.suspend(scene.first, actor="admin"),
        "UPDATE",
        "wallets",
        "status",
        "'ACTIVE'",
    ),
    "terminate": Removal(terminate, "UPDATE", "wallets", "status", "'ACTIVE'"),
    "terminate: links": Removal(terminate, "DELETE", "session_wallets", "", RELINK),
    "terminate: new defaults": Removal(terminate, "UPDATE", "session_wallets", "is_default", "0"),
    "terminate: sessions": Removal(terminate, "UPDATE", "sessions", "revoked_at", "NULL"),
    "terminate: transactions": Removal(terminate, "UPDATE", "transactions", "status", "'PENDING'"),
    "rotate": Removal(rotate, "UPDATE", "key_value_store", "value", "old.value"),
    "activate": Removal(activate, "UPDATE", "key_value_store", "value", "'ACTIVE'"),
    "activate: sessions": Removal(activate, "UPDATE", "sessions", "revoked_at", "NULL"),
    "activate: transactions": Removal(activate, "UPDATE", "transactions", "status", "'PENDING'"),
    "activate: wallets": Removal(activate, "UPDATE", "wallets", "status", "'ACTIVE'"),
    "escalate": Removal(escalate, "UPDATE", "key_value_store", "value", "'SUSPENDED'"),
}


def reset(removal: Removal) -> str:
    """Return the statement with which a trigger undoes a removal, row by row."""
    if removal.statement == "DELETE":
        return removal.reset
    return f"UPDATE {removal.table} SET {removal.column} = {removal.reset} WHERE rowid = new.rowid"


TRIGGERS: dict[str, Callable[[Removal], str]] = {
    "ignores the row": lambda it: (
        f"CREATE TRIGGER undo BEFORE {it.statement} ON {it.table} BEGIN SELECT RAISE(IGNORE); END"
    ),
    "temporary": lambda it: (
        f"CREATE TEMP TRIGGER undo BEFORE {it.statement} ON main.{it.table} BEGIN SELECT RAISE(IGNORE); END"
    ),
    "resets the row": lambda it: f"CREATE TRIGGER undo AFTER {it.statement} ON {it.table} BEGIN {reset(it)}; END",
}


@pytest.fixture
def scene(scene: Scene) -> Scene:
    """The scene, with a kill switch that was used before."""
    scene.app.execute("INSERT INTO key_value_store VALUES ('kill_switch_state', 'ACTIVE', 0)")
    return scene


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("name", REMOVALS)
def test_a_removal_that_a_trigger_undoes_is_refused(scene: Scene, name: str, trigger: str) -> None:
    """An undone removal is an error, no row is changed, and without the trigger the same call works."""
    removal = REMOVALS[name]
    if name == "escalate":
        scene.app.kill_switch.activate(actor="sam")
    scene.app.execute(TRIGGERS[trigger](removal))
    with expect_refusal(scene.app, "DATABASE_UNAVAILABLE", "change_undone") as caught:
        removal.call(scene)
    assert caught.value.details["table"] == removal.table
    scene.app.execute("DROP TRIGGER undo")
    removal.call(scene)


def test_a_trigger_on_the_audit_log_cannot_undo_a_removal_either(scene: Scene) -> None:
    """The result is read after the last row of the audit log, because its triggers may write too."""
    scene.app.execute("CREATE TRIGGER undo AFTER INSERT ON audit_log BEGIN UPDATE sessions SET revoked_at = NULL; END")
    with expect_refusal(scene.app, "DATABASE_UNAVAILABLE", "change_undone"):
        scene.app.sessions.revoke(scene.session.id, actor="admin")
    with expect_refusal(scene.app, "DATABASE_UNAVAILABLE", "change_undone"):
        scene.app.kill_switch.activate(actor="sam")
    with expect_refusal(scene.app, "DATABASE_UNAVAILABLE", "change_undone"):
        scene.app.wallets.terminate(scene.first, actor="admin")


def test_a_trigger_that_undoes_nothing_is_allowed(scene: Scene) -> None:
    """A trigger that only writes to another program's table does not matter."""
    scene.app.execute("CREATE TABLE note (id TEXT)")
    scene.app.execute("CREATE TRIGGER note_it AFTER UPDATE ON sessions BEGIN INSERT INTO note VALUES (new.id); END")
    assert scene.app.sessions.revoke(scene.session.id, actor="admin").status == "REVOKED"
    assert scene.app.query("SELECT id FROM note") == [(scene.session.id,)]
