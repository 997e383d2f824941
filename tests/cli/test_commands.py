"""The command `waiaas`: its output, its exit codes, and that a refusal changes nothing."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from support.command_line import left_on_screen, on_a_terminal, only_object, program, run, variables_of_a_program
from support.old_files import contents, create_statements, dump, execute, make_file, query, session_id, wallet_id

import waiaas
from waiaas.cli import main
from waiaas.errors import REASONS
from waiaas.migrations import history

LATEST = waiaas.LATEST_SCHEMA_VERSION


def names_of(group: click.Group) -> list[str]:
    """Return the commands of a group and its subgroups, as typed on the command line."""
    names = []
    for name, command in sorted(group.commands.items()):
        names += [f"{name} {each}" for each in names_of(command)] if isinstance(command, click.Group) else [name]
    return names


def command_named(name: str) -> click.Command:
    """Return a command by its typed name."""
    command: click.Command = main
    for word in name.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command


COMMANDS = names_of(main)
# `health` reports what the others refuse; `demo` makes its file, and `restore` has a second one.
WITH_A_PATH = [
    name
    for name in COMMANDS
    if name not in ("demo", "health", "restore") and any(each.name == "path" for each in command_named(name).params)
]
# `backups` only reads names, so it also lists the backups of a lost file.
ON_A_FILE = [name for name in WITH_A_PATH if name not in ("init", "backups")]
OLD_WALLET, OTHER_WALLET = wallet_id(1), wallet_id(5)
UPGRADE_KEYS = {"from_version", "to_version", "applied", "links_created", "sessions_without_wallet", "backup"}


def make_orphans(path: Path, *wallets: str) -> list[str]:
    """Delete wallets of sessions with foreign keys off, and return those sessions' ids."""
    marks = ", ".join(f"'{wallet}'" for wallet in wallets)
    execute(path, f"DELETE FROM wallets WHERE id IN ({marks})")
    return [id_ for (id_,) in query(path, f"SELECT id FROM sessions WHERE wallet_id IN ({marks}) ORDER BY id")]


def make_wallets_null(path: Path, *sessions: str) -> list[str]:
    """Set the wallet of sessions to NULL, which needs a column without NOT NULL, and return their ids."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'wallet_id TEXT NOT NULL', 'wallet_id TEXT')"
            " WHERE name = 'sessions'"
        )
    execute(path, *(f"UPDATE sessions SET wallet_id = NULL WHERE id = '{session}'" for session in sessions))
    return sorted(sessions)


def make_latest(path: Path) -> Path:
    """Make a file of the latest version, in write-ahead-log mode like the daemon's."""
    return make_file(path, LATEST, wal=True)


def add_link(path: Path, session: str, wallet: str) -> None:
    execute(path, f"INSERT INTO session_wallets VALUES ('{session}', '{wallet}', 0, 1)")


# Each of these makes a file that is invalid in one way, to provoke a refusal.


def no_file(path: Path) -> None:
    assert not path.exists()


def no_database(path: Path) -> None:
    path.write_text("Dear diary, I lost my key again. " * 40)


def of_another_program(path: Path) -> None:
    execute(path, "CREATE TABLE notes (id INTEGER)", "CREATE TABLE wallets (id TEXT)")


def too_new(path: Path) -> None:
    make_latest(path)
    execute(path, f"INSERT INTO schema_version VALUES ({LATEST + 1}, 1, 'from the future')")


def without_version(path: Path) -> None:
    make_file(path, 18)
    execute(path, "DROP TABLE schema_version")


def with_an_empty_version_table(path: Path) -> None:
    make_file(path, 18)
    execute(path, "DELETE FROM schema_version")


def empty(path: Path) -> None:
    path.touch()


def at_18(path: Path) -> None:
    make_file(path, 18)


def with_orphans(path: Path) -> None:
    make_file(path, 18)
    make_orphans(path, OLD_WALLET)


def with_a_leftover(path: Path) -> None:
    make_file(path, 18)
    execute(path, "CREATE TABLE session_wallets (id TEXT)", "INSERT INTO session_wallets VALUES ('kept')")


def with_a_view(path: Path) -> None:
    make_file(path, 18)
    execute(path, "CREATE VIEW mine AS SELECT wallet_id FROM sessions")


def at_latest(path: Path) -> None:
    make_latest(path)


def with_surplus_links(path: Path) -> None:
    make_latest(path)
    add_link(path, session_id(0), OTHER_WALLET)


NOT_OURS = [
    (no_file, "file_not_found"),
    (no_database, "not_a_database"),
    (of_another_program, "other_program"),
    (too_new, "code_too_old"),
    (without_version, "schema_version_missing"),
    (with_an_empty_version_table, "schema_version_empty"),
]
_REFUSALS: list[tuple[list[str], Callable[[Path], None], str]] = [
    *(([name], make, reason) for name in ON_A_FILE for make, reason in NOT_OURS),
    *(([name], empty, "empty_database") for name in ("downgrade", "check")),
    (["upgrade"], with_orphans, "orphan_sessions"),
    (["upgrade"], with_a_leftover, "leftover_table"),
    (["upgrade"], with_a_view, "dependent_object"),
    (["upgrade", "--skip-orphans"], with_a_view, "dependent_object"),
    (["downgrade"], with_surplus_links, "links_lost"),
    (["downgrade", "--to", "17"], at_latest, "cannot_downgrade"),
    (["downgrade", "--to", "17"], at_18, "cannot_downgrade"),
    (["downgrade", "--to", str(LATEST)], at_18, "cannot_downgrade"),
    (["init"], at_18, "file_exists"),
    (["init"], no_database, "file_exists"),
    (["demo"], at_18, "file_exists"),
]
REFUSALS = [pytest.param(*case, id=f"{' '.join(case[0])}: {case[1].__name__}") for case in _REFUSALS]


