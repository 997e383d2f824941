"""Errors are classified by the codes of SQLite and of the operating system."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import peewee
import pytest
from support.command_line import run
from support.old_files import dump, execute, make_file

import waiaas
from waiaas.errors import REASONS
from waiaas.errors.sqlite import (
    cause_of,
    contains_stored_text,
    is_mismatch,
    reason_for,
    remove_stored_text,
    result_code,
)

LATEST = waiaas.LATEST_SCHEMA_VERSION


def error_of(path: Path | str, *statements: str) -> Exception:
    """Return the error of the last of some statements."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None, uri=True)) as database:
        for statement in statements[:-1]:
            database.execute(statement)
        with pytest.raises(sqlite3.Error) as caught:
            database.execute(statements[-1]).fetchall()
    return caught.value


def coded(code: int, kind: type[Exception] = sqlite3.OperationalError, message: str = "some text") -> Exception:
    """Return an error with a result code, as Python 3.11 raises it."""
    error = kind(message)
    error.sqlite_errorcode = code  # type: ignore[attr-defined]
    return error


def damaged(folder: Path) -> Exception:
    path = folder / "damaged.db"
    execute(path, "CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    content = bytearray(path.read_bytes())
    content[4096:4200] = b"\xff" * 104
    path.write_bytes(content)
    return error_of(path, "SELECT * FROM t")


def damaged_schema(folder: Path) -> Exception:
    path = folder / "schema.db"
    execute(path, "CREATE TABLE t (a)", "PRAGMA writable_schema = ON", "UPDATE sqlite_master SET sql = 'CREATE TABLE'")
    return error_of(path, "SELECT * FROM t")


def not_a_database(folder: Path) -> Exception:
    path = folder / "text.db"
    path.write_text("not a database\n" * 100)
    return error_of(path, "SELECT * FROM t")


def locked(folder: Path) -> Exception:
    path = folder / "locked.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        return error_of(path, "BEGIN IMMEDIATE")


def locked_table(_: Path) -> Exception:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1), (2)")
        unfinished = database.execute("SELECT * FROM t")
        unfinished.fetchone()
        with pytest.raises(sqlite3.OperationalError) as caught:
            database.execute("DROP TABLE t")
    return caught.value


def read_only(folder: Path) -> Exception:
    path = folder / "read-only.db"
    execute(path, "CREATE TABLE t (a)")
    return error_of(f"file:{path}?mode=ro", "DROP TABLE t")


def full(_: Path) -> Exception:
    return error_of(
        ":memory:", "PRAGMA max_page_count = 2", "CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(9999))"
    )


def no_such_folder(folder: Path) -> Exception:
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect(folder / "no such folder" / "wallets.db")
    return caught.value


def no_such_folder_to_attach(folder: Path) -> Exception:
    return error_of(":memory:", f"ATTACH '{folder}/no such folder/wallets.db' AS other")


def not_upgraded(_: Path) -> Exception:
    return error_of(":memory:", "SELECT * FROM session_wallets")


def not_utf_8(_: Path) -> Exception:
    return error_of(":memory:", "SELECT CAST(x'6b6579ff' AS TEXT) AS secret")


REAL: dict[Callable[[Path], Exception], str] = {
    damaged: "corrupt",
    damaged_schema: "corrupt",
    not_a_database: "not_a_database",
    locked: "database_busy",
    locked_table: "database_busy",
    read_only: "read_only",
    full: "disk_full",
    no_such_folder: "cannot_open",
    no_such_folder_to_attach: "cannot_open",
    not_upgraded: "upgrade_pending",
    not_utf_8: "unreadable_value",
}


@pytest.mark.parametrize("make", REAL, ids=lambda make: make.__name__)
def test_errors_of_sqlite(make: Callable[[Path], Exception], tmp_path: Path) -> None:
    """An SQLite error has its reason, from the driver and through Peewee, by code and by message."""
    error = make(tmp_path)
    assert reason_for(error) == REAL[make]
    assert reason_for(peewee.DatabaseError(error, *error.args)) == REAL[make]
    assert reason_for(type(error)(*error.args)) == REAL[make]


