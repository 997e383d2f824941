"""Commands on a database file during a power cut, and checks of the file afterwards."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from support.command_line import run, variables_of_a_program
from support.old_files import make_file
from support.power_cuts import Log, Model, State, record_disk, states
from support.sqlite_files import killed

import waiaas
from waiaas.files.opening import SIDECARS
from waiaas.migrations.opening import open_read_only, open_to_change

MODELS: tuple[Model, ...] = ("weak", "ordered")
_NAME = "wallets.db"
_LATEST = waiaas.LATEST_SCHEMA_VERSION
# A row that is only in the write-ahead log.
_LOGGED = "INSERT INTO wc_store VALUES ('logged', 'in the log alone')"
_CONNECT = """
import sys, waiaas
database = waiaas.connect(sys.argv[1]).peewee
print("done", flush=True)
database.close_all()
"""
_WITH_BACKUP_ELSEWHERE = """
import sys, waiaas
database = waiaas.connect(sys.argv[1], backup=sys.argv[1] + "-backups/").peewee
print("done", flush=True)
database.close_all()
"""
_WITH_JOURNAL_MODE = """
import peewee, sys, waiaas
database = peewee.SqliteDatabase(sys.argv[2], pragmas={"journal_mode": sys.argv[1], "synchronous": "OFF"})
waiaas.upgrade(database)
print("done", flush=True)
database.close()
"""
# When the cache is full, SQLite writes pages to the file or log before the commit
# (https://www.sqlite.org/pragma.html#pragma_cache_spill). These files are small, so the cache is one page.
_WITH_SMALL_CACHE = r"""
import re, sqlite3
def small(sql):
    return re.sub(r"(?i)(cache_size *= *)\S+", r"\g<1>1", sql)
class Cursor(sqlite3.Cursor):
    def execute(self, sql, *parameters):
        return super().execute(small(sql), *parameters)
class WithSmallCache:
    def cursor(self, factory=Cursor):
        return super().cursor(factory)
    def execute(self, sql, *parameters):
        return super().execute(small(sql), *parameters)
connect = sqlite3.connect
def connect_with_small_cache(*arguments, factory=sqlite3.Connection, **options):
    return connect(*arguments, factory=type("Connection", (WithSmallCache, factory), {}), **options)
sqlite3.connect = connect_with_small_cache
from waiaas.cli import main
main()
"""

_Rows = dict[str, list[Any]]


@dataclass(frozen=True)
class Scenario:
    """A command on a file, and how it is repeated afterwards."""

    name: str
    make: Callable[[Path], object]
    """Makes the files before; the path is that of the database."""
    command: Callable[[Path], Sequence[str | Path]]
    finish: Callable[[Path], object]
    """Does what the command does, by the library."""
    has_backup: bool = False
    """Once the file is changed there is a backup of what it was."""
    is_restore: bool = False
    """The file is replaced by its backup, and is then a backup itself."""
    is_quick: bool = False
    """It can be done again in every state."""


@dataclass
class Result:
    """The result of a scenario's power cuts."""

    scenario: str
    model: Model
    states: set[object] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{self.scenario}, {self.model}: {len(self.states)} states ({found}), {len(self.violations)} violations"


def cut(name: str, *, count: int, seed: object, finish_every: int = 1) -> list[Result]:
    """Check up to `count` states that a power cut can leave of a scenario, in each model.

    :param finish_every: repeat the command in one of so many states only.
    """
    trial = _trial(name)
    return [trial.cut(model, count=count, seed=seed, finish_every=finish_every) for model in MODELS]


def cut_by_name(job: tuple[str, int]) -> list[Result]:
    """Check states of a scenario: the job of one process of a pool."""
    name, count = job
    return cut(name, count=count, seed=2)


def log_of(name: str) -> Log:
    """Return the recorded calls of a scenario's command."""
    return _trial(name).log


@cache
def _trial(name: str) -> _Trial:
    """Return a scenario, recorded once for all tests."""
    (scenario,) = (each for each in SCENARIOS if each.name == name)
    with _folder() as folder:
        return _Trial(scenario, folder)


