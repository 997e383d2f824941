"""Tokens and their key: the daemon's format, what is refused, and what a rotation does."""

from __future__ import annotations

import pytest
from world import NOW, World, refused

from waiaas import AuthenticatedSession, WAIaaSError


def test_a_replaced_key_is_not_kept_alive_by_a_clock_that_was_set_back(world: World) -> None:
    """A replaced key is accepted within five minutes of the rotation, before it as well as after it."""
    session = world.session(world.wallet())
    world.tokens.rotate()
    world.clock.now = NOW - 299
    assert isinstance(world.sessions.authenticate(session.token), AuthenticatedSession)
    with refused(world, "ROTATION_TOO_RECENT"):
        world.tokens.rotate()
    world.clock.now = NOW - 300
    with refused(world, "INVALID_TOKEN"):
        world.sessions.authenticate(session.token)
    world.tokens.rotate()


def test_a_deleted_key_revives_none_before_it(world: World) -> None:
    """Where the current key was deleted a new one is made, and the key before it, however old, is accepted no more."""
    session = world.session(world.wallet())
    world.tokens.rotate()
    world.clock.now = NOW + 300
    world.execute("DELETE FROM key_value_store WHERE key = 'jwt_secret_current'")
    with pytest.raises(WAIaaSError, match="token is not valid"):
        world.sessions.authenticate(session.token)
    assert world.query("SELECT key FROM key_value_store") == [("jwt_secret_current",)]
    with refused(world, "INVALID_TOKEN"):
        world.sessions.authenticate(session.token)


@pytest.mark.parametrize("operation", ["verify", "authenticate", "sign"])
def test_keys_that_cannot_be_read_are_a_refusal(world: World, operation: str) -> None:
    """An error of SQLite while the keys are read comes as a refusal with a code."""
    world.execute("DROP TABLE key_value_store")
    operations = {
        "verify": lambda: world.tokens.verify("wai_sess_a.b.c"),
        "authenticate": lambda: world.sessions.authenticate("wai_sess_a.b.c"),
        "sign": lambda: world.tokens.sign("s-1", "w-1", issued_at=NOW, expires_at=NOW + 300),
    }
    with refused(world, "SCHEMA_INCOMPATIBLE", "sqlite_error"):
        operations[operation]()
