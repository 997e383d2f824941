"""Tokens and their key: the daemon's format, what is refused, and the effects of a rotation."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import re
import string
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.application import (
    NOBODY,
    NOW,
    Application,
    ServerApplication,
    b64,
    expect_refusal,
    make_token,
    sha256,
    unb64,
)

from waiaas import WAIaaSError, services
from waiaas.backends.postgresql import open_database
from waiaas.services import AuthenticatedSession, IssuedSession, TokenClaims
from waiaas.services.changes import write
from waiaas.services.tokens import TokenKeys


def test_a_replaced_key_is_not_kept_alive_by_a_clock_that_was_set_back(app: Application) -> None:
    """A replaced key is accepted within five minutes of the rotation, before it as well as after it."""
    session = app.session(app.wallet())
    app.rotate()
    app.clock.now = NOW - 299
    assert isinstance(app.sessions.authenticate(session.token), AuthenticatedSession)
    with expect_refusal(app, "ROTATION_TOO_RECENT"):
        app.tokens.rotate(actor="admin")
    app.clock.now = NOW - 300
    with expect_refusal(app, "INVALID_TOKEN"):
        app.sessions.authenticate(session.token)
    app.tokens.rotate(actor="admin")


def test_deleting_the_current_key_does_not_revive_an_earlier_one(app: Application) -> None:
    """If the current key was deleted, no token is accepted, and the next key created is the only one."""
    session = app.session(app.wallet())
    app.rotate()
    app.clock.now = NOW + 300
    app.execute("DELETE FROM key_value_store WHERE key = 'jwt_secret_current'")
    with pytest.raises(WAIaaSError, match="token is not valid"):
        app.sessions.authenticate(session.token)
    app.session(app.wallet())
    assert app.query("SELECT key FROM key_value_store") == [("jwt_secret_current",)]
    with expect_refusal(app, "INVALID_TOKEN"):
        app.sessions.authenticate(session.token)


@pytest.mark.sqlite("SQLite takes any value in any column")
@pytest.mark.parametrize("operation", ["verify", "authenticate", "sign"])
def test_unreadable_keys_are_a_refusal(app: Application, operation: str) -> None:
    """An SQLite error while the keys are read is translated into a refusal with a code."""
    app.execute("DROP TABLE key_value_store")
    operations = {
        "verify": lambda: app.tokens.verify("wai_sess_a.b.c"),
        "authenticate": lambda: app.sessions.authenticate("wai_sess_a.b.c"),
        "sign": lambda: app.tokens.sign("s-1", "w-1", issued_at=NOW, expires_at=NOW + 300),
    }
    with expect_refusal(app, "DATABASE_UNAVAILABLE", "sqlite_error"):
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
    "time as text": f'{{"secret":"{GOOD}","createdAt":"yesterday"}}',
    "time null": f'{{"secret":"{GOOD}","createdAt":null}}',
    "time not a number": f'{{"secret":"{GOOD}","createdAt":NaN}}',
    "time without end": f'{{"secret":"{GOOD}","createdAt":1e999}}',
    "too deep": "[" * 200_000,
}


@pytest.mark.parametrize("which", ["jwt_secret_current", "jwt_secret_previous"])
@pytest.mark.parametrize("value", UNUSABLE_KEYS.values(), ids=UNUSABLE_KEYS.keys())
@pytest.mark.parametrize("is_warm", [False, True], ids=["first use", "keys known"])
def test_with_an_unusable_key_every_operation_is_refused(
    app: Application, which: str, value: str, is_warm: bool
) -> None:
    """If the current or previous key is not in the daemon's format, every operation on tokens is refused."""
    wallet = app.wallet()
    session = app.session(wallet)
    app.rotate()
    app.clock.now += 400
    if not is_warm:
        app = app.other()
    else:
        app.session(wallet)
    app.execute("UPDATE key_value_store SET value = ? WHERE key = ?", value, which)
    for operation in (
        lambda: app.sessions.authenticate(session.token),
        lambda: app.sessions.renew(session.token, actor="admin"),
        lambda: app.session(wallet),
        lambda: app.tokens.verify(session.token),
        lambda: app.tokens.rotate(actor="admin"),
        lambda: app.tokens.sign(session.id, wallet, issued_at=NOW, expires_at=NOW + 300),
    ):
        with expect_refusal(app, "DATABASE_UNAVAILABLE", "token_key_unusable") as caught:
            operation()
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_dict())
        assert which in shown
        assert GOOD not in shown and "xyxy" not in shown
    app.database.close()


