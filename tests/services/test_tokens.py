"""Tokens and their key: the daemon's format, what is refused, and what a rotation does."""

from __future__ import annotations

import traceback

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


GOOD = "ab" * 32
UNUSABLE_KEYS = {
    "no text": "",
    "no JSON": "{",
    "not an object": f'["{GOOD}", {NOW}]',
    "null": "null",
    "text": f'"{GOOD}"',
    "no secret": f'{{"createdAt":{NOW}}}',
    "no time": f'{{"secret":"{GOOD}"}}',
    "secret a number": f'{{"secret":5,"createdAt":{NOW}}}',
    "secret null": f'{{"secret":null,"createdAt":{NOW}}}',
    "secret not hexadecimal": f'{{"secret":"{"xy" * 32}","createdAt":{NOW}}}',
    "secret empty": f'{{"secret":"","createdAt":{NOW}}}',
    "31 bytes": f'{{"secret":"{"ab" * 31}","createdAt":{NOW}}}',
    "33 bytes": f'{{"secret":"{"ab" * 33}","createdAt":{NOW}}}',
    "time in words": f'{{"secret":"{GOOD}","createdAt":"yesterday"}}',
    "time null": f'{{"secret":"{GOOD}","createdAt":null}}',
    "time not a number": f'{{"secret":"{GOOD}","createdAt":NaN}}',
    "time without end": f'{{"secret":"{GOOD}","createdAt":1e999}}',
    "too deep": "[" * 200_000,
}


@pytest.mark.parametrize("which", ["jwt_secret_current", "jwt_secret_previous"])
@pytest.mark.parametrize("value", UNUSABLE_KEYS.values(), ids=UNUSABLE_KEYS.keys())
@pytest.mark.parametrize("is_warm", [False, True], ids=["first use", "keys known"])
def test_an_unusable_key_lets_nobody_in(world: World, which: str, value: str, is_warm: bool) -> None:
    """With a key that is not in the daemon's form, current or previous, every operation on tokens is refused."""
    wallet = world.wallet()
    session = world.session(wallet)
    world.tokens.rotate()
    world.clock.now += 400
    if not is_warm:
        world = World(world.path, world.clock)
    else:
        world.session(wallet)
    world.execute("UPDATE key_value_store SET value = ? WHERE key = ?", value, which)
    for operation in (
        lambda: world.sessions.authenticate(session.token),
        lambda: world.sessions.renew(session.token),
        lambda: world.session(wallet),
        lambda: world.tokens.verify(session.token),
        lambda: world.tokens.rotate(),
        lambda: world.tokens.sign(session.id, wallet, issued_at=NOW, expires_at=NOW + 300),
    ):
        with refused(world, "SCHEMA_INCOMPATIBLE", "token_key_unusable") as caught:
            operation()
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_dict())
        assert which in shown
        assert GOOD not in shown and "xyxy" not in shown
    world.database.close()
