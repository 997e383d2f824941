"""Session tokens in the daemon's format: signed, verified, and their key rotated.

A token is `wai_sess_` and a JWT (RFC 7519) signed with HS256 (RFC 7518, section 3.2). Its key is in
`key_value_store`; the token itself is stored nowhere, only its SHA-256 in `sessions.token_hash`.
"""

from __future__ import annotations

import json
import re
import secrets
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, NamedTuple

from waiaas.backends.base import Backend
from waiaas.errors import WAIaaSError, refusal
from waiaas.models.fields import LAST_SECOND, to_json
from waiaas.schemas import MAX_TOKEN_LENGTH, Secret
from waiaas.services.base import Service
from waiaas.services.changes import Event, Journal, lock, refuse_undone, write
from waiaas.services.ids import TOKEN_PREFIX, check_actor, check_id
from waiaas.services.statements import STORE, fetch_latest, run
from waiaas.settings import seconds_of

if TYPE_CHECKING:
    from jwt import InvalidTokenError, PyJWS

#: For how long a replaced key is still accepted, and how long the next rotation has to wait, in seconds.
ROTATION_GRACE_SECONDS = 300

#: The rows of `key_value_store` that have the keys.
CURRENT_KEY, PREVIOUS_KEY = "jwt_secret_current", "jwt_secret_previous"

#: SQL for the two keys, NULL for a missing one.
STORED_KEYS = ", ".join(
    f"(SELECT value FROM main.key_value_store WHERE key = '{key}') AS {key}" for key in (CURRENT_KEY, PREVIOUS_KEY)
)

_ADD = "INSERT INTO main.key_value_store (key, value, updated_at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
_REMOVE = "DELETE FROM main.key_value_store WHERE key = ?"
_KEYS = f"SELECT {STORED_KEYS}"