def secrets_of(error: BaseException, *secrets: str) -> list[str]:
    """Return where an error, its causes, or a variable in their tracebacks contains a secret."""
    found, left, seen = [], [error], set()
    while left:
        each = left.pop()
        seen.add(id(each))
        shown = {"message": str(each), "repr": repr(each), "args": repr(each.args), "attributes": repr(vars(each))}
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                for name, value in frame.f_locals.items():
                    shown[f"{frame.f_code.co_name} {name}"] = repr(value)
        found += [where for where, text in shown.items() if any(secret in text for secret in secrets)]
        more = [each.__cause__, each.__context__, getattr(each, "orig", None)]
        left += [other for other in more if other is not None and id(other) not in seen]
    return found


@pytest.mark.parametrize("which", ["jwt_secret_current", "jwt_secret_previous"])
@pytest.mark.parametrize(
    "value", ["{}", "\xff{}", '{{"secret":"{}","createdAt":1', '{{"secret":"{}zz","createdAt":1}}']
)
@pytest.mark.parametrize("is_warm", [False, True], ids=["first use", "keys known"])
def test_no_error_contains_an_unusable_key(app: Application, which: str, value: str, is_warm: bool) -> None:
    """No message, attribute, context or traceback variable of a refusal contains the text of a key."""
    wallet = app.wallet()
    session = app.session(wallet)
    app.rotate()
    app.clock.now += 600
    if is_warm:
        app.session(wallet)
    else:
        app = app.other()
    stored = value.format(GOOD).encode("latin-1")
    app.execute("UPDATE key_value_store SET value = CAST(? AS TEXT) WHERE key = ?", stored, which)
    for operation in (
        lambda: app.sessions.authorize(session.token),
        lambda: app.sessions.authenticate(session.token),
        lambda: app.sessions.renew(session.token, actor="admin"),
        lambda: app.session(wallet),
        lambda: app.tokens.verify(session.token),
        lambda: app.tokens.rotate(actor="admin"),
        lambda: app.tokens.sign(session.id, wallet, issued_at=NOW, expires_at=NOW + 300),
    ):
        with pytest.raises(WAIaaSError) as caught:
            operation()
        assert caught.value.reason in ("token_key_unusable", "unreadable_value")
        assert secrets_of(caught.value, GOOD[:32]) == []
    app.database.close()


def test_no_error_contains_a_valid_key(app: Application) -> None:
    """An error with another cause, such as an invalid token or a full disk, contains no key either."""
    wallet = app.wallet()
    session = app.session(wallet)
    app.clock.now += 600
    key = app.key().hex()
    for operation in (
        lambda: app.sessions.authorize(session.token[:-2] + "AA"),
        lambda: app.sessions.authenticate("wai_sess_" + "x" * 5000),
        lambda: app.sessions.renew(session.token, actor="admin"),
        lambda: app.session(wallet),
        lambda: app.tokens.rotate(actor="admin"),
    ):
        with app.failing("INSERT", "audit_log"), pytest.raises(WAIaaSError) as caught:
            operation()
        assert secrets_of(caught.value, key) == []


def claims_of(session: IssuedSession, **changes: Any) -> dict[str, Any]:
    """Return the claims of a session's token with some of them changed; `...` removes one."""
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
    "sub that is not ASCII": {"sub": "세션"},
    "sub that UTF-8 cannot hold": {"sub": "\ud800"},
    "sub with a NUL": {"sub": "\0"},
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
    "exp not a number": {"exp": float("nan")},
}


