"""The ids that the services give."""

from __future__ import annotations


def new_id() -> str:
    """Return a new id: a UUID of version 7 (RFC 9562, section 5.7) in lower case; ids sort by when they were made."""
    # uuid6 loads importlib.metadata, email and zipfile with it: whoever makes nothing need not wait for them.
    from uuid6 import uuid7

    return str(uuid7())
