"""A corrupt file, or one with another file's log, is refused before any change, and rows are never mixed."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from peewee import IntegrityError
from support.old_files import dump, execute, make_file, query
from support.refusals import refusal_of

import waiaas
from waiaas import WAIaaSError
from waiaas.files.page_check import damage
from waiaas.migrations.opening import open_read_only, open_to_change
from waiaas.paths import file_of

LATEST = waiaas.LATEST_SCHEMA_VERSION

PAGE = 4096
WAYS = {
    "upgrade with a backup": lambda path: upgrade(path, True),
    "upgrade without a backup": lambda path: upgrade(path, False),
    "connect": lambda path: waiaas.connect(path, backup=False).close(),
}


def upgrade(path: Path | str, backup: bool) -> None:
    with open_to_change(path) as database:
        waiaas.upgrade(database, backup=backup)


def digests(folder: Path) -> dict[str, str]:
    """Return the contents of a folder, except an empty log and the index of a log, which SQLite recreates."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if not file.name.endswith("-shm") and file.stat().st_size
    }


def refused(path: Path, way: Callable[[Path], None]) -> WAIaaSError:
    return refusal_of(lambda: way(path), lambda: digests(path.parent))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_page_of_garbage_is_refused_wherever_it_is(tmp_path: Path, wal: bool, way: Callable[[Path], None]) -> None:
    """A file with any corrupt page is refused as corrupt: nothing of it changes, and no backup is left."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    good = path.read_bytes()
    for start in range(PAGE, len(good), 5 * PAGE):
        path.write_bytes(good[:start] + b"\xa5" * 64 + good[start + 64 :])
        error = refused(path, way)
        assert error.reason == "corrupt", start // PAGE + 1
        assert str(path) in str(error)
        assert isinstance((error.details or {})["cause"], str)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("version", [1, 18])
def test_a_flipped_bit_never_loses_a_row(tmp_path: Path, version: int, way: Callable[[Path], None]) -> None:
    """A file with one flipped bit is refused unchanged, or upgraded with every readable row.

    SQLite keeps no checksum: a flipped bit inside a value is just another value.
    """
    path = make_file(tmp_path / "wallets.db", version)
    good = path.read_bytes()
    dice = random.Random(version)
    upgraded = 0
    for _ in range(12 if version == 1 else 30):
        bad = bytearray(good)
        bad[dice.randrange(100, len(bad))] ^= 1 << dice.randrange(8)
        path.write_bytes(bad)
        try:
            before = {table: len(rows) for table, rows in dump(path).items()}
        except (sqlite3.Error, UnicodeDecodeError):
            before = {}
        try:
            way(path)
        except WAIaaSError:
            assert path.read_bytes() == bad
        else:
            upgraded += 1
            after = {table: len(rows) for table, rows in dump(path).items()}
            before["wallets"] = before.pop("agents", before.get("wallets", 0))
            assert {table: after[table] for table in before if table != "schema_version"} == {
                table: count for table, count in before.items() if table != "schema_version"
            }
        for left in tmp_path.glob("wallets.db?*"):
            left.unlink()
    assert upgraded > 0


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_truncated_file_is_refused(tmp_path: Path, wal: bool, way: Callable[[Path], None]) -> None:
    """A file truncated anywhere after its header is refused as corrupt, and nothing of it changes."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    good = path.read_bytes()
    for size in (100, PAGE, PAGE + 1, len(good) // 2, len(good) - PAGE, len(good) - 1):
        path.write_bytes(good[:size])
        error = refused(path, way)
        assert error.reason == "corrupt", size
        assert str(path) in str(error)
        if size == len(good) - 1 and not wal:
            assert f"1 of its {len(good)} bytes are missing" in str(error)


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_each_corrupt_page_is_one_line(tmp_path: Path, wal: bool) -> None:
    """SQLite's one text about several pages is split into one line each, in checks and refusals."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    content = bytearray(path.read_bytes())
    roots = query(path, "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'transactions'")
    for (root,) in roots[:2]:
        content[(root - 1) * PAGE : (root - 1) * PAGE + 64] = b"\xa5" * 64
    path.write_bytes(content)
    with open_read_only(path) as database:
        facts = damage(database.connection(), checks=True)
        messages = [finding.message for finding in waiaas.check(database).findings if finding.kind == "damage"]
    assert messages == facts
    assert len([fact for fact in facts if "age " in fact]) >= 2
    assert [fact for fact in facts if "\n" in fact or "***" in fact or not fact] == []
    for way in WAYS.values():
        assert (refused(path, way).details or {})["cause"] == facts[0]


NAMES = ("wallets.db", "./wallets.db", "../{folder}/wallets.db", "{parent}/wallets.db")
ODD_NAMES = ("a?mode=rw#b%41.db", "지갑 1.db")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", [*NAMES, *ODD_NAMES])
def test_corruption_is_reported_with_the_given_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, way: Callable[[str], None]
) -> None:
    """An error contains the path that the caller gave, relative or not, wherever the corruption is."""
    monkeypatch.chdir(tmp_path)
    given = name.format(folder=tmp_path.name, parent=tmp_path)
    wal = [*NAMES, *ODD_NAMES].index(name) % 2 == 1
    path = make_file(tmp_path / (name if name in ODD_NAMES else "wallets.db"), wal=wal)
    good = path.read_bytes()
    for page in range(1, len(good) // PAGE, 15):
        path.write_bytes(good[: page * PAGE] + b"\xa5" * 64 + good[page * PAGE + 64 :])
        with pytest.raises(WAIaaSError) as caught:
            way(given)
        assert (caught.value.details or {})["path"] == given
    path.write_bytes(good)
    with open_read_only(given) as database:
        assert waiaas.status(database).version == 18
        assert file_of(database) == given


def test_a_list_of_free_pages_that_names_a_used_one_is_refused(v18: Path) -> None:
    """A free list with a page in use, which the upgrade would overwrite, is refused."""
    execute(v18, "CREATE TABLE junk AS SELECT zeroblob(20000)", "DROP TABLE junk")
    content = bytearray(v18.read_bytes())
    (root,) = query(v18, "SELECT rootpage FROM sqlite_master WHERE name = 'transactions'")[0]
    trunk = int.from_bytes(content[32:36], "big")
    assert int.from_bytes(content[(trunk - 1) * PAGE + 4 : (trunk - 1) * PAGE + 8], "big") > 0
    content[(trunk - 1) * PAGE + 8 : (trunk - 1) * PAGE + 12] = root.to_bytes(4, "big")
    v18.write_bytes(content)
    for way in WAYS.values():
        assert refused(v18, way).reason == "corrupt"


def test_a_value_that_violates_its_check_is_not_corruption(v18: Path) -> None:
    """A row that violates its CHECK blocks nothing if the upgrade does not change its table."""
    execute(v18, "PRAGMA ignore_check_constraints = ON", "UPDATE wallets SET chain = 'bitcoin' WHERE rowid = 1")
    upgrade(v18, True)
    assert query(v18, "SELECT chain FROM wallets WHERE rowid = 1") == [("bitcoin",)]


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_checks_are_enforced_after_the_page_check(tmp_path: Path, wal: bool) -> None:
    """The page check disables CHECKs and enables them again: the connection enforces them after the upgrade."""
    with open_to_change(make_file(tmp_path / "wallets.db", wal=wal)) as database:
        waiaas.upgrade(database, backup=False)
        assert database.pragma("ignore_check_constraints") == 0
        with pytest.raises(IntegrityError, match="CHECK"):
            database.execute_sql("UPDATE wallets SET chain = 'bitcoin'")


def test_functions_and_collations_of_a_program_are_stubbed_temporarily() -> None:
    """A CHECK with a program's function and a column with its collation can be checked; no stub remains."""
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as program,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
    ):
        program.create_function("even", 1, lambda text: len(text) % 2 == 0)
        program.create_collation("odd", lambda one, other: (one < other) - (one > other))
        program.execute("CREATE TABLE t (a TEXT COLLATE odd UNIQUE CHECK (even(a)))")
        program.execute("INSERT INTO t VALUES ('xx'), ('yyyy')")
        program.execute("CREATE TABLE u (a TEXT COLLATE odd PRIMARY KEY) WITHOUT ROWID")
        program.execute("INSERT INTO u VALUES ('a'), ('b'), ('c')")
        program.backup(copy)
        copy.execute("PRAGMA ignore_check_constraints = ON")
        for checks in (True, False):
            assert damage(copy, checks=checks) == []
        assert copy.execute("PRAGMA ignore_check_constraints").fetchone() == (1,)
        for missing in ("SELECT even(1)", "SELECT 1 ORDER BY 'a' COLLATE odd"):
            with pytest.raises(sqlite3.OperationalError, match="no such"):
                copy.execute(missing)