def is_refused(app: Application, token: object, code: str = "INVALID_TOKEN") -> None:
    """Assert that every operation refuses a token without repeating any of it."""
    for operation in (app.sessions.authenticate, app.renew, app.tokens.verify):
        with expect_refusal(app, code) as caught:
            operation(token)  # type: ignore[arg-type]
        shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_dict())
        assert len(str(token)) < 20 or str(token)[9:20] not in shown
        assert caught.value.details is None


@pytest.mark.parametrize("changes", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS.keys())
def test_invalid_claims_are_refused(app: Application, changes: dict[str, Any]) -> None:
    """A correctly signed token is invalid if a claim is missing, has another type or is out of range."""
    session = app.session(app.wallet())
    is_refused(app, make_token(app.key(), claims_of(session, **changes)))


def spellings(token: str) -> list[str]:
    """Return other texts whose signature a lenient decoder decodes to the same bytes."""
    head, _, signature = token.rpartition(".")
    last = ALPHABET.index(signature[-1])
    others = [f"{head}.{signature[:-1]}{ALPHABET[last | bits]}" for bits in (1, 2, 3)]
    others += [token + "=", token + "==", token + "=AAAA", token + "\n", token + " ", token + "!", token + "."]
    others += [f"{head}.{signature[:20]}{extra}{signature[20:]}" for extra in ("\n", " ", "!", "*", "%")]
    return [*others, f"{head}..{signature}", f"{head}.{signature}.{signature}", f"{head}.\n{signature}"]


def test_a_token_has_one_spelling(app: Application) -> None:
    """A token with another spelling of the same signature is invalid."""
    session = app.session(app.wallet())
    for other in spellings(session.token):
        assert other != session.token
        is_refused(app, other)


WRONG_TEXTS = {
    "none": None,
    "a number": 5,
    "bytes": b"wai_sess_a.b.c",
    "a list": ["wai_sess_a.b.c"],
    "empty": "",
    "the prefix alone": "wai_sess_",
    "one part": "wai_sess_abc",
    "two parts": "wai_sess_abc.def",
    "three parts": "wai_sess_abc.def.ghi",
    "dots": "wai_sess_" + "." * 5000,
    "not ASCII": "wai_sess_지갑.지갑.지갑",
    "not for UTF-8": "wai_sess_\ud800.\ud800.\ud800",
    "NUL": "wai_sess_\0.\0.\0",
}


@pytest.mark.parametrize("token", WRONG_TEXTS.values(), ids=WRONG_TEXTS.keys())
def test_a_value_that_is_not_a_token_is_refused(app: Application, token: object) -> None:
    """A value of any type that is not three base64 parts after the prefix is invalid."""
    app.session(app.wallet())
    is_refused(app, token)


def test_a_changed_token_is_refused(app: Application) -> None:
    """Changing any character invalidates a token: prefix, case, surrounding spaces, swapped or missing parts."""
    session = app.session(app.wallet())
    token = session.token
    jwt = token.removeprefix("wai_sess_")
    header, payload, signature = jwt.split(".")
    for other in (
        *(jwt, f"Bearer {token}", f"WAI_SESS_{jwt}", f"wai_sess{jwt}", f"wai_sess_wai_sess_{jwt}", f"wai_sess_ {jwt}"),
        *(f" {token}", f"{token} ", f"{token}\n", f"{token}.", f"{token}..", f"\ufeff{token}", token.upper()),
        *(f"wai_sess_{payload}.{header}.{signature}", f"wai_sess_{header}.{signature}.{payload}"),
        *(f"wai_sess_{header}.{payload}", f"wai_sess_{header}.{payload}.", f"wai_sess_.{payload}.{signature}"),
        f"wai_sess_{header}..{signature}",
        *(f"wai_sess_{header}=.{payload}.{signature}", f"wai_sess_{header}.{payload}=.{signature}"),
    ):
        is_refused(app, other)
    for place in range(9, len(token)):
        other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(WAIaaSError, match="token is not valid"):
            app.sessions.authenticate(other)
    assert app.sessions.authenticate(token).session_id == session.id


