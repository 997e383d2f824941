import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.power_cuts import Log, Model, State, record_disk, states

pytestmark = pytest.mark.slow

OLD = b"o" * 8192
_START = """
import os
import sqlite3
def write(name, data, at=0, flags=os.O_RDWR | os.O_CREAT):
    global descriptor
    descriptor = os.open(name, flags, 0o600)
    os.pwrite(descriptor, data, at)
def sync(name):
    os.fsync(os.open(name, os.O_RDONLY))
"""


def run(folder: Path, code: str) -> Log:
    (folder / "old").write_bytes(OLD)
    log = record_disk([sys.executable, "-c", _START + code], folder, cwd=folder)
    assert log.recording.code == 0, log.recording.errors
    return log


def after_the_end(folder: Path, code: str, model: Model, count: int = 60) -> list[State]:
    log = run(folder, code)
    return list(states(log, model, seed=1, count=count, first=len(log.recording.calls)))


def content(state: State, name: str) -> bytes | None:
    return state.files[name][1] if name in state.files else None


@pytest.mark.parametrize("model", ["weak", "ordered"])
def test_synced_data_is_kept(tmp_path: Path, model: Model) -> None:
    """A file that was synced, and whose folder was synced after it got its name, is on the disk."""
    code = "write('new', b'n' * 5000); sync('new'); os.rename('new', 'named'); sync('.')"
    (state,) = after_the_end(tmp_path, code, model)
    assert content(state, "named") == b"n" * 5000
    assert content(state, "new") is None


def test_a_name_can_be_missing_until_its_folder_is_synced(tmp_path: Path) -> None:
    """Syncing a new file keeps its data, but not its name in the weak model; a removed name can remain."""
    found = after_the_end(tmp_path, "write('new', b'n'); sync('new'); os.unlink('old')", "weak")
    assert {(content(state, "new"), content(state, "old")) for state in found} == {
        (new, old) for new in (None, b"n") for old in (None, OLD)
    }


def test_with_ordered_data_names_reach_the_disk_in_order(tmp_path: Path) -> None:
    """Syncing a new file commits its name and every earlier change of names, and no later one."""
    code = "os.unlink('old'); write('new', b'n'); sync('new'); os.rename('new', 'named')"
    found = after_the_end(tmp_path, code, "ordered")
    assert sorted(tuple(state.files) for state in found) == [("named",), ("new",)]


def test_a_renamed_file_has_one_of_its_names_or_both(tmp_path: Path) -> None:
    """A renamed file always has at least one of its names."""
    found = after_the_end(tmp_path, "os.rename('old', 'new')", "weak")
    assert sorted(tuple(sorted(state.files)) for state in found) == [("new",), ("new", "old"), ("old",)]


def test_a_write_that_was_not_synced_is_torn_into_sectors(tmp_path: Path) -> None:
    """Of overwritten data, any sectors of 512 or 4,096 bytes can be on the disk."""
    found = after_the_end(tmp_path, "write('old', b'n' * 8192)", "weak", count=200)
    contents = {content(state, "old") or b"" for state in found}
    sectors = [{text[at : at + 512] for at in range(0, 8192, 512)} for text in contents]
    assert set().union(*sectors) == {b"o" * 512, b"n" * 512}
    assert {b"n" * 8192, OLD, b"n" * 4096 + b"o" * 4096, b"o" * 4096 + b"n" * 4096} < contents
    assert len(contents) > 100


def test_a_new_size_can_be_on_the_disk_without_the_data(tmp_path: Path) -> None:
    """Missing data can be zeros or garbage in the weak model, and never with ordered data."""
    code = "write('old', b'n' * 4096, at=8192)"
    weak = {content(state, "old") or b"" for state in after_the_end(tmp_path, code, "weak")}
    assert OLD + bytes(4096) in weak
    assert any(set(text[8192:]) - set(b"\0n") for text in weak)
    ordered = {content(state, "old") or b"" for state in after_the_end(tmp_path, code, "ordered")}
    assert ordered == {OLD, OLD + b"n" * 4096}


def test_with_ordered_data_a_size_commits_older_data(tmp_path: Path) -> None:
    """A sync of another file that commits a new size also commits all older data."""
    code = "write('old', b'n' * 8192); os.pwrite(descriptor, b'm', 8192); write('new', b'n'); sync('new')"
    found = after_the_end(tmp_path, code, "ordered")
    assert {content(state, "old") for state in found} == {b"n" * 8192 + b"m"}


def test_a_truncation_can_be_missing(tmp_path: Path) -> None:
    """A truncated file can still have its end, whatever was written to it afterwards."""
    found = after_the_end(tmp_path, "write('old', b'n' * 512, flags=os.O_RDWR | os.O_TRUNC)", "weak")
    assert {content(state, "old") for state in found} >= {OLD, b"", b"n" * 512, b"n" * 512 + OLD[512:]}


def test_files_below_folders_and_links_are_followed(tmp_path: Path) -> None:
    """A file in a new folder exists once both folders and the file were synced."""
    code = (
        "os.mkdir('f'); write('f/new', b'n'); sync('f/new'); os.link('f/new', 'linked')\n"
        "os.symlink('old', 'symbolic'); sync('f'); sync('.'); os.unlink('f/new'); os.rmdir('f')"
    )
    found = after_the_end(tmp_path, code, "ordered")
    assert sorted(tuple(sorted(state.files)) for state in found) == [
        ("f", "f/new", "linked", "old", "symbolic"),
        ("f", "linked", "old", "symbolic"),
        ("linked", "old", "symbolic"),
    ]
    target = tmp_path / "state"
    target.mkdir()
    found[0].write(target)
    assert sorted(os.listdir(target)) == sorted(name for name in found[0].files if "/" not in name)
    assert os.readlink(target / "symbolic") == "old"


@pytest.mark.parametrize("model", ["weak", "ordered"])
def test_a_cut_before_the_end_knows_what_was_printed(tmp_path: Path, model: Model) -> None:
    """Each state has the command's output at that moment; the same seed gives the same states."""
    log = run(tmp_path, "write('new', b'n'); os.write(1, b'written'); sync('new'); sync('.'); os.write(1, b'synced')")
    found = list(states(log, model, seed=1, count=100))
    assert {state.printed for state in found} == {b"", b"written", b"writtensynced"}
    for state in found:
        assert content(state, "new") == b"n" or state.printed != b"writtensynced"
    assert any(content(state, "new") is None and state.printed for state in found)
    assert [state.key for state in found] == [state.key for state in states(log, model, seed=1, count=100)]


@pytest.mark.parametrize(("synchronous", "is_whole"), [("OFF", False), ("EXTRA", True)])
def test_a_database_that_does_not_sync_is_corrupted(tmp_path: Path, synchronous: str, is_whole: bool) -> None:
    """Without `PRAGMA synchronous`, some power cuts corrupt a database."""
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.executescript("CREATE TABLE t (a); INSERT INTO t SELECT hex(randomblob(9000)) FROM (VALUES (1), (2))")
    code = f"""
import sqlite3
database = sqlite3.connect("a.db", isolation_level=None)
database.execute("PRAGMA synchronous = {synchronous}")
database.execute("UPDATE t SET a = hex(randomblob(18000))")
"""
    damaged = 0
    for number, state in enumerate(states(run(tmp_path, code), "weak", seed=1, count=60)):
        folder = tmp_path / f"state {number}"
        folder.mkdir()
        state.write(folder)
        with closing(sqlite3.connect(folder / "a.db")) as database:
            try:
                damaged += database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]
            except sqlite3.DatabaseError:
                damaged += 1
    assert (damaged == 0) is is_whole
