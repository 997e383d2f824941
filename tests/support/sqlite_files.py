"""Files on the disk as other programs see, make and leave them."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from support import old_files
from support.old_files import make_file

from waiaas import LATEST_SCHEMA_VERSION as LATEST


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(folder: Path) -> dict[str, str]:
    """Return the contents of a folder: each name with the hash of its bytes."""
    return {path.name: sha256(path) if path.is_file() else "folder" for path in sorted(folder.iterdir())}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def plain(path: Path, *statements: str) -> Iterator[sqlite3.Connection]:
    """Open another program's connection, and run statements on it."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        for statement in statements:
            connection.execute(statement).fetchall()
        yield connection


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, through a connection that leaves no log."""
    with plain(path) as connection:
        return connection.execute(statement).fetchall()


def execute(path: Path, *statements: str) -> None:
    """Run statements on a file with foreign keys off, each committed."""
    with plain(path, "PRAGMA foreign_keys = OFF", "PRAGMA synchronous = OFF", *statements):
        pass


def dump(path: Path) -> dict[str, Any]:
    """Return all rows of an unused file, whatever its name, without creating a file next to it."""
    with tempfile.TemporaryDirectory() as folder:
        return old_files.dump(Path(shutil.copy(path, Path(folder) / "copy.db")))


def keys(path: Path) -> list[str]:
    """Return the keys in the file, as another program sees them."""
    return [key for (key,) in query(path, "SELECT key FROM wc_store ORDER BY key")]


def text_file(path: Path) -> None:
    path.write_text("id,name\n1,wallet\n" * 50)


def other_program(path: Path) -> None:
    execute(
        path, "CREATE TABLE sessions (id, wallet_id)", "CREATE TABLE schema_version (version)", "CREATE TABLE t (a)"
    )
    execute(path, "INSERT INTO schema_version VALUES (18)")


def with_rows(*statements: str, version: int = 18) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        make_file(path, version)
        execute(path, *statements)

    return make


def newer(path: Path, *, wal: bool = False) -> Path:
    """Make a file of the version after the latest."""
    make_file(path, LATEST, wal=wal)
    execute(path, f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1800000000, 'from the future')")
    return path


def killed(path: Path, make: Callable[[Path], Path], statement: str, *suffixes: str) -> Path:
    """Make a file as a killed daemon leaves it: a committed statement is only in the write-ahead log."""
    folder = path.parent / "daemon"
    folder.mkdir()
    original = make(folder / "wallets.db")
    with plain(original, "PRAGMA wal_autocheckpoint = 0", statement):
        for suffix in ("", *suffixes):
            shutil.copy(f"{original}{suffix}", f"{path}{suffix}")
    shutil.rmtree(folder)
    return path
