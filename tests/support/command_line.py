"""The command `waiaas` as tests run it: in this process, as a separate process, and on a terminal."""

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

# click 8.1 mixes standard error into standard output by default; 8.2 no longer has the option.
_SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
_OF_THE_USER = ("WAIAAS_LANG", "WAIAAS_DATABASE", "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS")
_END = b"<end>"


def run(*arguments: str | Path, typed: str | None = None, **environment: str) -> Result:
    """Run the command in this process."""
    variables = {**dict.fromkeys(_OF_THE_USER), **environment}
    runner, words = CliRunner(**_SEPARATE), [*map(str, arguments)]
    return runner.invoke(main, words, env=variables, catch_exceptions=False, input=typed, prog_name="waiaas")


def program(*arguments: str | Path, code: str | None = None, **environment: Any) -> Any:
    """Run the real program, or Python code instead; `stdout` and `stderr` are as for `subprocess`.

    Its output is UTF-8 text, or bytes with `binary`.
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
    """Run the real program with a terminal as its standard error, and return the terminal's output second."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = b""
    try:
        result = program(*arguments, stderr=slave, **{"TERM": "xterm", **environment})
        # A closed terminal may discard unread output, so it is first read up to a mark.
        os.write(slave, _END)
        while not written.endswith(_END):
            written += os.read(master, 4096)
    finally:
        os.close(slave)
        os.close(master)
    return result, written.removesuffix(_END).decode()


# A signal that another thread takes does not interrupt the read of the main thread, like one that comes just before.
_SIGNALS_ELSEWHERE = """
import signal, threading
from waiaas.cli import main

threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
main(prog_name="waiaas")
"""


def signalled_at_question(*arguments: str | Path, number: int, interrupts_read: bool) -> tuple[int, str]:
    """Run the program on a terminal, send it a signal as its question appears, and return exit code and output."""
    start = ["-m", "waiaas"] if interrupts_read else ["-c", _SIGNALS_ELSEWHERE]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *start, *map(str, arguments)],
        env=variables_of_a_program(TERM="xterm"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    written = b""
    try:
        while b"[y/N]" not in written:
            written += os.read(master, 4096)
        process.send_signal(number)
        code = process.wait(timeout=20)
        os.write(slave, _END)
        while not written.endswith(_END):
            written += os.read(master, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)
    return code, written.removesuffix(_END).decode()


def left_on_screen(written: str, columns: int = 80) -> str:
    """Return what a terminal shows at the end, with overwritten and erased lines, without wrapping."""
    lines = []
    for line in written.split("\r\n"):
        shown = ""
        for part in line.split("\r"):
            text, erase, after = part.removeprefix("\x1b[?7l").partition("\x1b[K\x1b[?7h")
            shown = text[:columns] + after if erase else text + shown[len(text) :]
        lines.append(shown.rstrip())
    return "\n".join(lines)


def variables_of_a_program(**variables: str) -> dict[str, str]:
    """Return the environment of a program that finds this library, without settings of the user."""
    inherited = {name: value for name, value in environment().items() if name not in _OF_THE_USER}
    return {**inherited, "PYTHONUTF8": "1", **variables}


def only_object(stdout: str) -> dict[str, Any]:
    """Return the one JSON object in a standard output, which must be on one line."""
    assert stdout.endswith("}\n")
    assert stdout.count("\n") == 1
    found = json.loads(stdout)
    assert isinstance(found, dict)
    return found
