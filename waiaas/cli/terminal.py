"""What reaches the terminal: characters that it can show, colour, the progress line, and signals such as Ctrl-C."""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import shlex
import signal
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TextIO

import click

from waiaas.cli.words import WORDS
from waiaas.errors.driver import sqlite3
from waiaas.progress import Progress

# What a line can begin with, and the colour that this has.
_COLOURS = {
    **dict.fromkeys(("error", "in_the_way", "interrupted", "problem"), "red"),
    **{"what_to_do": "cyan", "note": "yellow", "warning": "yellow"},
}
_LABELS = {f"{words[name]}:": colour for words in WORDS.values() for name, colour in _COLOURS.items()}
#: Which line of an answer is the verdict, and its colour.
Verdict = tuple[int, str] | None
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_SECONDS_BETWEEN_DRAWINGS = 0.1
_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]+:/|\bpassword\s*=).*", re.IGNORECASE | re.DOTALL)
_SECONDS_BEFORE_A_FORECAST = 1


class OutputLostError(Exception):
    """Standard output cannot be written to; `cause` is the operating system's error."""

    def __init__(self, cause: OSError) -> None:
        """Take the error that the operating system gave."""
        super().__init__(str(cause))
        self.cause = cause
        self.is_broken_pipe = cause.errno == errno.EPIPE


class Stopped(KeyboardInterrupt):
    """A signal that asks the program to end."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__()
        self.number = number


def wants_colour() -> bool | None:
    """Tell what the environment says of colour: https://no-color.org, https://force-color.org; None for nothing."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return False if os.environ.get("TERM") == "dumb" else None


def print_answer(answer: dict[str, Any], lines: Sequence[str], *, as_json: bool, verdict: Verdict = None) -> None:
    """Print a command's answer on standard output, as one JSON object or as lines; `verdict` colours one of these."""
    try:
        _refuse_closed_output()
        if as_json:
            click.echo(_json(answer))
        else:
            painted = [*map(_coloured, lines)]
            if verdict is not None:
                place, colour = verdict
                painted[place] = click.style(_shown(lines[place]), fg=colour)
            _echo(painted)
    except OSError as error:
        raise OutputLostError(error) from error


def _refuse_closed_output() -> None:
    """Python has no standard output where it was closed before the start (`>&-`), and click is silent about that."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def print_error(lines: Sequence[str], answer: dict[str, Any] | None = None) -> None:
    """Print lines on standard error, and the same as one JSON object on standard output where there is an answer."""
    with suppress(OSError):
        _echo([_coloured(line) for line in lines], err=True)
    if answer is not None:
        with suppress(OSError):
            click.echo(_json(answer))


def give_up_output() -> None:
    """Let Python not fail a second time when it flushes standard output at its end (see `signal` in its manual)."""
    if sys.stdout is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def quoted(path: str | os.PathLike[str]) -> str:
    r"""Spell a path as it can be pasted into a shell, whatever characters it has.

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
    """The encoding of a stream; click takes one that says ASCII for a locale that was not set, and writes UTF-8."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    return "utf-8" if codecs.lookup(encoding).name == "ascii" else encoding


def without_passwords(text: str) -> str:
    """Cut off what follows the scheme of a URL, or a password in a connection string, in what a person typed.

    >>> without_passwords("No such command 'postgresql://app:secret@host/wallets'.")
    "No such command 'postgresql:/…"
    """
    return _PASSWORD.sub(r"\1…", text)


def _json(answer: dict[str, Any]) -> str:
    """Return one JSON object, with characters that a terminal would obey or not show as escapes of JSON."""
    text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in json.dumps(answer, ensure_ascii=False))
    try:
        text.encode(_encoding())
    except UnicodeEncodeError:  # a file name that is no UTF-8, or a stream that is not
        return json.dumps(answer)
    return text


def _shown(line: str) -> str:
    """Escape what would break a line or command the terminal: names in a file can hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _coloured(line: str) -> str:
    text = _shown(line)
    label = next((label for label in _LABELS if text.lstrip().startswith(label)), None)
    return text.replace(label, click.style(label, fg=_LABELS[label], bold=True), 1) if label else text


