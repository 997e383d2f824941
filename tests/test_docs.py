"""The documentation is correct: its examples run, and everything public is described."""

from __future__ import annotations

import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from click.testing import CliRunner
from peewee import Database

import waiaas
from waiaas import demo, schemas
from waiaas.backends.postgresql import PostgresqlDatabase
from waiaas.cli import main
from waiaas.ddl import LosslessMigrator
from waiaas.demo import make_version_18
from waiaas.errors.texts import texts_in
from waiaas.migrations.postgresql import PostgresqlMigration, create_or_upgrade

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page for page in sorted(DOCS.rglob("*.rst"))}
PAGES_WITH_EXAMPLES = [
    name for name, page in PAGES.items() if re.search(r"^ *(>>>|\$) ", page.read_text("utf-8"), re.MULTILINE)
]
#: Files that must exist before the first example of a page.
PREPARED: dict[str, Callable[[], object]] = {
    "how-to/audit.rst": lambda: demo.run(Path("wallets.db")),
    "how-to/bad-days.rst": lambda: demo.run(Path("wallets.db")),
    "how-to/postgresql.rst": lambda: demo.run(Path("wallets.db")),
    "how-to/rotate-the-key.rst": lambda: demo.run(Path("wallets.db")),
    "how-to/upgrade-a-file.rst": lambda: make_version_18(Path("wallets.db")),
}
JSON_COMMANDS = [name for name, command in main.commands.items() if any(p.name == "as_json" for p in command.params)]
INSTALLING = r"(\.venv/bin/)?pip install|python3 -m venv|\.venv/bin/python benchmarks/run\.py"
NEWCOMER_COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/waiaas demo",
    "python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox",
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_examples(text: str, name: str) -> None:
    """Run the examples of a text, in Python and shell, in order."""
    output: list[str] = []
    python = re.sub(r"^( *)\$ (.*)$", lambda line: f"{line[1]}>>> shell({line[2]!r})", text, flags=re.MULTILINE)
    test = doctest.DocTestParser().get_doctest(python, {"shell": shell}, name, name, 0)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert results.failed == 0, "".join(output)
    assert results.attempted > 0


def shell(command: str) -> None:
    """Run a command as in a terminal, with the programs of this environment first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONUTF8": "1"}
    both = subprocess.run(
        ["sh", "-c", command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    print(both.stdout.decode("utf-8"), end="")


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    found = re.findall(rf"^( *)\.\. code-block:: {language}\n\n((?:\1   .*\n|\n)+)", text, re.MULTILINE)
    return ["\n".join(line[len(indent) + 3 :] for line in block.splitlines()) for indent, block in found]


def python_blocks(markdown: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_readme_run() -> None:
    """The README's Python, pasted line by line, has the documented output."""
    run_examples("\n".join(python_blocks(README.read_text("utf-8"))), "README.md")


def test_every_python_block_of_the_readme_is_an_example() -> None:
    """Every Python block of the README is run."""
    assert all(block.startswith(">>> ") for block in python_blocks(README.read_text("utf-8")))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES_WITH_EXAMPLES)
