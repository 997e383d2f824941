"""The terminal: printable characters, colour, the progress line, and signals such as Ctrl-C."""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import select
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

import click

from waiaas.cli.korean import KOREAN
from waiaas.cli.messages import OutputLostError, both, translated
from waiaas.errors.driver import sqlite3
from waiaas.progress import Progress

# The labels at the beginning of a line, and their colours.
_COLOURS = {
    **dict.fromkeys(("Error", "Obstacle", "Interrupted", "problem"), "red"),
    **{"What to do": "cyan", "note": "yellow", "Warning": "yellow"},
}
_LABELS = {f"{word}:": colour for label, colour in _COLOURS.items() for word in both(label)}
#: Keys of `click.Context.meta`: whether answers are JSON, and the file that an interrupted command leaves unchanged.
AS_JSON, PATH = "waiaas.json", "waiaas.path"
#: The line of an answer that is the verdict, and its colour.
Verdict = tuple[int, str] | None
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_SECONDS_BETWEEN_DRAWINGS = 0.1
_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]+:/|[\w.-]+:(?=[^\s/]*@)|\bpassword\s*=).*", re.IGNORECASE | re.DOTALL)
_SECONDS_BEFORE_A_FORECAST = 1
_SECONDS_BETWEEN_INTERRUPTS = 0.05
# Control sequences of terminals (ECMA-48; the mode is DEC's).
_ERASE_TO_END, _NO_WRAP, _WRAP = "\x1b[K", "\x1b[?7l", "\x1b[?7h"


class Stopped(KeyboardInterrupt):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def wants_colour() -> bool | None:
    """Return what the environment asks for (https://no-color.org, https://force-color.org); None for nothing."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def print_answer(answer: dict[str, Any] | None, lines: Sequence[str], verdict: Verdict = None) -> None:
    """Print an answer on standard output: with --json as one JSON object (None: nothing), else as lines.

    The verdict is one of the lines, and coloured.
    """
    try:
        _refuse_closed_output()
        if click.get_current_context().meta.get(AS_JSON):
            if answer is not None:
                click.echo(_json(answer))
        else:
            painted = [*map(_coloured, lines)]
            if verdict is not None:
                place, colour = verdict
                painted[place] = click.style(escaped(lines[place]), fg=colour)
            _echo(painted)
    except OSError as error:
        raise OutputLostError(error) from error


def _refuse_closed_output() -> None:
    """Raise an error if standard output was closed before the start (`>&-`), because click ignores this."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def print_error(lines: Sequence[str], answer: dict[str, Any] | None = None) -> None:
    """Print lines on standard error, and an answer, if there is one, as one JSON object on standard output."""
    with suppress(OSError):
        _echo([_coloured(line) for line in lines], err=True)
    if answer is not None:
        with suppress(OSError):
            click.echo(_json(answer))


def give_up_output() -> None:
    """Prevent a second error when Python flushes standard output at exit (see `signal` in its manual)."""
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def quoted(path: str | os.PathLike[str]) -> str:
    r"""Return a path in a form that can be pasted into a shell.

    >>> print(quoted("my wallets.db"), quoted("-wallets.db"), quoted("line\nbreak.db"))
    'my wallets.db' ./-wallets.db $'line\x0abreak.db'
    """
    text = os.fspath(path)
    text = os.path.join(os.curdir, text) if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    shown = (c if c.isprintable() and c not in "\\'" else "".join(f"\\x{b:02x}" for b in os.fsencode(c)) for c in text)
    return f"$'{''.join(shown)}'"


def _echo(lines: Sequence[str], *, err: bool = False) -> None:
    text = "\n".join(lines)
    encoding = _encoding(err)
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)


def _encoding(err: bool = False) -> str:
    """Return the encoding of a stream; click writes UTF-8 to a stream that is ASCII because no locale is set."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    return "utf-8" if codecs.lookup(encoding).name == "ascii" else encoding


def without_passwords(text: str) -> str:
    """Remove everything after the scheme of a URL, or from the password of a connection string on.

    >>> without_passwords("No such command 'postgresql://app:secret@host/wallets'.")
    "No such command 'postgresql:/…"
    """
    return _PASSWORD.sub(r"\1…", text)


def _json(answer: dict[str, Any]) -> str:
    """Return one JSON object, with control characters and characters that cannot be shown as JSON escapes."""
    text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(answer, ensure_ascii=False))
    try:
        text.encode(_encoding())
    except UnicodeEncodeError:  # A file name or a stream that is not UTF-8.
        return json.dumps(answer)
    return text


def escaped(line: str) -> str:
    """Escape line breaks and control characters, which names in a file can contain."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _coloured(line: str) -> str:
    text = escaped(line)
    label = next((label for label in _LABELS if text.lstrip().startswith(label)), None)
    return text.replace(label, click.style(label, fg=_LABELS[label], bold=True), 1) if label else text


