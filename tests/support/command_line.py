"""The command `waiaas` as tests run it: in this process, as a process of its own, and on a terminal."""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from support.python_processes import environment

from waiaas.cli import main

# click 8.1 mixes standard error into standard output unless told otherwise; 8.2 knows no such option any more.
_SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
_OF_THE_USER = ("WAIAAS_LANG", "WAIAAS_DATABASE", "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS")
_END = b"<end>"


def run(*arguments: str | Path, typed: str | None = None, **environment: str) -> Result:
    """Run the command in this process."""
    variables = {**dict.fromkeys(_OF_THE_USER), **environment}
    runner, words = CliRunner(**_SEPARATE), [*map(str, arguments)]
    return runner.invoke(main, words, env=variables, catch_exceptions=False, input=typed, prog_name="waiaas")


def program(*arguments: str | Path, code: str | None = None, **environment: Any) -> Any:
    """Run the real program, or a text of Python in its place; `stdout` and `stderr` are as for `subprocess`.

    What it wrote is text in UTF-8, or bytes with `binary`.
    """
    encoding = None if environment.pop("binary", False) else "utf-8"
    streams = {name: environment.pop(name, subprocess.PIPE) for name in ("stdout", "stderr")}
    start = ["-c", code] if code else ["-m", "waiaas"]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        **streams,
        encoding=encoding,
        env=variables_of_a_program(**environment),
        check=False,
    )


def on_a_terminal(*arguments: str | Path, columns: int = 80, **environment: Any) -> tuple[Any, str]:
    """Run the real program with a terminal as its standard error; what was written there comes second."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = b""
    try:
        result = program(*arguments, stderr=slave, **{"TERM": "xterm", **environment})
        # A terminal that is closed may forget what nobody has read yet, so it is read up to a mark first.
        os.write(slave, _END)
        while not written.endswith(_END):
            written += os.read(master, 4096)
    finally:
        os.close(slave)
        os.close(master)
    return result, written.removesuffix(_END).decode()


def left_on_screen(written: str, columns: int = 80) -> str:
    """What a terminal shows in the end: it goes back to overwrite, erases the rest of a line and does not wrap."""
    lines = []
    for line in written.split("\r\n"):
        shown = ""
        for part in line.split("\r"):
            text, erase, after = part.removeprefix("\x1b[?7l").partition("\x1b[K\x1b[?7h")
            shown = text[:columns] + after if erase else text + shown[len(text) :]
        lines.append(shown.rstrip())
    return "\n".join(lines)


def variables_of_a_program(**variables: str) -> dict[str, str]:
    """The environment of a program that finds this library, and nothing that its user has set."""
    inherited = {name: value for name, value in environment().items() if name not in _OF_THE_USER}
    return {**inherited, "PYTHONUTF8": "1", **variables}


def only_object(stdout: str) -> dict[str, Any]:
    """The one JSON object that a standard output is made of, on one line."""
    assert stdout.endswith("}\n")
    assert stdout.count("\n") == 1
    found = json.loads(stdout)
    assert isinstance(found, dict)
    return found