class TestRefusals:
    @pytest.mark.parametrize(("arguments", "make", "reason"), REFUSALS)
    def test_are_printed_and_change_nothing(
        self, tmp_path: Path, arguments: list[str], make: Callable[[Path], None], reason: str
    ) -> None:
        """A refusal prints the problem and the remedy on standard error, exits with 1, and changes nothing."""
        make(tmp_path / "wallets.db")
        before = contents(tmp_path)
        result = run(*arguments, tmp_path / "wallets.db")
        error, hint, *ids = result.stderr.splitlines()
        assert all(line.startswith("  ") for line in ids)
        assert (result.exit_code, result.stdout) == (1, "")
        assert error.startswith("Error: ")
        assert hint.startswith("What to do: ")
        assert "?" not in error, "a value is missing from the message"
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(("arguments", "make", "reason"), REFUSALS)
    def test_with_json_are_one_object_too(
        self, tmp_path: Path, arguments: list[str], make: Callable[[Path], None], reason: str
    ) -> None:
        """With --json, a refusal is one JSON object on standard output, and is printed on standard error too."""
        make(tmp_path / "wallets.db")
        before = contents(tmp_path)
        result = run(*arguments, "--json", tmp_path / "wallets.db")
        answer = only_object(result.stdout)
        assert list(answer) == ["error"]
        assert list(answer["error"]) == ["code", "domain", "http_status", "retryable", "message", "details", "hint"]
        assert answer["error"]["code"] == REASONS[reason].code
        assert answer["error"]["details"]["reason"] == reason
        assert result.exit_code == 1
        assert result.stderr.splitlines()[0] == f"Error: {answer['error']['message']}"
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(("arguments", "make", "reason"), REFUSALS)
    def test_show_the_path_as_it_was_typed(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        arguments: list[str],
        make: Callable[[Path], None],
        reason: str,
    ) -> None:
        """The error shows the path as typed."""
        make(tmp_path / "wallets.db")
        monkeypatch.chdir(tmp_path)
        error = only_object(run(*arguments, "wallets.db", "--json").stdout)["error"]
        assert error["details"]["reason"] == reason
        assert error["details"].get("path", "wallets.db") == "wallets.db"
        assert str(tmp_path) not in error["message"]

    @pytest.mark.slow
    def test_of_the_real_program(self, tmp_path: Path) -> None:
        """The installed program behaves the same: no traceback, exit code 1."""
        result = program("upgrade", tmp_path / "wallets.db", "--json")
        assert result.returncode == 1
        assert only_object(result.stdout)["error"]["details"]["reason"] == "file_not_found"
        assert result.stderr.startswith("Error: There is no file ")
        assert list(tmp_path.iterdir()) == []

    def test_init_in_a_missing_folder(self, tmp_path: Path) -> None:
        """A path in a folder that does not exist is refused, and no folder is created."""
        result = run("init", tmp_path / "nowhere" / "wallets.db", "--json")
        assert result.exit_code == 1
        assert only_object(result.stdout)["error"]["details"]["reason"] == "cannot_open"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("command", ON_A_FILE)
    def test_a_folder(self, tmp_path: Path, command: str) -> None:
        """A folder instead of a file is refused without a crash."""
        result = run(command, tmp_path, "--json")
        assert result.exit_code == 1
        assert only_object(result.stdout)["error"]["details"]["reason"] == "not_a_file"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "arguments", [["upgrade"], ["downgrade", "--to", "17"], ["downgrade", "--to", str(LATEST)]]
    )
    def test_and_nothing_to_do_keep_the_journal_mode(self, tmp_path: Path, arguments: list[str]) -> None:
        """A file of the latest version that needs no change keeps its bytes, including the journal mode."""
        path = make_file(tmp_path / "wallets.db", LATEST)
        before = contents(tmp_path)
        run(*arguments, path)
        assert contents(tmp_path) == before

    def test_existing_tables_are_not_reported_as_missing(self, tmp_path: Path) -> None:
        """The tables reported as missing in another program's file are not those that it has."""
        of_another_program(tmp_path / "wallets.db")
        result = run("status", tmp_path / "wallets.db")
        assert "notes" not in result.stderr
        assert "sessions" in result.stderr

    def test_a_dependent_object_of_a_downgrade_does_not_mention_an_upgrade(self, tmp_path: Path) -> None:
        """A refused downgrade does not mention what an upgrade drops, or recommend an upgrade."""
        path = make_latest(tmp_path / "wallets.db")
        execute(path, "CREATE VIEW mine AS SELECT * FROM session_wallets")
        result = run("downgrade", path)
        assert result.exit_code == 1
        assert "mine" in result.stderr
        assert "upgrade" not in result.stderr.replace("downgrade", "")

    @pytest.mark.slow
    def test_demo_on_an_empty_file(self, tmp_path: Path) -> None:
        """The demo uses an empty file, or reports it as empty."""
        empty(tmp_path / "wallets.db")
        assert "not empty" not in run("demo", tmp_path / "wallets.db").stderr

    def test_init_in_memory_reports_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`:memory:` creates no file and is not reported as created."""
        monkeypatch.chdir(tmp_path)
        assert run("init", ":memory:").exit_code != 0 or Path(":memory:").exists()


class TestUsage:
    @pytest.mark.parametrize("command", WITH_A_PATH)
    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_a_missing_path(self, command: str, options: list[str]) -> None:
        """A command without its path exits with 2, names the missing argument, and has no standard output."""
        result = run(command, *options)
        assert (result.exit_code, result.stdout) == (2, "")
        named = next(each for each in command_named(command).params if isinstance(each, click.Argument))
        assert f"Missing argument '{named.make_metavar(click.Context(main))}'" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["explode", "wallets.db"],
            ["status", "wallets.db", "other.db"],
            ["status", "--force", "wallets.db"],
            ["downgrade", "--to", "eighteen", "wallets.db"],
            ["--lang", "fr", "status", "wallets.db"],
        ],
    )
    def test_unknown_arguments(self, arguments: list[str]) -> None:
        """An unknown command, option or value exits with 2 and shows the usage on standard error."""
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("Usage: ")

    def test_an_unknown_language_in_the_environment(self) -> None:
        """An invalid WAIAAS_LANG is a usage error that names the option."""
        result = run("status", "wallets.db", WAIAAS_LANG="fr")
        assert result.exit_code == 2
        assert "--lang" in result.stderr

    @pytest.mark.slow
    def test_the_real_program_without_a_path(self) -> None:
        """The installed program exits with 2 too, under its own name."""
        result = program("upgrade")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("Usage: waiaas upgrade ")

    def test_version(self) -> None:
        """--version prints the library's version."""
        result = run("--version")
        assert (result.exit_code, result.stdout) == (0, f"waiaas, version {waiaas.__version__}\n")


