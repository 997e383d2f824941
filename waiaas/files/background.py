"""Work that a thread does while a database is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from waiaas.progress import SECONDS_BETWEEN_SIGNS, Pulse

if TYPE_CHECKING:
    from peewee import SqliteDatabase

    from waiaas.progress import Progress

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


def submit(
    threads: ThreadPoolExecutor,
    job: Callable[_Arguments, _Result],
    *arguments: _Arguments.args,
    **more: _Arguments.kwargs,
) -> Future[_Result]:
    """Let a thread do a job, or do it here and now if this process can have no more threads."""
    try:
        return threads.submit(job, *arguments, **more)
    except RuntimeError:  # "can't start new thread": too little memory for its stack, or a limit of the system
        done: Future[_Result] = Future()
        try:
            done.set_result(job(*arguments, **more))
        except Exception as error:
            done.set_exception(error)
        return done


class Background(Generic[_Result]):
    """A job that a thread does beside a change of the database, to be ended before the change is committed.

    It costs no time where there is a second processor. Its progress is told once it is waited for, so that a callback
    hears of one thing at a time, and from the thread that it was given in.
    """

    def __init__(self, job: Callable[[Pulse], _Result], pulse: Pulse) -> None:
        """Begin the job, which gets a pulse of its own and has to keep it going, for it is stopped through that."""
        self._pulse = pulse
        self._last: Progress | None = None
        self._stopped = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._job = submit(self._thread, job, Pulse(self._hear))

    def raise_failure(self) -> None:
        """Raise what the job has raised, if it has ended so already."""
        if self._job.done():
            self._job.result()

    def result(self) -> _Result:
        """Wait for the job, telling its progress, and return its result or raise what it raised."""
        while not wait([self._job], SECONDS_BETWEEN_SIGNS).done:
            if self._last is not None:
                self._pulse(self._last)
        return self._job.result()

    def end(self, *, stop: bool) -> _Result | None:
        """Wait for the job, which ends soon if it is told to `stop`, and return its result if it has one."""
        if stop:
            self._stopped.set()
        self._thread.shutdown()
        return None if self._job.exception() else self._job.result()

    def _hear(self, progress: Progress) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        self._last = progress


class _StoppedError(Exception):
    """Ends a job whose result nobody waits for any more."""


def can_read_beside(database: SqliteDatabase) -> bool:
    """Tell whether another connection can read a database, as it was before, until a change of it is committed.

    So it is with a write-ahead log (https://www.sqlite.org/wal.html#concurrency). Elsewhere a reader keeps the change
    from being written, and what a transaction has done is undone page by page, which needs pages that are whole.
    """
    return (database.pragma("journal_mode"), database.pragma("locking_mode")) == ("wal", "normal")
