"""Upgrades that are killed with -9 at a chosen point, in processes of their own.

Run as a program this file is the parent of those processes: for each line `[path, number]` it forks, the fork upgrades
the file and kills itself when it has come so far, and what became of it is printed. The points that are counted are
named by the program's argument.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from old_files import dump

import waiaas
from waiaas.database import open_to_change
from waiaas.migrations import backup

NOW = 1_800_000_000


def upgraded(path: Path) -> dict[str, list[Any]]:
    """Finish the upgrade of a file; the rows that it then has."""
    with open_to_change(path) as database:
        waiaas.upgrade(database, backup=False, clock=lambda: NOW)
        assert waiaas.check(database).findings == []
    return dump(path)


class Trial:
    """A file that is upgraded over and over, killed, and looked at each time."""

    def __init__(self, original: Path) -> None:
        self.path = original.with_name("killed.db")
        self.before = dump(original)
        self.after = upgraded(Path(shutil.copy(original, original.with_name("reference.db"))))
        self._original = original

    def begin(self) -> Path:
        """Put the file as it was in place, alone."""
        for left in [*self.path.parent.glob("killed.db*"), *self.path.parent.glob(".killed.db*")]:
            left.unlink()
        shutil.copy(self._original, self.path)
        return self.path

    def version_after_kill(self) -> int:
        """The version that the file is wholly at; its backups are whole, and the next upgrade finishes."""
        with open_to_change(self.path) as database:
            version = waiaas.compatibility(database).version
        assert version is not None
        assert dump(self.path) == (self.after if version == waiaas.LATEST_SCHEMA_VERSION else self.before)
        for copy in self.path.parent.glob("killed.db.v*.backup"):
            assert dump(copy) == self.before
        assert upgraded(self.path) == self.after
        return version


class Victims:
    """The processes whose upgrade is killed at a point of a kind: `phase`, `statement` or `line of the backup`."""

    def __init__(self, kind: str) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, __file__, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def kill(self, path: Path, number: int) -> bool:
        """Upgrade a file up to its point of that number, counted from 0; False where there are not so many."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([str(path), number]) + "\n")
        self._parent.stdin.flush()
        status = int(self._parent.stdout.readline())
        assert status in (0, -signal.SIGKILL)
        return status != 0


def _at_each_phase(arrive: Callable[[], None]) -> dict[str, Any]:
    return {"progress": lambda _: arrive()}


def _at_each_statement(arrive: Callable[[], None]) -> dict[str, Any]:
    """Every statement on the file or its copy, just before it runs; those in memory change nothing."""
    connect = sqlite3.connect

    def traced(name: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(name, *arguments, **options)
        if name != ":memory:":
            connection.set_trace_callback(lambda _: arrive())
        return connection

    sqlite3.connect = traced  # type: ignore[assignment]
    return {}


def _at_each_line_of_the_backup(arrive: Callable[[], None]) -> dict[str, Any]:
    """Every line of the module, just before it runs, and every few pages that SQLite has copied."""

    def trace(frame: Any, event: str, _: object) -> Any:
        if frame.f_code.co_filename != backup.__file__:
            return None
        if event == "line":
            arrive()
        return trace

    backup._PAGES_AT_ONCE = 16
    sys.settrace(trace)
    return {}


_KINDS = {
    "phase": _at_each_phase,
    "statement": _at_each_statement,
    "line of the backup": _at_each_line_of_the_backup,
}


def _upgrade_and_die(kind: str, path: str, number: int) -> None:
    left = number

    def arrive() -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    options = _KINDS[kind](arrive)
    with open_to_change(path) as database:
        waiaas.upgrade(database, clock=lambda: NOW, **options)


def main(kind: str) -> None:
    for line in sys.stdin:
        path, number = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _upgrade_and_die(kind, path, number)
                status = 0
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
