"""The checks of the benchmarks detect losses, and find none in this library."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

import waiaas

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

# The source distribution contains only a part of the benchmarks.
fidelity = pytest.importorskip("fidelity")
faults = pytest.importorskip("migration_verifier").faults
make_file = pytest.importorskip("session_files").make_file

OURS = ("waiaas", "waiaas-rebuild")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "v18.db"
    make_file(path, sessions=20)
    return path


@pytest.fixture(scope="module")
def upgraded(before: Path) -> bytes:
    path = before.with_name("v19.db")
    path.write_bytes(before.read_bytes())
    waiaas.connect(path, backup=False).close()
    waiaas.downgrade(path, 19, backup=False)
    return path.read_bytes()


@pytest.fixture
def after(upgraded: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "v19.db"
    path.write_bytes(upgraded)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def test_the_upgrade_is_right(before: Path, after: Path) -> None:
    """The check of the version-19 change accepts this library's upgrade."""
    assert faults(before, after) == []


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["DROP TRIGGER note_revocation"], "lost: trigger note_revocation"),
        (["DROP INDEX idx_sessions_token_hash"], "lost: index idx_sessions_token_hash"),
        (["DROP TABLE settings"], "lost: table settings with its rows"),
        (["UPDATE transactions SET session_id = NULL"], "wrong: 50 of 50 rows of transactions"),
        (["DELETE FROM audit_log", "DELETE FROM session_wallets WHERE rowid = 3"], "wrong: 1 of 20 links"),
        (["CREATE TABLE sessions__tmp__ (id)"], "left over: table sessions__tmp__"),
        (["ALTER TABLE sessions DROP COLUMN label"], "lost: column sessions.label"),
        (["DELETE FROM wallets WHERE id = (SELECT min(id) FROM wallets)"], "wrong: 1 of 100 rows of wallets"),
    ],
)
def test_a_wrong_result_is_found(before: Path, after: Path, statements: list[str], fault: str) -> None:
    """The check of the version-19 change names what another tool lost."""
    change(after, *statements)
    assert fault in faults(before, after)


@pytest.mark.parametrize("tool", OURS)
@pytest.mark.parametrize("name", fidelity.CASES)
def test_this_library_keeps_or_refuses(name: str, tool: str, tmp_path: Path) -> None:
    """Dropping a foreign-key column keeps every other feature of the table, or is refused with nothing changed."""
    path, case = tmp_path / "case.db", fidelity.CASES[name]
    fidelity.make(path, case)
    state, error = fidelity.state(path, case), None
    try:
        fidelity.TOOLS[tool].drop(path, case.table, case.column, fidelity.INDEX)
    except waiaas.WAIaaSError as refused:
        error = str(refused)
    word, particulars = fidelity.verdict(state, fidelity.state(path, case), case, error)
    allowed = {"refuses"} if case.must_refuse else {"keeps", "refuses"}
    assert word in allowed, particulars


@pytest.mark.parametrize(
    ("name", "statements", "word"),
    [
        ("triggers", ["DROP TRIGGER guards"], "corrupts"),
        ("comments in the definition", ["ALTER TABLE t RENAME COLUMN b TO c"], "loses"),
        ("hidden rowids", ["UPDATE t SET rowid = rowid + 1"], "corrupts"),
        ("children with rows", ["DELETE FROM child WHERE id = 3"], "corrupts"),
        ("sqlite_stat1", ["DELETE FROM sqlite_stat1 WHERE idx = 't_a'"], "loses"),
        ("needed: by a view", ["DROP VIEW v"], "corrupts"),
        ("needed: by a composite UNIQUE", [], "loses"),
    ],
)
def test_a_loss_is_found(name: str, statements: list[str], word: str, tmp_path: Path) -> None:
    """The check of the cases has the right word for each loss, with and without an error."""
    path, case = tmp_path / "case.db", fidelity.CASES[name]
    fidelity.make(path, case)
    before = fidelity.state(path, case)
    change(path, *statements)
    after = fidelity.state(path, case)
    assert fidelity.verdict(before, after, case, None)[0] == word
    assert fidelity.verdict(before, after, case, "an error")[0] == ("breaks" if statements else "refuses")
