"""The services on PostgreSQL next to psycopg by hand: changes by 1 and by 16 callers, and every request's calls.

    python benchmarks/run.py --only postgresql

The server is on the disk of the temporary folder and waits for it (`fsync`), as a real one does: TMPDIR names another
folder. Both sides have a database of their own with the same rows, and take turns. The plain side locks the same rows
and makes the same checks.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from issued_sessions import make_issued_file
from measure import machine, remove
from postgresql_sides import READS, SIDES

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

#: How many processes make changes at the same time, and how many threads each has: one caller, a service with two
#: workers, and programs with one caller each.
SHAPES = {"one": (1, 1), "workers": (2, 8), "programs": (16, 1)}
CHANGES = ("create", "link", "renew")
_CALLS = 200
# So many that no caller runs out of sessions to change.
_LEAST_SESSIONS = 6000


class _Client:
    """A process whose threads have a connection each; see `postgresql_sides.py`."""

    def __init__(self, side: str, url: str, file: Path, parts: Sequence[tuple[int, int]]) -> None:
        script = Path(__file__).with_name("postgresql_sides.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), side, url, str(file), json.dumps(parts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, **order: Any) -> None:
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)

    def receive(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a client has failed")
        return line.strip() if line == "ready\n" else json.loads(line)

    def end(self) -> None:
        self._process.communicate()


def run(sessions: int, rounds: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Measure all, and return the medians and the ratios; `seconds` is how long each side makes changes at a time."""
    from support.postgresql_server import Server

    server = Server.create(fsync="on", max_connections="150", shared_buffers="512MB", max_wal_size="4GB")
    try:
        file, urls = _fill(server, max(sessions, _LEAST_SESSIONS), folder)
        with _clients(urls, file) as clients:
            # Reads come first: a renewal replaces tokens.
            reads = {name: _compare_reads(name, clients, 8 * rounds) for name in READS}
            writers = {name: _compare_writers(name, clients, rounds, seconds) for name in CHANGES}
        version = server.execute("SHOW server_version")[0][0]
    finally:
        server.remove()
    return {
        "machine": machine(),
        "postgresql": version,
        "sessions": max(sessions, _LEAST_SESSIONS),
        "seconds": seconds,
        "writers": writers,
        "reads": reads,
    }


def _fill(server: Any, sessions: int, folder: Path) -> tuple[Path, dict[str, str]]:
    """Make a database with the same rows for each side; return the tokens' file and the URLs."""
    import waiaas

    path, file = folder / "issued.db", folder / "issued.json"
    file.write_text(json.dumps(make_issued_file(path, sessions)), "utf-8")
    server.execute("CREATE DATABASE source TEMPLATE template0")
    waiaas.move(path, server.url("source"))
    remove(path)
    for side in SIDES:
        server.execute(f"CREATE DATABASE {side} TEMPLATE source")
    return file, {side: server.url(side) for side in SIDES}


@contextmanager
def _clients(urls: dict[str, str], file: Path) -> Iterator[dict[tuple[str, str], list[_Client]]]:
    """Start the clients of each side and shape."""
    clients = {
        (side, shape): [_Client(side, url, file, parts) for parts in _parts(shape)]
        for side, url in urls.items()
        for shape in SHAPES
    }
    try:
        for of_shape in clients.values():
            for client in of_shape:
                client.receive()
        yield clients
    finally:
        for of_shape in clients.values():
            for client in of_shape:
                client.end()


def _parts(shape: str) -> list[list[tuple[int, int]]]:
    """Return where each caller of each process begins in the list of sessions, and how far apart its sessions are.

    No two callers of a side have the same session, and no shape has sessions of another.
    """
    processes, threads = SHAPES[shape]
    first, callers = list(SHAPES).index(shape), processes * threads
    parts = [(first + len(SHAPES) * caller, len(SHAPES) * callers) for caller in range(callers)]
    return [parts[start : start + threads] for start in range(0, callers, threads)]


def _compare_writers(
    name: str, clients: dict[tuple[str, str], list[_Client]], rounds: int, seconds: float
) -> dict[str, Any]:
    """Return the changes per second of each side and shape, and the ratios of the times of one change."""
    rates: dict[tuple[str, str], list[float]] = {each: [] for each in clients}
    busy: dict[tuple[str, str], list[float]] = {each: [] for each in clients}
    for number in range(rounds + 1):
        for each in sorted(clients, reverse=bool(number % 2)):
            rate, share = _write(clients[each], name, seconds)
            if number:  # the first round warms up
                rates[each].append(rate)
                busy[each].append(share)
    return {
        "sides": {
            side: {
                shape: {
                    "rate": statistics.median(rates[side, shape]),
                    "busy": statistics.median(busy[side, shape]),
                    "to_one": _ratio(rates[side, "one"], rates[side, shape]),
                }
                for shape in SHAPES
            }
            for side in SIDES
        },
        "ratios": {shape: _ratio(rates["psycopg", shape], rates["waiaas", shape]) for shape in SHAPES},
    }


def _write(clients: Sequence[_Client], name: str, seconds: float) -> tuple[float, float]:
    """Let clients make changes at the same time; return how many per second, and how busy the processors were."""
    before = _processor_times()
    for client in clients:
        client.send(operation=name, seconds=seconds)
    done = [client.receive() for client in clients]
    idle, total = (b - a for a, b in zip(before, _processor_times(), strict=True))
    return sum(calls / taken for calls, taken, *_ in done), 1 - idle / total


def _processor_times() -> tuple[int, int]:
    """Return the idle time (waiting for the disk included) and the whole time of all processors, in ticks."""
    times = [int(each) for each in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    return times[3] + times[4], sum(times)


def _compare_reads(name: str, clients: dict[tuple[str, str], list[_Client]], rounds: int) -> dict[str, Any]:
    """Return the processor time of one call, client and server together, and the ratio."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        for side in sorted(SIDES, reverse=bool(number % 2)):
            (client,) = clients[side, "one"]
            client.send(operation=name, calls=_CALLS)
            calls, _, own, servers = client.receive()
            if number:
                found[side].append((own / calls, servers / calls))
    both = {side: [sum(each) for each in runs] for side, runs in found.items()}
    return {
        "sides": {
            side: {
                "client": 1e6 * statistics.median(own for own, _ in runs),
                "server": 1e6 * statistics.median(servers for _, servers in runs),
            }
            for side, runs in found.items()
        },
        "ratio": _ratio(both["waiaas"], both["psycopg"]),
    }


def _ratio(ours: Sequence[float], others: Sequence[float]) -> float:
    return statistics.median(one / two for one, two in zip(ours, others, strict=True))
