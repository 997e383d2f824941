"""Progress of long statements, and a way to stop them.

SQLite runs one statement to its end before Python runs again, so not even Ctrl-C is noticed. Its progress handler
(https://www.sqlite.org/c3ref/progress_handler.html) is the only thing that is called in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from waiaas.errors.driver import sqlite3

# Instructions of SQLite's virtual machine: some milliseconds.
_INSTRUCTIONS_PER_CALL = 200_000
#: At most about how long a callback waits for the next report.
SECONDS_BETWEEN_REPORTS = 0.1


class Progress(NamedTuple):
    """What a long change is doing.

    `phase` describes it; `version` is the schema version that is being made (None outside a step). If the size of the
    work is known, `done` of `total` units are done (rows, or pages of a backup); else both are 0. The same progress is
    reported again and again while one statement, which does not report how far it is, runs for long.
    """

    phase: str
    version: int | None = None
    done: int = 0
    total: int = 0


ProgressCallback = Callable[[Progress], None]


class ProgressReporter:
    """Reports progress to a callback, if there is one, and repeats it while one statement runs for long."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        """Keep the callback."""
        self._callback = callback
        self._last: Progress | None = None
        self._reported_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Report progress."""
        self._last, self._reported_at = progress, time.monotonic()
        if self._callback is not None:
            self._callback(progress)

    @contextmanager
    def during(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Repeat the last progress while the statements of a connection run.

        What the callback raises, or Ctrl-C, stops the statement: SQLite reports "interrupted", and the cause is raised
        instead. The connection's own progress handler is replaced, and removed at the end; without a callback
        the connection is unchanged.
        """
        if self._callback is None:
            yield
            return
        stopped_by: list[BaseException] = []
        answers = self._answers(stopped_by)
        next(answers)
        connection.set_progress_handler(answers.__next__, _INSTRUCTIONS_PER_CALL)
        try:
            yield
        except Exception as error:
            if stopped_by:
                raise stopped_by[0] from error
            raise
        finally:
            connection.set_progress_handler(None, 0)
            answers.close()

    def _answers(self, stopped_by: list[BaseException]) -> Generator[int, None, None]:
        """Yield what the handler returns: 0 to continue, 1 once to stop, then 0 for the statements that clean up.

        It is a generator since Ctrl-C is raised as soon as Python code runs again: in a function that is at its first
        line, before any `try`, and sqlite3 ignores what its callbacks raise. A generator resumes inside its `try`.
        """
        try:
            while True:
                yield 0
                self._repeat()
        except GeneratorExit:
            return
        except BaseException as error:
            stopped_by.append(error)
        yield 1
        while True:
            yield 0

    def _repeat(self) -> None:
        if self._last is not None and time.monotonic() - self._reported_at >= SECONDS_BETWEEN_REPORTS:
            self(self._last)
