"""Usage errors, and the language of other errors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command_line import only_object, program, run
from support.old_files import contents, execute, make_file

from waiaas.cli import main

_MAIN = "from waiaas.cli import main; main(prog_name='waiaas')"
# Invalid command lines, and what the error names.
WRONG = [
    (["upgarde", "a.db"], "No such command 'upgarde'. Did you mean: waiaas upgrade"),
    (["frobnicate"], "No such command 'frobnicate'."),
    (["rehersal", "a.db"], "Did you mean: waiaas rehearse"),
    (["upgrade", "a.db", "--dry-run"], "run `waiaas rehearse PATH`"),
    (["status", "--jsn", "a.db"], "--json"),
    (["status", "--x", "a.db"], "No such option"),
    (["status"], "Missing argument 'TARGET'. Without TARGET, set the environment variable WAIAAS_DATABASE."),
    (["sessions", "revoke", "a.db"], "Missing argument 'SESSION'. Or use --wallet or --all."),
    (["status", "a.db", "b.db"], "Got unexpected extra argument"),
    (["downgrade", "--to", "x", "a.db"], "is not a valid integer"),
    (["downgrade", "a.db", "--to"], "Option '--to' requires an argument."),
    (["status", "--json=1", "a.db"], "Option '--json' does not take a value."),
    (["completion", "tcsh"], "is not one of 'bash', 'zsh', 'fish'"),
    (["status", ""], "The path is empty."),
    (["status", ":memory:"], "A database in memory ends with the command."),
    (["downgrade", "postgresql://app:secret@host/wallets"], "This command is for files. For PostgreSQL, use pg_dump"),
    (["status", "mysql://app:secret@host/wallets"], "is not the path of a database file."),
    (["status", "a.db", "--lang", "fr"], "'fr' is not one of 'en', 'ko'"),
]


@pytest.mark.parametrize(("arguments", "error"), WRONG, ids=lambda value: str(value)[:40])
def test_usage_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: str) -> None:
    """A usage error is on standard error only; the exit code is 2."""
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    *_, last = result.stderr.splitlines()
    assert last.startswith("Error: ")
    assert error in last
    assert "secret" not in result.stderr + run(*arguments, "--lang", "ko").stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("by_name", [False, True])
def test_the_arguments_of_a_call_have_the_language(capsys: pytest.CaptureFixture[str], by_name: bool) -> None:
    """A program can call `main` with a list of arguments, whose language is that of the output."""
    arguments = ["frobnicate", "--lang", "ko"]
    with pytest.raises(SystemExit) as ended:
        main(args=arguments) if by_name else main(arguments)
    assert ended.value.code == 2
    assert "오류" in capsys.readouterr().err


def test_a_language_that_is_unknown_in_the_environment() -> None:
    """A language from the environment is checked like that of the option."""
    assert "'fr' is not one of 'en', 'ko'" in run("status", "a.db", WAIAAS_LANG="fr").stderr


@pytest.mark.parametrize(
    "command",
    sorted(
        name
        for name, command in main.commands.items()
        if name not in ("backups", "demo", "health", "init", "move", "prune", "restore")
        and any(each.name in ("path", "target") for each in command.params)
    ),
)
def test_the_language_before_or_after_the_command(tmp_path: Path, command: str) -> None:
    """`--lang` can be anywhere; the last one counts, and each overrides the environment."""
    path = tmp_path / "wallets.db"
    expected = run("--lang", "ko", command, path).stderr
    assert expected.startswith("오류: ")
    assert run(command, path, "--lang", "ko").stderr == expected
    assert run("--lang", "en", command, "--lang", "ko_KR.UTF-8", path, WAIAAS_LANG="en").stderr == expected
    assert run("--lang", "ko", command, "--lang", "en", path).stderr.startswith("Error: ")


def test_a_file_without_a_command(v18: Path) -> None:
    """A file instead of a command gets an error that suggests a command."""
    result = run(v18)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith(f"Did you mean: waiaas status {v18}")


@pytest.mark.slow
def test_a_path_that_begins_with_a_dash(tmp_path: Path) -> None:
    """A path that begins with a dash is an option unless it is written with a folder; nothing is changed."""
    make_file(tmp_path / "wallets.db").rename(tmp_path / "-wallets.db")
    before = contents(tmp_path)
    assert program("status", "-wallets.db", code=f"import os; os.chdir({str(tmp_path)!r})\n{_MAIN}").returncode == 2
    assert program("status", "./-wallets.db", code=f"import os; os.chdir({str(tmp_path)!r})\n{_MAIN}").returncode == 3
    assert contents(tmp_path) == before


#: Each command that takes the path of a database.
FILE_COMMANDS = [
    *(["init"], ["demo"], ["status"], ["plan"], ["upgrade"], ["rehearse"], ["downgrade"], ["check"], ["health"]),
    *(["backup"], ["backups"], ["backups", "--keep", "1", "--yes"], ["restore", "--yes"], ["sessions", "list"]),
    *(["audit"], ["prune", "--dry-run", "--sessions", "1"]),
]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
@pytest.mark.parametrize("command", ["init", "status", "plan", "upgrade", "downgrade", "check"])
def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path, command: str, make: object) -> None:
    """A folder or a pipe instead of a file is refused as such, and nothing waits on it."""
    assert callable(make)
    make(tmp_path / "wallets.db")
    result = run(command, tmp_path / "wallets.db", "--json")
    error = only_object(result.stdout)["error"]
    assert result.exit_code == 1
    assert error["details"]["reason"] == "not_a_file"
    assert "폴더나 장치" in run("--lang", "ko", command, tmp_path / "wallets.db").stderr


@pytest.mark.parametrize("command", FILE_COMMANDS)
def test_a_folder_with_and_without_a_trailing_slash(tmp_path: Path, command: list[str]) -> None:
    """A folder is refused with the same exit code and the same answer, with a slash at the end of its path or not."""
    folder = tmp_path / "sub"
    folder.mkdir()
    there = str(tmp_path / "wallets.db")
    plain, slash = (run(*command, path, "--json", WAIAAS_DATABASE=there) for path in (folder, f"{folder}{os.sep}"))
    assert (slash.exit_code, slash.stdout, slash.stderr) == (plain.exit_code, plain.stdout, plain.stderr)
    answer = only_object(plain.stdout)
    assert plain.exit_code == (5 if command == ["health"] else 1)
    assert answer["error"].get("details", answer["error"])["reason"] == "not_a_file"
    assert [*tmp_path.rglob("*")] == [folder]


@pytest.mark.parametrize("name", ["wallets.db", "missing"])
@pytest.mark.parametrize("command", FILE_COMMANDS)
def test_a_trailing_slash_without_a_folder(tmp_path: Path, command: list[str], name: str) -> None:
    """A path with a trailing slash names a folder: no file without the slash is created or opened."""
    make_file(tmp_path / "wallets.db")
    before = contents(tmp_path)
    result = run(*command, f"{tmp_path / name}{os.sep}", WAIAAS_DATABASE=str(tmp_path / "wallets.db"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "This is the path of a folder." in result.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["nowhere/wallets.db", "a" * 300])
def test_a_path_that_cannot_be_created(tmp_path: Path, name: str) -> None:
    """The error contains the operating system's message, and no path that the user did not type."""
    result = run("init", tmp_path / name)
    assert result.exit_code == 1
    assert ".waiaas" not in result.stderr
    assert "Errno" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "verdict"), [(1, "1 problem found."), (2, "2 problems found.")])
def test_the_number_of_problems(tmp_path: Path, count: int, verdict: str) -> None:
    """The verdict counts one problem in the singular."""
    path = tmp_path / "wallets.db"
    run("init", path)
    execute(path, *[f"DROP INDEX {name}" for name in ("idx_wallets_status", "idx_sessions_expires_at")[:count]])
    assert run("check", path).stdout.endswith(f": {verdict}\n")


@pytest.mark.parametrize("reason", ["orphan_sessions", "file_not_found"])
def test_korean_errors_are_korean_throughout(tmp_path: Path, reason: str) -> None:
    """A Korean error contains no English words except names, values and what to type."""
    path = tmp_path / "wallets.db"
    if reason == "orphan_sessions":
        make_file(path)
        execute(path, "DELETE FROM wallets")
    result = run("--lang", "ko", "upgrade", path)
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if not line.startswith("    ")]
    assert all(any("가" <= letter <= "힣" for letter in line) for line in lines)
