"""Commands of waiaas in separate processes in which a chosen file call fails, by the library of `file_calls.c`.

Run as a program, this file is the parent of those processes: for each line it forks, and the fork runs the command
with the failure. Forking takes a tenth of the time that a new Python takes.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from support.file_calls import file_calls_library
from support.python_processes import start_python

#: The kinds of calls that can fail, by their numbers in `file_calls.c`.
KINDS = {
    **{"open": 1, "write": 2, "truncate": 3, "allocate": 4, "sync": 5, "rename": 7, "link": 8, "unlink": 10},
    **{"mkdir": 11, "rmdir": 12, "chmod": 13, "read": 15, "stat": 16, "map": 17, "lock": 18},
}
#: The time (Unix seconds) at which each command runs.
NOW = 1_800_000_000.0
#: The exit code of a command that ended with an exception.
TRACEBACK = 70
# A command that hangs is ended by SIGALRM, and so appears as killed by a signal.
_LONGEST = 60


class Failure(NamedTuple):
    """Which file calls fail, and how."""

    kinds: tuple[str, ...]
    """Names of `KINDS`."""
    pattern: str
    """A shell pattern of paths below the folder; `*` also matches `/`, and the folder itself is empty."""
    number: int = 0
    """Which of these calls of the process, from 1; 0 lets all happen and counts them."""
    error: str = "EIO"
    """The name of an errno, or `short`: half of what was asked for is read or written."""
    is_lasting: bool = False
    """All calls that follow fail too."""

    def __str__(self) -> str:
        """Describe the failure for the message of a test."""
        since = "from" if self.is_lasting else "at"
        return f"{self.error} {since} {'/'.join(self.kinds)} {self.number} of {self.pattern!r}"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    """Its exit code; the number of the signal that killed it, negative; `TRACEBACK`."""
    printed: str
    errors: str
    failed: int
    """How many calls failed, or how many were counted."""
    counts: dict[str, int]
    """By kind, how many calls were counted."""


class Commands:
    """Runs commands of waiaas with failing file calls."""

    def __init__(self) -> None:
        self._parent = start_python("-m", "support.failing_calls", LD_PRELOAD=str(file_calls_library()))

    def __enter__(self) -> Commands:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate()

    def run(self, folder: Path, arguments: Sequence[object], failure: Failure | None = None) -> Ended:
        """Run `waiaas` with arguments in a folder; temporary files are created in `tmp` there.

        If the first argument is `-c`, the second is a Python program and the others are its arguments.
        """
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        with tempfile.TemporaryDirectory() as elsewhere:
            request = {"folder": str(folder), "arguments": [*map(str, arguments)], "elsewhere": elsewhere}
            if failure is not None:
                kinds = sum(1 << KINDS[kind] for kind in failure.kinds)
                number = 0 if failure.error == "short" else getattr(errno, failure.error)
                request["fail"] = f"{kinds} {failure.number} {number} {int(failure.is_lasting)} {failure.pattern}"
            self._parent.stdin.write(json.dumps(request) + "\n")
            self._parent.stdin.flush()
            code = int(self._parent.stdout.readline())
            notes, printed, errors = (Path(elsewhere) / name for name in ("notes", "printed", "errors"))
            noted = notes.read_text("ascii") if notes.exists() else ""
            counts = {kind: count for kind, number in KINDS.items() if (count := noted.count(chr(ord("@") + number)))}
            return Ended(code, printed.read_text("utf-8"), errors.read_text("utf-8"), len(noted), counts)


def _run(arguments: list[str]) -> int:
    from waiaas.cli import main

    try:
        if arguments[0] == "-c":
            sys.argv = arguments
            exec(compile(arguments[1], "program", "exec"), {"__name__": "__main__"})
        else:
            main(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        return TRACEBACK
    return 0


def _become(folder: str, arguments: list[str], elsewhere: str, fail: str = "") -> int:
    """Run a command in this forked process, up to its exit code."""
    for number, name in ((1, "printed"), (2, "errors")):
        os.dup2(os.open(f"{elsewhere}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(folder)
    temporary = f"{folder}/tmp"
    os.makedirs(temporary, exist_ok=True)
    os.environ.update({"TMPDIR": temporary, "SQLITE_TMPDIR": temporary, "FILE_CALLS_FOLDER": folder})
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_LONGEST)
    if fail:
        os.environ.update({"FILE_CALLS_NOTES": f"{elsewhere}/notes", "FILE_CALLS_FAIL": fail})
    code = _run(arguments)
    os.environ.pop("FILE_CALLS_FAIL", None)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main() -> None:
    """Run a command for each line of standard input."""
    time.time = lambda: NOW
    import waiaas.cli
    import waiaas.inspection.rehearsal  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_become(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
