"""Commands with a failing file call: their result matches the file, and the next upgrade succeeds."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.failing_calls import Commands, Failure
from support.failing_scenarios import LATEST, NAME, SCENARIOS, Trial, state_of
from support.old_files import contents, make_file

import waiaas
from waiaas.migrations.opening import open_to_change

pytestmark = pytest.mark.slow

#: By kind of call, the errors in addition to EIO and ENOSPC: the name, and whether it persists.
_ERRORS = {
    "write": (("EDQUOT", True), ("EFBIG", True), ("EINTR", False), ("short", True)),
    "read": (("EINTR", False), ("short", True)),
    "open": (("EMFILE", True), ("EACCES", True)),
    "sync": (("EINVAL", True), ("EDQUOT", True)),
    "map": (("ENOMEM", True),),
    "lock": (("ENOLCK", True),),
}
_ALWAYS = (("EIO", False), ("EIO", True), ("ENOSPC", False))
#: How many calls of one kind fail in the long form, one at a time: 7,000 failures in total, and some minutes.
_CALLS = 6
#: How many failures of which scenarios fit into a normal test run.
_SHORT = {
    "upgrade 18 journal": 5,
    "upgrade 18 log no backup": 6,
    "downgrade log": 4,
    "init": 5,
    "check 18 log": 3,
}


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


def failures(trial: Trial, dice: random.Random, at_most: int) -> Iterator[Failure]:
    """The failures of each kind of call, with each error at some of the calls of the command."""
    for kind, count in trial.counts().items():
        for error, is_lasting in (*_ALWAYS, *_ERRORS.get(kind, ())):
            for number in sorted(dice.sample(range(1, count + 1), min(count, at_most))):
                yield Failure((kind,), "*", number, error, is_lasting)


@pytest.mark.parametrize("name", _SHORT)
def test_the_result_matches_the_file(name: str, commands: Commands, tmp_path: Path) -> None:
    """After a failed call, exit code and file match, nothing is lost, and the next upgrade succeeds."""
    dice = random.Random(name)
    trial = Trial(SCENARIOS[name], tmp_path, commands)
    some = dice.sample([*failures(trial, dice, 2)], _SHORT[name])
    assert [f"{failure}: {wrong}" for failure in some if (wrong := trial.run(failure)[1])] == []


@pytest.mark.stress
@pytest.mark.parametrize("name", SCENARIOS)
def test_many_results_match_the_file(
    name: str, commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every kind of call fails in every way, at many points of the command."""
    dice = random.Random(name)
    trial = Trial(SCENARIOS[name], tmp_path, commands)
    runs = [(failure, *trial.run(failure)) for failure in failures(trial, dice, _CALLS)]
    with capsys.disabled():
        refused = sum(ended.code == 1 for _, ended, _ in runs)
        print(f"\n{name}: {len(runs)} failures, {sum(e.failed for _, e, _ in runs)} failed calls, {refused} refused")
    assert [f"{failure}: {wrong}" for failure, _, wrong in runs if wrong] == []


def test_a_commit_whose_folder_cannot_be_synced(commands: Commands, tmp_path: Path) -> None:
    """A COMMIT that reports an error after the journal is deleted is complete: exit code 0 and a warning."""
    trial = Trial(SCENARIOS["upgrade 18 journal no backup"], tmp_path, commands)
    count = trial.count("sync", "")
    found = []
    for number in range(1, count + 1):
        for error in ("EIO", "EINVAL"):
            ended, wrong = trial.run(Failure(("sync",), "", number, error))
            assert wrong == []
            found.append((ended.code, "Warning: wallets.db was changed and the change is committed" in ended.printed))
    assert (0, True) in found
    assert (1, True) not in found


@pytest.mark.parametrize("name", ["connect 18 journal", "connect nothing"])
def test_reads_after_the_commit(name: str, commands: Commands, tmp_path: Path) -> None:
    """If nothing can be read any more after the commit, `connect` warns: the file is upgraded, or created."""
    trial = Trial(SCENARIOS[name], tmp_path, commands)
    count = trial.count("read", "*")
    runs = [trial.run(Failure(("read",), "*", number, is_lasting=True)) for number in range(count - 5, count + 1)]
    assert [wrong for _, wrong in runs if wrong] == []
    assert 0 in {ended.code for ended, _ in runs}


def test_a_commit_whose_log_cannot_be_synced(commands: Commands, tmp_path: Path) -> None:
    """A commit that failed when the log was synced does not reappear when another program recovers the log."""
    trial = Trial(SCENARIOS["upgrade 18 log no backup"], tmp_path, commands)
    ended, wrong = trial.run(Failure(("sync",), "*", 1, is_lasting=True))
    assert (ended.code, wrong) == (1, [])


@pytest.mark.parametrize(("kind", "error", "code"), [("stat", "EIO", 1), ("chmod", "EPERM", 0)])
def test_the_lock_of_an_upgrade_fails(kind: str, error: str, code: int, commands: Commands, tmp_path: Path) -> None:
    """A lock file whose status cannot be read is refused; one that cannot be shared is still a lock."""
    trial = Trial(SCENARIOS["connect 18 journal"], tmp_path, commands)
    lock = f".{NAME}.upgrading"
    codes = []
    for number in range(1, trial.count(kind, lock) + 1):
        ended, wrong = trial.run(Failure((kind,), lock, number, error))
        assert wrong == []
        codes.append(ended.code)
    assert code in codes


