"""The library uses the same SQLite module as Peewee, and no other."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import peewee
import pytest
from support.old_files import make_file
from support.python_processes import environment

import waiaas
from waiaas.errors import driver

PACKAGE = Path(waiaas.__file__).parent

#: A `pysqlite3` that is newer than any `sqlite3`: a second copy of the extension, with its own exceptions.
PYSQLITE3 = """
import sqlite3.dbapi2
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
import _sqlite3

_spec = spec_from_loader("pysqlite3._sqlite3", ExtensionFileLoader("pysqlite3._sqlite3", _sqlite3.__file__))
_copy = module_from_spec(_spec)
_spec.loader.exec_module(_copy)
globals().update(vars(sqlite3.dbapi2) | {name: value for name, value in vars(_copy).items() if name[0] != "_"})
sqlite_version_info = (99, 0, 0)
"""

#: Uses every function that touches SQLite, in a program in which the standard library's module opens nothing.
PROGRAM = """
import sqlite3, sys, threading
import peewee
import pysqlite3.dbapi2 as other

if other.Error is sqlite3.Error:
    print("one module")
    sys.exit()
assert peewee.sqlite3 is other

def refuse(*args, **options):
    raise AssertionError("a second copy of SQLite is used")

sqlite3.connect = sqlite3.dbapi2.connect = refuse
import waiaas
from waiaas.services import SessionService, WalletService

path = sys.argv[1]
print(waiaas.check(path).ok)
database = waiaas.connect(path, busy_timeout=0.1).peewee
print(waiaas.check(database).ok)
wallets = WalletService(database)
wallet = wallets.create(name="n", chain="solana", environment="testnet", public_key="k", actor="admin")
sessions = SessionService(database)
session = sessions.create(wallet_ids=[wallet.id], actor="admin")
assert sessions.authorize(session.token).wallet.id == wallet.id
assert isinstance(database.latest(), other.Connection)
database.execute_sql("UPDATE wallets SET name = CAST(X'ff' AS TEXT) WHERE id = ?", (wallet.id,))
print(ascii(wallets.get(wallet.id).name))
holder = other.connect(path, isolation_level=None)
holder.execute("BEGIN IMMEDIATE")
try:
    sessions.revoke(session.id, actor="admin")
except waiaas.WAIaaSError as error:
    print(error.code)
holder.close()
database.execute_sql("ALTER TABLE sessions RENAME TO elsewhere")
for call in (lambda: sessions.authorize(session.token), lambda: sessions.get(session.id)):
    try:
        call()
    except waiaas.WAIaaSError as error:
        print(error.reason)
database.close_all()
"""


def run(path: Path, *folders: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env=environment(PYTHONPATH=os.pathsep.join([*folders, environment()["PYTHONPATH"]])),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if done.stdout == "one module\n":
        pytest.skip("this Python cannot load its module for SQLite twice")
    return done.stdout


def test_it_is_that_of_peewee() -> None:
    """The module is the one that Peewee has chosen."""
    assert driver.sqlite3 is peewee.sqlite3


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_other_is_imported(file: Path) -> None:
    """No other file of the library imports an SQLite module by name."""
    if file.samefile(str(driver.__file__)):
        return
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & {"sqlite3", "pysqlite3", "_sqlite3"}
        elif isinstance(node, ast.ImportFrom):
            assert str(node.module).partition(".")[0] not in ("sqlite3", "pysqlite3", "_sqlite3")


@pytest.mark.slow
def test_with_pysqlite3_everything_uses_it(tmp_path: Path) -> None:
    """If Peewee uses pysqlite3, the library opens no file with `sqlite3`, and recognises the errors of pysqlite3."""
    import _sqlite3

    if not hasattr(_sqlite3, "__file__"):
        pytest.skip("SQLite is built into this Python")
    (tmp_path / "pysqlite3").mkdir()
    (tmp_path / "pysqlite3" / "__init__.py").touch()
    (tmp_path / "pysqlite3" / "dbapi2.py").write_text(PYSQLITE3)
    path = make_file(tmp_path / "wallets.db", 18)
    expected = "True\nTrue\n'\\ufffd'\nDATABASE_BUSY\nsqlite_error\nsqlite_error\n"
    assert run(path, str(tmp_path)) == expected
