"""Upgrades that are killed with -9, or whose disk fails, at a chosen point, in separate processes.

Run as a program, this file is the parent of those processes: for each line `[path, number, delay]` it forks, the fork
upgrades the file until it reaches the fault, and the result is printed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from support.old_files import dump
from support.python_processes import start_python

import waiaas
from waiaas.files import backup, private_folder
from waiaas.migrations.opening import open_to_change

NOW = 1_800_000_000
_READING = re.compile(
    r"SELECT |PRAGMA (main\.)?(table_xinfo|index_list|index_info|foreign_key_list|foreign_key_check)\b"
)


def upgraded(path: Path) -> dict[str, list[Any]]:
    """Finish the upgrade of a file, and return its rows."""
    with open_to_change(path) as database:
        waiaas.upgrade(database, backup=False, clock=lambda: NOW)
        assert waiaas.check(database).findings == []
    return dump(path)


class Trial:
    """A file that is upgraded repeatedly, each time with a fault, and checked."""

    def __init__(self, original: Path) -> None:
        self.path = original.with_name("killed.db")
        self.before = dump(original)
        self.after = upgraded(Path(shutil.copy(original, original.with_name("reference.db"))))
        self._original = original

    def begin(self) -> Path:
        """Restore the original file, alone in its folder."""
        for left in [*self.path.parent.glob("killed.db*"), *self.path.parent.glob(".killed.db*")]:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.path.with_name("filler").unlink(missing_ok=True)
        shutil.copy(self._original, self.path)
        return self.path

    def version_afterwards(self) -> int:
        """Return the version that the file completely has; its backups are complete, and the next upgrade finishes."""
        self.path.with_name("filler").unlink(missing_ok=True)
        with open_to_change(self.path) as database:
            version = waiaas.status(database).version
        assert version is not None
        assert dump(self.path) == (self.after if version == waiaas.LATEST_SCHEMA_VERSION else self.before)
        for copy in self.path.parent.glob("killed.db.v*.backup"):
            assert dump(copy) == self.before
        assert upgraded(self.path) == self.after
        return version


class Ended(NamedTuple):
    """How an upgrade ended (`killed`, `done`, the reason of a refusal, `not reached`), and when each phase began."""

    how: str
    phases: list[tuple[float, str]]


class Victims:
    """Processes whose upgrade has a fault at a chosen point.

    The points are counted: each `phase`, each `statement`, before and after each `write`, each `line of the backup`.
    The fault is `kill`, or from that point on `io error` (every write to the file or its neighbours fails) or `full
    disk`; or `kill from outside`, by another process some time after the point.
    """

    def __init__(self, points: str, fault: str = "kill") -> None:
        self._parent = start_python("-m", "support.interrupted_upgrades", points, fault)

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def upgrade(self, path: Path, number: int, delay: float = 0) -> Ended:
        """Upgrade a file with the fault at the point of that number, counted from 0; `delay` is in seconds."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([str(path), number, delay]) + "\n")
        self._parent.stdin.flush()
        how, phases = json.loads(self._parent.stdout.readline())
        return Ended(how, [(float(moment), phase) for moment, phase in phases])


def _at_each_phase(_: Callable[[], None]) -> None:
    """Do nothing, because progress is reported in any case."""


def _at_each_statement(arrive: Callable[[], None], only_around_writes: bool = False) -> None:
    """Visit every statement on the file or its copy, just before it runs; those in memory change nothing."""
    connect, wrote = sqlite3.connect, True

    def visit(statement: str) -> None:
        nonlocal wrote
        before, wrote = wrote, _READING.match(statement) is None
        if before or wrote or not only_around_writes:
            arrive()

    def traced(name: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(name, *arguments, **options)
        if name != ":memory:":
            connection.set_trace_callback(visit)
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]


def _around_each_write(arrive: Callable[[], None]) -> None:
    """Visit every writing statement, before and after it; reads in between do not change the file."""
    _at_each_statement(arrive, only_around_writes=True)


def _at_each_line_of_the_backup(arrive: Callable[[], None]) -> None:
    """Visit every line of the backup's modules, just before it runs, and every few pages that SQLite has copied."""
    modules = {backup.__file__, private_folder.__file__}

    def trace(frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in modules:
            return None
        if event == "line":
            arrive()
        return trace

    backup._PAGES_AT_ONCE = 16
    sys.settrace(trace)
    threading.settrace(trace)


def _kill(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _let_no_write_succeed(folder: Path) -> None:
    """Replace the open descriptor of each file in a folder with a read-only one."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            file = os.readlink(f"/proc/self/fd/{number}")
            if file.startswith(f"{folder}/") and not file.endswith("-shm"):
                reading = os.open(file, os.O_RDONLY)
                os.dup2(reading, int(number))
                os.close(reading)


def _fill_the_disk(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(512))


_POINTS = {
    "phase": _at_each_phase,
    "statement": _at_each_statement,
    "write": _around_each_write,
    "line of the backup": _at_each_line_of_the_backup,
}
_FAULTS = {
    "kill": _kill,
    "kill from outside": lambda _: None,
    "io error": _let_no_write_succeed,
    "full disk": _fill_the_disk,
}


def _upgrade(points: str, fault: str, path: Path, number: int, write_line: Callable[[str], None]) -> str:
    passed = 0
    last: waiaas.Progress | None = None

    def arrive() -> None:
        nonlocal passed
        if passed >= number:
            _FAULTS[fault](path.parent)
        passed += 1

    def progress(report: waiaas.Progress) -> None:
        nonlocal last
        if report == last:  # a statement takes long
            return
        last = report
        write_line(f"{time.monotonic()} {report.version or ''} {report.phase}")
        if points == "phase":
            arrive()

    _POINTS[points](arrive)
    try:
        # A failure when the file is closed does not undo the upgrade.
        with open_to_change(path, warn=lambda _: None) as database:
            waiaas.upgrade(database, clock=lambda: NOW, progress=progress)
    except waiaas.WAIaaSError as error:
        return str(error.reason)
    return "done" if passed > number else "not reached"


def _fork(points: str, fault: str, path: Path, number: int, delay: float) -> Ended:
    """Run the upgrade in a fork, kill it if requested, and read its report to the end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writing, "w", buffering=1) as pipe:
            try:
                pipe.write(_upgrade(points, fault, path, number, lambda line: print(line, file=pipe)) + "\n")
            finally:
                pipe.flush()
                os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        lines = []
        if fault == "kill from outside":
            lines = [pipe.readline() for _ in range(number + 1)]
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        lines += pipe.read().splitlines()
    os.waitpid(child, 0)
    phases = [line.split(maxsplit=1) for line in lines if line[:1].isdigit()]
    ended = [line for line in lines if line and not line[:1].isdigit()]
    return Ended(
        ended[-1].strip() if ended else "killed", [(float(moment), phase.strip()) for moment, phase in phases]
    )


def main(points: str, fault: str) -> None:
    for line in sys.stdin:
        path, number, delay = json.loads(line)
        print(json.dumps(_fork(points, fault, Path(path), number, delay)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
