"""Schemas that would need gigabytes or hours, or block the signals of the process."""

from __future__ import annotations

import itertools
import json
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.command_line import variables_of_a_program
from support.old_files import dump, execute, query

import waiaas
from waiaas import WAIaaSError
from waiaas.ddl.dependencies import broken_objects
from waiaas.ddl.expansion import LARGEST_EXPANSION, expansion, expansions
from waiaas.ddl.schema import stored_objects
from waiaas.ddl.schema_copy import schema_copy, works
from waiaas.ddl.untrusted import INSPECTION_LIMITS, inspecting, limited
from waiaas.migrations.opening import open_read_only, open_to_change
from waiaas.services import SessionService

DOUBLED = [
    "CREATE VIEW doubled_0 AS SELECT id FROM sessions",
    *(f"CREATE VIEW doubled_{n} AS SELECT a.id FROM doubled_{n - 1} a, doubled_{n - 1} b" for n in range(1, 17)),
]
COMMON = (
    "WITH c0 AS (SELECT id FROM sessions), "
    + ", ".join(f"c{n} (id) AS NOT MATERIALIZED (SELECT a.id FROM c{n - 1} a, c{n - 1} b)" for n in range(1, 17))
    + " SELECT * FROM c16"
)
NESTED = {
    "views over views": [
        *DOUBLED,
        f"CREATE VIEW common AS {COMMON}",
        "CREATE TRIGGER on_a_view INSTEAD OF INSERT ON doubled_16 BEGIN SELECT 1; END",
        "CREATE TRIGGER reads_a_view AFTER INSERT ON policies BEGIN DELETE FROM policies WHERE id IN doubled_16; END",
    ],
    "a deep chain": [
        "CREATE VIEW chain_0 AS SELECT id FROM sessions",
        *(f"CREATE VIEW chain_{n} AS SELECT id FROM chain_{n - 1}" for n in range(1, 300)),
    ],
}