def test_an_edited_payload_is_refused(app: Application) -> None:
    """A token with an edited payload and its old signature does not authenticate another session."""
    own, other = app.session(app.wallet()), app.session(app.wallet())
    header, _, signature = own.token.split(".")
    for changes in ({"sub": other.id, "wlt": other.wallet_id}, {"exp": NOW + 9_999_999}, {"iat": 0}):
        payload = b64(json.dumps(claims_of(own, **changes), separators=(",", ":")).encode())
        is_refused(app, f"{header}.{payload}.{signature}")


OTHER_ALGORITHMS = {
    "none": ({"alg": "none", "typ": "JWT"}, "sha256"),
    "None": ({"alg": "None"}, "sha256"),
    "NONE": ({"alg": "NONE"}, "sha256"),
    "HS384": ({"alg": "HS384"}, "sha384"),
    "HS512": ({"alg": "HS512"}, "sha512"),
    "HS384 in the header alone": ({"alg": "HS384"}, "sha256"),
    "HS256 in the header alone": ({"alg": "HS256"}, "sha512"),
    "RS256 over the HS256 key": ({"alg": "RS256"}, "sha256"),
    "ES256": ({"alg": "ES256"}, "sha256"),
    "EdDSA": ({"alg": "EdDSA"}, "sha256"),
    "hs256": ({"alg": "hs256"}, "sha256"),
    "with a blank": ({"alg": "HS256 "}, "sha256"),
    "empty": ({"alg": ""}, "sha256"),
    "left out": ({"typ": "JWT"}, "sha256"),
    "null": ({"alg": None}, "sha256"),
    "true": ({"alg": True}, "sha256"),
    "a list": ({"alg": ["HS256"]}, "sha256"),
    "an object": ({"alg": {"HS256": 1}}, "sha256"),
    "payload elsewhere": ({"alg": "HS256", "b64": False}, "sha256"),
    "an extension that must be known": ({"alg": "HS256", "crit": ["x"]}, "sha256"),
    "extensions that are not a list": ({"alg": "HS256", "crit": 5}, "sha256"),
    "a key id that is not text": ({"alg": "HS256", "kid": 5}, "sha256"),
    "header a list": (["HS256"], "sha256"),
    "header text": ("HS256", "sha256"),
    "header null": (None, "sha256"),
    "header empty": (b"", "sha256"),
    "header no JSON": (b"{", "sha256"),
    "header not UTF-8": (b'{"alg":"HS256","x":"\xff"}', "sha256"),
    "header too deep": (DEEP, "sha256"),
    "header with a number too long": (b'{"alg":"HS256","x":' + b"9" * 5000 + b"}", "sha256"),
}


@pytest.mark.parametrize(("header", "digest"), OTHER_ALGORITHMS.values(), ids=OTHER_ALGORITHMS.keys())
def test_other_algorithms_are_refused(app: Application, header: Any, digest: str) -> None:
    """Only HS256 is accepted, whatever the header names and even with a signature of the right key."""
    session = app.session(app.wallet())
    token = make_token(app.key(), claims_of(session), header, digest)
    is_refused(app, token)
    is_refused(app, token.rpartition(".")[0] + ".")


WRONG_PAYLOADS = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b'["sub","wlt","iat","exp"]',
    "text": b'"sub wlt iat exp"',
    "a number": b"5",
    "null": b"null",
    "not UTF-8": b'{"sub":"\xff"}',
    "too deep": DEEP,
    "a number too long": b'{"sub":"s-1","wlt":"w-1","iat":1,"exp":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("payload", WRONG_PAYLOADS.values(), ids=WRONG_PAYLOADS.keys())
def test_a_payload_without_claims_is_refused(app: Application, payload: bytes) -> None:
    """A correctly signed payload that is not an object of claims is invalid."""
    app.session(app.wallet())
    is_refused(app, make_token(app.key(), payload))


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    """Any bytes, alone or as the three parts of a token, are refused and raise no other error."""
    keys = TokenKeys(json.dumps({"secret": GOOD, "createdAt": NOW}), None)
    third = len(data) // 3
    parts = (data[:third], data[third : 2 * third], data[2 * third :])
    for token in ("wai_sess_" + data.decode("latin-1"), "wai_sess_" + ".".join(map(b64, parts))):
        with pytest.raises(WAIaaSError, match="token is not valid"):
            keys.verify(token, NOW)


