"""A primary with a synchronous standby, callers that create and revoke sessions, and failovers under them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import psycopg
from support.postgresql_server import ADMIN, PASSWORD, REPLICATION, Server
from support.proxy import Proxy

import waiaas
from waiaas import WAIaaSError
from waiaas.services import IssuedSession

# No run waits on purpose: this only ends a run that hangs.
_TOO_LONG = 60
# Seconds between two attempts of a caller whose call failed.
_PAUSE = 0.005
_SETTINGS = waiaas.SessionSettings(sessions_per_wallet=1_000_000)


def new_server(**settings: str) -> Server:
    """Return a server with an empty database `wallets`."""
    server = Server.create(**settings)
    server.execute("CREATE DATABASE wallets")
    waiaas.connect(server.url("wallets")).close()
    return server


class Cluster:
    """A primary and a synchronous standby; after a failover the standby is the primary and has a new standby."""

    def __init__(self, **settings: str) -> None:
        self.primary = new_server(**REPLICATION, **settings)
        self.standby = self.primary.standby("standby", synchronous=True)

    def fail_over(self) -> None:
        """Promote the standby."""
        self.standby.promote()

    def renew(self) -> None:
        """Replace the primary that was lost, and its data, with a new standby of the one that was promoted."""
        self.primary.remove()
        self.primary = self.standby
        self.standby = self.primary.standby("standby", synchronous=True)

    def remove(self) -> None:
        for server in (self.primary, self.standby):
            server.remove()


class Watch:
    """A thread that repeats a call until it is stopped, and remembers when it succeeded."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._is_over = threading.Event()
        self._changed = threading.Condition()
        self._last = 0.0
        self._first: float | None = None
        self._since = 0.0
        self.errors: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._repeat)
        self._thread.start()

    def mark(self) -> None:
        """Forget all calls that have begun so far."""
        with self._changed:
            self._since, self._first = time.monotonic(), None

    def first_success(self) -> float:
        """Wait for the first success of a call that began after `mark`, and return when it was."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._first is not None, _TOO_LONG), self.errors
            assert self._first is not None
            return self._first

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(_TOO_LONG)
        assert not self._thread.is_alive()

    def _repeat(self) -> None:
        while not self._is_over.is_set():
            begun = time.monotonic()
            try:
                self._call()
            except (WAIaaSError, psycopg.Error) as error:
                self.errors[getattr(error, "reason", None) or type(error).__name__] += 1
                self._is_over.wait(_PAUSE)
                continue
            with self._changed:
                if self._first is None and begun >= self._since:
                    self._first = time.monotonic()
                    self._changed.notify_all()


class Caller:
    """Creates sessions and revokes some of them, and remembers what was acknowledged."""

    def __init__(self, database: waiaas.Database, wallet_id: str, seed: int) -> None:
        self._database, self._wallet_id, self._dice = database, wallet_id, random.Random(seed)
        self.created: dict[str, IssuedSession] = {}
        self.revoked: set[str] = set()
        #: Sessions whose revocation failed; it may have been done if the reason is `commit_unknown`.
        self.not_revoked: dict[str, str] = {}
        self.failed_creations: Counter[str] = Counter()

    def __call__(self) -> None:
        try:
            issued = self._database.sessions.create(wallet_ids=[self._wallet_id], actor="caller")
        except WAIaaSError as error:
            self.failed_creations[error.reason or error.code] += 1
            raise
        self.created[issued.id] = issued
        if self._dice.random() < 0.3:
            try:
                self._database.sessions.revoke(issued.id, actor="caller")
            except WAIaaSError as error:
                self.not_revoked[issued.id] = error.reason or error.code
                raise
            self.revoked.add(issued.id)


def run_failover(cluster: Cluster, callers: int, seed: int, *, by_network: bool = False) -> Counter[str]:
    """Lose the primary while callers work, and return counts of what was acknowledged, lost and unknown.

    :param by_network: whether the primary goes on without its clients, instead of losing power.
    """
    with ExitStack() as stack:
        ports = cluster.primary.port, cluster.standby.port
        proxies = [stack.enter_context(Proxy.before(port)) for port in ports] if by_network else []
        address = ",".join(f"127.0.0.1:{port}" for port in ([proxy.port for proxy in proxies] or ports))
        url = f"postgresql://{ADMIN}:{PASSWORD}@{address}/wallets?target_session_attrs=read-write"
        database = waiaas.connect(url, settings=_SETTINGS)
        stack.callback(database.close)
        working = [Caller(database, _new_wallet(database, f"{seed} {number}"), seed) for number in range(callers)]
        with _watched([lambda: _ask(url), *working]) as (plain, *watches):
            _wait_until(lambda: sum(len(caller.created) for caller in working) >= 20 * callers)
            proxies[0].stop() if by_network else cluster.primary.kill()
            for watch in (plain, *watches):
                watch.mark()
            cluster.fail_over()
            there = plain.first_success()
            late = max(watch.first_success() for watch in watches) - there
        counts = _count(cluster, working)
    counts["late_ms"] = max(0, round(1000 * late))
    return counts


def _new_wallet(database: waiaas.Database, key: str) -> str:
    wallet = database.wallets.create(
        name=key, chain="solana", environment="testnet", public_key=f"{time.time_ns()} {key}", actor="test"
    )
    return wallet.id


def _ask(url: str) -> None:
    with psycopg.connect(url, connect_timeout=2) as connection:
        connection.execute("SELECT 1")


@contextmanager
def _watched(calls: list[Callable[[], object]]) -> Iterator[list[Watch]]:
    watches = [Watch(call) for call in calls]
    try:
        yield watches
    finally:
        for watch in watches:
            watch.stop()


def _wait_until(is_true: Callable[[], bool]) -> None:
    deadline, never = time.monotonic() + _TOO_LONG, threading.Event()
    while not is_true():
        assert time.monotonic() < deadline
        never.wait(_PAUSE)


def _count(cluster: Cluster, callers: list[Caller]) -> Counter[str]:
    """Compare what was acknowledged to callers with what the promoted server has."""
    counts: Counter[str] = Counter()
    wallets = [caller._wallet_id for caller in callers]
    rows: dict[str, Any] = dict(
        cluster.standby.execute(
            "SELECT s.id, s.revoked_at FROM sessions s JOIN session_wallets l ON l.session_id = s.id"
            f" WHERE l.wallet_id IN ({', '.join(map(repr, wallets))})",
            "wallets",
        )
    )
    with waiaas.connect(cluster.standby.url("wallets"), settings=_SETTINGS) as database:
        for caller in callers:
            counts["acknowledged"] += len(caller.created)
            counts["lost"] += len(caller.created.keys() - rows.keys())
            counts["acknowledged revocations"] += len(caller.revoked)
            counts["valid again"] += sum(_is_valid(database, caller.created[id_].token) for id_ in caller.revoked)
            counts["revocations unknown"] += sum(each == "commit_unknown" for each in caller.not_revoked.values())
            counts["refused but done"] += sum(
                rows.get(id_) is not None for id_, reason in caller.not_revoked.items() if reason != "commit_unknown"
            )
            counts["creations unknown"] += caller.failed_creations["commit_unknown"]
            counts["failed calls"] += caller.failed_creations.total() + len(caller.not_revoked)
    counts["unknown but done"] = len(rows) - (counts["acknowledged"] - counts["lost"])
    return counts


def _is_valid(database: waiaas.Database, token: str) -> bool:
    with suppress(WAIaaSError):
        database.sessions.authorize(token)
        return True
    return False


def restart_delay(server: Server, seed: int) -> float:
    """Crash and restart a server under callers; return the seconds from a new connection's success to theirs."""
    url = server.url("wallets")
    with waiaas.connect(url, settings=_SETTINGS) as database:
        caller = Caller(database, _new_wallet(database, f"restart {seed}"), seed)
        caller()
        with _watched([lambda: _ask(url), caller, lambda: database.links.list(next(iter(caller.created)))]) as watches:
            for watch in watches:
                watch.first_success()
            server.stop("immediate")
            for watch in watches:
                watch.mark()
            server.start()
            plain, *ours = (watch.first_success() for watch in watches)
    return max(0.0, max(ours) - plain)