def test_the_examples_of_a_page_run(
    name: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A page's examples, in Python or shell, have the documented output line by line."""
    monkeypatch.syspath_prepend(PAGES[name].parent)
    PREPARED.get(name, lambda: None)()
    with ExitStack() as stack:
        if name == "how-to/postgresql.rst":
            url = stack.enter_context(request.getfixturevalue("databases").new(empty=True))
            monkeypatch.setenv("WAIAAS_DATABASE", url)
        run_examples(PAGES[name].read_text("utf-8"), name)


def test_pages_with_examples_are_found() -> None:
    """Pages with examples are recognised, so that a page without prompts is not silently skipped."""
    assert {
        "index.rst",
        "tutorial/index.rst",
        "how-to/bad-days.rst",
        "how-to/small.rst",
        "how-to/deployment.rst",
        "how-to/fastapi.rst",
        "how-to/flask.rst",
        "how-to/junction.rst",
        "how-to/korean.rst",
        "how-to/postgresql.rst",
        "how-to/threads.rst",
        "how-to/upgrade-a-file.rst",
        "explanation/playhouse.rst",
        "explanation/security.rst",
        "explanation/upgrades.rst",
        "reference/errors.rst",
        "reference/findings.rst",
    } <= set(PAGES_WITH_EXAMPLES)


def test_no_page_has_code_that_nothing_runs() -> None:
    """A block of Python is an example or has its own test; a block of shell installs or runs the benchmarks."""
    python = [name for name, page in PAGES.items() if blocks(page.read_text("utf-8"), "python")]
    assert python == ["how-to/new-version.rst"]
    lines = [
        line
        for page in PAGES.values()
        for block in blocks(page.read_text("utf-8"), "sh")
        for line in block.split("\n")
        if line
    ]
    assert [line for line in lines if not re.match(rf"({INSTALLING})( |$)", line)] == []


def test_the_example_of_a_new_version_works(postgresql: PostgresqlDatabase) -> None:
    """The module on the page about a new version changes a file and a PostgreSQL database as documented."""
    (source,) = blocks((DOCS / "how-to/new-version.rst").read_text("utf-8"), "python")
    module: dict[str, object] = {}
    exec(compile(source, "v20_wallet_label.py", "exec"), module)
    database = waiaas.connect(":memory:").peewee
    migrator = LosslessMigrator(database)
    up = module["up"]
    assert callable(up)
    with migrator.migration_context():
        up(migrator)
    assert columns_of(database, "wallets")[-1] == "label"
    assert module["VERSION"] == waiaas.LATEST_SCHEMA_VERSION + 1
    database.close_all()
    report = create_or_upgrade(postgresql, migrations=[cast(PostgresqlMigration, SimpleNamespace(**module))])
    assert report.applied == [waiaas.LATEST_SCHEMA_VERSION + 1]
    assert columns_of(postgresql, "wallets")[-1] == "label"


def columns_of(database: Database, table: str) -> list[str]:
    return [column.name for column in database.get_columns(table)]


@pytest.mark.slow
def test_the_example_of_tests_passes(tmp_path: Path) -> None:
    """The tests on the page about testing pass with the fixtures of this library, without a warning."""
    folder = DOCS / "how-to/testing_example"
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 't'}"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([*command, str(folder)], cwd=folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "2 passed" in run.stdout


@pytest.mark.parametrize("command", NEWCOMER_COMMANDS)
def test_the_readme_begins_with_the_newcomers_command(command: str) -> None:
    """Each of the two commands for newcomers is near the top, alone in a block to copy."""
    top = "\n".join(README.read_text("utf-8").splitlines()[:25])
    assert f"\n```sh\n{command}\n```\n" in top


def test_the_readme_lists_every_command() -> None:
    """Each command is in the README."""
    code = re.findall(r"`[^`\n]+`|^.*waiaas demo$", README.read_text("utf-8"), re.MULTILINE)
    assert set(main.commands) <= set(re.findall(r"[\w-]+", " ".join(code)))


@pytest.mark.parametrize("name", sorted(set(waiaas.__all__) - set(schemas.__all__)))
def test_a_public_name_is_in_the_reference(name: str) -> None:
    """Each public name has an entry, made from its docstring; those of schemas are listed by the build itself."""
    reference = PAGES["reference/python.rst"].read_text("utf-8")
    assert re.search(rf"^\.\. auto(function|class|data):: waiaas\.{name}$", reference, re.MULTILINE)