def test_additional_claims_are_ignored(app: Application) -> None:
    """A token with additional claims of a later daemon is valid if its known claims are."""
    session = app.session(app.wallet())
    token = make_token(app.key(), claims_of(session, jti="x", nbf=NOW + 999, aud=["y"]))
    assert app.tokens.verify(token) == TokenClaims(session.id, session.wallet_id, NOW, NOW + 2_592_000)
    with expect_refusal(app, "INVALID_TOKEN"):
        app.sessions.authenticate(token)


def test_a_signed_token_that_was_never_issued_is_refused(app: Application) -> None:
    """A token signed with the right key but never issued is refused: its hash is not the session's."""
    session = app.session(app.wallet())
    forged = make_token(app.key(), claims_of(session, iat=NOW - 1))
    with expect_refusal(app, "INVALID_TOKEN"):
        app.sessions.authenticate(forged)
    with expect_refusal(app, "SESSION_RENEWAL_MISMATCH"):
        app.sessions.renew(forged, actor="admin")
    unknown = make_token(app.key(), claims_of(session, sub=NOBODY))
    for operation in (app.sessions.authenticate, app.renew):
        with expect_refusal(app, "SESSION_NOT_FOUND"):
            operation(unknown)


@pytest.fixture
def other(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Application]:
    """The services on another database of the same engine."""
    if engine == "postgresql":
        url = request.getfixturevalue("postgresql_url")
        server = ServerApplication(url, open_database(url))
        yield server
        server.close()
    else:
        file = Application(tmp_path / "other.db")
        yield file
        file.database.close_all()


def test_a_token_of_another_database_is_refused(app: Application, other: Application) -> None:
    """Each database has its own key, so a token of one database is invalid in every other."""
    sessions = [each.session(each.wallet()) for each in (app, other)]
    is_refused(app, sessions[1].token)
    is_refused(other, sessions[0].token)
    for each, session in zip((app, other), sessions, strict=True):
        assert each.sessions.authenticate(session.token).session_id == session.id
    assert other.key() != app.key()