_ALGORITHM = "HS256"
_ALGORITHMS = [_ALGORITHM]
_KEY_BYTES = 32
_CLAIMS = ("sub", "wlt", "iat", "exp")
_TYPES = (str, str, int, int)
# RFC 7519 has UTF-8 only. `json.loads` would look for other encodings, and that for each request.
_parse_json = json.JSONDecoder().decode
# The last 44 characters of a token. Base64 can spell the same 32 bytes in several ways, and Python's decoder ignores
# characters outside its alphabet; only one spelling is a valid token.
_SIGNATURE = re.compile(r"\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
_SIGNATURE_LENGTH = 44


class TokenClaims(NamedTuple):
    """The claims of a token: the session, its default wallet when it was signed, and its times (Unix seconds)."""

    session_id: str
    wallet_id: str
    issued_at: int
    expires_at: int


class TokenKeys:
    """The stored keys: `stored` has the two texts, of the current key and of the previous one.

    If a text is not what the daemon stores, `refuse_unusable`, `sign` and `verify` raise WAIaaSError
    `DATABASE_UNAVAILABLE` with the reason `token_key_unusable`. No variable of their traceback has the text.
    """

    __slots__ = ("_current", "_previous", "_unusable", "made_at", "stored")

    def __init__(self, current: Any, previous: Any) -> None:
        """Take what is stored; without a previous one (None) no key was ever replaced."""
        self.stored = tuple(Secret(each) if isinstance(each, str) else each for each in (current, previous))
        nothing = (b"", 0)
        self._current, self.made_at = _parse(current) or nothing
        self._previous, _ = _parse(previous) or nothing
        self._unusable = None
        if not self._current:
            self._unusable = CURRENT_KEY
        elif previous is not None and not self._previous:
            self._unusable = PREVIOUS_KEY

    def refuse_unusable(self) -> None:
        """Raise WAIaaSError if a text is not what the daemon stores."""
        if self._unusable is not None:
            raise refusal("token_key_unusable", key=self._unusable)

    def sign(self, claims: TokenClaims) -> str:
        """Return the token with these claims, signed with the current key."""
        self.refuse_unusable()
        payload = to_json(dict(zip(_CLAIMS, claims, strict=True))).encode()
        jws, _ = _jws()
        return TOKEN_PREFIX + jws.encode(payload, self._current, algorithm=_ALGORITHM)

    def verify(self, token: object, now: int) -> TokenClaims:
        """Return the claims of a token; raises as `TokenService.verify` does."""
        if self._unusable is not None:
            self.refuse_unusable()
        if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH or not token.startswith(TOKEN_PREFIX):
            raise WAIaaSError("INVALID_TOKEN")
        if not token.isascii():
            raise WAIaaSError("INVALID_TOKEN")
        if not _SIGNATURE.fullmatch(token, len(token) - _SIGNATURE_LENGTH):
            raise WAIaaSError("INVALID_TOKEN")
        claims = _claims(self._payload(token.removeprefix(TOKEN_PREFIX), now))
        # RFC 7519, section 4.1.4: "on or after which the JWT MUST NOT be accepted".
        if claims.expires_at <= now:
            raise WAIaaSError("TOKEN_EXPIRED")
        return claims

    def in_grace(self, now: int) -> bool:
        """Return whether the key before the current one is still accepted: for five minutes from the rotation.

        It is not accepted either if the rotation seems to be further in the future than that: otherwise a replaced
        key would stay valid after a clock was set back or a wrong time was stored.
        """
        return bool(self._previous) and self.is_new(now)

    def is_new(self, now: int) -> bool:
        """Whether the current key was made less than five minutes before or after `now` (Unix seconds)."""
        return abs(now - self.made_at) < ROTATION_GRACE_SECONDS

    def _payload(self, signed: str, now: int) -> bytes:
        payload = _verified(signed, self._current)
        if payload is None and self.in_grace(now):
            payload = _verified(signed, self._previous)
        if payload is None:
            raise WAIaaSError("INVALID_TOKEN")
        return payload


class TokenService(Service):
    """Signs and verifies session tokens with the key of a database, and rotates that key.

    The first key (32 random bytes) is made when a token is to be signed. A method raises WAIaaSError
    `DATABASE_UNAVAILABLE` with the reason `token_key_unusable` if a key is not in the daemon's form.

    >>> import waiaas
    >>> database = waiaas.connect(":memory:", clock=lambda: 1_800_000_000)
    >>> token = database.tokens.sign("s-1", "w-1", issued_at=1_800_000_000, expires_at=1_800_000_300)
    >>> database.tokens.verify(token)
    TokenClaims(session_id='s-1', wallet_id='w-1', issued_at=1800000000, expires_at=1800000300)
    >>> database.close()
    """

    def _prepare(self) -> None:
        self._find_keys = self._database.dialect(_KEYS)

    def sign(self, session_id: str, wallet_id: str, *, issued_at: int, expires_at: int) -> str:
        """Sign a token for a session and its default wallet.

        :param session_id: the session.
        :param wallet_id: its default wallet.
        :param issued_at: when the token is issued, in Unix seconds.
        :param expires_at: when it expires, in Unix seconds.
        :returns: the token.
        :raises WAIaaSError: `ACTION_VALIDATION_FAILED` if an id is not text.
        """
        check_id("sessionId", session_id)
        check_id("walletId", wallet_id)
        keys = self._stored() or write(
            self._database, lambda _: make_first_key(self._database, seconds_of(self._clock))
        )
        return keys.sign(TokenClaims(session_id, wallet_id, issued_at, expires_at))

    def verify(self, token: str) -> TokenClaims:
        """Return the claims of a token, if its signature and times are valid; the session is not looked up.

        A token that was signed with the previous key is accepted for `ROTATION_GRACE_SECONDS` after the rotation.

        :param token: the token.
        :returns: the claims.
        :raises WAIaaSError: `INVALID_TOKEN` if prefix, shape, algorithm, signature or a claim is wrong;
            `TOKEN_EXPIRED` from the second of its expiry on.
        """
        keys = self._stored()
        if keys is None:
            # No key has signed any token.
            raise WAIaaSError("INVALID_TOKEN")
        return keys.verify(token, seconds_of(self._clock))

    def rotate(self, *, actor: str) -> None:
        """Replace the key: new tokens are signed with a new one, old ones are accepted for five minutes more.

        If there is no key yet, the first one is made.

        A running daemon must be restarted afterwards: it reads the keys once, when it starts. Until then it refuses
        every token that the new key signs, and its own next rotation destroys the new key. So let a daemon that runs
        rotate: this library reads the keys for each request.

        :param actor: the name in the audit log.
        :raises WAIaaSError: `ROTATION_TOO_RECENT` if the key was made less than `ROTATION_GRACE_SECONDS` ago: tokens
            of the key before it would lose what is left of their time (`details["retryAt"]` is when it can be
            rotated, in Unix seconds).
        """
        check_actor(actor)

        def change(journal: Journal) -> None:
            lock(self._database, "key_value_store", "key", [CURRENT_KEY], will_change=True)
            now = seconds_of(self._clock)
            keys = self._stored()
            if keys is None:
                written = make_first_key(self._database, now)
            else:
                keys.refuse_unusable()
                if keys.is_new(now):
                    retry_at = keys.made_at + ROTATION_GRACE_SECONDS
                    raise WAIaaSError("ROTATION_TOO_RECENT", details={"retryAt": retry_at})
                written = TokenKeys(_new_key(now), keys.stored[0])
                run(self._database, STORE, PREVIOUS_KEY, written.stored[1], now)
                run(self._database, STORE, CURRENT_KEY, written.stored[0], now)
            journal.record(now, actor, [Event("KEY_ROTATED", {"key": CURRENT_KEY})])
            refuse_undone(self._database, "key_value_store", lambda: self._is_stored(written))

        write(self._database, change, durable=True)

    def _stored(self) -> TokenKeys | None:
        current, previous = fetch_latest(self._database, self._find_keys)
        return None if current is None else TokenKeys(current, previous)

    def _is_stored(self, keys: TokenKeys) -> bool:
        kept = self._stored()
        return kept is not None and kept.stored == keys.stored


def make_first_key(database: Backend, now: int) -> TokenKeys:
    """Make the first key in the transaction that is open, unless another caller was faster.

    It invalidates every token that was signed before: the time of the last rotation was in the deleted key.
    """
    if run(database, _ADD, CURRENT_KEY, _new_key(now), now).rowcount == 1:
        run(database, _REMOVE, PREVIOUS_KEY)
    return TokenKeys(*run(database, _KEYS).fetchone())


def hash_of(token: str) -> Secret:
    """Return the SHA-256 of a whole token, prefix included, as hexadecimal digits: it is what is stored."""
    return Secret(sha256(token.encode()).hexdigest())


def is_hash_of(stored: object, token: str) -> bool:
    """Return whether a stored value is the hash of a token, in a time that does not depend on where they differ.

    SQLite takes any value in the column; one that is not text is not a hash.
    """
    return isinstance(stored, str) and stored.isascii() and compare_digest(stored, hash_of(token))


@cache
def _jws() -> tuple[PyJWS, type[InvalidTokenError]]:
    """Return the signer of PyJWT, and the base of the errors that it raises."""
    # PyJWT brings http.client and ssl, a sixth of what importing this library would take; only tokens need it.
    from jwt import InvalidTokenError, PyJWS

    return PyJWS(algorithms=_ALGORITHMS), InvalidTokenError


def _verified(signed: str, key: bytes) -> bytes | None:
    """Return the payload of a signed text; None if the signature or the shape is wrong."""
    jws, invalid = _jws()
    try:
        payload: bytes = jws.decode_complete(signed, key, algorithms=_ALGORITHMS)["payload"]
    except invalid:
        return None
    return payload


def _claims(payload: bytes) -> TokenClaims:
    """Return the claims in a payload whose signature is valid."""
    try:
        parsed = _parse_json(payload.decode())
        claims = TokenClaims(parsed["sub"], parsed["wlt"], parsed["iat"], parsed["exp"])
    except (ValueError, TypeError, KeyError, RecursionError):
        claims = None
    if claims is None or tuple(map(type, claims)) != _TYPES:
        raise WAIaaSError("INVALID_TOKEN")
    # An id is a UUID; text that UTF-8 cannot hold, or a NUL, would be an error of the database's driver.
    is_text = claims.session_id.isascii() and claims.session_id.isprintable()
    if not is_text or not 0 <= claims.issued_at <= claims.expires_at <= LAST_SECOND:
        raise WAIaaSError("INVALID_TOKEN")
    return claims


def _new_key(now: int) -> Secret:
    return Secret(to_json({"secret": secrets.token_hex(_KEY_BYTES), "createdAt": now}))


def _parse(stored: Any) -> tuple[bytes, int] | None:
    """Return a key's bytes and when it was made (Unix seconds); None if it is not in the daemon's form."""
    try:
        parsed = json.loads(stored)
        secret, created_at = bytes.fromhex(parsed["secret"]), int(parsed["createdAt"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return (secret, created_at) if len(secret) == _KEY_BYTES else None
