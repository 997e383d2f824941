"""Services with a wrong clock, and what they log."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from support.application import CHANGES, Scene, expect_refusal

import waiaas
from waiaas import WAIaaSError

CALLS: dict[str, Callable[[Scene], Any]] = {
    **{name: lambda scene, change=change: change(scene, "sam") for name, change in CHANGES.items()},
    "authorize": lambda scene: scene.app.sessions.authorize(scene.session.token),
    "authenticate": lambda scene: scene.app.sessions.authenticate(scene.session.token),
    "get": lambda scene: scene.app.sessions.get(scene.session.id),
    "list": lambda scene: scene.app.sessions.list(),
}


@pytest.mark.parametrize("now", [253_402_300_800, -1, float("nan"), float("inf")], ids=repr)
@pytest.mark.parametrize("name", CALLS)
def test_an_unusable_clock_is_refused(scene: Scene, name: str, now: float) -> None:
    """At a time outside the years 1970 to 9999, no service decides, shows or changes anything."""
    scene.app.clock.now = now
    with expect_refusal(scene.app, "DATABASE_UNAVAILABLE", "clock_unusable"):
        CALLS[name](scene)


@pytest.mark.parametrize("now", [253_402_300_800, float("nan"), float("inf")], ids=repr)
def test_resolve_with_an_unusable_clock(scene: Scene, now: float) -> None:
    """At such a time every session is expired."""
    scene.app.clock.now = now
    with pytest.raises(WAIaaSError) as caught:
        scene.app.links.resolve(scene.session.id)
    assert caught.value.code == "SESSION_EXPIRED"


def test_a_refused_token_is_logged_with_its_reason(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The log contains the reason of each refused token, and no part of the token."""
    caplog.set_level(logging.INFO, logger="waiaas")
    scene.app.sessions.authorize(scene.session.token)
    assert not caplog.messages
    scene.app.sessions.revoke(scene.session.id, actor="admin")
    for call in (scene.app.sessions.authorize, scene.app.sessions.authenticate):
        for token in (scene.session.token, scene.session.token[:-1], "no token"):
            with pytest.raises(WAIaaSError):
                call(token)
    with pytest.raises(WAIaaSError):
        scene.app.sessions.renew("no token", actor="admin")
    codes = ["SESSION_REVOKED", "INVALID_TOKEN", "INVALID_TOKEN"] * 2 + ["INVALID_TOKEN"]
    assert caplog.messages == [f"A session token was refused: {code}" for code in codes]


@pytest.mark.sqlite("the lock of a file")
def test_waiting_for_a_lock_is_logged_once(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the file whose lock a change waits for, once per wait."""
    caplog.set_level(logging.INFO, logger="waiaas")
    scene.app.database.timeout = 0.05
    with closing(sqlite3.connect(scene.app.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WAIaaSError, match="is still locked"):
            scene.app.sessions.revoke(scene.session.id, actor="admin")
    assert caplog.messages == [f"Waiting for the write lock of {scene.app.path}"]


def test_nothing_is_printed_without_a_logging_configuration() -> None:
    """The library's logger has a `NullHandler`, so that Python itself prints no warning."""
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger(waiaas.__name__).handlers)
