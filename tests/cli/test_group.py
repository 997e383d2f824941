"""How errors of usage are told: in the language asked for, with what was probably meant."""

from __future__ import annotations

import os
import string
from pathlib import Path

import pytest
from support.command_line import only_object, program, run
from support.old_files import contents, execute, make_file

from waiaas.cli.words import WORDS

_MAIN = "from waiaas.cli import main; main(prog_name='waiaas')"
# What is wrong with a command line, and what is said of it in English and in Korean.
WRONG = [
    (["upgarde", "a.db"], "No such command 'upgarde'. Did you mean 'upgrade'?", "'upgrade'입니까?"),
    (["frobnicate"], "No such command 'frobnicate'.", "'frobnicate' 명령은 없습니다."),
    (["upgrade", "--rehersal", "a.db"], "--rehearse", "'--rehersal' 옵션은 없습니다."),
    (["status", "--jsn", "a.db"], "--json", "혹시 '--json'입니까?"),
    (["status", "--x", "a.db"], "No such option", "'--x' 옵션은 없습니다."),
    (["status"], "Missing argument 'PATH'.", "'PATH' 인수가 없습니다."),
    (["status", "a.db", "b.db"], "Got unexpected extra argument", "명령의 인수가 올바르지 않습니다."),
    (["downgrade", "--to", "x", "a.db"], "is not a valid integer", "'--to' 값이 올바르지 않습니다. 정수여야 합니다."),
    (["downgrade", "a.db", "--to"], "Option '--to' requires an argument.", "'--to' 옵션의 사용법이"),
    (["status", "--json=1", "a.db"], "Option '--json' does not take a value.", "'--json' 옵션의 사용법이"),
    (["completion", "tcsh"], "is not one of 'bash', 'zsh', 'fish'", "다음 중 하나여야 합니다: bash, zsh, fish."),
    (["status", ""], "The path is empty: name a file.", "경로가 비어 있습니다."),
    (["status", ":memory:"], "A database in memory ends with the command", "메모리 데이터베이스는"),
]


@pytest.mark.parametrize(("arguments", "english", "korean"), WRONG, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_wrong_usage_is_told_in_the_language_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str, arguments: list[str], english: str, korean: str
) -> None:
    """Usage, error and next step stand on standard error alone, in one language, and the exit code is 2."""
    monkeypatch.chdir(tmp_path)
    result = run("--lang", lang, *arguments)
    words = WORDS[lang]
    usage, error, next_step = result.stderr.splitlines()
    assert (result.exit_code, result.stdout) == (2, "")
    assert usage.startswith(f"{words['usage']}: waiaas ")
    assert error.startswith(f"{words['error']}: ")
    assert {"en": english, "ko": korean}[lang] in error
    assert next_step.startswith(f"{words['what_to_do']}: waiaas ")
    assert next_step.endswith(" --help")
    assert list(tmp_path.iterdir()) == []


def test_an_error_before_the_language_is_known(tmp_path: Path) -> None:
    """An option that is wrong itself is told in the language of the environment, or else in English."""
    assert run("--lagn", "ko", WAIAAS_LANG="ko").stderr.startswith("사용법: ")
    assert run("--lagn", "ko", WAIAAS_LANG="ko_KR.UTF-8").stderr.startswith("사용법: ")
    assert run("--lagn", "ko").stderr.startswith("Usage: ")
    assert "'fr' is not one of 'en', 'ko'" in run("status", "a.db", WAIAAS_LANG="fr").stderr