def _recorded(scenario: Scenario, path: Path) -> Log:
    """Run the command of a scenario on its file."""
    log = record_disk(
        scenario.command(path), path.parent, cwd=path.parent, env=variables_of_a_program(PYTHONUNBUFFERED="")
    )
    assert log.recording.code == 0, log.recording.errors
    return log


class WrongError(Exception):
    """A state that a power cut must not leave."""


class _Trial:
    """A recorded scenario."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._scenario = scenario
        path = folder / _NAME
        scenario.make(path)
        with _folder() as copy:
            shutil.copytree(folder, copy, dirs_exist_ok=True)
            self._before = _rows(copy / _NAME)
        self.log = _recorded(scenario, path)
        self._after = _rows(path)
        self._finished: set[object] = set()
        self._checked = 0

    def cut(self, model: Model, *, count: int, seed: object, finish_every: int) -> Result:
        """Check up to `count` states of a model."""
        result = Result(self._scenario.name, model)
        for state in states(self.log, model, seed=f"{seed} {self._scenario.name}", count=count):
            result.states.add(state.key)
            try:
                result.outcomes[self._check(state, finish_every)] += 1
            except Exception as error:
                result.outcomes["wrong"] += 1
                moment = "after the end" if state.is_end else f"after {state.position} calls"
                result.violations.append(f"{result.scenario}, {model}, {moment}: {error!r}")
        return result

    def _check(self, state: State, finish_every: int) -> str:
        """Check a state, each time from its original files; returns `old` or `new`, or raises."""
        with _placed(state) as path:
            names = frozenset((each.name, each.stat().st_size > 0) for each in path.parent.iterdir())
            outcome = self._check_with_sqlite(state, path)
            recovered = path.read_bytes() if path.exists() else None
        if recovered is not None:
            with _placed(state) as path:
                self._check_with_library(path, outcome)
        # Once for each different result of SQLite's recovery, and in some states more than once.
        files = (names, hash(recovered))
        self._checked += 1
        is_to_finish = files not in self._finished or self._scenario.is_quick or self._checked % 50 == 0
        if is_to_finish and self._checked % finish_every == 0:
            with _placed(state) as path:
                self._finish(path)
            self._finished.add(files)
        return outcome

    def _check_with_sqlite(self, state: State, path: Path) -> str:
        """Read the rows and the backups with plain SQLite."""
        outcome = self._outcome(_rows(path))
        if outcome == "old" and (state.is_end or state.printed):
            raise WrongError("the command had ended, and its change is gone")
        named = [each for each in sorted(path.parent.rglob("*")) if each.match(f"{_NAME}.v*.backup*")]
        backups = [each for each in named if not each.name.endswith(SIDECARS)]
        for backup in backups:
            wanted = [self._before, self._after] if self._scenario.is_restore else [self._before]
            if _rows(backup) not in wanted:
                raise WrongError(f"{backup.name} is not a backup of the file")
        if self._scenario.has_backup and outcome == "new" and not backups:
            raise WrongError("the file is changed, and its backup is gone")
        return outcome

    def _check_with_library(self, path: Path, outcome: str) -> None:
        with open_read_only(path) as database:
            version = waiaas.status(database).version
        expected = _version(self._after if outcome == "new" else self._before)
        if version != expected:
            raise WrongError(f"the version is {expected}, and the library finds {version}")

    def _finish(self, path: Path) -> None:
        """Repeat the command, and check again."""
        self._scenario.finish(path)
        if _without_times(_rows(path)) != _without_times(self._after):
            raise WrongError("doing it again did not end with the same rows")
        unknown = [each.name for each in path.parent.iterdir() if not each.name.startswith(_NAME)]
        if unknown:
            raise WrongError(f"{', '.join(unknown)} remains")

    def _outcome(self, rows: _Rows) -> str:
        if rows == self._after:
            return "new"
        if rows == self._before:
            return "old"
        changed = sorted(name for name in {*rows, *self._before} if rows.get(name) != self._before.get(name))
        raise WrongError(f"the rows are neither the old nor the new ones: {', '.join(changed)}")


def _rows(path: Path) -> _Rows:
    """Return the rows of all tables with plain SQLite, or none without a file; raises if it is corrupt."""
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as database:
        damage = database.execute("PRAGMA integrity_check").fetchall()
        if damage != [("ok",)]:
            raise WrongError(f"integrity_check: {damage[0][0]}")
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr) for name in names}


def _version(rows: _Rows) -> int:
    return max((version for version, *_ in rows.get("schema_version", ())), default=0)


def _without_times(rows: _Rows) -> _Rows:
    """Omit the times at which versions were applied, which differ between runs."""
    applied = [(version, description) for version, _, description in rows.get("schema_version", ())]
    return {**rows, "schema_version": applied}


@contextmanager
def _folder() -> Iterator[Path]:
    """An empty folder, in memory if possible."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="power-cuts-", dir=memory) as name:
        yield Path(name)