class TestFormat:
    """The stored formats, decoded with only hmac, base64 and json (RFC 7519, RFC 7515, RFC 7518)."""

    def test_token(self, app: Application) -> None:
        """A token is the prefix and a JWT with exactly the daemon's claims, signed with the key's 32 raw bytes."""
        session = app.session(app.wallet(), app.wallet(), ttl=3600)
        assert session.token.startswith("wai_sess_")
        header, payload, signature = session.token.removeprefix("wai_sess_").split(".")
        assert json.loads(unb64(header)) == {"alg": "HS256", "typ": "JWT"}
        claims = json.loads(unb64(payload))
        assert claims == {"sub": session.id, "wlt": session.wallet_id, "iat": NOW, "exp": NOW + 3600}
        assert {name: type(value) for name, value in claims.items()} == {
            "sub": str,
            "wlt": str,
            "iat": int,
            "exp": int,
        }
        key = app.key()
        assert len(key) == 32
        assert unb64(signature) == hmac.new(key, f"{header}.{payload}".encode(), hashlib.sha256).digest()
        assert "=" not in session.token

    def test_key(self, app: Application) -> None:
        """The key is stored as JSON without spaces, with 64 lower-case digits and its creation time in seconds."""
        app.session(app.wallet())
        ((name, value, updated_at),) = app.query("SELECT * FROM key_value_store")
        assert (name, updated_at) == ("jwt_secret_current", NOW)
        assert re.fullmatch(rf'\{{"secret":"[0-9a-f]{{64}}","createdAt":{NOW}\}}', value)

    def test_rotated_keys(self, app: Application) -> None:
        """A rotation moves the key's row unchanged, and creates a new one in the same format."""
        app.session(app.wallet())
        ((value,),) = app.query("SELECT value FROM key_value_store")
        app.clock.now = NOW + 1000.9
        app.tokens.rotate(actor="root")
        stored = dict(app.query("SELECT key, value FROM key_value_store"))
        assert stored.keys() == {"jwt_secret_current", "jwt_secret_previous"}
        assert stored["jwt_secret_previous"] == value != stored["jwt_secret_current"]
        made = json.loads(stored["jwt_secret_current"])
        assert (len(made["secret"]), made["createdAt"]) == (64, NOW + 1000)
        assert app.query("SELECT DISTINCT updated_at FROM key_value_store") == [(NOW + 1000,)]
        assert app.events()[-1] == ("KEY_ROTATED", "root", None, None, None, {"key": "jwt_secret_current"})

    def test_rows_and_token_in_the_daemons_format(self, app: Application) -> None:
        """A session with rows, key and token in the daemon's format authenticates and can be renewed."""
        key = bytes(range(32))
        wallet, session = "0190a3f0-1111-7abc-8def-0123456789ab", "0190a3f0-2222-7abc-8def-0123456789ab"
        claims = {"sub": session, "wlt": wallet, "iat": NOW - 2000, "exp": NOW + 2000}
        token = make_token(key, claims)
        app.execute(
            "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
            " VALUES (?, 'w', 'ethereum', 'mainnet', '0xabc', 'ACTIVE', ?, ?)",
            *(wallet, NOW - 9000, NOW - 9000),
        )
        app.execute(
            "INSERT INTO sessions (id, token_hash, expires_at, absolute_expires_at, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            *(session, sha256(token), NOW + 2000, NOW + 3000, NOW - 2000),
        )
        app.execute("INSERT INTO session_wallets VALUES (?, ?, 1, ?)", session, wallet, NOW - 2000)
        app.execute(
            "INSERT INTO key_value_store VALUES ('jwt_secret_current', ?, ?)",
            *(json.dumps({"secret": key.hex(), "createdAt": NOW - 9000}), NOW - 9000),
        )
        assert app.tokens.verify(token) == (session, wallet, NOW - 2000, NOW + 2000)
        found = app.sessions.authenticate(token)
        assert found == (session, wallet, datetime.fromtimestamp(NOW + 2000, timezone.utc))
        renewed = app.sessions.renew(token, actor="admin")
        assert renewed.token == make_token(key, claims | {"iat": NOW, "exp": NOW + 3000})


