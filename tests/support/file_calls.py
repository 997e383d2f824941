"""The file calls of a process, recorded with their data by a preloaded library (`file_calls.c`).

`file_calls_library()` compiles the library once per test run, and skips the test if that is impossible.
`record(command, folder)` runs a command and returns the `Call`s that it made in a folder, in order.
"""

from __future__ import annotations

import atexit
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_HEADER = struct.Struct("<6I2Qq")


class Kind(IntEnum):
    """The kind of a call; the numbers are those of `file_calls.c`."""

    OPEN = 1
    WRITE = 2
    TRUNCATE = 3
    ALLOCATE = 4
    SYNC = 5
    SYNC_ALL = 6
    RENAME = 7
    LINK = 8
    SYMLINK = 9
    UNLINK = 10
    MKDIR = 11
    RMDIR = 12
    CHMOD = 13
    PRINT = 14


class Call(NamedTuple):
    """One call that succeeded."""

    kind: Kind
    path: str
    """Absolute; of an open file that has lost its name it ends in ` (deleted)`."""
    other: str
    """The new name of a rename or link, the target of a symbolic link."""
    file: int
    """The inode number."""
    offset: int
    """Of a write or allocation; the new size of a truncation; the mode of an open or chmod."""
    flags: int
    """Of an open, rename or allocation: the system's; of a sync: 1 if it is a folder's."""
    created: bool
    """An open made the file."""
    length: int
    """Of the data or of an allocation, in bytes."""
    data: bytes
    """What was written or printed."""


class Recording(NamedTuple):
    """A finished command and its calls."""

    code: int
    printed: bytes
    errors: bytes
    calls: list[Call]


@cache
def file_calls_library() -> Path:
    """Compile the library and return its path, or skip the test without Linux, a compiler or preloading."""
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32:
        pytest.skip("file calls are recorded on 64-bit Linux only")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc): file calls cannot be recorded")
    folder = Path(tempfile.mkdtemp(prefix="file-calls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "file_calls.so"
    source = Path(__file__).with_name("file_calls.c")
    command = [compiler, "-O1", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file_calls.c does not compile here: {done.stderr.strip()[-200:]}")
    assert done.stderr == ""
    probe, log = folder / "probe", folder / "probe.log"
    probe.mkdir()
    code = f"import os; os.mkdir({str(probe / 'made')!r})"
    subprocess.run([sys.executable, "-c", code], env=_environment(library, probe, log), check=False)
    if not log.exists():
        pytest.skip("a preloaded library (LD_PRELOAD) has no effect here: file calls cannot be recorded")
    return library


def preloaded(folder: Path, log: Path) -> dict[str, str]:
    """Return the environment of a process whose file calls in a folder are logged."""
    return _environment(file_calls_library(), folder, log)


def record(command: Sequence[str | Path], folder: Path, **options: Any) -> Recording:
    """Run a command to its end and record its file calls in a folder, including its children's.

    :param command: the program and its arguments.
    :param folder: the watched folder, which must exist.
    :param options: options of `subprocess.run`, such as `cwd`, `input` or `env`.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        log = Path(elsewhere) / "log"
        environment = {**os.environ, **options.pop("env", {}), **preloaded(folder, log)}
        done = subprocess.run([*map(str, command)], env=environment, capture_output=True, **options)
        calls = list(read_log(log)) if log.exists() else []
    return Recording(done.returncode, done.stdout, done.stderr, calls)


def read_log(log: Path) -> Iterator[Call]:
    """Return the calls of a log, in order."""
    text, at = log.read_bytes(), 0

    def part(length: int) -> bytes:
        nonlocal at
        at += length
        return text[at - length : at]

    while at < len(text):
        number, flags, created, path, other, _, file, length, offset = _HEADER.unpack(part(_HEADER.size))
        kind = Kind(number)
        names = os.fsdecode(part(path)), os.fsdecode(part(other))
        data = part(length) if kind in (Kind.WRITE, Kind.PRINT) else b""
        yield Call(kind, *names, file, offset, flags, bool(created), length, data)


def _environment(library: Path, folder: Path, log: Path) -> dict[str, str]:
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FILE_CALLS_FOLDER": os.path.realpath(folder),
        "FILE_CALLS_LOG": str(log),
    }
