"""Callers that ask the services for something at one moment: threads on one database object, or processes on one file.

A call is plain text, so that another process can be told of it: service, method, arguments. What comes of it is an
`Outcome`: the code of a refusal, or what was answered, and the token where there is a new one.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from support.service_set import ServiceSet

import waiaas
from waiaas import WAIaaSError
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema
from waiaas.services import AuthenticatedSession, IssuedSession

#: How many callers there are; a race may have fewer.
CALLERS = 4
#: How many sessions a wallet may have.
SESSIONS_PER_WALLET = 3
# No test waits on purpose: this only ends a run in which callers wait for each other.
_DEADLOCK_AFTER = 120

# The methods that take no actor.
_READS = ("authenticate", "authorize", "get", "list", "resolve", "verify")

Call = tuple[Any, ...]


def new_wallet(key: str) -> Call:
    """Create a wallet."""
    request = {"name": key, "chain": "solana", "environment": "testnet", "publicKey": key}
    return ("wallets", "create", CreateWalletRequestSchema().load(request))


def new_session(*wallet_ids: str) -> Call:
    """Create a session, whose default is the first wallet."""
    return ("sessions", "create", CreateSessionRequestSchema().load({"walletIds": list(wallet_ids)}))


class Outcome(NamedTuple):
    """What came of a call."""

    said: str
    token: str | None = None


class Services(ServiceSet):
    """The services on a file, at a clock that stands still until `now` is set."""

    def __init__(self, path: Path, now: float) -> None:
        self.now = now
        super().__init__(waiaas.connect(path).peewee, lambda: self.now, sessions_per_wallet=SESSIONS_PER_WALLET)

    def make(self, call: Call) -> Any:
        """Make a call, as the administrator if it changes something."""
        service, method, *arguments = call
        options = {} if method in _READS else {"actor": "admin"}
        if arguments and isinstance(arguments[-1], dict):
            options |= arguments.pop()
        return getattr(getattr(self, service), method)(*arguments, **options)

    def ask(self, call: Call) -> Outcome:
        """Make a call and tell what came of it."""
        try:
            answer = self.make(call)
        except WAIaaSError as error:
            return Outcome(f"{error.code} {error}" if error.reason else error.code)
        if isinstance(answer, IssuedSession):
            return Outcome("done", answer.token)
        if isinstance(answer, AuthenticatedSession):
            return Outcome(f"reaches {answer.wallet_id}")
        return Outcome(f"reaches {answer}" if call[1] == "resolve" else "done")


class Threads:
    """Threads that share one database object and its services."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(CALLERS)
        self._barrier = threading.Barrier(CALLERS, timeout=_DEADLOCK_AFTER)
        self._services: Services | None = None

    def open(self, path: Path, now: float) -> None:
        self._services = services = Services(path, now)
        self._all(lambda _: services.database.execute_sql("SELECT count(*) FROM wallets").fetchone())

    def race(self, calls: Sequence[Sequence[Call]]) -> list[list[Outcome]]:
        """Let each caller make its calls, one after another, beginning together."""
        services = self._services
        assert services is not None
        todo = [*calls, *[()] * (CALLERS - len(calls))]
        return self._all(lambda number: [services.ask(call) for call in todo[number]])[: len(calls)]

    def close(self) -> None:
        services, self._services = self._services, None
        if services is not None:
            self._all(lambda _: services.database.close_all())
            services.database.close_all()

    def stop(self) -> None:
        self.close()
        self._pool.shutdown()

    def _all(self, do: Callable[[int], Any]) -> list[Any]:
        """Do something in every thread; each waits for the others, so that each is asked once."""

        def one(number: int) -> Any:
            self._barrier.wait()
            return do(number)

        futures = [self._pool.submit(one, number) for number in range(CALLERS)]
        return [future.result(_DEADLOCK_AFTER) for future in futures]


class Processes:
    """Processes that share a file, each with a database object and services of its own."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        # Kept, for with the object its semaphores would go before the processes have found them.
        self._barrier = barrier = context.Barrier(CALLERS, timeout=_DEADLOCK_AFTER)
        self._lines = []
        self._processes = []
        for _ in range(CALLERS):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, barrier), daemon=True)
            process.start()
            theirs.close()
            self._lines.append(ours)
            self._processes.append(process)

    def open(self, path: Path, now: float) -> None:
        self._ask([("open", path, now)] * CALLERS)

    def race(self, calls: Sequence[Sequence[Call]]) -> list[list[Outcome]]:
        """Let each caller make its calls, one after another, beginning together."""
        todo = [*calls, *[()] * (CALLERS - len(calls))]
        return self._ask([("race", each) for each in todo])[: len(calls)]

    def close(self) -> None:
        self._ask([("close",)] * CALLERS)

    def stop(self) -> None:
        self._ask([("stop",)] * CALLERS)
        for line, process in zip(self._lines, self._processes, strict=True):
            process.join(_DEADLOCK_AFTER)
            assert process.exitcode == 0
            process.close()
            line.close()

    def _ask(self, messages: Sequence[tuple[Any, ...]]) -> list[Any]:
        for line, message in zip(self._lines, messages, strict=True):
            line.send(message)
        answers = []
        for line in self._lines:
            assert line.poll(_DEADLOCK_AFTER), "the callers wait for each other"
            answers.append(line.recv())
        return answers


def serve(line: Any, barrier: Any) -> None:
    """Do in a process of its own what its parent asks for, until it says to stop."""
    services: Services | None = None
    while True:
        word, *said = line.recv()
        answer = None
        if word == "open":
            services = Services(*said)
        elif word == "race" and services is not None:
            barrier.wait()
            answer = [services.ask(call) for call in said[0]]
        elif services is not None:
            services.database.close_all()
            services = None
        line.send(answer)
        if word == "stop":
            return
