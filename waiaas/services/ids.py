"""The ids that the services give, and those that they are given."""

from __future__ import annotations

#: What every session token begins with.
TOKEN_PREFIX = "wai_sess_"


def new_id() -> str:
    """Return a new id: a UUID of version 7 (RFC 9562, section 5.7) in lower case; ids sort by when they were made."""
    # uuid6 loads importlib.metadata, email and zipfile with it: whoever makes nothing need not wait for them.
    from uuid6 import uuid7

    return str(uuid7())


def told_id(id_: object) -> str | None:
    """Return what an error may tell of a value that should be an id and that no row has: an id, and never a token.

    >>> told_id("s-1"), told_id("wai_sess_..."), told_id(7), told_id(None)
    ('s-1', '<token>', '<int>', None)
    """
    if id_ is None:
        return None
    if not isinstance(id_, str):
        return f"<{type(id_).__name__}>"
    return "<token>" if id_.startswith(TOKEN_PREFIX) else id_
