"""Commands with failing file calls, and what must hold of the file and the result after each failure."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from support.failing_calls import KINDS, Commands, Ended, Failure
from support.old_files import make_file
from support.sqlite_files import killed

import waiaas

LATEST = waiaas.LATEST_SCHEMA_VERSION
NAME = "wallets.db"
_SIDECARS = ("-wal", "-shm", "-journal")
# A command as Python code: open the file, upgrade it if it is old, and close it.
_CONNECT = f"""
import sys, waiaas
try:
    database = waiaas.connect({NAME!r}).peewee
except waiaas.WAIaaSError as error:
    print(f"{{error.reason}}: {{error}}", file=sys.stderr)
    sys.exit(1)
try:
    database.close_all()
except waiaas.WAIaaSError as error:
    print(f"close: {{error.reason}}: {{error}}", file=sys.stderr)
"""


class Scenario(NamedTuple):
    """A command and its file."""

    name: str
    make: Callable[[Path], object]
    arguments: tuple[str, ...]
    """Of `waiaas`, or `-c` and a program."""
    changes_to: int | None = None
    """The version that the file has after exit code 0; None if the command changes nothing."""


class State(NamedTuple):
    """The content of a file: its schema version, tables, and rows without the times at which versions were applied."""

    version: int
    content: frozenset[Any]


EMPTY = State(0, frozenset())


def _old(version: int, *, wal: bool = False) -> Callable[[Path], object]:
    return lambda path: make_file(path, version, wal=wal)


def _killed(version: int, *suffixes: str) -> Callable[[Path], object]:
    """Make a file whose last rows are in the log of a killed daemon."""
    statement = "INSERT INTO key_value_store (key, value, updated_at) VALUES ('left', 'in the log', 1)"
    return lambda path: killed(path, lambda original: make_file(original, version, wal=True), statement, *suffixes)


def _scenarios() -> Iterator[Scenario]:
    for version in (1, 18):
        for mode, make in (("journal", _old(version)), ("log", _old(version, wal=True))):
            file = f"{version} {mode}"
            yield Scenario(f"upgrade {file}", make, ("upgrade", NAME), LATEST)
            yield Scenario(f"upgrade {file} no backup", make, ("upgrade", NAME, "--no-backup"), LATEST)
            yield Scenario(f"connect {file}", make, ("-c", _CONNECT), LATEST)
            yield Scenario(f"rehearse {file}", make, ("rehearse", NAME))
            for command in ("status", "plan", "check"):
                yield Scenario(f"{command} {file}", make, (command, NAME))
    left = _killed(18, "-wal", "-shm")
    yield Scenario("upgrade 18 log left", left, ("upgrade", NAME), LATEST)
    for command in ("status", "plan", "check"):
        yield Scenario(f"{command} 18 log left", left, (command, NAME))
    yield Scenario("rehearse 18 log left", left, ("rehearse", NAME))
    yield Scenario("connect 19 journal", _old(LATEST), ("-c", _CONNECT), LATEST)
    yield Scenario("connect 19 log", _old(LATEST, wal=True), ("-c", _CONNECT), LATEST)
    yield Scenario("check 19 log", _old(LATEST, wal=True), ("check", NAME))
    yield Scenario("downgrade journal", _old(LATEST), ("downgrade", NAME), 18)
    yield Scenario("downgrade log", _old(LATEST, wal=True), ("downgrade", NAME), 18)
    yield Scenario("init", lambda _: None, ("init", NAME), LATEST)
    yield Scenario("connect nothing", lambda _: None, ("-c", _CONNECT), LATEST)


SCENARIOS = {scenario.name: scenario for scenario in _scenarios()}


class Trial:
    """One scenario, run repeatedly with different failures."""

    def __init__(self, scenario: Scenario, folder: Path, commands: Commands) -> None:
        self.scenario = scenario
        self._folder = folder
        self._commands = commands
        self._path = folder / NAME
        # Cached findings about equal files, and the result of the next upgrade of a state.
        self._known: dict[tuple[bytes, ...], tuple[State, list[str]]] = {}
        self._newest: dict[State, State] = {}
        self._begin()
        self.before = state_of(self._path)
        self._code = self._succeeds(scenario.arguments)
        self.after = state_of(self._path)
        assert self.after.version == (scenario.changes_to or self.before.version)
        self._succeeds(("upgrade", NAME))
        self._newest[self.after] = state_of(self._path)
        self._begin()
        self._succeeds(("upgrade", NAME) if self.before.version else ("init", NAME))
        self._newest[self.before] = state_of(self._path)

    def count(self, kind: str, pattern: str) -> int:
        """Return how many calls of a kind the command makes if none fails."""
        self._begin()
        return self._commands.run(self._folder, self.scenario.arguments, Failure((kind,), pattern)).failed

    def counts(self) -> dict[str, int]:
        """Return how many calls of each kind the command makes if none fails."""
        self._begin()
        return self._commands.run(self._folder, self.scenario.arguments, Failure(tuple(KINDS), "*")).counts

    def run(self, failure: Failure) -> tuple[Ended, list[str]]:
        """Run the command with a failure; return how it ended and the problems."""
        self._begin()
        ended = self._commands.run(self._folder, self.scenario.arguments, failure)
        wrong = list(self._problems(ended))
        if wrong:
            wrong.append(ended.errors.strip() or ended.printed.strip())
        return ended, wrong

    def _problems(self, ended: Ended) -> Iterator[str]:
        if ended.code < 0:
            yield f"killed by signal {-ended.code}"
        if "Traceback" in ended.errors:
            yield "a traceback"
        if ended.code not in (0, 1, self._code):
            yield f"exit code {ended.code}"
        if ended.code not in (0, self._code) and not ended.errors.strip():
            yield "no error message"
        state, wrong_afterwards = self._found()
        expected = self.after if ended.code in (0, self._code) else self.before
        if state != expected and not (ended.code == 1 and not self.before.version and state == EMPTY):
            yield f"exit code {ended.code} and the file is at version {state.version}"
        is_answered = ended.code == self._code and self.scenario.arguments[0] == "status"
        if is_answered and f"version {state.version}" not in ended.printed:
            yield f"wrong answer: {ended.printed}"
        yield from wrong_afterwards

    def _found(self) -> tuple[State, list[str]]:
        """Return the state of the file, and the problems after the next run; cached for equal files."""
        key = tuple(
            path.read_bytes() if path.exists() else b""
            for path in (Path(f"{self._path}{suffix}") for suffix in ("", "-wal", "-journal"))
        )
        if key not in self._known:
            state = state_of(self._path)
            self._known[key] = state, list(self._later_problems(state))
        return self._known[key]

    def _later_problems(self, state: State) -> Iterator[str]:
        """Return the problems after the next run without failures."""
        command = ("upgrade", NAME) if state.version else ("init", NAME)
        ended = self._commands.run(self._folder, command)
        if ended.code:
            yield f"{command[0]} failed afterwards: {ended.errors.strip()}"
        elif state in self._newest and state_of(self._path) != self._newest[state]:
            yield f"other rows after the next {command[0]}"

    def _begin(self) -> None:
        for each in self._folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        self.scenario.make(self._path)

    def _succeeds(self, arguments: tuple[str, ...]) -> int:
        ended = self._commands.run(self._folder, arguments)
        assert ended.code in (0, 3), ended.errors
        return ended.code


def state_of(path: Path) -> State:
    """Read a file with plain SQLite as the next program would, from a copy that is recovered if necessary."""
    if not path.exists() or not path.stat().st_size:
        return EMPTY
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-wal", "-journal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
        return _state_of(copy)


def _state_of(path: Path) -> State:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (whole,) = database.execute("PRAGMA integrity_check").fetchall()[0]
        assert whole == "ok", whole
        content: set[Any] = set(database.execute("SELECT type, name, sql FROM sqlite_master"))
        tables = sorted(name for kind, name, _ in content if kind == "table")
        if not tables:
            return EMPTY
        for table in tables:
            columns = [
                name for _, name, *_ in database.execute(f'PRAGMA table_info("{table}")') if name != "applied_at"
            ]
            rows = database.execute(f'SELECT {", ".join(columns)} FROM "{table}"').fetchall()
            content |= {(table, *row) for row in rows}
        (version,) = database.execute("SELECT max(version) FROM schema_version").fetchone()
        return State(version, frozenset(content))
