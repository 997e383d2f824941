"""Two callers on one PostgreSQL database, stepped statement by statement through the orders that the locks allow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Any

import psycopg
from support.service_set import ServiceSet

from waiaas import WAIaaSError
from waiaas.backends.postgresql import PostgresqlDatabase, open_database

# No run waits on purpose: this only ends a run that hangs.
_TOO_LONG = 60
# Seconds before the server is asked whether a statement waits for a lock.
_ASK_AFTER = 0.004

Operation = Callable[[ServiceSet], object]


class Caller:
    """A thread with its own connection and services, which stops before each statement."""

    def __init__(self, url: str, clock: Callable[[], float], **settings: int) -> None:
        self.database: PostgresqlDatabase = open_database(url, busy_timeout=_TOO_LONG)
        self.services = ServiceSet(self.database, clock, **settings)
        #: `running`, `stopped` before a statement, `waiting` for a lock, or `done`.
        self.state = "done"
        self.outcome = ""
        self.process_id = 0
        self._changed = threading.Condition()
        self._is_stepped = False
        self._operations: SimpleQueue[tuple[Operation, bool] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        for name in ("execute_sql", "_execute_simple"):
            setattr(self.database, name, self._stopping(getattr(self.database, name)))
        self._thread.start()

    def start(self, operation: Operation) -> None:
        """Start an operation, and wait until it stops before its first statement."""
        self.state = "running"
        self._operations.put((operation, True))
        assert self._wait(_TOO_LONG)

    def call(self, operation: Operation) -> None:
        """Run an operation without a stop."""
        self.state = "running"
        self._operations.put((operation, False))
        assert self._wait(_TOO_LONG)

    def step(self) -> None:
        """Let the caller run its next statement."""
        with self._changed:
            self.state = "running"
            self._changed.notify_all()

    def settle(self, server: psycopg.Connection[Any]) -> None:
        """Wait until the caller stops before its next statement, is done, or waits for a lock."""
        with self._changed:
            if self.state == "waiting":
                self.state = "running"
        while not self._wait(_ASK_AFTER):
            row = server.execute("SELECT pg_blocking_pids(%s) <> '{}'", (self.process_id,)).fetchone()
            if row == (True,):
                with self._changed:
                    if self.state == "running":
                        self.state = "waiting"
                return

    def close(self) -> None:
        self._operations.put(None)
        self._thread.join(_TOO_LONG)
        assert not self._thread.is_alive()

    def _wait(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.state in ("stopped", "done"), seconds)

    def _set(self, state: str) -> None:
        with self._changed:
            self.state = state
            self._changed.notify_all()

    def _stopping(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def stop_and_run(*arguments: Any, **options: Any) -> Any:
            if self._is_stepped:
                with self._changed:
                    self.state = "stopped"
                    self._changed.notify_all()
                    assert self._changed.wait_for(lambda: self.state == "running", _TOO_LONG)
            return run(*arguments, **options)

        return stop_and_run

    def _serve(self) -> None:
        self.process_id = self.database.connection().info.backend_pid
        while (ordered := self._operations.get()) is not None:
            operation, self._is_stepped = ordered
            try:
                operation(self.services)
            except WAIaaSError as error:
                self.outcome = error.reason or error.code
            except BaseException as error:
                self.outcome = repr(error)
            else:
                self.outcome = "done"
            self._is_stepped = False
            self._set("done")
        self.database.close()


def run_in_order(
    callers: Sequence[Caller], operations: Sequence[Operation], choices: Sequence[int], server: psycopg.Connection[Any]
) -> list[tuple[int, Sequence[int]]]:
    """Run one operation per caller, and return who ran each statement, and who else could have run one.

    The first statements are run by the callers in `choices`; after them, each caller runs as long as it can.
    """
    for caller, operation in zip(callers, operations, strict=True):
        caller.start(operation)
    trace: list[tuple[int, Sequence[int]]] = []
    running = 0
    while any(caller.state != "done" for caller in callers):
        able = [number for number, caller in enumerate(callers) if caller.state == "stopped"]
        assert able, "both callers wait for a lock"
        if len(trace) < len(choices):
            running = choices[len(trace)]
        elif running not in able:
            running = able[0]
        assert running in able, "another run of the same order took another way"
        trace.append((running, able))
        callers[running].step()
        callers[running].settle(server)
        # The commit of this statement may unblock the other caller.
        callers[1 - running].settle(server)
    return trace


def orders(
    run: Callable[[Sequence[int]], list[tuple[int, Sequence[int]]]], switches: int | None
) -> Iterator[list[int]]:
    """Run every order of the statements of two callers, and return each.

    :param run: runs one order, given by who runs the first statements; see `run_in_order`.
    :param switches: how often at most a caller that could run is left for the other; None: any number of times.
    """
    todo: list[list[int]] = [[], [1]]
    while todo:
        choices = todo.pop()
        trace = run(choices)
        taken = [choice for choice, _ in trace]
        yield taken
        for position in range(max(len(choices), 1), len(trace)):
            for other in trace[position][1]:
                begun = [*taken[:position], other]
                if other != taken[position] and (switches is None or _switches(begun, trace) <= switches):
                    todo.append(begun)


def _switches(choices: Sequence[int], trace: Sequence[tuple[int, Sequence[int]]]) -> int:
    """Count how often the other caller takes over from one that could run."""
    return sum(
        before != choice and before in able
        for before, choice, (_, able) in zip(choices, choices[1:], trace[1:], strict=False)
    )