@pytest.mark.parametrize(
    "message",
    [
        "malformed JSON",
        "no such column: malformed",
        "no such table: readonly",
        "table database is locked already exists",
        "near disk I/O error: syntax error",
        "no such function: unable to open database file",
        "no such table: session_wallets_old",
        "not authorized to read: database or disk is full",
        "the trigger says: Could not decode to UTF-8 column",
    ],
)
def test_a_message_that_only_contains_the_text_of_another(message: str) -> None:
    """A message that only contains the text of another error, perhaps in a user's name, has no reason."""
    for error in (sqlite3.OperationalError(message), coded(1, message=message), peewee.OperationalError(message)):
        assert reason_for(error) is None


@pytest.mark.parametrize("message", ["disk I/O error", "database disk image is malformed", "database is locked"])
def test_the_message_of_a_trigger(message: str) -> None:
    """A trigger that raises the text of another error is a constraint error, and has no reason."""
    error = error_of(
        ":memory:",
        "CREATE TABLE t (a)",
        f"CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, '{message}'); END",
        "INSERT INTO t VALUES (1)",
    )
    assert str(error) == message
    assert reason_for(error) is None
    assert reason_for(sqlite3.IntegrityError(message)) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (5, "database_busy"),
        (5 | 2 << 8, "database_busy"),  # SQLITE_BUSY_SNAPSHOT
        (6 | 1 << 8, "database_busy"),  # SQLITE_LOCKED_SHAREDCACHE
        (7, "out_of_memory"),
        (8 | 5 << 8, "read_only"),  # SQLITE_READONLY_CANTINIT
        (10 | 1 << 8, "io_error"),  # SQLITE_IOERR_READ
        (10 | 11 << 8, "database_busy"),  # SQLITE_IOERR_BLOCKED
        (10 | 12 << 8, "out_of_memory"),  # SQLITE_IOERR_NOMEM
        (10 | 33 << 8, "io_error"),  # SQLITE_IOERR_CORRUPTFS
        (11, "corrupt"),
        (11 | 1 << 8, None),  # SQLITE_CORRUPT_VTAB: the content of a virtual table
        (11 | 3 << 8, "corrupt"),  # SQLITE_CORRUPT_INDEX
        (13, "disk_full"),
        (14 | 2 << 8, "cannot_open"),  # SQLITE_CANTOPEN_ISDIR
        (15, "database_busy"),
        (26, "not_a_database"),
        (1, None),
        (1 | 1 << 8, None),  # SQLITE_ERROR_MISSING_COLLSEQ
        (9, None),  # SQLITE_INTERRUPT
        (18, None),  # SQLITE_TOOBIG
        (19 | 7 << 8, None),  # SQLITE_CONSTRAINT_TRIGGER
    ],
)
def test_extended_result_codes(code: int, reason: str | None) -> None:
    """The extended result code determines the reason, otherwise the primary one; the message is ignored."""
    for message in ("some text", "database disk image is malformed", "disk I/O error"):
        error = coded(code, message=message)
        assert reason_for(error) == reason
        assert reason_for(peewee.OperationalError(error, message)) == reason
        assert result_code(error) == code


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ENOSPC", "disk_full"),
        ("EDQUOT", "disk_full"),
        ("EFBIG", "disk_full"),
        ("EIO", "io_error"),
        ("EROFS", "read_only"),
        ("EMFILE", "too_many_files"),
        ("ENFILE", "too_many_files"),
        ("ENOMEM", "out_of_memory"),
        ("ENOENT", None),
        ("EACCES", None),
        ("EINVAL", None),
    ],
)
def test_errors_of_the_operating_system(name: str, reason: str | None) -> None:
    """An OSError is classified by its errno."""
    number = getattr(errno, name)
    assert reason_for(OSError(number, os.strerror(number), "database is locked")) == reason


def test_other_exceptions() -> None:
    """A MemoryError has its reason; other exceptions, and an OSError without errno, have no reason."""
    assert reason_for(MemoryError()) == "out_of_memory"
    assert reason_for(OSError("database is locked")) is None
    assert reason_for(ValueError("malformed")) is None