def run_in_a_gigabyte(path: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process limited to 1 GB of memory."""
    name, *options = command.split()
    return subprocess.run(
        [sys.executable, "-m", "waiaas", name, str(path), *options, "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
    )


@pytest.mark.slow
@pytest.mark.parametrize("statements", NESTED.values(), ids=NESTED)
def test_views_that_expand_to_thousands_are_kept_and_not_compiled(v18: Path, statements: list[str]) -> None:
    """Plan, upgrade and check finish on a file with nested views in 1 GB of memory, and the views are kept."""
    path = v18
    execute(path, *statements)
    stored = query(path, "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger') ORDER BY sql")
    for command in ("plan", "upgrade --no-backup", "check"):
        done = run_in_a_gigabyte(path, command)
        assert done.returncode == 0, done.stderr
    assert query(path, "SELECT sql FROM sqlite_master WHERE type IN ('view', 'trigger') ORDER BY sql") == stored


def test_the_expansion_counts_each_name_as_often_as_sqlite_would() -> None:
    """A view counts as much as it expands to, each time it is named; a name that is not a view counts once."""
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in ("CREATE TABLE sessions (id)", *DOUBLED[:4]):
            database.execute(statement)
        peewee = waiaas.connect(":memory:").peewee
        for statement in DOUBLED[:4]:
            peewee.execute_sql(statement)
    sizes = expansions(stored_objects(peewee, "view"))
    peewee.close_all()
    ordered = [sizes[f"doubled_{n}"] for n in range(4)]
    assert all(2 * one < other < 10 * one for one, other in itertools.pairwise(ordered))
    assert expansion("SELECT 'doubled_3', doubled_3 FROM doubled_3", sizes) > 3 * sizes["doubled_3"]
    assert expansion(COMMON, {}) > LARGEST_EXPANSION > expansion("SELECT 1 AS x, (2) AS y", {})


HUGE = {
    "a CHECK of a hundred megabytes": (
        "CREATE TABLE mine (a CHECK (length(hex(zeroblob(100000000))) > 0))",
        "INSERT INTO mine VALUES (1)",
    ),
    "a generated column of a gigabyte": (
        "CREATE TABLE mine (a, b AS (hex(zeroblob(a))) NOT NULL)",
        "INSERT INTO mine (a) VALUES (900000000)",
    ),
    "an index of a hundred megabytes": (
        "CREATE TABLE mine (a)",
        "CREATE INDEX by_size ON mine (length(hex(zeroblob(a))))",
        "INSERT INTO mine VALUES (50000000)",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("statements", HUGE.values(), ids=HUGE)
def test_values_of_gigabytes_are_not_computed(v18: Path, statements: tuple[str, ...]) -> None:
    """Every command succeeds or is refused within 1 GB of memory, and a refused file is unchanged."""
    with closing(sqlite3.connect(v18, isolation_level=None)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements[:-1]:
            database.execute(statement)
        try:
            database.execute(statements[-1])
        except sqlite3.Error:
            database.execute("INSERT INTO mine VALUES (1)")
    before = v18.read_bytes()
    for command in ("check", "upgrade --no-backup"):
        done = run_in_a_gigabyte(v18, command)
        assert "Traceback" not in done.stderr
        assert json.loads(done.stdout)
        if command == "check" or done.returncode:
            assert v18.read_bytes() == before


# Runs `waiaas`; a thread sends a signal as soon as a function of the main thread has a local variable with a given
# value.
STOP_IN_A_STATEMENT = """
import os, signal, sys, threading
from waiaas.cli import main

variable, value, number = sys.argv.pop(1), sys.argv.pop(1), getattr(signal, sys.argv.pop(1))
main_thread = threading.get_ident()

def has_begun():
    frame = sys._current_frames()[main_thread]
    while frame is not None:
        if frame.f_locals.get(variable) == value:
            return True
        frame = frame.f_back
    return False

def stop():
    while not has_begun():
        pass
    os.kill(os.getpid(), number)

threading.Thread(target=stop, daemon=True).start()
main(prog_name="waiaas")
"""
# A few SQLite instructions per row, one of which takes long.
SLOW = (
    "CREATE TABLE slow (a)",
    "WITH n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO slow SELECT i FROM n",
    "PRAGMA writable_schema = ON",
    "UPDATE sqlite_master SET sql = 'CREATE TABLE slow (a CHECK (length(hex(zeroblob(30000000 + a))) > 0),"
    " b AS (length(hex(zeroblob(30000000 + a)))) REFERENCES wallets (id))' WHERE name = 'slow'",
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    ("command", "variable", "value"), [("check", "pragma", "integrity_check"), ("plan", "table", "slow")]
)
def test_a_signal_ends_a_statement_that_a_schema_makes_slow(
    v18: Path, command: str, variable: str, value: str, name: str, code: int
) -> None:
    """Ctrl-C and SIGTERM interrupt a statement that would take minutes, and the file is unchanged."""
    execute(v18, *SLOW)
    before = v18.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", STOP_IN_A_STATEMENT, variable, value, name, command, str(v18)],
        capture_output=True,
        text=True,
        timeout=100,
        env=variables_of_a_program(),
    )
    assert (ended.returncode, ended.stdout) == (code, "")
    assert ended.stderr == f"Interrupted: {v18} is unchanged.\n"
    assert v18.read_bytes() == before


def test_limits_are_those_of_the_caller_afterwards(v18: Path) -> None:
    """An inspection lowers the limits of a connection, never raises one, and restores them."""
    with open_to_change(v18) as database:
        connection = database.connection()
        connection.execute("PRAGMA cell_size_check = OFF")
        with inspecting(database):
            assert connection.execute("PRAGMA cell_size_check").fetchone() == (1,)
            if hasattr(connection, "getlimit"):
                length = connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)
                assert length == INSPECTION_LIMITS["SQLITE_LIMIT_LENGTH"]
                with limited(connection, {"SQLITE_LIMIT_LENGTH": length * 2}):
                    assert connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == length
        assert connection.execute("PRAGMA cell_size_check").fetchone() == (0,)
        if hasattr(connection, "getlimit"):
            assert connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) > length


def test_a_file_is_inspected_without_trust(v18: Path) -> None:
    """On a connection that only inspects a file, its schema cannot use functions with side effects."""
    with open_read_only(v18) as database:
        assert (database.pragma("trusted_schema"), database.pragma("cell_size_check")) == (0, 1)
        waiaas.check(database)
        assert database.pragma("trusted_schema") == 0


def test_check_accepts_missing_functions_without_trust(v18: Path) -> None:
    """A CHECK that uses a program's function is skipped, and trusted_schema is off again afterwards."""
    with closing(sqlite3.connect(v18, isolation_level=None)) as database:
        database.create_function("mine", 1, lambda _: 1, deterministic=True)
        database.execute("CREATE TABLE own (a CHECK (mine(a)))")
        database.execute("INSERT INTO own VALUES (1)")
    with open_read_only(v18) as database:
        assert waiaas.check(database).ok
        assert database.pragma("trusted_schema") == 0


def test_a_signal_in_a_callback_of_sqlite_is_not_lost(v18: Path) -> None:
    """An exception that a signal raises in SQLite's authorizer callback ends the work with KeyboardInterrupt."""

    def stop(*_: object) -> int:
        signal.raise_signal(signal.SIGINT)
        return sqlite3.SQLITE_OK

    with open_to_change(v18) as database, closing(schema_copy(database)) as copy:
        copy.set_authorizer(stop)
        with pytest.raises(KeyboardInterrupt):
            works(copy, "SELECT id FROM sessions")
        assert broken_objects(database) == set()


def test_constraints_with_thousands_of_digits_are_refused(v18: Path) -> None:
    """A number too long for Python breaks no list, and a read of it raises the documented error."""
    execute(v18, f"UPDATE sessions SET constraints = '{{\"a\": {'9' * 5000}}}'")
    with open_to_change(v18) as database:
        waiaas.upgrade(database, backup=False)
    before = dump(v18)
    database = waiaas.connect(v18).peewee
    try:
        (session, *_) = SessionService(database).list().items
        with pytest.raises(WAIaaSError) as caught:
            _ = session.constraints
    finally:
        database.close_all()
    assert caught.value.reason == "unreadable_value"
    assert dump(v18) == before
