from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.failing_calls import KINDS, TRACEBACK, Commands, Failure

pytestmark = pytest.mark.slow

# Makes each kind of call on a file, and prints those that fail.
_PROGRAM = """
import fcntl, mmap, os
descriptor = os.open("w.db", os.O_CREAT | os.O_RDWR)
def try_each(**calls):
    for name, call in calls.items():
        try:
            print(name, call())
        except OSError as error:
            print(name, "failed:", error.strerror)
try_each(
    write=lambda: os.write(descriptor, b"12345678"),
    again=lambda: os.pwrite(descriptor, b"12345678", 8),
    read=lambda: os.pread(descriptor, 8, 0),
    sync=lambda: os.fsync(descriptor),
    truncate=lambda: os.ftruncate(descriptor, 16),
    stat=lambda: os.fstat(descriptor).st_size,
    exists=lambda: os.stat("w.db").st_size,
    map=lambda: bool(mmap.mmap(descriptor, 16)),
    lock=lambda: fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB),
    open=lambda: os.open("w.db", os.O_RDONLY) > 0,
    chmod=lambda: os.chmod("w.db", 0o600),
    mkdir=lambda: os.mkdir("inner"),
    rmdir=lambda: os.rmdir("inner"),
    link=lambda: os.link("w.db", "other"),
    rename=lambda: os.rename("other", "w.db"),
    unlink=lambda: os.unlink("w.db"),
)
"""
_ALL_HAPPEN = {
    **{"write": "8", "again": "8", "read": "b'12345678'", "sync": "None", "truncate": "None", "stat": "16"},
    **{"exists": "16", "map": "True", "lock": "None", "open": "True", "chmod": "None", "mkdir": "None"},
    **{"rmdir": "None", "link": "None", "rename": "None", "unlink": "None"},
}


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


def answers(printed: str) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in printed.splitlines())


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"allocate"}))
def test_the_calls_of_one_kind_fail(kind: str, commands: Commands, tmp_path: Path) -> None:
    """A call of the chosen kind fails with the chosen error, and all others succeed."""
    counted = commands.run(tmp_path, ["-c", _PROGRAM], Failure((kind,), "*"))
    assert (counted.code, answers(counted.printed)) == (0, _ALL_HAPPEN)
    (tmp_path / "w.db").write_bytes(b"12345678")
    number = 2 if kind == "open" else 1  # the first one is the program's own
    failing = commands.run(tmp_path, ["-c", _PROGRAM], Failure((kind,), "*", number))
    assert failing.failed == 1
    assert [name for name, text in answers(failing.printed).items() if "Input/output error" in text] == [kind]


def test_lasting_failures_and_patterns(commands: Commands, tmp_path: Path) -> None:
    """A failure can persist, and only affects the files of its pattern."""
    once = commands.run(tmp_path, ["-c", _PROGRAM], Failure(("write",), "w.db", 1, "ENOSPC"))
    assert (answers(once.printed)["write"], answers(once.printed)["again"]) == ("failed: No space left on device", "8")
    lasting = commands.run(tmp_path, ["-c", _PROGRAM], Failure(("write",), "w.*", 1, "EDQUOT", is_lasting=True))
    assert lasting.failed == 2
    assert answers(lasting.printed)["again"] == "failed: Disk quota exceeded"
    other = commands.run(tmp_path, ["-c", _PROGRAM], Failure(("write",), "*-wal", 1))
    assert (other.failed, answers(other.printed)) == (0, _ALL_HAPPEN)


def test_short_counts(commands: Commands, tmp_path: Path) -> None:
    """A short write or read transfers half of its bytes."""
    ended = commands.run(tmp_path, ["-c", _PROGRAM], Failure(("write", "read"), "*", 1, "short", is_lasting=True))
    found = answers(ended.printed)
    assert (found["write"], found["again"], found["read"]) == ("4", "4", "b'1234'")


def test_how_a_command_ends(commands: Commands, tmp_path: Path) -> None:
    """The exit code, an exception and a signal are distinguished."""
    assert commands.run(tmp_path, ["status", "missing.db"]).code == 1
    raised = commands.run(tmp_path, ["-c", "raise ValueError('no')"])
    assert (raised.code, raised.errors.splitlines()[-1]) == (TRACEBACK, "ValueError: no")
    assert commands.run(tmp_path, ["-c", "import os; os.kill(os.getpid(), 9)"]).code == -9