def test_a_backup_whose_lock_fails(commands: Commands, tmp_path: Path) -> None:
    """A backup that gets no lock on its copy gives up after some seconds, and the file is unchanged."""
    trial = Trial(SCENARIOS["upgrade 18 log left"], tmp_path, commands)
    ended, wrong = trial.run(Failure(("lock",), ".*/*", 4, "ENOLCK", is_lasting=True))
    assert wrong == []
    assert ended.code == 1
    assert "The backup of wallets.db could not be written" in ended.errors


@pytest.mark.parametrize(
    "name", ["upgrade 18 journal", "upgrade 18 log", "downgrade log", "check 18 log", "plan 18 log"]
)
def test_no_file_is_mapped_into_memory(name: str, commands: Commands, tmp_path: Path) -> None:
    """No database, copy or backup is memory-mapped in use: a bad sector would kill the process."""
    trial = Trial(SCENARIOS[name], tmp_path, commands)
    assert trial.count("map", "*") == trial.count("map", "*-shm")


@pytest.mark.parametrize("name", ["check 18 journal", "upgrade 18 journal", "upgrade 18 log no backup"])
def test_a_file_that_cannot_be_read(name: str, commands: Commands, tmp_path: Path) -> None:
    """A persistent read error of the original is reported as its I/O error, even during a backup."""
    trial = Trial(SCENARIOS[name], tmp_path, commands)
    dice = random.Random(name)
    for number in dice.sample(range(1, trial.count("read", NAME) + 1), 4):
        ended, wrong = trial.run(Failure(("read",), NAME, number, is_lasting=True))
        assert wrong == []
        assert ended.code == 0 or "reported an I/O error on wallets.db" in ended.errors, ended.errors


_CLOSE = f"""
import waiaas
database = waiaas.connect({NAME!r}).peewee
database.execute_sql("INSERT INTO wc_store VALUES ('key', 'value')")
try:
    database.close_all()
except waiaas.WAIaaSError as error:
    print(error.reason)
print(database.is_closed())
"""


@pytest.mark.parametrize(("error", "reason"), [("ENOSPC", "disk_full"), ("EIO", "io_error")])
def test_close_reports_a_log_that_cannot_be_written_back(
    error: str, reason: str, commands: Commands, tmp_path: Path
) -> None:
    """`close` raises if the checkpoint fails, for example on a full disk; the rows stay in the log."""
    path = make_file(tmp_path / NAME, LATEST, wal=True)
    ended = commands.run(tmp_path, ["-c", _CLOSE], Failure(("write",), NAME, 1, error, is_lasting=True))
    assert (ended.code, ended.printed) == (0, f"{reason}\nTrue\n"), ended.errors
    assert ("wc_store", "key", "value") in state_of(path).content
    database = waiaas.connect(path).peewee
    database.close_all()
    assert ("wc_store", "key", "value") in state_of(path).content
    assert list(tmp_path.glob(f"{NAME}-*")) == []


#: Limits of a process (RLIMIT_…), the value of each, and the text of the error; `None` if the command succeeds.
_LIMITS = {
    "few files": ("NOFILE", 5, "too many open files"),
    "files for all but the backup": ("NOFILE", 9, "too many open files"),
    "small files": ("FSIZE", 20_000, "a file-size limit was reached"),
    "a small backup": ("FSIZE", 150_000, "a file-size limit was reached"),
    "no more memory": ("AS", 0, "not enough memory"),
    "no memory for a thread": ("AS", 3_000_000, None),
}
_LIMITED = """
import resource, sys
kind, value = sys.argv[2], int(sys.argv[3])
if kind == "AS":
    value += int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(getattr(resource, "RLIMIT_" + kind), (value, value))
from waiaas.cli import main
main(["upgrade", "wallets.db"])
"""


@pytest.mark.parametrize("limit", _LIMITS)
def test_limits_of_the_process(limit: str, commands: Commands, tmp_path: Path) -> None:
    """Limits on files, file size and memory are reported as such, and the file is unchanged."""
    kind, value, expected = _LIMITS[limit]
    path = make_file(tmp_path / NAME, wal=True)
    before = state_of(path)
    ended = commands.run(tmp_path, ["-c", _LIMITED, kind, value])
    if expected is None:
        assert (ended.code, state_of(path).version) == (0, LATEST)
        return
    assert (ended.code, state_of(path)) == (1, before)
    assert expected in ended.errors
    assert "Traceback" not in ended.errors


def test_a_full_disk(commands: Commands, tmp_path: Path) -> None:
    """On a full disk nothing is changed, and the error reports it; a full folder for temporary files is named."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        path = make_file(disk / NAME)
        before = state_of(path)
        ended = commands.run(disk, ["upgrade", NAME])
        assert (ended.code, state_of(path)) == (1, before)
        assert "the disk is full" in ended.errors
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("moment", [-1.0, 253_402_300_800.0, float("nan"), float("inf")])
def test_an_unusable_clock(moment: float, tmp_path: Path) -> None:
    """A clock outside the years 1970 to 9999 is refused, and the file is unchanged."""
    path = make_file(tmp_path / NAME)
    before = contents(tmp_path)
    with open_to_change(path) as database, pytest.raises(waiaas.WAIaaSError) as caught:
        waiaas.upgrade(database, clock=lambda: moment)
    assert caught.value.reason == "clock_unusable"
    assert contents(tmp_path) == before
