"""What `authorize` costs inside the applications of the documentation, as a multiple of the same call alone.

    python benchmarks/run.py --only in_apps

On a file and on PostgreSQL. Each application runs in its own server (uvicorn, gunicorn), and one client asks for the
wallet of one session after another. Two figures are compared with the call alone, which is made in a loop by a
thread of the same server, on the connection that it keeps:

* **call**: from the start of `database.sessions.authorize` to its end, as the application calls it; **processor** is
  the processor time of its thread meanwhile, which other programs on the machine hardly change;
* **dependency** (FastAPI): from the moment at which the event loop runs the dependency to the moment at which it has
  the result; it contains the way to a thread of the pool and back.

`inline` is the same application with the dependency as an `async def`, which blocks the event loop. The application
and the loop take turns by blocks; each ratio is the median of the ratios of the blocks' medians.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from http_load import DOCUMENTATION, wait_for
from issued_sessions import make_issued_file
from measure import machine

import waiaas

_PER_BLOCK = 100
_taken: dict[str, list[int]] = {"call": [], "processor": [], "dependency": []}


class _Timed:
    """Sessions whose `authorize` records how long it took."""

    def __init__(self, database: waiaas.Database) -> None:
        self._authorize = database.sessions.authorize

    def authorize(self, *arguments: Any, **options: Any) -> Any:
        started, processor = time.perf_counter_ns(), time.thread_time_ns()
        try:
            return self._authorize(*arguments, **options)
        finally:
            _taken["processor"].append(time.thread_time_ns() - processor)
            _taken["call"].append(time.perf_counter_ns() - started)


def _block(timed: _Timed, seed: int) -> dict[str, float]:
    """Return the medians of the last block of requests, and of one of calls alone, in microseconds."""
    tokens = json.loads(Path(os.environ["TOKENS"]).read_text("utf-8"))
    in_app = _medians()
    for token in random.Random(seed).choices(tokens, k=_PER_BLOCK):
        timed.authorize(token, None, must_be_active=False)
    return in_app | {f"{name} alone": value for name, value in _medians().items()}


def _medians() -> dict[str, float]:
    """Return the medians of what was recorded since the last call, in microseconds."""
    found = {name: statistics.median(taken) / 1000 for name, taken in _taken.items() if taken}
    for taken in _taken.values():
        taken.clear()
    return found


def create_fastapi() -> Any:
    """Create the FastAPI application in the server."""
    sys.path.insert(0, str(DOCUMENTATION))
    import fastapi.dependencies.utils as solving
    import fastapi_app

    if os.environ["APP"] == "inline":
        source = Path(fastapi_app.__file__).read_text("utf-8").replace("\ndef authorize", "\nasync def authorize")
        exec(compile(source, fastapi_app.__file__, "exec"), fastapi_app.__dict__)
    run_in_threadpool = solving.run_in_threadpool

    async def timed_run(function: Any, *arguments: Any, **options: Any) -> Any:
        started = time.perf_counter_ns()
        result = await run_in_threadpool(function, *arguments, **options)
        if function is fastapi_app.authorize_to_look:
            _taken["dependency"].append(time.perf_counter_ns() - started)
        return result

    solving.run_in_threadpool = timed_run
    app = fastapi_app.create_app(os.environ["TARGET"], is_master_password=bool, keystore=None)

    @app.get("/start")
    def start() -> None:
        app.state.timed = app.state.database.__dict__["sessions"] = _Timed(app.state.database)

    @app.get("/block")
    def block(seed: int) -> Any:
        return _block(app.state.timed, seed)

    return app


def create_flask() -> Any:
    """Create the Flask application in the server."""
    sys.path.insert(0, str(DOCUMENTATION))
    import flask
    import flask_app

    app = flask_app.create_app(os.environ["TARGET"], "only for this benchmark", lambda wallet, message: message)
    database = app.extensions["waiaas"]
    timed = database.__dict__["sessions"] = _Timed(database)
    app.add_url_rule("/start", "start", dict)
    app.add_url_rule("/block", "block", lambda: _block(timed, int(flask.request.args["seed"])))
    return app


_SERVERS = {
    "fastapi": ["uvicorn", "--factory", "in_apps:create_fastapi", "--log-level", "warning", "--no-access-log"],
    "inline": ["uvicorn", "--factory", "in_apps:create_fastapi", "--log-level", "warning", "--no-access-log"],
    "flask": ["gunicorn", "--threads", "4", "--log-level", "warning", "in_apps:create_flask()"],
}
_PATHS = {"fastapi": "/v1/wallet/address", "inline": "/v1/wallet/address", "flask": "/v1/wallet"}


def measure(app: str, target: str, tokens: Path, rounds: int) -> dict[str, float]:
    """Start an application, send requests to it, and return the ratios."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    address = ["--bind", f"127.0.0.1:{port}"] if app == "flask" else ["--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", *_SERVERS[app], *address],
        env={**os.environ, "APP": app, "TARGET": target, "TOKENS": str(tokens), "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        wait_for(port)
        return _ratios(app, port, json.loads(tokens.read_text("utf-8")), rounds)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _ratios(app: str, port: int, tokens: list[str], rounds: int) -> dict[str, float]:
    client = http.client.HTTPConnection("127.0.0.1", port)

    def get(path: str, **headers: str) -> Any:
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {answer.decode()}")
        return json.loads(answer)

    get("/start")
    blocks = []
    for number in range(rounds + 1):
        for token in random.Random(number).choices(tokens, k=_PER_BLOCK):
            get(_PATHS[app], Authorization=f"Bearer {token}")
        blocks.append(get(f"/block?seed={number}"))
    blocks = blocks[1:]  # the first round warms up
    median = {name: statistics.median(block[name] for block in blocks) for name in blocks[0]}
    baselines = {"call": "call alone", "dependency": "call alone", "processor": "processor alone"}
    ratios = {
        f"{name} ratio": statistics.median(block[name] / block[baseline] for block in blocks)
        for name, baseline in baselines.items()
        if name in median
    }
    return {name: round(value, 2) for name, value in (median | ratios).items()}


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure every application on each engine."""
    from support.postgresql_server import Server

    path, tokens = folder / "wallets.db", folder / "tokens.json"
    tokens.write_text(json.dumps([each.token for each in make_issued_file(path, sessions)]), "utf-8")
    server = Server.create()
    try:
        waiaas.move(path, server.url())
        targets = {"SQLite": str(path), "PostgreSQL": server.url()}
        engines = {
            engine: {app: measure(app, target, tokens, rounds) for app in _SERVERS}
            for engine, target in targets.items()
        }
    finally:
        server.remove()
    return {"machine": machine(), "sessions": sessions, "engines": engines}
