"""The backup equals the original row by row, is private and verified, and never overwrites another file."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.connect_results import open_unchanged
from support.interrupted_upgrades import NOW, Trial, Victims
from support.old_files import dump, make_file

import waiaas
from waiaas import WAIaaSError
from waiaas.errors import probe
from waiaas.files import backup
from waiaas.files.backup import Copy, write_backup
from waiaas.files.opening import DatabaseFile
from waiaas.files.private_folder import PrivateFolder
from waiaas.migrations.opening import open_to_change
from waiaas.progress import ProgressReporter


@pytest.fixture(autouse=True)
def _few_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has backed up many files copies page by page; each test here is like a new process."""
    monkeypatch.setattr(probe, "_readers", {})


@pytest.fixture(params=[False, True], ids=["rollback journal", "write-ahead log"])
def v18(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A version-18 file with linked rows, alone in its folder."""
    return make_file(tmp_path / "wallets.db", wal=request.param)


def upgraded(path: Path, **options: object) -> Path:
    with open_to_change(path) as database:
        report = waiaas.upgrade(database, **options)
    assert report.backup is not None
    return Path(report.backup)


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_it_equals_the_original(tmp_path: Path, wal: bool) -> None:
    """The backup is version 18 and equals the original row by row and definition by definition."""
    path = make_file(tmp_path / "wallets.db", wal=wal)
    before = dump(path)
    copy = upgraded(path)
    assert {file.name for file in tmp_path.iterdir()} == {path.name, copy.name}
    with open_to_change(copy) as database:
        assert waiaas.status(database).version == 18
        assert waiaas.check(database).findings == []
    assert dump(copy) == before


def test_it_contains_what_a_killed_daemon_had_committed(tmp_path: Path) -> None:
    """Rows that are only in the write-ahead log of a killed daemon are in the backup and in the upgraded file."""
    original = make_file(tmp_path / "original.db", wal=True)
    path = tmp_path / "wallets.db"
    with closing(sqlite3.connect(original, isolation_level=None)) as daemon:
        daemon.execute("UPDATE sessions SET source = 'only in the log'")
        shutil.copy(original, path)
        shutil.copy(f"{original}-wal", f"{path}-wal")
    assert b"only in the log" not in path.read_bytes()
    copy = upgraded(path)
    for file in (copy, path):
        assert {dict(row)["source"] for row in dump(file)["sessions"]} == {"only in the log"}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_it_has_the_file_mode_of_the_original(v18: Path, mode: int) -> None:
    """The backup is as private as the original, with any umask."""
    if mode == 0o444 and os.geteuid() != 0:
        pytest.skip("only root can upgrade a read-only file")
    v18.chmod(mode)
    before = os.umask(0)
    try:
        copy = upgraded(v18)
    finally:
        os.umask(before)
    assert stat.S_IMODE(copy.stat().st_mode) == mode


def test_a_second_run_does_not_overwrite_it(v18: Path) -> None:
    """Two backups in one second have two names, and the first keeps its bytes."""
    first = upgraded(v18, clock=lambda: 5)
    content = first.read_bytes()
    with open_to_change(v18) as database:
        waiaas.downgrade(database, 18, backup=False)
    second = upgraded(v18, clock=lambda: 5)
    assert second.name == f"{first.name}-2"
    assert first.read_bytes() == content


def test_a_given_path(v18: Path, tmp_path: Path) -> None:
    """A path given as `backup` is used, and an existing file there is not changed."""
    target = tmp_path / "folder" / "my backup.db"
    target.parent.mkdir()
    target.write_text("precious")
    copy = upgraded(v18, backup=target)
    assert copy == target.with_name("my backup.db-2")
    assert target.read_text() == "precious"


@pytest.mark.parametrize("slash", ["", os.sep])
def test_a_given_folder(v18: Path, tmp_path: Path, slash: str) -> None:
    """In a folder given as `backup` it has its usual name, and no other file is changed."""
    folder = tmp_path / "backups"
    folder.mkdir()
    copy = upgraded(v18, backup=f"{folder}{slash}", clock=lambda: 5)
    assert copy == folder / f"{v18.name}.v18-19700101T000005Z.backup"
    assert {file.name for file in tmp_path.iterdir()} == {v18.name, folder.name}
    with open_to_change(v18) as database:
        waiaas.downgrade(database, 18, backup=folder, clock=lambda: 5)
    later = copy.name.replace("v18", f"v{waiaas.LATEST_SCHEMA_VERSION}")
    assert {file.name for file in folder.iterdir()} == {copy.name, later}


def test_a_missing_folder(v18: Path, tmp_path: Path) -> None:
    """A path with a trailing slash is not a file name: without the folder nothing is written or changed."""
    before = dump(v18)
    with pytest.raises(WAIaaSError) as caught:
        upgraded(v18, backup=f"{tmp_path / 'nowhere'}{os.sep}")
    assert caught.value.reason == "backup_failed"
    assert [file.name for file in tmp_path.iterdir()] == [v18.name]
    assert dump(v18) == before


def test_an_empty_path_is_refused(v18: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty path is refused instead of meaning the current folder; nothing is written or changed."""
    monkeypatch.chdir(tmp_path)
    before = dump(v18)
    for change in (waiaas.upgrade, lambda database, backup: waiaas.downgrade(database, 18, backup=backup)):
        with open_to_change(v18) as database, pytest.raises(ValueError, match="this path is empty"):
            change(database, backup="")
    with pytest.raises(ValueError, match="this path is empty"):
        waiaas.connect(v18, backup="")
    assert [file.name for file in tmp_path.iterdir()] == [v18.name]
    assert dump(v18) == before


def test_an_error_names_the_file_as_the_caller_did(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error about a failed backup names the file as the caller did, here without its folder."""
    monkeypatch.chdir(v18.parent)
    with pytest.raises(WAIaaSError) as caught:
        upgraded(Path(v18.name), backup=Path("nowhere") / "backup.db")
    assert (caught.value.reason, (caught.value.details or {})["path"]) == ("backup_failed", v18.name)


def test_an_unwritable_backup_blocks_the_upgrade(v18: Path, tmp_path: Path) -> None:
    """If the backup cannot be written nothing is changed, and the error has the cause and the remedy."""
    before = v18.read_bytes()
    with open_to_change(v18) as database, pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database, backup=tmp_path / "no such folder" / "backup.db")
    assert caught.value.reason == "backup_failed"
    details = caught.value.details or {}
    assert details["path"] == str(v18)
    assert details["target"] == str(tmp_path / "no such folder" / "backup.db")
    assert "unable to open" in details["cause"] or "No such file" in details["cause"]
    assert "--no-backup" in str(caught.value.hint)
    assert v18.read_bytes() == before


def test_a_corrupt_file_is_found_by_its_backup(tmp_path: Path) -> None:
    """If pages of the original are corrupt the copy's check fails, nothing is changed and no copy is left."""
    path = make_file(tmp_path / "wallets.db", rows=300)
    content = bytearray(path.read_bytes())
    for page in range(5, len(content) // 4096, 7):
        content[page * 4096 : page * 4096 + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(WAIaaSError) as caught:
        upgraded(path)
    assert caught.value.reason in ("backup_failed", "corrupt")
    assert path.read_bytes() == bytes(content)
    assert [file.name for file in tmp_path.iterdir()] == ["wallets.db"]


def test_a_corrupted_copy_is_not_a_backup(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the original is intact and its copy is not, the upgrade is refused and no copy is left."""
    before = v18.read_bytes()
    copy = backup._copy

    def spoil(original: DatabaseFile, folder: PrivateFolder, reporter: ProgressReporter) -> None:
        copy(original, folder, reporter)
        with folder.copy.open("r+b") as file:
            file.seek(5 * 4096)
            file.write(b"\xa5" * 64)

    monkeypatch.setattr(backup, "_copy", spoil)
    with pytest.raises(WAIaaSError) as caught:
        upgraded(v18, clock=lambda: 0)
    details = caught.value.details or {}
    assert (caught.value.reason, details["path"]) == ("backup_failed", str(v18))
    assert str(details["target"]).startswith(str(v18.with_name(f".{v18.name}.")))
    assert "page 6" in str(details["cause"]).lower()
    assert v18.read_bytes() == before
    assert [file.name for file in v18.parent.iterdir()] == [v18.name]


@pytest.mark.slow
def test_its_progress_is_reported(tmp_path: Path) -> None:
    """While the backup is written, progress reports pages done and the total, increasing up to the total."""
    path = make_file(tmp_path / "wallets.db", rows=9000)
    total = path.stat().st_size // 4096
    reported: list[tuple[int, int]] = []
    with open_to_change(path) as database:
        waiaas.upgrade(
            database, progress=lambda report: reported.append(report[2:]) if report.phase == "backing up" else None
        )
    done = [pages for pages, _ in reported]
    assert {of for _, of in reported} == {total}
    assert 0 < done[0] < total
    assert done == sorted(done)
    assert done[-1] == total


def test_it_is_private_while_it_is_written(tmp_path: Path) -> None:
    """From its first page the copy is accessible only by its owner, even if everybody may read the original."""
    v18 = make_file(tmp_path / "wallets.db")
    v18.chmod(0o644)
    modes = set()

    def look(progress: waiaas.Progress) -> None:
        if progress.phase in ("backing up", "verifying the backup"):
            for folder in v18.parent.glob(".*.partial-*"):
                modes.add((stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE((folder / "copy").stat().st_mode)))

    with open_to_change(v18) as database:
        waiaas.upgrade(database, progress=look)
    assert modes == {(0o700, 0o600)}


@pytest.mark.slow
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "write-ahead log"])
def test_an_incomplete_backup_never_has_its_name(tmp_path: Path, wal: bool) -> None:
    """A backup killed before any line has its name only if complete, and the next backup removes the rest.

    Every line is tried only if WAIAAS_STRESS is set.
    """
    trial = Trial(make_file(tmp_path / "wallets.db", rows=100, wal=wal))
    every = 1 if os.environ.get("WAIAAS_STRESS") else 9
    named = killed = 0
    with Victims("line of the backup") as victims:
        for number in itertools.count(0, every):
            outcome = victims.upgrade(trial.begin(), number).how
            if outcome == "not reached":
                break
            assert outcome == "killed"
            killed += 1
            copies = [dump(copy) for copy in tmp_path.glob("killed.db.v18-*")]
            assert all(copy == trial.before for copy in copies)
            named += len(copies)
            left = upgraded(trial.path, clock=lambda: NOW)
            assert {file.name for file in tmp_path.glob(".killed.db*")} == set(), number
            assert dump(left) == trial.before
            assert dump(trial.path) == trial.after
    print(f"killed before {killed} lines, in {named} of which the copy had its name")
    assert 0 < named < killed


def test_a_file_system_without_hard_links(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links, the backup gets a new name and overwrites no other file."""

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    target = v18.with_name("mine")
    target.write_text("precious")
    before = dump(v18)
    copy = upgraded(v18, backup=target)
    assert (copy.name, target.read_text()) == ("mine-2", "precious")
    assert dump(copy) == before


@pytest.mark.parametrize(("bits", "kept"), [(0o4755, 0o644), (0o2660, 0o660), (0o1644, 0o644)], ids=oct)
def test_it_has_no_special_bits(v18: Path, bits: int, kept: int) -> None:
    """The setuid, setgid, sticky and execute bits of the original are not copied."""
    v18.chmod(bits)
    assert stat.S_IMODE(upgraded(v18).stat().st_mode) == kept


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another group")
def test_it_has_the_group_of_the_original(v18: Path) -> None:
    """A member of the original's group can read the backup, and the group of the process cannot."""
    os.chown(v18, 0, 65534)
    v18.chmod(0o640)
    copy = upgraded(v18)
    assert (copy.stat().st_gid, stat.S_IMODE(copy.stat().st_mode)) == (65534, 0o640)


def test_without_that_group_only_the_owner_can_read_it(v18: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the process may not give the copy that group, others lose permissions instead of gaining some."""
    own = v18.stat()
    v18.chmod(0o664)
    original = os.stat_result((*own[:5], own.st_gid + 1, *own[6:]))
    inspect = DatabaseFile.inspect

    def of_another_group(file: DatabaseFile) -> os.stat_result:
        status = inspect(file)
        return original if status.st_ino == own.st_ino else status

    def may_not(*_: object) -> None:
        raise PermissionError("not a member")

    monkeypatch.setattr(os, "fchown", may_not)
    monkeypatch.setattr(DatabaseFile, "inspect", of_another_group)
    database = open_unchanged(v18)
    report = waiaas.upgrade(database)
    database.close_all()
    assert stat.S_IMODE(Path(str(report.backup)).stat().st_mode) == 0o600


def test_a_replaced_folder_gets_nothing(tmp_path: Path) -> None:
    """If another user replaces the private folder by another one, nothing is written there."""
    v18 = make_file(tmp_path / "wallets.db")
    theirs: list[Path] = []

    def swap(progress: waiaas.Progress) -> None:
        for folder in v18.parent.glob(".*.partial-*"):
            if progress.phase == "backing up" and not theirs:
                folder.rename(folder.with_name("moved away"))
                folder.mkdir(0o777)
                theirs.append(folder / "copy")
                theirs[0].touch()

    before = v18.read_bytes()
    database = open_unchanged(v18)
    with pytest.raises(WAIaaSError) as caught:
        waiaas.upgrade(database, progress=swap)
    database.close()
    assert caught.value.reason == "backup_failed"
    assert theirs[0].read_bytes() == b""
    assert v18.read_bytes() == before
    assert list(v18.parent.glob("*.backup*")) == []


def test_it_is_the_file_byte_for_byte(v18: Path) -> None:
    """Without a write-ahead log the backup equals the file byte for byte, in any journal mode."""
    before = v18.read_bytes()
    assert upgraded(v18).read_bytes() == before


def test_a_copy_by_pages_is_the_same_backup(v18: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that keeps many descriptors copies page by page, and recognises an equal earlier backup."""
    file = DatabaseFile(str(v18))
    target = f"{v18.name}.v18-20260102T03040{{}}Z.backup"
    first = write_backup(file, tmp_path / target.format(5), ProgressReporter(None))
    monkeypatch.setattr(probe, "_MOST_READERS", 0)
    second = write_backup(file, tmp_path / target.format(6), ProgressReporter(None))
    assert (first.is_new, second) == (True, Copy(first.path, is_new=False))


@pytest.mark.parametrize(
    ("end", "cause"), [(OSError(errno.EIO, "Input/output error"), "Input/output error"), (b"", "nothing can be read")]
)
def test_a_read_that_fails_once_is_blamed_on_the_original(
    v18: Path, monkeypatch: pytest.MonkeyPatch, end: OSError | bytes, cause: str
) -> None:
    """If the original cannot be read, the error does not blame the backup, even if the next read succeeds."""
    before, results = v18.read_bytes(), [end]
    pread = os.pread

    def fail_once(descriptor: int, size: int, offset: int) -> bytes:
        if not results or offset == 0:
            return pread(descriptor, size, offset)
        result = results.pop()
        if isinstance(result, OSError):
            raise result
        return result

    monkeypatch.setattr(os, "pread", fail_once)
    monkeypatch.setattr(backup, "_BYTES_AT_ONCE", 4096)
    with pytest.raises(WAIaaSError) as caught:
        upgraded(v18)
    details = caught.value.details or {}
    assert (caught.value.reason, details["path"]) == ("io_error", str(v18))
    assert cause in str(details["cause"])
    assert v18.read_bytes() == before
    assert [file.name for file in v18.parent.iterdir()] == [v18.name]


def test_another_file_is_not_copied(v18: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the path briefly leads to another file, that file is not backed up."""
    other = make_file(tmp_path / "other.db")
    before = v18.read_bytes()
    monkeypatch.setattr(backup, "lasting_reader", lambda _: probe.lasting_reader(str(other)))
    with pytest.raises(WAIaaSError) as caught:
        upgraded(v18)
    assert caught.value.reason == "file_replaced"
    assert v18.read_bytes() == before


_WRITE = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=0)
try:
    database.execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_it_keeps_the_locks_of_the_change(v18: Path) -> None:
    """After the file was copied, no other process gets the write lock before the commit."""
    printed = set()

    def look(progress: waiaas.Progress) -> None:
        if progress.phase == "checking the tables":
            command = [sys.executable, "-c", _WRITE, str(v18)]
            printed.add(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    with open_to_change(v18) as database:
        waiaas.upgrade(database, progress=look)
    assert printed == {"database is locked\n"}
