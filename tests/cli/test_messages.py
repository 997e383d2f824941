"""Korean: every help, answer and error of usage has its text, and nothing of it stays in English."""

from __future__ import annotations

import ast
import inspect
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest
from support.command_line import run
from support.old_files import execute, make_file

import waiaas
from waiaas.cli import main, messages
from waiaas.cli.korean import KOREAN
from waiaas.cli.records import columns_of
from waiaas.demo import make_version_18
from waiaas.inspection.report import ChangeKind
from waiaas.migrations.history import DESCRIPTIONS

CLI = Path(inspect.getfile(messages)).parent
HANGUL = re.compile("[가-힣]")
#: Two words of English prose, or the header of a table.
ENGLISH = re.compile(r"[A-Za-z]*[a-z] [a-z]{2,}|^[A-Z]{4,} +[A-Z]{4,}")
#: A line of help without words for people: a command, or a value that is continued.
CODE = re.compile(r"(\S+=\S+ )?waiaas .*|[\w.:, -]*(\[[^]]*\])?")
#: What is the same in every language: commands and what is quoted.
QUOTED = re.compile(r"`[^`]*`|'[^']*'|waiaas( [!-~]+)*")
NAMES = ("trading on Solana", "payments on Base", "research on Sepolia")


def commands(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


def texts_of_help(command: click.Command) -> Iterator[str]:
    """Every text that the help of a command shows, as it is looked up."""
    yield command.short_help or ""
    yield from (option.help or "" for option in command.params if isinstance(option, click.Option))
    for text in (command.help, command.epilog):
        for paragraph in inspect.cleandoc(text or "").split("\n\n"):
            if paragraph.startswith("\b"):
                yield from (part for line in paragraph.split("\n")[1:] for part in messages._COLUMNS.split(line))
            else:
                yield " ".join(paragraph.split())


def texts_of_code() -> Iterator[str]:
    """The texts that the code of the command line passes to `translated` and `counted`, directly or as a variable."""
    for file in CLI.glob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            nodes = [*ast.walk(function)]
            calls = [
                each for each in nodes if isinstance(each, ast.Call) and getattr(each.func, "id", "") == "translated"
            ]
            variables = {each.args[0].id for each in calls if isinstance(each.args[0], ast.Name)}
            values = [
                each.value
                for each in nodes
                if isinstance(each, ast.Assign) and variables & {getattr(target, "id", "") for target in each.targets}
            ]
            for node in [*(each.args[0] for each in calls), *values]:
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
            for call in nodes:
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "counted":
                    yield from (each.value for each in call.args if isinstance(each, ast.Constant))


def is_english(line: str) -> bool:
    return ENGLISH.search(QUOTED.sub("", line)) is not None


def is_prose(text: str) -> bool:
    return re.search("[a-z]{2}", text) is not None and CODE.fullmatch(text.strip()) is None


@pytest.mark.parametrize(
    ("path", "command"), [*commands()], ids=lambda each: " ".join(each) if isinstance(each, tuple) else ""
)
class TestHelp:
    def test_has_a_korean_text_for_each_of_its_texts(self, path: tuple[str, ...], command: click.Command) -> None:
        """No text of a help is missing in the catalogue."""
        assert [text for text in texts_of_help(command) if text not in KOREAN and is_prose(text)] == []

    def test_is_korean_and_fits_the_terminal(self, path: tuple[str, ...], command: click.Command) -> None:
        """With --lang ko every line has Korean words or is code, and is not wider than the terminal."""
        shown = run(*path, "--help", "--lang", "ko").stdout
        lines = [line.strip() for line in shown.splitlines()]
        english = [line for line in lines if not HANGUL.search(line)]
        assert [line for line in english if not CODE.fullmatch(line) or is_english(line)] == []
        assert [line for line in lines if columns_of(line) > 78 and not line.startswith(("waiaas ", "WAIAAS_"))] == []

    def test_stays_english_without_the_option(self, path: tuple[str, ...], command: click.Command) -> None:
        """The Korean help of a command changes nothing in its English help."""
        assert not HANGUL.search(run(*path, "--help").stdout)


def test_every_text_of_the_code_is_in_the_catalogue() -> None:
    """No message of the command line is missing, and no step of an upgrade."""
    found = {*texts_of_code(), *DESCRIPTIONS.values()}
    assert len(found) > 150
    assert sorted(found - set(KOREAN)) == []


def phases() -> Iterator[str]:
    """What the library reports as progress, with `{name}` in the place of a name."""
    for file in Path(inspect.getfile(waiaas)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
                "Progress",
                "report_progress",
            ):
                phase = node.args[0] if node.args else None
                if isinstance(phase, ast.Constant):
                    yield phase.value
                elif isinstance(phase, ast.JoinedStr) and isinstance(phase.values[0], ast.Constant):
                    yield f"{phase.values[0].value}{{name}}"


def test_every_phase_of_the_progress_is_in_the_catalogue() -> None:
    """The line of progress is Korean, whatever runs."""
    found = {*phases()}
    assert len(found) > 20
    assert found - KOREAN.keys() == set()


def test_translations_are_korean_and_have_the_same_places() -> None:
    """Each text of the catalogue is Korean, and has no place for a value that the English one does not have."""
    for english, korean in KOREAN.items():
        assert HANGUL.search(korean)
        places = [
            {(name, format_, conversion) for _, name, format_, conversion in string.Formatter().parse(text) if name}
            for text in (english, korean)
        ]
        assert places[1] <= places[0]
        assert places[1] == places[0] or "number_type" in english


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["statu", "wallets.db"],
        ["sessions", "sho"],
        ["sessions"],
        ["status", "wallets.db", "more"],
        ["status", "wallets.db", "--jsn"],
        ["status", "wallets.db", "--json=1"],
        ["audit", "wallets.db", "--limit"],
        ["audit", "wallets.db", "--limit", "0"],
        ["audit", "wallets.db", "--limit", "many"],
        ["audit", "wallets.db", "--since", "soon"],
        ["sessions", "list", "wallets.db", "--status", "x"],
        ["sessions", "revoke", "wallets.db"],
        ["sessions", "revoke", "wallets.db", "a", "--all"],
        ["prune", "wallets.db"],
        ["prune", "wallets.db", "--sessions", "1", "--export", "x"],
        ["backup", "postgresql://db/wallets"],
        ["backup", "https://db/wallets"],
        ["backup", ":memory:"],
        ["backup", "folder/"],
        ["backup", ""],
        ["upgrade", "wallets.db", "--dry-run"],
        ["upgrade", "wallets.db", "--backup", "x", "--no-backup"],
        ["move", "postgresql://h/a"],
        ["move", "postgresql://h/a", "postgresql://h/b"],
        ["demo", "--version", "18"],
        ["completion", "cmd"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_explained_in_korean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """An error of usage is Korean, wherever --lang is."""
    monkeypatch.chdir(tmp_path)
    waiaas.connect("wallets.db").close()
    for arguments in (["--lang", "ko", *words], [*words, "--lang=ko"]):
        if arguments[-2:] == ["--limit", "--lang=ko"]:  # it is the value of the option then
            continue
        result = run(*arguments)
        assert result.exit_code == 2
        lines = [line for line in result.stderr.splitlines() if line and not line.startswith("사용법: waiaas ")]
        assert [line for line in lines if not HANGUL.search(line) or is_english(line)] == []


def values_that_are_checked() -> Iterator[tuple[str, ...]]:
    """Each option that does not take every value, and --lang once: the last one given is what counts."""
    for path, command in commands():
        for option in command.params:
            is_checked = isinstance(option.type, (click.Choice, click.types.IntParamType))
            if isinstance(option, click.Option) and is_checked and (option.name != "lang" or not path):
                yield (*path, option.opts[-1])


@pytest.mark.parametrize("words", [*values_that_are_checked()], ids=" ".join)
def test_a_wrong_value_of_each_option_is_explained_in_korean(words: tuple[str, ...]) -> None:
    """An error about a value is Korean, also one of the option of the whole program."""
    result = run(*words, "?", *([] if len(words) > 1 else ["status"]), "--lang", "ko")
    lines = [line for line in result.stderr.splitlines() if line and not line.startswith("사용법: waiaas ")]
    assert result.exit_code == 2
    assert [line for line in lines if not HANGUL.search(line) or is_english(line)] == []


def test_the_version_is_korean() -> None:
    """The line with the version is Korean, and the version is in the same column as in English."""
    english, korean = (run("--lang", language, "--version") for language in ("en", "ko"))
    assert (english.exit_code, korean.exit_code) == (0, 0)
    assert english.stdout == f"waiaas, version {waiaas.__version__}\n"
    assert korean.stdout == f"waiaas 버전 {waiaas.__version__}\n"


def test_every_kind_of_difference_is_in_the_catalogue() -> None:
    """What a rehearsal finds different has a Korean name, whatever it is."""
    kinds = get_args(ChangeKind)
    assert len(kinds) > 5
    assert sorted({*kinds} - KOREAN.keys()) == []


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "wallets.db"
    make_version_18(path)
    return path


def test_answers_are_whole(database: Path, tmp_path: Path) -> None:
    """What the commands answer is Korean, except for names, ids, states and commands."""

    def lines_of(*words: str | Path) -> list[str]:
        result = run(*words, "--lang", "ko")
        shown = f"{result.stdout}{result.stderr}"
        for name in (*NAMES, str(tmp_path)):
            shown = shown.replace(name, "-")
        return [line for line in shown.splitlines() if line.strip()]

    old = make_file(tmp_path / "old.db")
    execute(old, "UPDATE sessions SET wallet_id = 'gone'")
    words: list[list[str | Path]] = [
        *([name, old] for name in ("status", "plan", "upgrade")),
        ["plan", old, "--skip-orphans"],
        ["upgrade", old, "--skip-orphans"],
        *([name, database] for name in ("status", "plan", "rehearse", "upgrade", "upgrade", "check", "health")),
        *([name, database] for name in ("backup", "backups", "audit")),
        ["init", tmp_path / "new.db"],
        *(["sessions", "list", path] for path in (database, tmp_path / "new.db")),
        ["wallets", "list", database],
        ["demo"],
    ]
    shown = [line for each in words for line in lines_of(*each)]
    with waiaas.connect(database, create=False) as opened:
        session, wallet = opened.sessions.list().items[0].id, opened.wallets.list().items[1].id
    for command in (
        f"sessions show DB {session}",
        f"wallets show DB {wallet}",
        f"links add DB {session} {wallet}",
        f"links remove DB {session} {wallet} --yes",
        f"wallets suspend DB {wallet} --reason -",
        f"wallets resume DB {wallet}",
        f"wallets terminate DB {wallet}",
        f"sessions revoke DB {session} --yes",
        "sessions revoke DB --all --yes",
        "tokens rotate DB --yes",
        "kill-switch status DB",
        "kill-switch activate DB --yes",
        "kill-switch recover DB",
        "sessions show DB nobody",
        "prune DB --sessions 0 --audit 0 --yes",
        "downgrade DB",
        f"restore {tmp_path / 'other.db'} DB --yes",
    ):
        shown += lines_of(*(str(database) if word == "DB" else word for word in command.split()))
    # Commands, JSON and SQL are the same in every language, but not what kind of object has a difference in SQL.
    shown = [line for line in shown if not line.strip().startswith(("$ waiaas", "{"))]
    differences = [line for line in shown if line.strip().startswith(("+ ", "- ", "~ "))]
    assert len(differences) >= 5
    assert [line for line in differences if not HANGUL.search(line.partition(":")[0])] == []
    shown = [line for line in shown if line not in differences]
    assert len(shown) > 150
    assert [line for line in shown if is_english(line)] == []


def test_completion_shows_plain_texts() -> None:
    """What a shell shows next to a completion has no characters that only help needs."""
    variables = {"_WAIAAS_COMPLETE": "zsh_complete", "COMP_WORDS": "waiaas ", "COMP_CWORD": "1", "WAIAAS_LANG": "ko"}
    assert "\n파일을 백업으로 바꿉니다.\n" in run(**variables).stdout