class TestRotation:
    """The effect of a rotation on tokens of the old and the new key."""

    @pytest.mark.parametrize("knows_keys", [True, False], ids=["keys known", "first use"])
    def test_old_tokens_are_valid_for_five_minutes(self, app: Application, knows_keys: bool) -> None:
        """A token of the replaced key is accepted for 300 seconds, one of the new key from the start."""
        wallet = app.wallet()
        old = app.session(wallet)
        if knows_keys:
            app.sessions.authenticate(old.token)
        app.clock.now = NOW + 5000
        rotating = app.other()
        rotating.tokens.rotate(actor="admin")
        new = rotating.session(wallet)
        assert json.loads(unb64(new.token.split(".")[1]))["iat"] == NOW + 5000
        for seconds in (0, 1, 299, 299.99):
            app.clock.now = NOW + 5000 + seconds
            assert app.sessions.authenticate(old.token).session_id == old.id
            assert app.sessions.authenticate(new.token).session_id == new.id
        for seconds in (300, 301, 99_999):
            app.clock.now = NOW + 5000 + seconds
            is_refused(app, old.token)
            assert app.sessions.authenticate(new.token).session_id == new.id
        rotating.database.close()

    def test_a_new_key_cannot_be_rotated(self, app: Application) -> None:
        """A new key, even the first one, cannot be rotated for 300 seconds; the error contains the earliest time."""
        session = app.session(app.wallet())
        for made in (NOW, NOW + 300):
            key = app.key()
            for seconds in (-299, 0, 299, 299.99):
                app.clock.now = made + seconds
                with expect_refusal(app, "ROTATION_TOO_RECENT") as caught:
                    app.tokens.rotate(actor="admin")
                assert caught.value.details == {"retryAt": made + 300}
            app.clock.now = made + 300
            app.tokens.rotate(actor="admin")
            assert app.key("jwt_secret_previous") == key != app.key()
        is_refused(app, session.token)

    def test_without_a_key(self, app: Application) -> None:
        """A rotation in a file without a key creates the first one, which cannot be rotated for 300 seconds either."""
        app.tokens.rotate(actor="admin")
        assert app.query("SELECT key FROM key_value_store") == [("jwt_secret_current",)]
        assert app.events() == [("KEY_ROTATED", "admin", None, None, None, {"key": "jwt_secret_current"})]
        with expect_refusal(app, "ROTATION_TOO_RECENT"):
            app.tokens.rotate(actor="admin")

    def test_a_renewed_token_is_valid_after_the_old_key(self, app: Application) -> None:
        """A renewal signs with the current key, so the session continues when the old key is no longer accepted."""
        session = app.session(app.wallet(), ttl=1000)
        app.clock.now = NOW + 600
        app.tokens.rotate(actor="admin")
        renewed = app.sessions.renew(session.token, actor="admin")
        app.clock.now = NOW + 600 + 300
        assert app.sessions.authenticate(renewed.token).session_id == session.id
        is_refused(app, session.token)

    def test_a_key_replaced_by_another_program(self, app: Application) -> None:
        """A service with cached keys notices at the next request that another program has replaced them."""
        session = app.session(app.wallet())
        app.sessions.authenticate(session.token)
        ((value,),) = app.query("SELECT value FROM key_value_store")
        other = json.dumps({"secret": GOOD, "createdAt": NOW})
        app.execute("UPDATE key_value_store SET value = ?", other)
        is_refused(app, session.token)
        forged = make_token(bytes.fromhex(GOOD), claims_of(session))
        with expect_refusal(app, "INVALID_TOKEN"):
            app.sessions.authenticate(forged)
        app.execute("UPDATE key_value_store SET value = ?", value)
        assert app.sessions.authenticate(session.token).session_id == session.id


@pytest.mark.parametrize("stored", ["", "지갑", "00" * 32, "00" * 33])
def test_a_stored_value_that_is_not_a_hash_matches_no_token(app: Application, stored: str) -> None:
    """If the stored value is not a hash, no token matches it."""
    session = app.session(app.wallet())
    app.execute("UPDATE sessions SET token_hash = ?", stored)
    with expect_refusal(app, "INVALID_TOKEN"):
        app.sessions.authenticate(session.token)
    with expect_refusal(app, "SESSION_RENEWAL_MISMATCH"):
        app.sessions.renew(session.token, actor="admin")


def test_two_concurrent_callers_create_one_key(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another caller creates the first key before this one gets the lock, this one uses that key."""
    other = app.other()

    def after_the_other(*change: Any) -> Any:
        monkeypatch.undo()
        other.tokens.sign("s-2", "w-1", issued_at=NOW, expires_at=NOW + 300)
        return write(*change)

    monkeypatch.setattr("waiaas.services.tokens.write", after_the_other)
    token = app.tokens.sign("s-1", "w-1", issued_at=NOW, expires_at=NOW + 300)
    assert token == make_token(app.key(), {"sub": "s-1", "wlt": "w-1", "iat": NOW, "exp": NOW + 300})
    assert other.tokens.verify(token).session_id == "s-1"
    other.database.close_all()


def test_hashes_are_compared_in_constant_time() -> None:
    """Hashes, tokens, secrets and signatures are compared with `hmac.compare_digest`, never with an operator."""
    secret = re.compile(r".*(?:hash|digest|secret|signature)\w*|token|.*hash_of\(.*\)")
    equated, digested = [], []
    for file in sorted(Path(services.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Compare) and any(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops):
                equated += [ast.unparse(each) for each in (node.left, *node.comparators)]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("compare_digest"):
                digested.append(ast.unparse(node))
    assert len(equated) > 20
    assert [text for text in equated if secret.fullmatch(text)] == []
    assert digested == ["compare_digest(stored, hash_of(token))"]
