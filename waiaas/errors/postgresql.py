"""Classifies errors of PostgreSQL by their SQLSTATE, never by parts of their messages.

The codes are in https://www.postgresql.org/docs/current/errcodes-appendix.html. A refused connection is the one
exception: libpq passes on the server's message without its code
(https://www.postgresql.org/docs/current/libpq-connect.html), so there the server's own English texts are compared.
"""

from __future__ import annotations

import re
from typing import Any, Final

from peewee import OperationalError

from waiaas.errors.causes import with_causes

_REASONS: Final[dict[str, str]] = {
    "25006": "server_read_only",
    "3D000": "database_not_found",
    "40001": "transaction_conflict",
    "40P01": "transaction_conflict",
    "42501": "insufficient_privilege",
    "53100": "disk_full",
    "53200": "out_of_memory",
    "53300": "too_many_connections",
    "55P03": "database_busy",
    # A statement timeout, or an administrator who cancelled the statement.
    "57014": "statement_canceled",
    "57P01": "connection_lost",
    "57P02": "connection_lost",
    "57P03": "server_unavailable",
    "57P05": "connection_lost",
    # A transaction was idle, or open, for too long: the server has ended it, and the connection with it.
    "25P03": "connection_lost",
    "25P04": "connection_lost",
    "58030": "io_error",
}
_REASONS_OF_CLASSES: Final[dict[str, str]] = {"08": "connection_lost", "28": "access_denied"}

# What the server answers to a connection, in its English (src/backend/libpq/auth.c, utils/init/postinit.c and
# tcop/backend_startup.c), and libpq itself if there is no password (fe-auth.c).
_REFUSALS: Final = tuple(
    (re.compile("|".join(f"FATAL:  {text}" for text in texts) + other), reason)
    for reason, texts, other in (
        (
            "access_denied",
            (
                r"[\w-]+ authentication failed ",
                r"no pg_hba\.conf entry ",
                r"pg_hba\.conf rejects ",
                r"role .* does not exist",
                r"role .* is not permitted to log in",
            ),
            "|no password supplied",
        ),
        ("database_not_found", (r"database .* does not exist",), ""),
        ("insufficient_privilege", (r"permission denied for database ",), ""),
        (
            "too_many_connections",
            (
                r"sorry, too many clients already",
                r"remaining connection slots are reserved ",
                r"too many connections for ",
            ),
            "",
        ),
    )
)


class ConnectFailedError(OperationalError):
    """The driver could not open a connection.

    :ivar reason: one of `waiaas.errors.REASONS`.
    """

    def __init__(self, error: Exception) -> None:
        """Find the reason for the driver's error."""
        super().__init__(str(error).strip())
        needs_password = getattr(getattr(error, "pgconn", None), "needs_password", False)
        refused = next((reason for pattern, reason in _REFUSALS if pattern.search(str(error))), "server_unavailable")
        self.reason = "access_denied" if needs_password else refused


def original(error: BaseException) -> BaseException:
    """Return the error that Peewee has wrapped, perhaps several times."""
    while isinstance(inner := getattr(error, "orig", None), BaseException):
        error = inner
    return error


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error of psycopg, or of Peewee's around it; None if the server did not send one."""
    state: str | None = getattr(original(error), "sqlstate", None)
    return state


def reason_for(error: BaseException) -> str | None:
    """Return the reason (one of `waiaas.errors.REASONS`) for an error's code.

    :param error: an exception of psycopg, or one of Peewee (it keeps the driver's in `orig`).
    :returns: None for an error that is about a statement and not about the database, such as a violated constraint.
    """
    reason: Any = getattr(original(error), "reason", None)
    if isinstance(reason, str):
        return reason
    state = sqlstate(error)
    if state is not None:
        return _REASONS.get(state, _REASONS_OF_CLASSES.get(state[:2]))
    # Without a code the driver itself reports that the connection has ended. The classes have these names in every
    # driver and in Peewee (PEP 249).
    names = {kind.__name__ for kind in type(error).__mro__}
    return "connection_lost" if names & {"OperationalError", "InterfaceError"} else None


def cause_of(error: BaseException) -> str:
    """Return the message of a PostgreSQL error, without any value of a row or a parameter.

    Messages about values (class 22) quote them, and a message's DETAIL quotes rows.
    """
    found = original(error)
    state, name = sqlstate(found), type(found).__name__
    if state is None:
        return (str(found).splitlines() or [name])[0]
    message = None if state.startswith("22") else getattr(getattr(found, "diag", None), "message_primary", None)
    return f"{message or name} (SQLSTATE {state})"


def remove_values(error: BaseException) -> None:
    """Remove the DETAIL and the CONTEXT of a server's message, which quote rows, from an exception and its causes."""
    for each in with_causes(error):
        if sqlstate(each) is not None:
            each.args = (cause_of(each),)