def test_an_error_without_a_message() -> None:
    """Python 3.10 drops a message that is not UTF-8: it contains a name from a damaged schema."""
    assert reason_for(sqlite3.DatabaseError()) == "corrupt"
    assert reason_for(peewee.DatabaseError(sqlite3.DatabaseError())) == "corrupt"
    assert reason_for(sqlite3.OperationalError()) is None


def test_every_reason_exists() -> None:
    """Every reason that an error can get has texts."""
    found = {reason_for(coded(code | kind << 8)) for code in range(256) for kind in range(256)}
    found |= {reason_for(OSError(number, "")) for number in errno.errorcode}
    assert found - {None} <= set(REASONS)


def test_causes() -> None:
    """A cause contains no value from the file, and the exact code of an I/O error if Python knows it."""
    (text,) = {
        cause_of(not_utf_8(Path())),
        cause_of(peewee.OperationalError(not_utf_8(Path()), *not_utf_8(Path()).args)),
    }
    assert text == "Could not decode to UTF-8 column 'secret'"
    assert contains_stored_text(not_utf_8(Path()))
    error = coded(778, message="disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_WRITE"  # type: ignore[attr-defined]
    assert cause_of(error) == "disk I/O error (SQLITE_IOERR_WRITE)"
    assert cause_of(peewee.OperationalError(error, *error.args)) == "disk I/O error (SQLITE_IOERR_WRITE)"
    assert cause_of(MemoryError()) == "MemoryError"


def test_a_stored_text_is_removed_from_the_traceback() -> None:
    """The variables of the functions that have ended with such an error are removed, and its message is cut."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        keep_arguments(lambda: not_utf_8(Path()))
    assert any("'key" in repr(entry.locals) for entry in caught.traceback)
    remove_stored_text(caught.value)
    assert not any("'key" in repr(entry.locals) for entry in caught.traceback)
    assert str(caught.value) == "Could not decode to UTF-8 column 'secret'"


def keep_arguments(make: Callable[[], Exception]) -> None:
    """Raise an error from a function that has its message in a variable."""
    error = make()
    arguments = error.args
    assert arguments
    raise error


def test_a_foreign_key_mismatch() -> None:
    """A foreign key to columns without a unique index is recognised by the whole message."""
    error = error_of(
        ":memory:", "CREATE TABLE p (a)", "CREATE TABLE c (a REFERENCES p (a))", "PRAGMA foreign_key_check(c)"
    )
    assert is_mismatch(error)
    assert is_mismatch(peewee.OperationalError(error, *error.args))
    assert not is_mismatch(sqlite3.OperationalError(f"no such table: {error}"))
    assert not is_mismatch(coded(11, message=str(error)))


@pytest.mark.parametrize("version", [1, 18])
def test_an_index_of_the_user_over_json(version: int, tmp_path: Path) -> None:
    """An index whose expression cannot handle a new value blocks an upgrade, and is not reported as corruption."""
    path = make_file(tmp_path / "wallets.db", version)
    execute(
        path, "CREATE INDEX mine ON schema_version (json_extract(CASE WHEN version < 19 THEN '1' ELSE 'no' END, '$'))"
    )
    before = dump(path)
    with pytest.raises(waiaas.WAIaaSError) as caught:
        waiaas.connect(path)
    assert (caught.value.reason, "malformed JSON" in str(caught.value)) == ("sqlite_error", True)
    assert "damaged" not in str(caught.value)
    assert dump(path) == before


@pytest.mark.parametrize("version", [18, LATEST])
def test_an_index_over_json_is_no_obstacle(version: int, tmp_path: Path) -> None:
    """An index that uses a function which SQLite calls unsafe blocks no command."""
    path = make_file(tmp_path / "wallets.db", version)
    execute(path, "CREATE INDEX mine ON wallets (json_extract('[1]', '$[0]'))")
    codes = {command: run(command, path).exit_code for command in ("status", "plan", "upgrade", "check")}
    assert codes == {"status": 3 if version < LATEST else 0, "plan": 0, "upgrade": 0, "check": 0}
