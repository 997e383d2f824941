"""Tokens and their key: the daemon's format, what is refused, and what a rotation does."""

from __future__ import annotations

import string
import traceback
from typing import Any

import pytest
from world import NOW, World, make_token, refused

from waiaas import AuthenticatedSession, IssuedSession, WAIaaSError


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


ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
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


def claims_of(session: IssuedSession, **changes: Any) -> dict[str, Any]:
    """The claims of a session's token, some changed; `...` takes one away."""
    claims = {"sub": session.id, "wlt": session.wallet_id, "iat": NOW, "exp": NOW + 2_592_000} | changes
    return {name: value for name, value in claims.items() if value is not ...}


DEEP = b"[" * 200_000
WRONG_CLAIMS = {
    "no sub": {"sub": ...},
    "no wlt": {"wlt": ...},
    "no iat": {"iat": ...},
    "no exp": {"exp": ...},
    "sub null": {"sub": None},
    "sub a number": {"sub": 5},
    "sub a list": {"sub": ["s-1"]},
    "sub that is no ASCII": {"sub": "세션"},
    "sub that UTF-8 cannot hold": {"sub": "\ud800"},
    "wlt null": {"wlt": None},
    "wlt true": {"wlt": True},
    "wlt an object": {"wlt": {}},
    "iat true": {"iat": True},
    "iat with a fraction": {"iat": NOW + 0.5},
    "iat a whole fraction": {"iat": float(NOW)},
    "iat text": {"iat": str(NOW)},
    "iat negative": {"iat": -1},
    "iat null": {"iat": None},
    "iat after exp": {"iat": NOW + 2_592_001},
    "exp true": {"exp": True},
    "exp with a fraction": {"exp": NOW + 300.5},
    "exp text": {"exp": str(NOW + 300)},
    "exp null": {"exp": None},
    "exp negative": {"exp": -1},
    "exp after the year 9999": {"exp": 253_402_300_800},
    "exp beyond 64 bits": {"exp": 2**70},
    "exp without end": {"exp": float("inf")},
    "exp no number": {"exp": float("nan")},
}


def is_refused(world: World, token: object, code: str = "INVALID_TOKEN") -> None:
    """Assert that a token is refused by whatever takes one, and that nothing of it is told."""
    for operation in (world.sessions.authenticate, world.sessions.renew, world.tokens.verify):
        with refused(world, code) as caught:
            operation(token)  # type: ignore[arg-type]
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_dict())
        assert len(str(token)) < 20 or str(token)[9:20] not in shown
        assert caught.value.details is None


@pytest.mark.parametrize("changes", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS.keys())
def test_wrong_claims_are_refused(world: World, changes: dict[str, Any]) -> None:
    """A token that is well signed but lacks a claim, or has one of another type or out of bounds, is not valid."""
    session = world.session(world.wallet())
    is_refused(world, make_token(world.key(), claims_of(session, **changes)))


def spellings(token: str) -> list[str]:
    """Other texts whose signature decodes to the same bytes, if decoded leniently."""
    head, _, signature = token.rpartition(".")
    last = ALPHABET.index(signature[-1])
    others = [f"{head}.{signature[:-1]}{ALPHABET[last | bits]}" for bits in (1, 2, 3)]
    others += [token + "=", token + "==", token + "=AAAA", token + "\n", token + " ", token + "!", token + "."]
    others += [f"{head}.{signature[:20]}{extra}{signature[20:]}" for extra in ("\n", " ", "!", "*", "%")]
    return [*others, f"{head}..{signature}", f"{head}.{signature}.{signature}", f"{head}.\n{signature}"]


def test_a_token_is_one_text(world: World) -> None:
    """Another spelling of the same signature is another token, which is not valid."""
    session = world.session(world.wallet())
    for other in spellings(session.token):
        assert other != session.token
        is_refused(world, other)