@contextmanager
def _placed(state: State) -> Iterator[Path]:
    """Write the files of a state to a new folder, and yield the path of the database."""
    with _folder() as folder:
        state.write(folder)
        yield folder / _NAME


def _file(version: int, *, wal: bool = False) -> Callable[[Path], object]:
    return lambda path: make_file(path, version, rows=4, wal=wal)


def _with_table_level_key(path: Path) -> None:
    """Make a file of version 18 whose column SQLite cannot drop in place."""
    make_file(path, 18, rows=4)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        (sql,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'sessions'").fetchone()
        key = "REFERENCES wallets(id) ON DELETE CASCADE"
        changed = sql.replace(f" {key}", "", 1).rstrip(")\n") + f",\n  FOREIGN KEY (wallet_id) {key}\n)"
        assert len(changed) > len(sql)
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'sessions'", (changed,))
        database.execute("PRAGMA writable_schema = RESET")


def _with_log(version: int) -> Callable[[Path], object]:
    return lambda path: killed(path, lambda file: make_file(file, version, rows=4, wal=True), _LOGGED, "-wal")


def _with_folder_for_backups(path: Path) -> None:
    make_file(path, 18, rows=4, wal=True)
    path.with_name(f"{_NAME}-backups").mkdir()


def _with_hot_journal(path: Path) -> None:
    """Make a file as a power cut leaves it in the middle of a transaction."""
    with _folder() as elsewhere:
        original = make_file(elsewhere / _NAME, 18, rows=4)
        with closing(sqlite3.connect(original, isolation_level=None)) as database:
            database.execute("PRAGMA cache_size = 1")
            database.execute("BEGIN")
            for number in range(40):
                database.execute("INSERT INTO wc_store VALUES (?, ?)", (number, "x" * 3000))
            for name in (_NAME, f"{_NAME}-journal"):
                shutil.copy(elsewhere / name, path.with_name(name))
        assert path.stat().st_size > original.stat().st_size


def _upgraded(path: Path, *, with_log: bool = False) -> None:
    """Make a file at the latest version, with the backup of its upgrade."""
    make_file(path, 18, rows=4, wal=True)
    # A process that has made a backup keeps a descriptor of the file.
    subprocess.run(_program("upgrade")(path), check=True, capture_output=True)
    if with_log:
        with _folder() as elsewhere:
            shutil.move(path, elsewhere / _NAME)
            killed(path, lambda file: Path(shutil.copy(elsewhere / _NAME, file)), _LOGGED, "-wal")


def _program(*arguments: str) -> Callable[[Path], Sequence[str | Path]]:
    return lambda path: [sys.executable, "-m", "waiaas", arguments[0], path, *arguments[1:]]


def _code(code: str, *arguments: str) -> Callable[[Path], Sequence[str | Path]]:
    return lambda path: [sys.executable, "-c", code, *arguments, path]


def _upgrade(path: Path) -> None:
    with open_to_change(path) as database:
        waiaas.upgrade(database)


def _downgrade(path: Path) -> None:
    with open_to_change(path) as database:
        waiaas.downgrade(database, 18)


def _connect(path: Path) -> None:
    database = waiaas.connect(path).peewee
    assert database.pragma("journal_mode") == "wal"
    database.close_all()


def _init(path: Path) -> None:
    done = run("init", path)
    assert done.exit_code == 0, done.output


def _backup(path: Path) -> Path:
    """Return the backup of the upgrade, which is the only one of version 18."""
    return next(path.parent.glob(f"{_NAME}.v18-*.backup"))


def _restore(path: Path) -> Sequence[str | Path]:
    return [sys.executable, "-m", "waiaas", "restore", path, _backup(path), "--yes"]


def _restore_again(path: Path) -> None:
    waiaas.restore(path, _backup(path))


SCENARIOS = (
    Scenario("upgrade from 18", _file(18), _program("upgrade"), _upgrade, has_backup=True),
    Scenario("upgrade from 18, write-ahead log", _file(18, wal=True), _program("upgrade"), _upgrade, has_backup=True),
    Scenario("upgrade from 18, with a log", _with_log(18), _program("upgrade"), _upgrade, has_backup=True),
    Scenario("upgrade from 18, no backup", _file(18), _program("upgrade", "--no-backup"), _upgrade),
    Scenario(
        "upgrade from 18, no backup, write-ahead log",
        _file(18, wal=True),
        _program("upgrade", "--no-backup"),
        _upgrade,
    ),
    Scenario("upgrade from 18, table rebuild", _with_table_level_key, _program("upgrade"), _upgrade, has_backup=True),
    Scenario(
        "upgrade from 18, small cache",
        _file(18),
        _code(_WITH_SMALL_CACHE, "upgrade", "--no-backup"),
        _upgrade,
    ),
    Scenario(
        "upgrade from 18, small cache, write-ahead log",
        _file(18, wal=True),
        _code(_WITH_SMALL_CACHE, "upgrade", "--no-backup"),
        _upgrade,
    ),
    Scenario("upgrade from 18, after a power cut", _with_hot_journal, _program("upgrade"), _upgrade, has_backup=True),
    Scenario(
        "upgrade from 18, journal_mode=PERSIST",
        _file(18),
        _code(_WITH_JOURNAL_MODE, "persist"),
        _upgrade,
        has_backup=True,
    ),
    Scenario(
        "upgrade from 18, journal_mode=TRUNCATE",
        _file(18),
        _code(_WITH_JOURNAL_MODE, "truncate"),
        _upgrade,
        has_backup=True,
    ),
    Scenario("upgrade from 1", _file(1), _program("upgrade"), _upgrade, has_backup=True),
    Scenario("upgrade from 1, write-ahead log", _file(1, wal=True), _program("upgrade"), _upgrade, has_backup=True),
    Scenario("upgrade from 1, small cache", _file(1), _code(_WITH_SMALL_CACHE, "upgrade"), _upgrade, has_backup=True),
    Scenario("connect, old file", _file(18), _code(_CONNECT), _connect, has_backup=True),
    Scenario(
        "connect, old file, backup elsewhere",
        _with_folder_for_backups,
        _code(_WITH_BACKUP_ELSEWHERE),
        _connect,
        has_backup=True,
    ),
    Scenario("connect, current file", _file(_LATEST), _code(_CONNECT), _connect, is_quick=True),
    Scenario("connect, new file", lambda path: None, _code(_CONNECT), _connect, is_quick=True),
    Scenario("init", lambda path: None, _program("init"), _init, is_quick=True),
    Scenario("init, empty file", lambda path: path.touch(), _program("init"), _init, is_quick=True),
    Scenario("downgrade", _file(_LATEST), _program("downgrade"), _downgrade, has_backup=True),
    Scenario(
        "downgrade, write-ahead log", _file(_LATEST, wal=True), _program("downgrade"), _downgrade, has_backup=True
    ),
    Scenario("downgrade, no backup", _file(_LATEST), _program("downgrade", "--no-backup"), _downgrade),
    Scenario(
        "downgrade, no backup, write-ahead log",
        _file(_LATEST, wal=True),
        _program("downgrade", "--no-backup"),
        _downgrade,
    ),
    Scenario("restore", _upgraded, _restore, _restore_again, is_restore=True),
    Scenario(
        "restore, with a log",
        lambda path: _upgraded(path, with_log=True),
        _restore,
        _restore_again,
        is_restore=True,
    ),
)
