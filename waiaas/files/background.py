"""Work that a thread does while a database is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, TypeVar

from waiaas.progress import SECONDS_BETWEEN_REPORTS, ProgressReporter

if TYPE_CHECKING:
    from peewee import SqliteDatabase

    from waiaas.progress import Progress

_Result = TypeVar("_Result")
_Argument = TypeVar("_Argument")


def submit(threads: ThreadPoolExecutor, job: Callable[[_Argument], _Result], argument: _Argument) -> Future[_Result]:
    """Run a job in a thread, or at once if this process cannot start a thread."""
    try:
        return threads.submit(job, argument)
    except RuntimeError:  # "can't start new thread": too little memory for its stack, or a limit of the system
        done: Future[_Result] = Future()
        try:
            done.set_result(job(argument))
        except Exception as error:
            done.set_exception(error)
        return done


class Background(Generic[_Result]):
    """A job that a thread runs during a change of the database, and that ends before the change is committed.

    With a second processor this takes a quarter less time than to start the change after the job. The progress of the
    job is reported only while the change waits for it, and by the thread of the change, so that a callback does not
    get the progress of both at once.
    """

    def __init__(self, job: Callable[[ProgressReporter], _Result], reporter: ProgressReporter) -> None:
        """Start the job, which must use its own progress reporter, because that stops it."""
        self._reporter = reporter
        self._last: Progress | None = None
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._job = submit(self._thread, job, ProgressReporter(self._keep))

    def raise_failure(self) -> None:
        """Raise the error of the job if it has failed already."""
        if self._job.done():
            self._job.result()

    def result(self) -> _Result:
        """Wait for the job and report its progress; return its result or raise its error."""
        while not wait([self._job], SECONDS_BETWEEN_REPORTS).done:
            if self._last is not None:
                self._reporter(self._last)
        return self._job.result()

    def end(self, *, stop: bool) -> _Result | None:
        """Wait for the job, which ends soon with `stop`, and return its result if it has one."""
        if stop:
            self._stopped.set()
        self._thread.shutdown()
        return None if self._job.exception() else self._job.result()

    def _keep(self, progress: Progress) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        self._last = progress


class _StoppedError(Exception):
    """Ends a job whose result is no longer needed."""


def allows_concurrent_reader(database: SqliteDatabase) -> bool:
    """Return whether another connection can read the unchanged database until a change is committed.

    It can with a write-ahead log (https://www.sqlite.org/wal.html#concurrency). With a rollback journal a reader
    blocks the writing of the change, and a rollback restores single pages, so these must be intact from the start.
    """
    return (database.pragma("journal_mode"), database.pragma("locking_mode")) == ("wal", "normal")
