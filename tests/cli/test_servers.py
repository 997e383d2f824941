"""Commands on PostgreSQL databases, including `waiaas move`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import run
from support.postgresql_server import PASSWORD, Databases

import waiaas

LATEST = waiaas.LATEST_SCHEMA_VERSION


@pytest.fixture
def url(databases: Databases) -> Iterator[str]:
    """The URL of an empty PostgreSQL database."""
    with databases.new(empty=True) as url:
        yield url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one wallet."""
    path = tmp_path / "wallets.db"
    with waiaas.connect(path) as database:
        database.wallets.create(name="n", chain="solana", environment="mainnet", public_key="key", actor="sam")
    return path


def test_move_to_a_server_and_back(file: Path, url: str, tmp_path: Path) -> None:
    """The URL is read from the argument or the environment, and its password is never printed."""
    there = run("move", file, WAIAAS_DATABASE=url)
    assert (there.exit_code, there.stderr) == (0, "")
    assert there.stdout.startswith(f"Moved {file} (schema version {LATEST}) to postgresql://postgres@127.0.0.1:")
    assert there.stdout.endswith("All 21 rows were read back and are equal.\n")
    for number, (arguments, environment) in enumerate(
        (((url,), {}), ((), {"WAIAAS_DATABASE": url})),
    ):
        new = tmp_path / f"back{number}.db"
        back = run("move", *arguments, new, *([] if arguments else ["--back"]), "--json", **environment)
        assert back.exit_code == 0
        assert json.loads(back.stdout)["tables"][0]["rows"] == 1
        assert PASSWORD not in f"{there.stdout}{back.stdout}{back.stderr}"
        with waiaas.connect(new) as database:
            assert [wallet.name for wallet in database.wallets.list().items] == ["n"]


def test_a_rehearsal(file: Path, url: str) -> None:
    for _ in range(2):
        result = run("move", file, url, "--rehearse")
        assert result.exit_code == 0
        assert result.stdout.startswith(f"Rehearsed the move of {file}")
        assert result.stdout.endswith("The target is empty again.\n")


def test_what_stays_in_the_source_is_listed(file: Path, url: str) -> None:
    with waiaas.connect(file) as database:
        database.peewee.execute_sql("CREATE TABLE notes (note TEXT)")
    assert "  stays in the source: table notes\n" in run("move", file, url).stdout


def test_a_refusal_names_table_column_and_count(file: Path, url: str) -> None:
    with waiaas.connect(file) as database:
        database.peewee.execute_sql("UPDATE wallets SET name = x'00'")
    refused = run("move", file, url)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "wallets.name: blob (1)" in refused.stderr
    assert run("move", file, url, "--json").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "variable", "message"),
    [
        (("{file}",), "", "Name TARGET, or set the environment variable WAIAAS_DATABASE."),
        (("{file}", "b.db"), "", "SOURCE and TARGET are both files: one must be the URL of a PostgreSQL database."),
        (("{file}",), "b.db", "database. TARGET is from WAIAAS_DATABASE."),
        (("postgresql://h/a", "postgresql://h/b"), "", "SOURCE and TARGET are both URLs: one must be a file."),
    ],
)
def test_usage_errors(file: Path, arguments: tuple[str, ...], variable: str, message: str) -> None:
    """The error says what is wrong with which argument, and where it comes from."""
    result = run("move", *(each.format(file=file) for each in arguments), WAIAAS_DATABASE=variable)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"{message}\n")


@pytest.mark.parametrize("target", ["", "b.db", "postgresql://h/b"])
def test_a_missing_source_is_named(tmp_path: Path, target: str) -> None:
    """A file that does not exist is the error, not the target."""
    result = run("move", tmp_path / "missing.db", WAIAAS_DATABASE=target)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: There is no file {tmp_path / 'missing.db'}.\n")


def test_commands_take_a_url(url: str) -> None:
    """Each command on a file also works on a server from the argument or the environment, without its password."""
    outputs = []

    def answer(*arguments: str, code: int = 0) -> str:
        by_argument = run(arguments[0], url, *arguments[1:])
        by_environment = run(*arguments, WAIAAS_DATABASE=url)
        outputs.extend((by_argument.stdout, by_argument.stderr, by_environment.stdout))
        assert (by_argument.exit_code, by_environment.exit_code) == (code, code)
        assert by_argument.stdout == by_environment.stdout
        return by_argument.stdout

    assert "is empty" in answer("status", code=3)
    assert run("init", url).stdout.startswith("Created postgresql://postgres@127.0.0.1:")
    answer("init", code=1)
    assert f"is at schema version {LATEST}, the latest." in answer("status")
    assert "nothing to do" in answer("plan")
    assert "nothing to do" in answer("upgrade")
    assert "no problem found" in answer("check")
    assert json.loads(answer("check", "--json"))["path"].startswith("postgresql://postgres@")
    assert not any(PASSWORD in output for output in outputs)