def left_log(path: Path, make: Callable[[Path], Path], statement: str) -> bytes:
    """Return the write-ahead log that a killed program leaves next to a file after a statement."""
    make(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as daemon:
        daemon.execute("PRAGMA wal_autocheckpoint = 0")
        daemon.execute(statement)
        return Path(f"{path}-wal").read_bytes()


def other_program(path: Path) -> Path:
    execute(path, "PRAGMA journal_mode = WAL", "CREATE TABLE notes (a)", "INSERT INTO notes VALUES (zeroblob(9000))")
    return path


def other_page_size(path: Path) -> Path:
    execute(path, "PRAGMA page_size = 8192", "PRAGMA journal_mode = WAL", "CREATE TABLE notes (a)")
    return path


FOREIGN = {
    "of another program": (other_program, "INSERT INTO notes VALUES (1)"),
    "of other pages": (other_page_size, "INSERT INTO notes VALUES (1)"),
    "of a smaller file": (lambda path: make_file(path, rows=12, wal=True), "UPDATE wallets SET name = 'foreign'"),
    "of a larger file": (lambda path: make_file(path, rows=100, wal=True), "UPDATE wallets SET name = 'foreign'"),
    "of a newer file": (lambda path: make_file(path, LATEST, wal=True), "UPDATE wallets SET name = 'foreign'"),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
@pytest.mark.parametrize(("make", "statement"), FOREIGN.values(), ids=FOREIGN)
def test_the_log_of_another_file_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], statement: str, wal: bool, way: Callable[[Path], None]
) -> None:
    """Another file's log, which SQLite would accept, is refused; without it the file has all its rows."""
    log = left_log(tmp_path / "other.db", make, statement)
    (tmp_path / "folder").mkdir()
    path = make_file(tmp_path / "folder" / "wallets.db", rows=40, wal=wal)
    before = dump(path)
    Path(f"{path}-wal").write_bytes(log)
    assert refused(path, way).reason == "corrupt"
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    assert dump(path) == before
    way(path)
    assert query(path, "SELECT count(*) FROM session_wallets") == [(40,)]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_a_log_of_garbage_is_ignored(tmp_path: Path, wal: bool, way: Callable[[Path], None]) -> None:
    """SQLite ignores a log without a valid header: the file is upgraded with all its rows."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    before = dump(path)
    Path(f"{path}-wal").write_bytes(random.Random(1).randbytes(50_000))
    way(path)
    after = dump(path)
    assert after["transactions"] == before["transactions"]
    assert len(after["session_wallets"]) == 12


@pytest.mark.parametrize("index", ["another file's", "garbage", "empty"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_index_of_another_log_does_not_matter(tmp_path: Path, way: Callable[[Path], None], index: str) -> None:
    """A wrong `-shm` next to a killed daemon's log is recreated: all committed rows are present."""
    (tmp_path / "daemon").mkdir()
    (tmp_path / "folder").mkdir()
    path, original = tmp_path / "folder" / "wallets.db", make_file(tmp_path / "daemon" / "wallets.db", wal=True)
    other = make_file(tmp_path / "other.db", rows=30, wal=True)
    with (
        closing(sqlite3.connect(original, isolation_level=None)) as daemon,
        closing(sqlite3.connect(other, isolation_level=None)) as foreign,
    ):
        daemon.execute("INSERT INTO wc_store VALUES ('logged', 'row')")
        foreign.execute("DELETE FROM wc_store")
        for suffix in ("", "-wal"):
            shutil.copy(f"{original}{suffix}", f"{path}{suffix}")
        content = {
            "another file's": Path(f"{other}-shm").read_bytes(),
            "garbage": random.Random(1).randbytes(1 << 15),
            "empty": b"",
        }
        Path(f"{path}-shm").write_bytes(content[index])
    way(path)
    assert query(path, "SELECT value FROM wc_store WHERE key = 'logged'") == [("row",)]
    assert query(path, "SELECT count(*) FROM wc_store") == [(13,)]
