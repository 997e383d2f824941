"""Ids, and the name of the actor."""

from __future__ import annotations

from waiaas.errors import FieldMessage
from waiaas.schemas import MAX_KEY_LENGTH, RequestValidationError

#: The prefix of every session token.
TOKEN_PREFIX = "wai_sess_"

#: The most characters (Unicode code points) that the name of an actor may have.
MAX_ACTOR_LENGTH = 200

_UUID_LENGTH = 36


def new_id() -> str:
    """Return a new id: a UUID of version 7 (RFC 9562, section 5.7) in lower case; ids sort by when they were made."""
    # uuid6 imports importlib.metadata, email and zipfile: a program that only reads need not wait for them.
    from uuid6 import uuid7

    return str(uuid7())


def is_id(value: object) -> bool:
    """Return whether a value can be an id: printable text, which every database takes, of at most 256 characters.

    PostgreSQL takes no NUL character, and UTF-8 no lone surrogate.

    >>> is_id("0190a3f0-1111-7abc-8def-0123456789ab"), is_id(7), is_id(chr(0)), is_id(chr(0xD800))
    (True, False, False, False)
    """
    return isinstance(value, str) and len(value) <= MAX_KEY_LENGTH and value.isprintable()


def check_id(key: str, value: object) -> None:
    """Refuse a value that cannot be an id: `ACTION_VALIDATION_FAILED` under its wire key, without the value.

    >>> check_id("after", 7)
    Traceback (most recent call last):
      ...
    waiaas.schemas.base.RequestValidationError: The input is not valid. {'after': ['Must be printable text, not int.']}
    """
    if is_id(value):
        return
    if not isinstance(value, str):
        expected = FieldMessage("printable_not", type=type(value).__name__)
    elif len(value) > MAX_KEY_LENGTH:
        expected = FieldMessage("max_characters", count=MAX_KEY_LENGTH)
    else:
        expected = FieldMessage("printable")
    raise RequestValidationError({key: [expected]})


def check_actor(actor: str) -> None:
    """Refuse an actor that is not printable text of 1 to `MAX_ACTOR_LENGTH` characters, or is blank.

    Raises `ACTION_VALIDATION_FAILED` under `actor`.

    >>> check_actor("")
    Traceback (most recent call last):
      ...
    waiaas.schemas.base.RequestValidationError: The input is not valid. {'actor': ['Must not be blank.']}
    """
    if isinstance(actor, str) and len(actor) > MAX_ACTOR_LENGTH:
        raise RequestValidationError({"actor": [FieldMessage("max_characters", count=MAX_ACTOR_LENGTH)]})
    check_id("actor", actor)
    if not actor.strip():
        raise RequestValidationError({"actor": [FieldMessage("not_blank")]})


def redact_id(id_: str | None) -> str | None:
    """Return what an error may show of an id that no row has: it may be a token passed by mistake.

    >>> redact_id("0190a3f0-1111-7abc-8def-0123456789ab"), redact_id("Bearer wai_sess_..."), redact_id(None)
    ('0190a3f0-1111-7abc-8def-0123456789ab', '<token>', None)
    >>> redact_id("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOi...")
    '<50 characters>'
    """
    if id_ is None:
        return None
    if TOKEN_PREFIX in id_:
        return "<token>"
    return id_ if len(id_) <= _UUID_LENGTH else f"<{len(id_)} characters>"
