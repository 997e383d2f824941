"""The files of the how-to page about deployment, run as on a server."""

from __future__ import annotations

import configparser
import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.postgresql_server import Databases

import waiaas
from waiaas.demo import make_version_18

HOW_TO = Path(__file__).resolve().parent.parent / "docs" / "how-to"
FOLDER = HOW_TO / "deployment"
ADMIN = {"X-Master-Password": "only for these tests"}
PROGRAMS = Path(sys.executable).parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="these servers need POSIX signals"),
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The variables that the servers read: an old file, and the master password."""
    make_version_18(tmp_path / "wallets.db")
    (tmp_path / "password").write_text(f"{ADMIN['X-Master-Password']}\n", "utf-8")
    return os.environ | {
        "WALLETS": str(tmp_path / "wallets.db"),
        "MASTER_PASSWORD_FILE": str(tmp_path / "password"),
        "PYTHONPATH": os.pathsep.join([str(HOW_TO), str(FOLDER)]),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class Client(http.client.HTTPConnection):
    """A connection to a server that listens on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@contextmanager
def serving(command: str, environment: dict[str, str]) -> Iterator[Path]:
    """Run a server on a listening Unix socket, passed as `{fd}`, and stop it as systemd does."""
    path = Path(environment["MASTER_PASSWORD_FILE"]).with_name("socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        fd = listening.fileno()
        server = subprocess.Popen(
            shlex.split(command.replace("{fd}", str(fd))),
            env=environment,
            pass_fds=[fd],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield path
        finally:
            server.send_signal(signal.SIGTERM)
            _, log = server.communicate(timeout=60)
            path.unlink(missing_ok=True)
        assert server.returncode in (0, -signal.SIGTERM), log
        assert "Traceback" not in log and "ERROR" not in log, log


def call(server: Path, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, Any]:
    connection = Client(server)
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, headers | {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer else None


def unit(key: str) -> str:
    """Return a command of the systemd unit, with the programs of this environment and a listening socket."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / "wallets.service", "utf-8")
    command = parser["Service"][key].replace("/opt/wallets/.venv/bin", str(PROGRAMS))
    return command.replace("--host 127.0.0.1 --port 8000", "--fd {fd}")


def backups(path: Path) -> list[Path]:
    return [each for each in path.parent.glob("wallets.db.*") if not each.name.endswith(("-wal", "-shm"))]


def refuse_problems(path: Path) -> None:
    """Assert that the file is at the latest version, with one backup and without a problem."""
    assert waiaas.check(path).ok
    assert len(backups(path)) == 1


@pytest.mark.parametrize("option", ["", "--preload"])
def test_gunicorn(environment: dict[str, str], option: str) -> None:
    """Workers that start on an old file upgrade it once, and serve threads at the same time."""
    path = Path(environment["WALLETS"])
    command = f"gunicorn -c {FOLDER / 'gunicorn.conf.py'} --bind fd://{{fd}} {option} wsgi:app"
    with serving(command, environment) as server:
        with waiaas.connect(path) as database:
            wallet = database.wallets.create(
                name="new", chain="solana", environment="testnet", public_key="an address", actor="sam"
            )

        def use_session(_: int) -> set[int]:
            status, session = call(server, "POST", "/v1/sessions", ADMIN, {"walletId": wallet.id})
            agent = {"Authorization": f"Bearer {session['token']}"}
            found = {call(server, "GET", "/v1/wallet", agent)[0] for _ in range(5)}
            revoked, _ = call(server, "DELETE", f"/v1/sessions/{session['id']}", ADMIN)
            refused, _ = call(server, "GET", "/v1/wallet", agent)
            return found | {status, revoked, refused}

        with ThreadPoolExecutor(4) as threads:
            assert set().union(*threads.map(use_session, range(40))) == {200, 201, 401}
    refuse_problems(path)


def test_the_unit_of_systemd(environment: dict[str, str]) -> None:
    """The file is upgraded first; workers only open it, and close it when the service stops."""
    path = Path(environment["WALLETS"])
    for _ in range(2):
        before = shlex.split(unit("ExecStartPre").replace("${WALLETS}", str(path)))
        assert subprocess.run(before, env=environment, capture_output=True, check=False).returncode == 0
        with serving(unit("ExecStart"), environment) as server:
            status, _ = call(server, "GET", "/v1/sessions", ADMIN)
            assert status == 200
    refuse_problems(path)
    assert not path.with_name("wallets.db-wal").exists()


@pytest.mark.parametrize("kind", ["missing", "old"])
def test_a_worker_creates_and_upgrades_nothing(environment: dict[str, str], kind: str) -> None:
    """Without the upgrade step, a missing file and an old file stop the server."""
    path = Path(environment["WALLETS"])
    if kind == "missing":
        path.unlink()
    command = shlex.split(unit("ExecStart").partition(" --")[0])
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert ("There is no file" if kind == "missing" else "must be upgraded") in run.stderr
    assert path.exists() == (kind == "old") and backups(path) == []


def test_the_command_of_the_container(environment: dict[str, str]) -> None:
    """The container upgrades the file, and its server receives the signal that stops the container."""
    path = Path(environment["WALLETS"])
    (line,) = re.findall("^CMD (.*)$", (FOLDER / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    command = shlex.join(json.loads(line)).replace("--host 0.0.0.0 --port 8000", "--fd {fd}")
    with serving(command, environment) as server:
        status, wallet = call(
            server, "POST", "/v1/wallets", ADMIN, {"name": "new", "chain": "solana", "environment": "testnet"}
        )
        agent = {"Authorization": f"Bearer {wallet['session']['token']}"}
        assert (status, call(server, "POST", "/v1/signatures", agent, {})[0]) == (201, 201)
    refuse_problems(path)
    assert not path.with_name("wallets.db-wal").exists()


def test_postgresql(environment: dict[str, str], databases: Databases) -> None:
    """The commands create and upgrade a database of a server, and the workers of the unit open it."""
    with databases.new(empty=True) as url:
        on_server = environment | {"WALLETS": url}
        before = shlex.split(unit("ExecStartPre").replace("${WALLETS}", url))
        for command in ([before[0], "init", url], before):
            subprocess.run(command, env=on_server, capture_output=True, check=True)
        with serving(unit("ExecStart"), on_server) as server:
            status, sessions = call(server, "GET", "/v1/sessions", ADMIN)
            assert (status, sessions) == (200, [])
