"""Signs of life from long statements, and a way to stop them.

SQLite runs one statement to its end before Python sees anything again, Ctrl-C included. Its progress handler
(https://www.sqlite.org/c3ref/progress_handler.html) is the one thing that is called meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from waiaas.errors.driver import sqlite3

# Instructions of SQLite's virtual machine: some milliseconds.
_INSTRUCTIONS_A_BEAT = 200_000
#: How long a callback waits for the next sign of life at most, about.
SECONDS_BETWEEN_SIGNS = 0.1


class Progress(NamedTuple):
    """A sign of life from a long change.

    `phase` says what is being done, `version` is the schema version being made (None outside a step). Where the
    size of the work is known, `done` of `total` units are behind (rows, or pages of a backup); else both are 0.
    The same is told again while one statement, which does not say how far it is, runs for long.
    """

    phase: str
    version: int | None = None
    done: int = 0
    total: int = 0


ProgressCallback = Callable[[Progress], None]


class Pulse:
    """Tells progress to a callback, and tells it again while one statement runs for long; without one, nobody."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        """Take whom to tell."""
        self._callback = callback
        self._last: Progress | None = None
        self._told_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Tell progress."""
        self._last, self._told_at = progress, time.monotonic()
        if self._callback is not None:
            self._callback(progress)

    @contextmanager
    def during(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Tell the last progress again and again while the statements of a connection run.

        What the callback raises, or Ctrl-C, stops the statement: SQLite says "interrupted", and what stopped it is
        raised in place of that. The connection's own progress handler is taken for this, and none is left at the
        end; so without a callback the connection is left alone.
        """
        if self._callback is None:
            yield
            return
        stopped_by: list[BaseException] = []
        beats = self._beats(stopped_by)
        next(beats)
        connection.set_progress_handler(beats.__next__, _INSTRUCTIONS_A_BEAT)
        try:
            yield
        except Exception as error:
            if stopped_by:
                raise stopped_by[0] from error
            raise
        finally:
            connection.set_progress_handler(None, 0)
            beats.close()

    def _beats(self, stopped_by: list[BaseException]) -> Generator[int, None, None]:
        """Yield what the handler answers: 0 to go on, 1 once to stop; then the statements that clean up run through.

        It is a generator since Ctrl-C is raised as soon as Python code runs again: in a function that is at its first
        line, before any `try`, and sqlite3 forgets what its callbacks raise. A generator goes on inside its `try`.
        """
        try:
            while True:
                yield 0
                self._tell_again()
        except GeneratorExit:
            return
        except BaseException as error:
            stopped_by.append(error)
        yield 1
        while True:
            yield 0

    def _tell_again(self) -> None:
        if self._last is not None and time.monotonic() - self._told_at >= SECONDS_BETWEEN_SIGNS:
            self(self._last)
