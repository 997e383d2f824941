"""Tokens and their key: the daemon's format, what is refused, and what a rotation does."""

from __future__ import annotations

from world import NOW, World, refused

from waiaas import AuthenticatedSession


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