@pytest.mark.parametrize("command", JSON_COMMANDS)
def test_the_json_keys_of_a_command_are_on_the_page(
    command: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key of a command's JSON is described on its page."""
    if command == "move":
        with request.getfixturevalue("databases").new(empty=True) as url:
            monkeypatch.setenv("WAIAAS_DATABASE", url)
            _assert_keys_are_on_the_page(command)
    else:
        _assert_keys_are_on_the_page(command)


def _assert_keys_are_on_the_page(command: str) -> None:
    with waiaas.connect("wallets.db") as database:
        database.tokens.rotate(actor="sam")  # an entry for `audit`
    path = "new.db" if command in ("init", "demo") else "wallets.db"
    needed = {"prune": ["--sessions", "0", "--dry-run"], "restore": ["backup.db", "--yes"]}.get(command, [])
    waiaas.backup("wallets.db", "backup.db")
    result = CliRunner().invoke(main, [*command.split(), path, "--json", *needed], catch_exceptions=False)
    page = PAGES["reference/command-line.rst"].read_text("utf-8")
    rows = re.split(r"^   \* - ", page.replace("\n\n", "\n   * - "), flags=re.MULTILINE)
    (row,) = (row for row in rows if row.startswith(f"``{command}``\n"))
    assert result.exit_code == 0
    assert set(json.loads(result.stdout.splitlines()[0])) <= set(re.findall(r"``(\w+)``", row))


@pytest.fixture(scope="module")
def unknown_names() -> Callable[[str], list[str]]:
    """The check of names that a build of the pages runs, too."""
    spec = spec_from_file_location("known_names", DOCS / "_extensions/known_names.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda text: list(module.unknown_names(text))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_only_what_exists(name: str, unknown_names: Callable[[str], list[str]]) -> None:
    """Each command, option, code, name and path on a page exists."""
    assert unknown_names(PAGES[name].read_text("utf-8")) == []


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_a_file_of_the_project_names_only_what_exists(name: str, unknown_names: Callable[[str], list[str]]) -> None:
    """Each command, option, code, name and path in these files exists, in the library or among the tests' helpers."""
    unknown = unknown_names((ROOT / name).read_text("utf-8"))
    tests = list((ROOT / "tests").rglob("*.py")) if unknown else []
    helpers = {path.stem for path in tests}.union(*(re.findall(r"\w+", path.read_text("utf-8")) for path in tests))
    assert set(unknown) <= helpers


def test_the_change_log_names_only_what_exists(unknown_names: Callable[[str], list[str]]) -> None:
    """What the newest changes name exists, and so does each name to write instead of an old one."""
    newest = (ROOT / "CHANGELOG.md").read_text("utf-8").split("\n## ")[1]
    table = re.findall(r"^\| (.+?) \| (.+) \|$", newest, re.MULTILINE)
    assert len(table) > 20
    new_names = re.sub(r"^\| .+? \| ", "| ", newest, flags=re.MULTILINE)
    gone = {"WaiaasMigrator", "without_triggers", "SessionTokens", "sessions_old", "new_sessions", "ResourceWarning"}
    assert set(unknown_names(new_names)) <= gone


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_message_names_only_what_exists(lang: str, unknown_names: Callable[[str], list[str]]) -> None:
    """Each command and name in the messages and hints of errors, reasons and findings exists."""
    texts = texts_in(lang)
    messages = "\n".join(
        text for kind in (texts.codes, texts.reasons, texts.findings) for pair in kind.values() for text in pair
    )
    assert unknown_names(messages) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Run ``waiaas upgrde wallets.db``.", "waiaas upgrde wallets.db"),
        ("Run ``waiaas sessions drop wallets.db``.", "waiaas sessions drop wallets.db"),
        ("   $ waiaas check wallets.db --fast\n", "waiaas check wallets.db --fast: --fast"),
        (
            "   $ waiaas tokens rotate wallets.db --drop-links",
            "waiaas tokens rotate wallets.db --drop-links: --drop-links",
        ),
        ("Pass ``--no-backups``.", "--no-backups"),
        ("Call `waiaas.conect(path)`.", "waiaas.conect"),
        ("See ``waiaas.services.SessionService.drop``.", "waiaas.services.SessionService.drop"),
        ("Call ``database.sessions.authorise(token)``.", "database.sessions.authorise"),
        ("It is ``WALLET_ACCESS_DENIDE``.", "WALLET_ACCESS_DENIDE"),
        ("A ``SessionWalletServices`` does it.", "SessionWalletServices"),
        ("The reason is ``database_bussy``.", "database_bussy"),
        ("See ``waiaas/services/session.py``.", "waiaas/services/session.py"),
    ],
)
def test_a_wrong_name_is_found(text: str, wrong: str, unknown_names: Callable[[str], list[str]]) -> None:
    """A command, option, code, name or path that does not exist is found."""
    assert unknown_names(text) == [wrong]


def test_every_page_can_be_reached() -> None:
    """Each page is in the table of contents of the start page, or of another page in it."""
    reached = {"index.rst"}
    waiting = ["index.rst"]
    while waiting:
        page = PAGES[waiting.pop()]
        for contents in page.read_text("utf-8").split(".. toctree::")[1:]:
            for entry in re.findall(r"^   ([\w/-]+)$", contents, re.MULTILINE):
                name = str((page.parent / f"{entry}.rst").resolve().relative_to(DOCS))
                waiting += {name} - reached
                reached.add(name)
    assert reached == set(PAGES)
