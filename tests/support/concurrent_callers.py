"""Concurrent callers of the services: threads on one database object, or processes on one file.

A call is plain data, so that it can be sent to another process: service, method, arguments. Its result is an
`Outcome`: the code of a refusal, or the returned value, and the token if there is a new one.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from support.postgresql_server import Databases
from support.service_set import ServiceSet

import waiaas
from waiaas import WAIaaSError
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema
from waiaas.services import AuthenticatedSession, IssuedSession

#: The number of callers; a race may have fewer.
CALLERS = 4
#: The maximum number of sessions of a wallet.
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
    """The result of a call."""

    result: str
    token: str | None = None


class Services(ServiceSet):
    """The services on a file, with a clock that stops until `now` is set."""

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
        """Make a call and return its outcome."""
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
        """Let each caller make its calls in sequence, starting together."""
        services = self._services
        assert services is not None
        todo = [*calls, *[()] * (CALLERS - len(calls))]
        return self._all(lambda number: [services.ask(call) for call in todo[number]])[: len(calls)]

    def close(self) -> None:
        services, self._services = self._services, None
        if services is not None:
            services.database.close_all()

    def stop(self) -> None:
        self.close()
        self._pool.shutdown()

    def _all(self, do: Callable[[int], Any]) -> list[Any]:
        """Run something in every thread; each waits for the others, so that every thread runs it once."""

        def one(number: int) -> Any:
            self._barrier.wait()
            return do(number)

        futures = [self._pool.submit(one, number) for number in range(CALLERS)]
        return [future.result(_DEADLOCK_AFTER) for future in futures]


class Processes:
    """Processes that share a file, each with its own database object and services."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        # Kept, because without the object its semaphores would be deleted before the processes have opened them.
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
        """Let each caller make its calls in sequence, starting together."""
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


class PostgresqlProcesses(Processes):
    """Processes that share a PostgreSQL database: a file is moved into it before, and back afterwards."""

    def __init__(self, databases: Databases) -> None:
        super().__init__()
        self._databases = databases
        self._path = Path()
        self._stack = ExitStack()
        self._url = ""

    def open(self, path: Path, now: float) -> None:
        self._path, self._url = path, self._stack.enter_context(self._databases.new(empty=True))
        waiaas.move(path, self._url)
        self._ask([("open", self._url, now)] * CALLERS)

    def close(self) -> None:
        super().close()
        self._path.unlink()
        waiaas.move(self._url, self._path)
        self._stack.close()


def serve(line: Any, barrier: Any) -> None:
    """Run the parent's requests in a separate process until it sends the end."""
    services: Services | None = None
    while True:
        word, *arguments = line.recv()
        answer = None
        if word == "open":
            services = Services(*arguments)
        elif word == "race" and services is not None:
            barrier.wait()
            answer = [services.ask(call) for call in arguments[0]]
        elif services is not None:
            services.database.close_all()
            services = None
        line.send(answer)
        if word == "stop":
            return