class TestHelp:
    @pytest.mark.slow
    def test_of_the_program(self) -> None:
        """`python -m waiaas --help` shows the program, its commands and exit codes, without markup."""
        result = program("--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("Usage: waiaas [OPTIONS] COMMAND [ARGS]...")
        assert all(re.search(rf"^  {name} ", result.stdout, re.MULTILINE) for name in main.commands)
        assert "WAIAAS_LANG" in result.stdout
        assert re.findall(r"^    (\d+)  ", result.stdout, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "130"]
        assert not re.search(r"\\|\x08|None|Sentinel", result.stdout)

    @pytest.mark.parametrize("command", ["status", "plan", "upgrade", "check"])
    def test_of_the_program_shows_each_step_on_a_line_of_its_own(self, command: str) -> None:
        """The steps in the help can be read and pasted line by line."""
        assert re.search(rf"^ +waiaas {command} wallets\.db  ", run("--help").stdout, re.MULTILINE)

    def test_of_the_program_truncates_no_summary(self) -> None:
        """No command's summary in the overview is truncated."""
        listed = run("--help").stdout.split("Commands:")[1].split("Exit codes:")[0]
        assert "..." not in listed

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_a_command(self, command: str) -> None:
        """Each command's help has an example that starts with the command, and describes each option."""
        result = run(*command.split(), "--help")
        assert (result.exit_code, result.stderr) == (0, "")
        assert re.search(rf"^  Examples?:\n    waiaas {command}\b", result.stdout, re.MULTILINE)
        assert "\\" not in result.stdout
        assert all(option.help for option in command_named(command).params if isinstance(option, click.Option))

    @pytest.mark.parametrize("command", ["", *COMMANDS])
    def test_fits_eighty_columns(self, command: str) -> None:
        """No line of the help is longer than 80 columns."""
        shown = run(*command.split(), "--help", COLUMNS="80").stdout
        assert max(map(len, shown.splitlines())) <= 80

    @pytest.mark.parametrize("command", COMMANDS)
    def test_of_a_command_ends_with_the_next_step(self, command: str) -> None:
        """Each command's help ends with the next step and the exit codes."""
        result = run(*command.split(), "--help").stdout
        next_step, codes = result.split("  Next:\n")[1].split("  Exit codes:\n")
        assert next_step.strip()
        listed = [line.split(maxsplit=1) for line in codes.splitlines()]
        assert [code for code, _ in listed] == sorted((code for code, _ in listed), key=int)
        assert {"0", "2", "4"} <= {code for code, _ in listed}
        assert len({line.index(text) for line, (_, text) in zip(codes.splitlines(), listed, strict=True)}) == 1

    @pytest.mark.parametrize("command", ["plan", "upgrade", "downgrade", "check"])
    def test_of_a_long_running_command_describes_interruption(self, command: str) -> None:
        """The help of a long-running command describes what Ctrl-C leaves, and its exit code."""
        assert "\n    130  interrupted by Ctrl-C, and nothing was changed\n" in run(command, "--help").stdout

    @pytest.mark.slow
    def test_is_shown_without_a_command(self) -> None:
        """`waiaas` alone prints the help on standard error, with the exit code of a usage error."""
        result = program(COLUMNS="80")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == program("--help", COLUMNS="80").stdout

    def test_short_option(self) -> None:
        """-h is --help."""
        assert run("plan", "-h").stdout == run("plan", "--help").stdout


class TestInit:
    @pytest.mark.slow
    def test_creates_a_file_that_only_its_owner_can_access(self, tmp_path: Path) -> None:
        """The real program creates one file of the latest version with mode 0600, whatever the umask."""
        path = tmp_path / "wallets.db"
        result = program("init", path)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == f"Created {path} at schema version {LATEST}.\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
        assert run("check", path).exit_code == run("status", path).exit_code == 0

    def test_json(self, tmp_path: Path) -> None:
        """With --json it prints path and version."""
        path = tmp_path / "wallets.db"
        answer = only_object(run("init", path, "--json").stdout)
        assert answer == {"path": str(path), "version": LATEST, "warnings": []}

    def test_accepts_an_empty_file(self, tmp_path: Path) -> None:
        """An empty file becomes a database that only its owner can access."""
        path = tmp_path / "wallets.db"
        path.touch(0o644)
        assert run("init", path).exit_code == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert run("status", path).exit_code == 0

    def test_accepts_a_new_database(self, tmp_path: Path) -> None:
        """A new database that a power failure left after `init` is accepted as created, and is unchanged."""
        path = tmp_path / "wallets.db"
        assert run("init", path).exit_code == 0
        before = contents(tmp_path)
        result = run("init", path)
        assert (result.exit_code, result.stdout) == (0, f"Created {path} at schema version {LATEST}.\n")
        assert contents(tmp_path) == before

    @pytest.mark.parametrize(
        "change",
        [
            "INSERT INTO settings (key, value, category, updated_at) VALUES ('a', 'b', 'c', 0)",
            "CREATE TABLE mine (id)",
            "DROP INDEX idx_sessions_expires_at",
            "DELETE FROM schema_version WHERE version = 2",
            "chmod",
        ],
    )
    def test_refuses_a_database_that_is_not_new(self, tmp_path: Path, change: str) -> None:
        """A file with a row, another table, or a missing index, version or permission is refused and unchanged."""
        path = tmp_path / "wallets.db"
        assert run("init", path).exit_code == 0
        if change == "chmod":
            path.chmod(0o640)
        else:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                database.execute(change)
        before = contents(tmp_path)
        result = run("init", path, "--json")
        assert only_object(result.stdout)["error"]["details"]["reason"] == "file_exists"
        assert contents(tmp_path) == before


class TestStatus:
    def test_before_and_after_an_upgrade(self, v18: Path) -> None:
        """The exit code is 3 while an upgrade is pending and 0 after it."""
        before = contents(v18.parent)
        pending = run("status", v18)
        assert (pending.exit_code, pending.stderr) == (3, "")
        assert f"{v18} is at schema version 18; an upgrade to {LATEST} is pending." in pending.stdout
        assert contents(v18.parent) == before
        run("upgrade", v18)
        done = run("status", v18)
        assert (done.exit_code, done.stdout) == (0, f"{v18} is at schema version {LATEST}, the latest.\n")

    def test_json(self, v18: Path) -> None:
        """With --json it prints the action to take, and the exit code is the same."""
        result = run("status", v18, "--json")
        assert result.exit_code == 3
        assert only_object(result.stdout) == {
            "path": str(v18),
            "action": "migrate",
            "version": 18,
            "latest_version": LATEST,
            "reason": "older_version",
            "error": None,
        }

    def test_of_an_empty_file(self, tmp_path: Path) -> None:
        """An empty file is reported as one that `init` accepts, and stays empty."""
        empty(tmp_path / "wallets.db")
        result = run("status", tmp_path / "wallets.db")
        assert result.exit_code == 3
        assert "waiaas init" in result.stdout
        assert (tmp_path / "wallets.db").stat().st_size == 0

    @pytest.mark.parametrize("command", ["status", "plan"])
    def test_the_command_that_it_proposes_can_be_pasted(self, tmp_path: Path, command: str) -> None:
        """A path with special characters is quoted for the shell in a proposed command."""
        path = make_file(tmp_path / "my wallets.db", 18)
        assert f"waiaas upgrade {shlex.quote(str(path))}" in run(command, path).stdout

    def test_while_a_writer_holds_the_file(self, tmp_path: Path) -> None:
        """`status` works while a daemon has the file open."""
        path = make_file(tmp_path / "wallets.db", 18, wal=True)
        with closing(sqlite3.connect(path, isolation_level=None)) as daemon:
            daemon.execute("BEGIN IMMEDIATE")
            daemon.execute("UPDATE wallets SET name = 'busy'")
            assert run("status", path).exit_code == 3
            assert run("plan", path).exit_code == run("check", path).exit_code == 0

    @pytest.mark.slow
    @pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such file names")
    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_of_a_file_whose_name_is_not_utf_8(self, tmp_path: Path, options: list[str]) -> None:
        """A file name that is not UTF-8 works on Linux."""
        path = tmp_path / os.fsdecode(b"caf\xe9.db")
        make_file(tmp_path / "wallets.db", 18).rename(path)
        result = program("status", path, *options)
        assert (result.returncode, result.stderr) == (3, "")


class TestPlan:
    def test_shows_what_would_happen(self, v18: Path) -> None:
        """The plan shows the step and the links, and changes nothing."""
        before = contents(v18.parent)
        result = run("plan", v18)
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"{v18}: schema version 18 to {LATEST}" in result.stdout
        assert "links to create: 12 for 12 sessions" in result.stdout
        assert result.stdout.endswith(f"Nothing was changed. To upgrade: waiaas upgrade {v18}\n")
        assert contents(v18.parent) == before

    def test_json(self, v18: Path) -> None:
        """With --json it prints the whole plan."""
        answer = only_object(run("plan", v18, "--json").stdout)
        assert (answer["from_version"], answer["to_version"]) == (18, LATEST)
        assert (answer["sessions"], answer["links_to_create"], answer["obstacles"]) == (12, 12, [])
        assert [step["version"] for step in answer["steps"]] == [*range(19, LATEST + 1)]

    def test_forecast_equals_the_upgrade(self, v18: Path) -> None:
        """The planned links, and sessions without a link, equal those of the upgrade."""
        unlinked = make_wallets_null(v18, session_id(2), session_id(7))
        planned = only_object(run("plan", v18, "--json").stdout)
        done = only_object(run("upgrade", v18, "--json").stdout)
        assert planned["links_to_create"] == done["links_created"] == 10
        assert planned["sessions_without_wallet"] == done["sessions_without_wallet"] == unlinked

    def test_obstacles_exit_as_the_upgrade_would(self, v18: Path) -> None:
        """Obstacles are printed with their remedy, each session once, and the exit code is 1."""
        orphans = make_orphans(v18, OLD_WALLET)
        before = contents(v18.parent)
        text, answer = run("plan", v18), only_object(run("plan", v18, "--json").stdout)
        assert text.exit_code == 1
        assert "Obstacle: " in text.stdout
        assert "--skip-orphans" in text.stdout
        assert [text.stdout.count(session) for session in orphans] == [1] * len(orphans)
        assert [obstacle["details"]["reason"] for obstacle in answer["obstacles"]] == ["orphan_sessions"]
        assert [orphan["session_id"] for orphan in answer["orphan_sessions"]] == orphans
        assert contents(v18.parent) == before

    def test_with_skip_orphans_proposes_the_same_upgrade(self, v18: Path) -> None:
        """The proposed upgrade is the planned one, and not one that would be refused."""
        make_orphans(v18, OLD_WALLET)
        result = run("plan", v18, "--skip-orphans")
        proposed = result.stdout.splitlines()[-1].partition("To upgrade: ")[2]
        assert "In the way: " not in result.stdout
        assert "--skip-orphans" in proposed

    def test_of_a_file_at_the_latest_version(self, tmp_path: Path) -> None:
        """A file of the latest version has nothing to upgrade."""
        result = run("plan", make_latest(tmp_path / "wallets.db"))
        assert result.exit_code == 0
        assert result.stdout.endswith("the latest: nothing to do.\n")


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A file of 100 sessions over 10 wallets, 3 transactions each, upgraded by the real program; and its output."""
    path = tmp_path_factory.mktemp("upgraded") / "wallets.db"
    with closing(sqlite3.connect(path)) as database:
        for statement in create_statements(18):
            database.execute(statement)
        database.executemany(
            "INSERT INTO wallets (id, name, chain, environment, public_key, status, created_at, updated_at)"
            " VALUES (?, 'wallet', 'solana', 'mainnet', ?, 'ACTIVE', 1, 1)",
            [(f"w{number}", f"key {number}") for number in range(10)],
        )
        database.executemany(
            "INSERT INTO sessions (id, wallet_id, token_hash, expires_at, absolute_expires_at, created_at)"
            " VALUES (?, ?, ?, 9, 9, ?)",
            [(f"s{number}", f"w{number % 10}", f"hash {number}", 1000 + number) for number in range(100)],
        )
        database.executemany(
            "INSERT INTO transactions (id, wallet_id, session_id, chain, type, status, created_at)"
            " VALUES (?, ?, ?, 'solana', 'TRANSFER', 'CONFIRMED', 1)",
            [(f"t{number}", f"w{number % 100 % 10}", f"s{number % 100}") for number in range(300)],
        )
        database.executemany("INSERT INTO schema_version VALUES (?, 1, '')", [(number,) for number in range(1, 19)])
        database.commit()
    path.chmod(0o640)
    result = program("upgrade", path, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return path, only_object(result.stdout)


class TestUpgrade:
    @pytest.mark.slow
    def test_prints_a_report(self, upgraded: tuple[Path, dict[str, Any]]) -> None:
        """The one JSON object contains versions, links, sessions without a wallet and the backup."""
        path, answer = upgraded
        assert set(answer) >= UPGRADE_KEYS
        assert (answer["path"], answer["from_version"], answer["to_version"]) == (str(path), 18, LATEST)
        assert answer["applied"] == [*range(19, LATEST + 1)]
        assert (answer["links_created"], answer["sessions_without_wallet"]) == (100, [])

    def test_links_each_session_to_its_wallet(self, upgraded: tuple[Path, dict[str, Any]]) -> None:
        """Each session has one link to its wallet, which is its default and as old as the session."""
        path, _ = upgraded
        links = query(path, "SELECT session_id, wallet_id, is_default, created_at FROM session_wallets")
        assert sorted(links) == sorted((f"s{n}", f"w{n % 10}", 1, 1000 + n) for n in range(100))

    def test_drops_the_column(self, upgraded: tuple[Path, dict[str, Any]]) -> None:
        """Sessions no longer have a column wallet_id, or an index with that name."""
        path, _ = upgraded
        assert "wallet_id" not in [name for _, name, *_ in query(path, "PRAGMA table_info(sessions)")]
        assert query(path, "SELECT 1 FROM sqlite_master WHERE name = 'idx_sessions_wallet_id'") == []

    def test_breaks_no_reference(self, upgraded: tuple[Path, dict[str, Any]]) -> None:
        """No foreign key is violated, and the file has the tables of the latest version."""
        path, _ = upgraded
        assert query(path, "PRAGMA foreign_key_check") == []
        assert run("check", path).exit_code == 0

    def test_keeps_the_transactions_tied_to_their_sessions(self, upgraded: tuple[Path, dict[str, Any]]) -> None:
        """All transactions are kept, and one whose session is deleted stays, without a session."""
        path, _ = upgraded
        keys = {key[3]: (key[2], key[6]) for key in query(path, "PRAGMA foreign_key_list(transactions)")}
        assert keys["session_id"] == ("sessions", "SET NULL")
        assert dict(query(path, "SELECT id, session_id FROM transactions")) == {
            f"t{number}": f"s{number % 100}" for number in range(300)
        }
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("BEGIN")
            database.execute("DELETE FROM sessions WHERE id = 's42'")
            left = database.execute("SELECT id FROM transactions WHERE session_id IS NULL").fetchall()
            database.execute("ROLLBACK")
        assert sorted(left) == [("t142",), ("t242",), ("t42",)]

    def test_writes_a_backup_next_to_the_file(self, upgraded: tuple[Path, dict[str, Any]]) -> None:
        """The backup is the one other file, has the file's mode, and is version 18 with every row."""
        path, answer = upgraded
        backup = Path(answer["backup"])
        assert {*path.parent.iterdir()} == {path, backup}
        assert re.fullmatch(r"wallets\.db\.v18-\d{8}T\d{6}Z\.backup", backup.name)
        assert stat.S_IMODE(backup.stat().st_mode) == stat.S_IMODE(path.stat().st_mode) == 0o640
        assert only_object(run("status", backup, "--json").stdout)["version"] == 18
        assert query(backup, "SELECT count(*) FROM sessions WHERE wallet_id IS NOT NULL") == [(100,)]
        assert query(backup, "PRAGMA integrity_check") == [("ok",)]

    def test_text(self, v18: Path) -> None:
        """Without --json it prints the same: versions, links and the path of the backup."""
        result = run("upgrade", v18)
        (backup,) = v18.parent.glob("*.backup")
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"Upgraded {v18} from schema version 18 to {LATEST}." in result.stdout
        assert "links created: 12" in result.stdout
        assert f"backup: {backup}" in result.stdout

    def test_a_second_time_does_nothing(self, v18: Path) -> None:
        """A file of the latest version is unchanged, without a backup, and the exit code is 0."""
        run("upgrade", v18)
        before = contents(v18.parent)
        text, answer = run("upgrade", v18), only_object(run("upgrade", v18, "--json").stdout)
        assert (text.exit_code, text.stderr) == (0, "")
        assert text.stdout == f"{v18} is at schema version {LATEST}, the latest: nothing to do.\n"
        assert (answer["applied"], answer["steps"], answer["backup"]) == ([], [], None)
        assert contents(v18.parent) == before

    def test_without_backup(self, v18: Path) -> None:
        """--no-backup creates no backup, and the output reports that."""
        answer = only_object(run("upgrade", v18, "--no-backup", "--json").stdout)
        assert answer["backup"] is None
        assert answer["links_created"] == 12
        assert list(v18.parent.iterdir()) == [v18]

    def test_reports_sessions_whose_wallet_is_null(self, v18: Path) -> None:
        """Each session that gets no link is named, in text and in JSON, and is kept."""
        unlinked = make_wallets_null(v18, *(session_id(number) for number in range(7)))
        copy = v18.with_name("copy.db")
        copy.write_bytes(v18.read_bytes())
        text, answer = run("upgrade", v18), only_object(run("upgrade", copy, "--json").stdout)
        assert text.exit_code == 0
        assert all(f"{session} (was NULL)" in text.stdout for session in unlinked)
        assert (answer["sessions_without_wallet"], answer["links_created"]) == (unlinked, 5)
        assert query(v18, "SELECT count(*) FROM sessions") == [(12,)]

    def test_names_orphans_when_it_refuses(self, v18: Path) -> None:
        """Sessions of missing wallets are named on standard error, with the option that would skip them."""
        orphans = make_orphans(v18, OLD_WALLET, OTHER_WALLET)
        result = run("upgrade", v18)
        assert len(orphans) == 4
        assert all(session in result.stderr for session in orphans)
        assert "--skip-orphans" in result.stderr

    def test_with_json_names_every_orphan(self, v18: Path) -> None:
        """With --json, the error contains every session of a missing wallet and that wallet."""
        orphans = make_orphans(v18, *(wallet_id(number) for number in range(6)))
        details = only_object(run("upgrade", v18, "--json").stdout)["error"]["details"]
        assert details["count"] == len(orphans) == 12
        assert details["sessions"] == [orphan["session_id"] for orphan in details["orphans"]] == orphans

    def test_skips_orphans_with_the_option(self, v18: Path) -> None:
        """--skip-orphans leaves such sessions without a wallet, and names each with its former wallet."""
        orphans = make_orphans(v18, OLD_WALLET)
        result = run("upgrade", v18, "--skip-orphans")
        assert (result.exit_code, result.stderr) == (0, "")
        assert all(f"{session} (wallet {OLD_WALLET} does not exist)" in result.stdout for session in orphans)
        assert query(v18, "SELECT count(*) FROM session_wallets") == [(10,)]
        assert query(v18, "SELECT count(*) FROM sessions") == [(12,)]

    def test_with_json_reports_skipped_orphans(self, v18: Path) -> None:
        """The JSON object contains the skipped sessions by id, and their wallets next to them."""
        orphans = make_orphans(v18, OLD_WALLET)
        answer = only_object(run("upgrade", v18, "--skip-orphans", "--json").stdout)
        assert answer["sessions_without_wallet"] == orphans
        assert answer["orphans_skipped"] == [{"session_id": s, "wallet_id": OLD_WALLET} for s in orphans]


class TestRehearse:
    @pytest.mark.slow
    @pytest.mark.parametrize("version", [1, 18])
    def test_does_not_change_the_file(self, tmp_path: Path, version: int) -> None:
        """The real program shows what an upgrade would do, and changes nothing."""
        path = make_file(tmp_path / "wallets.db", version)
        before = contents(tmp_path)
        result = program("rehearse", path)
        assert (result.returncode, result.stderr) == (0, "")
        assert contents(tmp_path) == before
        first, *lines = result.stdout.splitlines()
        assert first == f"An upgrade of {path} from schema version {version} to {LATEST} succeeds."
        assert "  links created: 12" in lines
        assert "    session_wallets: none -> 12 (12 added)" in lines
        assert "  foreign-key violations: none before, none after" in lines
        assert "    no problem found." in lines
        assert lines[-1].endswith(f"{path} is unchanged. To upgrade: waiaas upgrade {path}")

    def test_text_of_version_18(self, v18: Path) -> None:
        """The text shows added and removed schema objects, one per line, within the page width."""
        lines = run("rehearse", v18).stdout.splitlines()
        (start,) = (number for number, line in enumerate(lines) if line.startswith("  changes of the schema: "))
        assert lines[start + 1].startswith("    + table session_wallets: ( session_id TEXT NOT NULL REFERENCES ")
        assert lines[start + 2] == "    + index idx_session_wallets_session: ON session_wallets (session_id)"
        assert lines[start + 4].startswith("    - column sessions.wallet_id: wallet_id TEXT NOT NULL ")
        assert max(map(len, lines[start : start + 6])) <= 82

    def test_json(self, v18: Path) -> None:
        """With --json it prints one object: the whole rehearsal, instead of an upgrade's report."""
        answer = only_object(run("rehearse", v18, "--json").stdout)
        assert set(answer) == {"path", "created", "rehearsal"}
        assert (answer["path"], answer["created"]) == (str(v18), False)
        assert set(answer["rehearsal"]) == {
            *("ok", "report", "schema", "rows", "unexpected", "check"),
            *("foreign_key_violations_before", "foreign_key_violations_after"),
            *("copy_seconds", "upgrade_seconds", "seconds"),
        }
        assert set(answer["rehearsal"]["report"]) >= UPGRADE_KEYS
        assert answer["rehearsal"]["report"]["backup"] is None

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_fails_if_other_rows_change(self, v18: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
        """An upgrade that would change a row of another table is not recommended, and the exit code is 1."""
        step, up = history.MIGRATIONS[-1], history.MIGRATIONS[-1].up

        def faulty_up(migrator: Any) -> None:
            up(migrator)
            migrator.database.execute_sql("UPDATE wallets SET name = 'another' WHERE id = (SELECT id FROM wallets)")

        monkeypatch.setattr(step, "up", faulty_up)
        result = run("rehearse", v18, *options)
        assert result.exit_code == 1
        if options:
            rehearsed = only_object(result.stdout)["rehearsal"]
            assert (rehearsed["ok"], [table["table"] for table in rehearsed["unexpected"]]) == (False, ["wallets"])
        else:
            assert "must not change, in: wallets" in result.stdout.splitlines()[0]
            assert "waiaas upgrade" not in result.stdout

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_refuses_as_the_upgrade_does(self, v18: Path, options: list[str]) -> None:
        """If the upgrade would be refused, the rehearsal exits with 1 and the same error."""
        make_orphans(v18, OLD_WALLET)
        before = contents(v18.parent)
        rehearsed = run("rehearse", v18, *options)
        assert contents(v18.parent) == before
        refused = run("upgrade", v18, *options)
        assert rehearsed.exit_code == refused.exit_code == 1
        assert (rehearsed.stdout, rehearsed.stderr) == (refused.stdout, refused.stderr)

    def test_with_skip_orphans_proposes_the_same_upgrade(self, v18: Path) -> None:
        """Skipped sessions are named, and the proposed upgrade is the rehearsed one."""
        orphans = make_orphans(v18, OLD_WALLET)
        execute(v18, "UPDATE sessions SET revoked_at = NULL")
        result = run("rehearse", "--skip-orphans", v18)
        assert result.exit_code == 0
        assert all(f"{session} (wallet {OLD_WALLET} does not exist)" in result.stdout for session in orphans)
        assert "problem: a session that is not revoked has no wallet" in result.stdout
        assert result.stdout.endswith(f"To upgrade: waiaas upgrade {v18} --skip-orphans\n")

    def test_of_a_file_at_the_latest_version(self, tmp_path: Path) -> None:
        """A file of the latest version has nothing to upgrade, and no upgrade is proposed."""
        result = run("rehearse", make_latest(tmp_path / "wallets.db"))
        assert result.exit_code == 0
        assert result.stdout.splitlines()[0].endswith("the latest: nothing to do.")
        assert "Do it" not in result.stdout

    def test_plan_of_an_empty_file(self, tmp_path: Path) -> None:
        """The plan for an empty file is to create the tables, as `upgrade` does; the file stays empty."""
        path = tmp_path / "wallets.db"
        path.touch()
        text, answer = run("plan", path), only_object(run("plan", path, "--json").stdout)
        assert (text.exit_code, text.stdout) == (0, run("rehearse", path).stdout)
        assert (answer["from_version"], answer["steps"], answer["obstacles"]) == (0, [], [])
        assert path.stat().st_size == 0

    def test_of_an_empty_file(self, tmp_path: Path) -> None:
        """An empty file has nothing to rehearse, because an upgrade would create the tables, and stays empty."""
        path = tmp_path / "wallets.db"
        path.touch()
        text, answer = (
            run("rehearse", path),
            only_object(run("rehearse", path, "--json").stdout),
        )
        assert (text.exit_code, text.stdout.split(":")[0]) == (0, f"{path} is empty")
        assert answer == {"path": str(path), "created": True, "rehearsal": None}
        assert path.stat().st_size == 0


@pytest.mark.slow
class TestProgress:
    def test_is_shown_on_a_terminal(self, v18: Path) -> None:
        """If standard error is a terminal, each phase is shown there, and standard output stays one JSON object."""
        result, written = on_a_terminal("upgrade", v18, "--json")
        assert only_object(result.stdout)["links_created"] == 12
        phases = ["backing up", "verifying the backup", "filling session_wallets 12 of 12", "checking", "committing"]
        places = [written.find(phase) for phase in phases]
        assert -1 not in places
        assert places == sorted(places)

    @pytest.mark.parametrize("command", ["upgrade", "check", "plan"])
    def test_is_removed_at_the_end(self, v18: Path, command: str) -> None:
        """The progress line is removed at the end."""
        _, written = on_a_terminal(command, v18)
        assert "\r" in written
        assert left_on_screen(written) == ""

    def test_is_removed_before_an_error(self, v18: Path) -> None:
        """If the upgrade is refused, the screen shows the error and no progress line."""
        make_orphans(v18, OLD_WALLET)
        result, written = on_a_terminal("upgrade", v18, NO_COLOR="1")
        assert result.returncode == 1
        assert "\r\x1b[?7llooking for obstacles" in written
        assert left_on_screen(written).startswith("Error: Some sessions")

    def test_fits_a_narrow_terminal(self, v18: Path) -> None:
        """A narrow terminal truncates each line instead of wrapping it, and nothing remains at the end."""
        _, written = on_a_terminal("upgrade", v18, columns=20)
        assert all(line.startswith("\x1b[?7l") and line.endswith("\x1b[K\x1b[?7h") for line in written.split("\r")[1:])
        assert left_on_screen(written, columns=20) == ""

    def test_is_not_shown_elsewhere(self, v18: Path) -> None:
        """If standard error is a file or a pipe, no progress is written to it."""
        result = program("upgrade", v18)
        assert (result.returncode, result.stderr) == (0, "")


class TestDowngrade:
    @pytest.mark.slow
    def test_upgrade_and_downgrade(self, v18: Path) -> None:
        """An upgrade and a downgrade leave every row of the file unchanged."""
        before = dump(v18)
        run("upgrade", v18)
        result = program("downgrade", v18, "--to", "18")
        assert (result.returncode, result.stderr) == (0, "")
        assert f"Downgraded {v18} from schema version {LATEST} to 18." in result.stdout
        assert dump(v18) == before
        assert run("status", v18).exit_code == 3
        assert only_object(run("upgrade", v18, "--json").stdout)["links_created"] == 12

    def test_json(self, tmp_path: Path) -> None:
        """With --json it prints the undone versions, the dropped links and the backup, which has the newer version."""
        path = make_latest(tmp_path / "wallets.db")
        answer = only_object(run("downgrade", path, "--json").stdout)
        assert (answer["from_version"], answer["to_version"], answer["undone"]) == (
            LATEST,
            18,
            [*range(LATEST, 18, -1)],
        )
        assert answer["links_dropped"] == []
        assert query(Path(answer["backup"]), "SELECT max(version) FROM schema_version") == [(LATEST,)]

    def test_without_backup(self, tmp_path: Path) -> None:
        """--no-backup creates no backup."""
        path = make_latest(tmp_path / "wallets.db")
        assert only_object(run("downgrade", path, "--no-backup", "--json").stdout)["backup"] is None
        assert list(tmp_path.iterdir()) == [path]

    def test_names_the_sessions_without_a_wallet(self, tmp_path: Path) -> None:
        """Sessions that the daemon's own version 18 could not store are named with that fact."""
        path = make_latest(tmp_path / "wallets.db")
        execute(path, f"DELETE FROM session_wallets WHERE session_id = '{session_id(4)}'")
        lines = run("downgrade", path).stdout.splitlines()
        at = next(i for i, line in enumerate(lines) if "which the daemon's own version 18 does not allow" in line)
        assert lines[at].endswith(": 1")
        assert session_id(4) in lines[at + 1]
        assert query(path, "SELECT id FROM sessions WHERE wallet_id IS NULL") == [(session_id(4),)]

    def test_names_the_sessions_with_surplus_links(self, tmp_path: Path) -> None:
        """Links that would be lost are named, with the option that would drop them."""
        with_surplus_links(tmp_path / "wallets.db")
        result = run("downgrade", tmp_path / "wallets.db")
        assert session_id(0) in result.stderr
        assert "--drop-links" in result.stderr

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_drops_surplus_links_with_the_option(self, tmp_path: Path, options: list[str]) -> None:
        """--drop-links keeps each session's default wallet and names the dropped links."""
        path = tmp_path / "wallets.db"
        with_surplus_links(path)
        default = query(
            path, "SELECT wallet_id FROM session_wallets WHERE session_id = ? AND is_default", session_id(0)
        )
        result = run("downgrade", path, "--drop-links", *options)
        assert result.exit_code == 0
        assert query(path, "SELECT wallet_id FROM sessions WHERE id = ?", session_id(0)) == default
        if options:
            link = {"session_id": session_id(0), "wallet_id": OTHER_WALLET}
            assert only_object(result.stdout)["links_dropped"] == [link]
        else:
            assert f"session {session_id(0)}, wallet {OTHER_WALLET}" in result.stdout

    def test_of_a_file_at_that_version(self, v18: Path) -> None:
        """A file that is already version 18 is unchanged, and the exit code is 0."""
        before = contents(v18.parent)
        result = run("downgrade", v18)
        assert (result.exit_code, result.stdout) == (0, f"{v18} is already at schema version 18: nothing to do.\n")
        assert contents(v18.parent) == before


class TestCheck:
    def test_of_a_valid_file(self, tmp_path: Path) -> None:
        """A file from the daemon has no problem, and the check does not change it."""
        path = make_latest(tmp_path / "wallets.db")
        before = contents(tmp_path)
        text, answer = run("check", path), only_object(run("check", path, "--json").stdout)
        assert (text.exit_code, text.stdout, text.stderr) == (0, f"{path}: no problem found.\n", "")
        assert (answer["ok"], answer["version"], answer["findings"]) == (True, LATEST, [])
        assert contents(tmp_path) == before

    def test_finds_problems(self, tmp_path: Path) -> None:
        """Foreign-key violations and a session without a default are printed, and the exit code is 5."""
        path = make_latest(tmp_path / "wallets.db")
        execute(
            path,
            "UPDATE sessions SET revoked_at = NULL",
            f"UPDATE session_wallets SET is_default = 0 WHERE session_id = '{session_id(3)}'",
            f"UPDATE transactions SET session_id = 'gone' WHERE session_id = '{session_id(0)}'",
        )
        before = contents(tmp_path)
        text, data = run("check", path), run("check", path, "--json")
        answer = only_object(data.stdout)
        assert text.exit_code == data.exit_code == 5
        assert (text.stderr, data.stderr) == ("", "")
        assert {finding["kind"] for finding in answer["findings"]} == {
            "foreign_key_violation",
            "session_without_default",
        }
        assert not answer["ok"]
        assert all(f"problem: {finding['message']}\n" in text.stdout for finding in answer["findings"])
        assert session_id(3) in text.stdout
        assert contents(tmp_path) == before

    def test_notes_are_not_problems(self, tmp_path: Path) -> None:
        """A user's own index is a note, and the exit code stays 0."""
        path = make_latest(tmp_path / "wallets.db")
        execute(path, "CREATE INDEX my_index ON wallets (name)")
        result = run("check", path)
        assert result.exit_code == 0
        assert "note: " in result.stdout
        assert "my_index" in result.stdout

    def test_prints_each_hint_once(self, tmp_path: Path) -> None:
        """The hint for findings of one kind is printed once, after all of them; in JSON it is with each finding."""
        path = make_latest(tmp_path / "wallets.db")
        execute(path, "CREATE INDEX one ON wallets (name)", "CREATE TABLE notes (body)")
        execute(path, "CREATE INDEX two ON sessions (source)")
        answer = only_object(run("check", path, "--json").stdout)
        findings = {finding["where"]: finding for finding in answer["findings"]}
        assert findings["one"]["hint"] == findings["two"]["hint"] != findings["notes"]["hint"]
        assert run("check", path).stdout.splitlines() == [
            f"note: {findings['two']['message']}",
            f"note: {findings['one']['message']}",
            f"  What to do: {findings['one']['hint']}",
            f"note: {findings['notes']['message']}",
            f"  What to do: {findings['notes']['hint']}",
            f"{path}: no problem found.",
        ]

    def test_of_an_older_file_reports_what_was_not_compared(self, v18: Path) -> None:
        """The output mentions that tables of an older version are not compared."""
        result = run("check", v18)
        assert result.exit_code == 0
        *_, compared, verdict = result.stdout.splitlines()
        assert compared.endswith("were not compared.")
        assert verdict.endswith("no problem found in what was checked.")


class TestCompletion:
    def completed(self, folder: Path, *words: str) -> list[str]:
        """Return what bash proposes for the last of these words, with the printed script."""
        shim = folder / "waiaas"
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m waiaas "$@"\n')
        shim.chmod(0o755)
        script = folder / "completion.bash"
        script.write_text(program("completion", "bash").stdout)
        asked = (
            f"source {shlex.quote(str(script))}; COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1};"
            ' _waiaas_completion waiaas; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        variables = variables_of_a_program(PATH=f"{folder}:{os.environ['PATH']}")
        result = subprocess.run(["bash", "-c", asked], env=variables, capture_output=True, text=True, check=True)
        assert result.stderr == ""
        return result.stdout.split()

    @pytest.mark.slow
    @pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
    def test_in_bash(self, tmp_path: Path) -> None:
        """Bash completes commands, options and values with the script."""
        assert self.completed(tmp_path, "waiaas", "up") == ["upgrade"]
        assert self.completed(tmp_path, "waiaas", "upgrade", "--sk") == ["--skip-orphans"]
        assert self.completed(tmp_path, "waiaas", "--lang", "k") == ["ko"]
        assert self.completed(tmp_path, "waiaas", "sessions", "re") == ["revoke"]
        assert self.completed(tmp_path, "waiaas", "sessions", "revoke", "--wa") == ["--wallet"]
        assert self.completed(tmp_path, "waiaas", "completion", "") == ["bash", "zsh", "fish"]
        assert self.completed(tmp_path, "waiaas", "") == sorted(main.commands)

    @pytest.mark.slow
    @pytest.mark.parametrize("shell", ["zsh", "fish"])
    def test_for_another_shell(self, shell: str) -> None:
        """Each shell has its own script, which calls the program in that shell's way."""
        result = program("completion", shell)
        assert (result.returncode, result.stderr) == (0, "")
        assert f"_WAIAAS_COMPLETE={shell}_complete" in result.stdout

    def test_for_an_unsupported_shell(self) -> None:
        """An unsupported shell is a usage error that names the supported ones."""
        result = run("completion", "tcsh")
        assert (result.exit_code, result.stdout) == (2, "")
        assert all(shell in result.stderr for shell in ("bash", "zsh", "fish"))


@pytest.mark.slow
class TestDemo:
    def test_shows_every_step_and_removes_its_files(self, tmp_path: Path) -> None:
        """The real program shows before, plan, upgrade, after and check, and removes its files."""
        result = program("demo", TMPDIR=str(tmp_path))
        titles = [
            "at schema version 18",
            "payments on Base: ethereum, base-mainnet",
            "$ waiaas plan",
            "$ waiaas upgrade",
            "(default)",
            "$ waiaas check",
        ]
        places = [result.stdout.find(title) for title in titles]
        assert (result.returncode, result.stderr) == (0, "")
        assert -1 not in places
        assert places == sorted(places)
        assert "no problem found" in result.stdout
        assert list(tmp_path.iterdir()) == []

    def test_json(self, tmp_path: Path) -> None:
        """With --json it is one object with the same content; one session then has two wallets."""
        result = program("demo", "--json", TMPDIR=str(tmp_path))
        answer = only_object(result.stdout)
        assert set(answer) == {"path", "counts", "wallets", "before", "plan", "upgrade", "after", "linked", "check"}
        assert len(answer["before"]) == len(answer["after"]) == answer["upgrade"]["links_created"] == 12
        assert answer["counts"] == {"wallets": 3, "sessions": 12, "transactions": 60}
        assert [row["is_default"] for row in answer["linked"]] == [True, False]
        assert answer["check"]["ok"]
        assert list(tmp_path.iterdir()) == []

    def test_with_a_path_keeps_the_file(self, tmp_path: Path) -> None:
        """The file and its backup are kept at the given path, and are valid."""
        path = tmp_path / "demo.db"
        result = run("demo", path)
        (backup,) = tmp_path.glob("*.backup")
        assert result.exit_code == 0
        assert result.stdout.endswith(f"The file is kept: {path}.\n")
        assert {*tmp_path.iterdir()} == {path, backup}
        assert run("check", path).exit_code == run("status", path).exit_code == 0
        assert run("status", backup).exit_code == 3

    def test_sessions_are_active(self, tmp_path: Path) -> None:
        """The sessions of the demo are active and can be changed."""
        path = tmp_path / "demo.db"
        run("demo", path)
        listed = only_object(run("sessions", "list", path, "--json").stdout)["sessions"]
        assert [session["status"] for session in listed] == ["ACTIVE"] * 12

    def test_leaves_an_old_file(self, tmp_path: Path) -> None:
        """With --version 18 it only creates an old file, which can be upgraded."""
        path = tmp_path / "old.db"
        text = run("demo", "--version", "18", path)
        assert text.stdout.splitlines()[-1] == f"What to do: waiaas plan {path}"
        assert list(tmp_path.iterdir()) == [path]
        assert run("upgrade", path).exit_code == run("check", path).exit_code == 0
        assert only_object(run("demo", "--version", "18", tmp_path / "b.db", "--json").stdout) == {
            "path": str(tmp_path / "b.db"),
            "version": 18,
            "counts": {"wallets": 3, "sessions": 12, "transactions": 60},
        }

    @pytest.mark.parametrize("arguments", [["--version", "18"], ["--version", "17", "old.db"]])
    def test_invalid_versions(self, arguments: list[str]) -> None:
        """--version without a path, or with another version, is a usage error."""
        assert run("demo", *arguments).exit_code == 2


class TestLanguage:
    def test_of_errors(self, tmp_path: Path) -> None:
        """--lang ko and WAIAAS_LANG=ko give the error in Korean, as text and as JSON."""
        path = tmp_path / "wallets.db"
        by_option = run("--lang", "ko", "status", path, "--json")
        by_variable = run("status", path, "--json", WAIAAS_LANG="ko")
        message = only_object(by_option.stdout)["error"]["message"]
        assert message == f"{path} 파일이 없습니다."
        assert message in by_option.stderr
        assert (by_option.stdout, by_option.stderr) == (by_variable.stdout, by_variable.stderr)
        assert by_option.exit_code == by_variable.exit_code == 1

    @pytest.mark.parametrize("spelt", ["KO", "Ko", "ko_KR.UTF-8", "ko-KR", "ko_KR.eucKR@x"])
    def test_may_be_spelt_as_a_locale(self, tmp_path: Path, spelt: str) -> None:
        """Capitals and a locale of the language select it, in the variable and the option."""
        path = tmp_path / "wallets.db"
        expected = run("--lang", "ko", "status", path).stderr
        assert run("status", path, WAIAAS_LANG=spelt).stderr == run("--lang", spelt, "status", path).stderr == expected
        assert run("--lang", "en_US.UTF-8", "status", path, WAIAAS_LANG=spelt).stderr.startswith("Error: ")

    @pytest.mark.slow
    def test_of_the_real_program(self, tmp_path: Path) -> None:
        """The terminal gets complete Korean text, even in a locale without Korean."""
        result = program("status", tmp_path / "wallets.db", WAIAAS_LANG="ko", LC_ALL="C", PYTHONUTF8="0")
        assert result.returncode == 1
        assert "파일이 없습니다." in result.stderr

    def test_the_option_overrides_the_variable(self, tmp_path: Path) -> None:
        """--lang en selects English, whatever the environment."""
        result = run("--lang", "en", "status", tmp_path / "wallets.db", WAIAAS_LANG="ko")
        assert result.stderr.startswith("Error: There is no file ")

    def test_of_labels(self, tmp_path: Path) -> None:
        """In Korean, the labels of message and hint are Korean too."""
        result = run("--lang", "ko", "status", tmp_path / "wallets.db")
        assert "Error:" not in result.stderr
        assert "What to do:" not in result.stderr

    def test_of_obstacles(self, v18: Path) -> None:
        """The obstacles of a plan are errors too: they are in the requested language, in JSON too."""
        make_orphans(v18, OLD_WALLET)
        korean = "존재하지 않는 지갑을 가리키는 세션이"
        (obstacle,) = only_object(run("--lang", "ko", "plan", v18, "--json").stdout)["obstacles"]
        assert korean in run("--lang", "ko", "plan", v18).stdout
        assert korean in obstacle["message"]

    @pytest.mark.parametrize("command", [["check"], ["rehearse"]])
    def test_of_findings(self, tmp_path: Path, command: list[str]) -> None:
        """Findings and their hints are in the requested language, in JSON too."""
        path = make_latest(tmp_path / "wallets.db")
        execute(path, f"UPDATE transactions SET session_id = 'gone' WHERE session_id = '{session_id(0)}'")
        lines = [line.strip() for line in run("--lang", "ko", *command, path).stdout.splitlines()]
        answer = only_object(run("--lang", "ko", *command, path, "--json").stdout)
        (finding,) = answer.get("findings") or answer["rehearsal"]["check"]["findings"]
        assert finding["message"].startswith("transactions 테이블에 외래 키 위반이 있습니다.")
        start = lines.index(f"문제: {finding['message']}")
        assert lines[start + 1] == f"해결 방법: {finding['hint']}"
        assert finding["hint"].startswith("없어진 행을 백업에서")


def test_upgrade_creates_in_an_empty_file(tmp_path: Path) -> None:
    """An empty file becomes a new database, and the output reports that it was created."""
    path = tmp_path / "wallets.db"
    path.touch()
    assert run("upgrade", path).stdout == f"Created {path} at schema version {LATEST}.\n"
    assert only_object(run("status", path, "--json").stdout)["version"] == LATEST
    path.write_bytes(b"")
    assert only_object(run("upgrade", path, "--json").stdout)["created"] is True


def test_demo_without_a_temporary_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If the folder for temporary files is missing, the demo is refused; with a PATH it needs none."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    result = run("demo", "--json")
    assert result.exit_code == 1
    error = only_object(result.stdout)["error"]
    assert (error["details"]["reason"], "missing" in error["message"]) == ("cannot_open", True)
    assert run("demo", tmp_path / "wallets.db").exit_code == 0
