"""PostgreSQL errors are classified by SQLSTATE and contain no values of rows."""

from __future__ import annotations

import peewee
import psycopg
import pytest
from psycopg import errors

from waiaas.errors.postgresql import ConnectFailedError, cause_of, reason_for, remove_values


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.AdminShutdown(), "connection_lost"),
        (errors.CrashShutdown(), "connection_lost"),
        (errors.IdleInTransactionSessionTimeout(), "connection_lost"),
        (errors.ConnectionFailure(), "connection_lost"),
        (psycopg.OperationalError("the connection is closed"), "connection_lost"),
        (errors.CannotConnectNow(), "server_unavailable"),
        (errors.LockNotAvailable(), "database_busy"),
        (errors.DiskFull(), "disk_full"),
        (errors.OutOfMemory(), "out_of_memory"),
        (errors.IoError(), "io_error"),
        (errors.TooManyConnections(), "too_many_connections"),
        (errors.InvalidPassword(), "access_denied"),
        (errors.InvalidAuthorizationSpecification(), "access_denied"),
        (errors.ReadOnlySqlTransaction(), "server_read_only"),
        (errors.SerializationFailure(), "transaction_conflict"),
        (errors.DeadlockDetected(), "transaction_conflict"),
        (errors.InvalidCatalogName(), "database_not_found"),
        (errors.InsufficientPrivilege(), "insufficient_privilege"),
        (errors.QueryCanceled(), "statement_canceled"),
        (errors.UniqueViolation(), None),
        (errors.UndefinedTable(), None),
        (psycopg.ProgrammingError("no query"), None),
    ],
    ids=lambda value: str(value) if value is None or isinstance(value, str) else type(value).__name__,
)
def test_reasons(error: psycopg.Error, reason: str | None) -> None:
    """The SQLSTATE determines the reason, even if Peewee wraps the error; an error in a statement has no reason."""
    kind = getattr(peewee, type(error).__name__, None) or getattr(peewee, type(error).__mro__[1].__name__)
    assert reason_for(kind(error)) == reason
    assert reason_for(kind(kind(error))) == reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('FATAL:  password authentication failed for user "app"', "access_denied"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.7", user "app", database "wallets"', "access_denied"),
        ('FATAL:  role "app" does not exist', "access_denied"),
        ("fe_sendauth: no password supplied", "access_denied"),
        ('FATAL:  database "wallets" does not exist', "database_not_found"),
        ('FATAL:  permission denied for database "wallets"', "insufficient_privilege"),
        ("FATAL:  sorry, too many clients already", "too_many_connections"),
        ('FATAL:  too many connections for role "app"', "too_many_connections"),
        ("FATAL:  the database system is starting up", "server_unavailable"),
        ("Connection refused", "server_unavailable"),
    ],
)
def test_reasons_of_refused_connections(message: str, reason: str) -> None:
    """A refused connection is classified by the server's English message; any other failure has one reason."""
    text = f'connection failed: connection to server at "127.0.0.1", port 5432 failed: {message}'
    assert reason_for(peewee.OperationalError(ConnectFailedError(psycopg.OperationalError(text)))) == reason


def test_values_are_removed() -> None:
    """Neither the cause nor the text of the exception, or of Peewee's, contains a value of a row."""
    text = 'invalid input syntax for type bigint: "hush"\nDETAIL:  Key (id)=(hush) already exists.'
    inner = errors.InvalidTextRepresentation(text)
    error = peewee.DataError(inner, text)
    assert cause_of(error) == "InvalidTextRepresentation (SQLSTATE 22P02)"
    remove_values(error)
    assert "hush" not in f"{error} {error!r} {inner} {inner!r}"