@pytest.mark.parametrize(
    ("arguments", "english", "korean"),
    [
        (["status", "a.db", "--lang", "ko"], "Write --lang before the command", "--lang 옵션을 명령 앞에 쓰십시오"),
        (["--json", "status", "a.db"], "Write --json behind the command", "--json 옵션을 명령 뒤에 쓰십시오"),
    ],
)
def test_an_option_on_the_wrong_side_of_the_command(arguments: list[str], english: str, korean: str) -> None:
    """Who writes an option where it does not belong is told where it does, and of no other option."""
    _, error, next_step = run(*arguments).stderr.splitlines()
    assert error.startswith("Error: No such option")
    assert "Did you mean" not in error
    assert next_step == f"What to do: {english}"
    _, error, next_step = run(*arguments, WAIAAS_LANG="ko").stderr.splitlines()
    assert "혹시" not in error
    assert next_step == f"해결 방법: {korean}"


def test_a_file_without_a_command(v18: Path) -> None:
    """Who names a file alone is shown the command with which to begin."""
    result = run(v18)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"What to do: waiaas status {v18}"


def test_a_path_that_begins_with_a_dash(tmp_path: Path) -> None:
    """It is taken for an option, so that its owner is told how to write it; written so, it is a file like others."""
    make_file(tmp_path / "wallets.db").rename(tmp_path / "-wallets.db")
    before = contents(tmp_path)
    told = program("status", "-wallets.db", code=f"import os; os.chdir({str(tmp_path)!r})\n{_MAIN}")
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1] == "What to do: Write the path as ./-wallets.db"
    assert program("status", "./-wallets.db", code=f"import os; os.chdir({str(tmp_path)!r})\n{_MAIN}").returncode == 3
    assert contents(tmp_path) == before


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
@pytest.mark.parametrize("command", ["init", "status", "plan", "upgrade", "downgrade", "check"])
def test_what_is_no_file_is_called_so(tmp_path: Path, command: str, make: object) -> None:
    """A folder or a pipe in the place of a file is refused for what it is, and nothing waits on it."""
    assert callable(make)
    make(tmp_path / "wallets.db")
    result = run(command, tmp_path / "wallets.db", "--json")
    error = only_object(result.stdout)["error"]
    assert result.exit_code == 1
    assert (error["details"]["reason"], error["details"]["cause"]) == ("cannot_open", "it is not a file")


@pytest.mark.parametrize("there", [True, False], ids=["folder", "nothing"])
@pytest.mark.parametrize("command", ["init", "demo", "status", "plan", "upgrade", "downgrade", "check"])
def test_a_path_that_ends_as_a_folders_does(tmp_path: Path, command: str, there: bool) -> None:
    """A slash at the end names a folder: no file is made, or looked for, under the name without it."""
    if there:
        (tmp_path / "sub").mkdir()
    before = list(tmp_path.iterdir())
    result = run(command, f"{tmp_path / 'sub'}{os.sep}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "The path ends as a folder's does: name a file." in result.stderr
    assert "파일을 지정하십시오." in run("--lang", "ko", command, f"{tmp_path / 'sub'}{os.sep}").stderr
    assert list(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["nowhere/wallets.db", "a" * 300])
def test_a_path_that_cannot_be_created(tmp_path: Path, name: str) -> None:
    """What the operating system says is told, without names that the user never gave."""
    result = run("init", tmp_path / name)
    assert result.exit_code == 1
    assert ".waiaas" not in result.stderr
    assert "Errno" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_languages_have_the_same_words() -> None:
    """Each language says the same things, with the same placeholders."""
    fields = {
        lang: {key: {name for _, name, _, _ in string.Formatter().parse(text) if name} for key, text in words.items()}
        for lang, words in WORDS.items()
    }
    assert fields["ko"] == fields["en"]


@pytest.mark.parametrize("reason", ["orphan_sessions", "file_not_found"])
def test_korean_errors_are_korean_throughout(tmp_path: Path, reason: str) -> None:
    """No English word stands in a Korean error but names, values and what is to be typed."""
    path = tmp_path / "wallets.db"
    if reason == "orphan_sessions":
        make_file(path)
        execute(path, "DELETE FROM wallets")
    result = run("--lang", "ko", "upgrade", path)
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if not line.startswith("    ")]
    assert all(any("가" <= letter <= "힣" for letter in line) for line in told)