class ProgressLine:
    """Progress on one line of a terminal; nothing if the stream is not a terminal.

    click's progress bar needs a known length and leaves a line per phase; an upgrade has more than a hundred.
    """

    def __init__(self, stream: TextIO | None, clock: Callable[[], float] = time.monotonic) -> None:
        is_terminal = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._stream = stream if is_terminal else None
        self._clock = clock
        self._phase: tuple[int | None, str] | None = None
        self._since = self._drawn_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show progress, and for a long phase the time that is left or has passed."""
        now = self._clock()
        if (progress.version, progress.phase) != self._phase:
            self._phase, self._since = (progress.version, progress.phase), now
        elif now - self._drawn_at < _SECONDS_BETWEEN_DRAWINGS and progress.done < progress.total:
            return
        self._drawn_at = now
        self._write(escaped(_progress_text(progress, now - self._since)))

    def clear(self) -> None:
        """Remove the line."""
        if self._phase is not None:
            self._phase = None
            self._write("")

    def _write(self, text: str) -> None:
        # Without automatic wrapping the terminal itself cuts a line that is too long.
        if self._stream is not None:
            with suppress(OSError):  # The work continues if the terminal was closed.
                click.echo(f"\r{_NO_WRAP}{text}{_ERASE_TO_END}{_WRAP}", nl=False, file=self._stream, color=True)


def _progress_text(progress: Progress, elapsed: float) -> str:
    text = _phase(progress.phase)
    if progress.version:
        text = translated("version {version}: {phase}", version=progress.version, phase=text)
    if progress.total:
        count = "{text} {done:,} of {total:,}" if progress.done else "{text}, {total:,} in all"
        text = translated(count, text=text, done=progress.done, total=progress.total)
    if elapsed < _SECONDS_BEFORE_A_FORECAST:
        return text
    if 0 < progress.done < progress.total:
        rest = elapsed * (progress.total - progress.done) / progress.done
        return translated("{text}, {minutes} left", text=text, minutes=_minutes(rest))
    return translated("{text}, {minutes} so far", text=text, minutes=_minutes(elapsed))


def _phase(phase: str) -> str:
    """Return a phase in the language of the command; the name of a table, a column or an index is its last word."""
    words, _, name = phase.rpartition(" ")
    template = f"{words} {{name}}"
    return translated(template, name=name) if template in KOREAN else translated(phase)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """Show progress on standard error, and remove it at the end."""
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.clear()


@contextmanager
def signals_that_stop() -> Iterator[None]:
    """Let Ctrl-C and other signals that end a program raise `Stopped` once, so that the clean-up is not interrupted.

    A signal that is ignored, as under `nohup`, or that already has a handler, is unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupted_by_signals(connection: sqlite3.Connection) -> Iterator[None]:
    """Let a signal that ends the program interrupt a statement that only reads.

    Python handles a signal between two of its own instructions, and SQLite calls back only after thousands of its
    instructions, each of which can take long if a schema computes large values. But SQLite checks for an interrupt at
    each row (https://www.sqlite.org/c3ref/interrupt.html). So a thread waits for the signals.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wait() -> None:
        while number := os.read(reading, 1):
            is_over = number[0] not in _SIGNALS
            while not is_over:
                # More than once: SQLite ignores it just before a statement begins, when Python can no longer react.
                connection.interrupt()
                is_over = bool(select.select([reading], [], [], _SECONDS_BETWEEN_INTERRUPTS)[0])

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    except Exception as error:
        # Until the statement ends, SQLite also interrupts statements that clean up, and their errors hide the signal.
        if (stopped := _signal_before(error)) is not None:
            raise Stopped(stopped.number) from error
        raise
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def _signal_before(error: BaseException) -> Stopped | None:
    """Return the signal in the context of an error."""
    context = error.__context__
    while context is not None and not isinstance(context, Stopped):
        context = context.__context__
    return context


def read_line() -> str:
    """Read a line from the terminal; empty at the end of input.

    A signal that comes just before a read begins to wait would only be handled when the read ends: Python runs its
    handlers between two of its own instructions (https://docs.python.org/3/library/signal.html). So this waits for
    signals and for input at once.
    """
    if sys.platform == "win32" or not sys.stdin.isatty() or threading.current_thread() is not threading.main_thread():
        return sys.stdin.readline()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        while sys.stdin not in select.select([sys.stdin, reading], [], [])[0]:
            os.read(reading, 1)  # a signal whose handler has returned
        return sys.stdin.readline()
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        os.close(reading)


def until_the_commit(callback: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Ignore signals from the commit on: it cannot be undone, and the rest takes little time."""

    def report(progress: Progress) -> None:
        if progress.phase == "committing":
            _hold_signals()
        callback(progress)

    return report


def _hold_signals() -> None:
    """Ignore the signals that end the program."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is _stop:
                signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _: FrameType | None) -> None:
    _hold_signals()
    raise Stopped(number)
