"""A database in a process that forks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.python_processes import KEEP_THE_TURN, run_python
from support.sqlite_files import keys

pytestmark = pytest.mark.slow

FORK = """
import os, sys, waiaas
from waiaas.backends.sqlite import write_transaction

def in_child(do):
    child = os.fork()
    if child == 0:
        try:
            do()
            os._exit(0)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0

def put(key):
    with write_transaction(database):
        database.execute_sql("INSERT INTO wc_store VALUES (?, 'value')", (key,))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
class TestFork:
    """A process must not use a connection opened by another (https://www.sqlite.org/howtocorrupt.html, 2.6)."""

    def test_the_child_opens_its_own_connection(self, tmp_path: Path) -> None:
        """Parent and child both read and write, and the child's exit does not affect the parent's connection."""
        code = """
database = waiaas.connect(sys.argv[1]).peewee
put("parent 1")
parents = database.connection()

def child():
    assert database.is_closed()
    put("child")
    assert database.connection() is not parents
    assert database.pragma("busy_timeout") == 5000
    database.close_all()

in_child(child)
put("parent 2")
assert database.connection() is parents
print(*[key for (key,) in database.execute_sql("SELECT key FROM wc_store ORDER BY key")], sep=", ")
print(waiaas.check(database).ok)
database.close_all()
"""
        assert run_python(FORK + code, tmp_path / "wallets.db") == "child, parent 1, parent 2\nTrue\n"

    def test_the_child_is_in_no_transaction_of_the_parent(self, tmp_path: Path) -> None:
        """A child forked inside a transaction finds the file locked by its parent, which then commits."""
        code = """
database = waiaas.connect(sys.argv[1], busy_timeout=0.1).peewee

def child():
    try:
        put("child")
    except waiaas.WAIaaSError as error:
        assert error.reason == "database_busy", error.reason
    else:
        raise AssertionError("the child wrote")

with write_transaction(database):
    database.execute_sql("INSERT INTO wc_store VALUES ('parent', 'value')")
    in_child(child)
database.close_all()
"""
        run_python(FORK + code, tmp_path / "wallets.db")
        assert keys(tmp_path / "wallets.db") == ["parent"]

    def test_the_writer_lock_of_a_missing_thread_is_free(self, tmp_path: Path) -> None:
        """A child forked while another thread of the parent writes does not wait for that thread."""
        connect = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
database = waiaas.connect(sys.argv[1], busy_timeout=60).peewee
"""
        fork = """
in_child(lambda: put("child"))
release()
database.close_all()
"""
        run_python(FORK + connect + KEEP_THE_TURN + fork, tmp_path / "wallets.db")
        assert keys(tmp_path / "wallets.db") == ["child"]

    def test_an_in_memory_database_is_copied(self) -> None:
        """The child has a copy of the parent's in-memory database, and keeps its changes to itself."""
        code = """
database = waiaas.connect(":memory:").peewee
put("parent")
in_child(lambda: put("child"))
print(database.execute_sql("SELECT key FROM wc_store").fetchall())
database.close_all()
"""
        assert run_python(FORK + code) == "[('parent',)]\n"
