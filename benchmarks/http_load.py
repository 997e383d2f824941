"""The FastAPI application of the documentation with many concurrent clients.

    python benchmarks/run.py --only http_load

On a SQLite file with one and with two server processes, and on PostgreSQL with a pool of connections. Each client has
its own connection and session. Of ten requests, nine ask for the wallet of the session (`authorize`) and one changes
something: creates a session, links, sets a default wallet, unlinks or revokes.
Measures the throughput, the times, every unexpected response, and the most open connections to the database.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from measure import machine

import waiaas

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

PASSWORD = "only for this benchmark"
ADMINISTRATOR = {"X-Master-Password": PASSWORD}
_POOL_SIZE = 8
DOCUMENTATION = Path(__file__).resolve().parent.parent / "docs" / "how-to"


class Keystore:
    def create_key(self, chain: str, environment: str) -> str:
        return secrets.token_hex(32)

    async def sign(self, public_key: str, message: bytes) -> bytes:
        return message


def create_app() -> Any:
    """Create the application in a worker process of the server."""
    sys.path.insert(0, str(DOCUMENTATION))
    from fastapi_app import create_app

    return create_app(
        os.environ["TARGET"],
        is_master_password=PASSWORD.__eq__,
        keystore=Keystore(),
        settings=waiaas.SessionSettings(sessions_per_wallet=1_000_000),
        pool_size=int(os.environ["POOL_SIZE"]) or None,
    )


class Client:
    """A client with a persistent connection, like the daemon's own clients."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.times: dict[str, list[float]] = {"read": [], "write": []}
        self.unexpected: Counter[str] = Counter()

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def call(
        self, method: str, path: str, headers: dict[str, str], body: Any = None, *, expected: int = 200
    ) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} /v1{path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in headers.items()] + [f"Content-Length: {len(content)}"]
        started = time.perf_counter()
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        answer = await self._reader.readexactly(length)
        self.times["read" if method == "GET" else "write"].append(time.perf_counter() - started)
        status = int(head.split()[1])
        if status != expected:
            self.unexpected[f"{method} {status} {answer[:80].decode()}"] += 1
        return json.loads(answer or b"null")

    async def run(self, wallets: list[str], dice: random.Random, until: float) -> None:
        await self.connect()
        first, second = dice.sample(wallets, 2)
        agent = {"Authorization": f"Bearer {(await self._create_session([first]))['token']}"}
        changes = self._changes(first, second)
        while time.perf_counter() < until:
            for _ in range(9):
                await self.call("GET", "/wallet/address", agent)
            await anext(changes)
        self._writer.close()

    async def _changes(self, first: str, second: str) -> AsyncIterator[None]:
        while True:
            session = await self._create_session([first])
            yield
            of_session = f"/sessions/{session['id']}"
            await self.call("POST", f"{of_session}/wallets", ADMINISTRATOR, {"walletId": second}, expected=201)
            yield
            await self.call("PATCH", f"{of_session}/wallets/{second}/default", ADMINISTRATOR)
            yield
            await self.call("DELETE", f"{of_session}/wallets/{first}", ADMINISTRATOR, expected=204)
            yield
            await self.call("DELETE", of_session, ADMINISTRATOR)
            yield

    async def _create_session(self, wallets: list[str]) -> Any:
        return await self.call("POST", "/sessions", ADMINISTRATOR, {"walletIds": wallets}, expected=201)


async def load(port: int, clients: int, seconds: float, count_connections: Any) -> dict[str, Any]:
    """Let the clients send requests for this number of seconds."""
    setup = Client(port)
    await setup.connect()
    request = {"name": "load", "chain": "solana", "environment": "testnet", "createSession": False}
    wallets = [
        (await setup.call("POST", "/wallets", ADMINISTRATOR, request, expected=201))["id"] for _ in range(clients)
    ]
    everyone = [Client(port) for _ in range(clients)]
    started = time.perf_counter()
    tasks = [
        asyncio.create_task(client.run(wallets, random.Random(number), started + seconds))
        for number, client in enumerate(everyone)
    ]
    open_connections = 0
    while time.perf_counter() < started + seconds:
        await asyncio.sleep(min(1, seconds / 4))
        open_connections = max(open_connections, count_connections())
    failed = [repr(each) for each in await asyncio.gather(*tasks, return_exceptions=True) if each is not None]
    took = time.perf_counter() - started
    times = {kind: sorted(each for client in everyone for each in client.times[kind]) for kind in ("read", "write")}
    requests = sum(map(len, times.values()))
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "requests": requests,
        "requests_per_second": round(requests / took),
        "errors": dict(sum((client.unexpected for client in everyone), Counter(failed))),
        "most_open_connections": open_connections,
        **{
            f"{kind}_ms": {
                f"p{part}": round(1000 * found[min(int(part / 100 * len(found)), len(found) - 1)], 1)
                for part in (50, 99, 100)
            }
            for kind, found in times.items()
        },
    }


def run(clients: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Put the load on the application on each engine."""
    from support.postgresql_server import Server

    runs = {}
    for workers in (1, 2):
        file = str(folder / f"wallets-{workers}.db")
        with _server(file, workers) as (port, process):
            count = partial(connections_of_file, file, process)
            runs[f"SQLite, workers: {workers}"] = asyncio.run(load(port, clients, seconds, count))
    server = Server.create()
    try:
        url = server.url()
        with _server(url, 1, pool_size=_POOL_SIZE) as (port, _):
            count = partial(connections_of_server, url)
            runs["PostgreSQL, workers: 1"] = asyncio.run(load(port, clients, seconds, count))
    finally:
        server.remove()
    return {"machine": machine(), "pool_size": _POOL_SIZE, "runs": runs}


@contextmanager
def _server(target: str, workers: int, *, pool_size: int = 0) -> Iterator[tuple[int, int]]:
    """Start the application in processes of their own; return its port and the group of the processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "http_load:create_app", "--log-level", "warning"]
    command += ["--port", str(port), "--workers", str(workers), "--no-access-log"]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"TARGET": target, "POOL_SIZE": str(pool_size), "PYTHONPATH": path}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def connections_of_file(path: str, group: int) -> int:
    """Return how often the processes of a group have a file open (Linux)."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                found += sum(os.readlink(each) == path for each in (process / "fd").iterdir())
        except OSError:  # it has ended
            continue
    return found


def connections_of_server(url: str) -> int:
    """Return the number of connections to a PostgreSQL database, without the counting one."""
    import psycopg

    with psycopg.connect(url) as connection:
        sql = "SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()"
        (count,) = connection.execute(sql).fetchone() or (0,)
    return int(count)