class ProgressLine:
    """Progress on one line of a terminal, written over and over; nothing where the stream is no terminal."""

    def __init__(self, stream: TextIO | None, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the stream, standard error, and the clock by which time is told (seconds)."""
        self._stream = stream if stream is not None and stream.isatty() else None
        self._clock = clock
        self._phase: tuple[int | None, str] | None = None
        self._since = self._drawn_at = 0.0
        self._width = 0

    def __call__(self, progress: Progress) -> None:
        """Show progress."""
        if self._stream is None:
            return
        now = self._clock()
        if (progress.version, progress.phase) != self._phase:
            self._phase, self._since = (progress.version, progress.phase), now
        elif now - self._drawn_at < _SECONDS_BETWEEN_DRAWINGS and progress.done < progress.total:
            return
        self._drawn_at = now
        self._draw(_told(progress, now - self._since))

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _draw(self, text: str) -> None:
        text, width = _fitting(_shown(text), self._columns() - 1)
        self._write("\r" + text + " " * (self._width - width))
        self._width = width

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80  # type: ignore[union-attr]
        except OSError:
            return 80

    def _write(self, text: str) -> None:
        # A terminal that is gone is no reason to stop what is going on.
        with suppress(OSError):
            click.echo(text, nl=False, file=self._stream)


def _told(progress: Progress, elapsed: float) -> str:
    """Say what is being done, how much of it is done, and what is left of it or else how long it has taken."""
    step = f"version {progress.version}: " if progress.version else ""
    text = f"{step}{progress.phase}"
    if progress.total:
        # One statement does not tell how many of its rows are behind.
        text += f" {progress.done:,} of {progress.total:,}" if progress.done else f", {progress.total:,} in all"
    if elapsed < _SECONDS_BEFORE_A_FORECAST:
        return text
    if 0 < progress.done < progress.total:
        return f"{text}, {_minutes(elapsed * (progress.total - progress.done) / progress.done)} left"
    return f"{text}, {_minutes(elapsed)} so far"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _fitting(text: str, columns: int) -> tuple[str, int]:
    """Cut a text to a number of columns, of which a Korean letter takes two; return it with those that it takes."""
    width = 0
    for i, character in enumerate(text):
        wide = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width + wide > columns:
            return text[:i], width
        width += wide
    return text, width


@contextmanager
def progress_line() -> Iterator[ProgressLine]:
    """Show progress on standard error, and leave no trace of it there."""
    line = ProgressLine(sys.stderr)
    try:
        yield line
    finally:
        line.clear()


@contextmanager
def signals_that_stop() -> Iterator[None]:
    """Make Ctrl-C, and a signal to end, stop what is going on, once: what cleans up runs to its end.

    A signal that is ignored, as under `nohup`, stays so, and one that a program handles in its own way too.
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

    Python handles a signal between two instructions of its own, and SQLite calls back only after thousands of its
    instructions, of which each can take long where a schema computes large values. But it looks for an interrupt at
    each row (https://www.sqlite.org/c3ref/interrupt.html). So a thread waits for the signals meanwhile.
    """
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def wait() -> None:
        while number := os.read(reading, 1):
            if number[0] in _SIGNALS:
                connection.interrupt()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield
    except Exception as error:
        # Until the statement is finished SQLite also interrupts those that clean up, and their errors hide the signal.
        if (stopped := _signal_before(error)) is not None:
            raise Stopped(stopped.number) from error
        raise
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)
        thread.join()
        os.close(reading)


def _signal_before(error: BaseException) -> Stopped | None:
    """Return the signal during whose handling an error was raised."""
    context = error.__context__
    while context is not None and not isinstance(context, Stopped):
        context = context.__context__
    return context


def until_the_commit(callback: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Take signals that stop no more from the commit on: it cannot be taken back, and what follows is short."""

    def tell(progress: Progress) -> None:
        if progress.phase == "committing":
            _hold_signals()
        callback(progress)

    return tell


def _hold_signals() -> None:
    """Ignore from here on what would stop the program."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is _stop:
                signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _: FrameType | None) -> None:
    _hold_signals()
    raise Stopped(number)
