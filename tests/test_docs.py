"""The pages say what is true: their examples run, and nothing public is left out of them."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import waiaas
from waiaas.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES_WITH_EXAMPLES = [page.name for page in sorted(DOCS.glob("*.rst")) if ">>> " in page.read_text("utf-8")]
NEWCOMER_COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/waiaas demo",
    "python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox",
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_examples(text: str, name: str) -> None:
    """Run the examples of a text in one namespace, in the order in which they stand."""
    told: list[str] = []
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert results.failed == 0, "".join(told)
    assert results.attempted > 0


def python_blocks(markdown: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def sections(page: str) -> dict[str, str]:
    """The text under each underlined heading of a page, by heading; only headings of commands matter here."""
    parts = re.split(r"^(.+)\n-{4,}\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options() -> Iterator[tuple[str, str]]:
    for name, command in main.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield from ((name, spelling) for spelling in parameter.opts)


def test_the_examples_of_the_readme_run() -> None:
    """Whoever pastes the README's Python line by line sees what it says."""
    run_examples("\n".join(python_blocks(README.read_text("utf-8"))), "README.md")


def test_every_python_block_of_the_readme_is_an_example() -> None:
    """No Python stands in the README that nothing runs."""
    assert all(block.startswith(">>> ") for block in python_blocks(README.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES_WITH_EXAMPLES)
def test_the_examples_of_a_page_run(page: str) -> None:
    """Whoever pastes a page's Python line by line sees what it says."""
    run_examples((DOCS / page).read_text("utf-8"), page)


def test_pages_with_examples_are_found() -> None:
    """A page that lost its prompts would go untested in silence."""
    assert {"index.rst", "databases-and-threads.rst", "upgrading.rst", "errors.rst"} <= set(PAGES_WITH_EXAMPLES)


@pytest.mark.parametrize("command", NEWCOMER_COMMANDS)
def test_the_readme_begins_with_the_newcomers_command(command: str) -> None:
    """A newcomer finds each of the two commands near the top, alone in a block to copy."""
    top = "\n".join(README.read_text("utf-8").splitlines()[:25])
    assert f"\n```sh\n{command}\n```\n" in top


@pytest.mark.parametrize("name", waiaas.__all__)
def test_a_public_name_is_in_the_reference(name: str) -> None:
    """Each public name of the library has an entry, made from its docstring."""
    reference = (DOCS / "reference.rst").read_text("utf-8")
    assert re.search(rf"^\.\. auto(function|class|data):: waiaas\.{name}$", reference, re.MULTILINE)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_a_command_has_a_section(command: str) -> None:
    """Each command of the program has a section of its own."""
    headings = sections((DOCS / "command-line.rst").read_text("utf-8"))
    assert [heading for heading in headings if heading.startswith(f"waiaas {command} ")]


@pytest.mark.parametrize(("command", "option"), sorted(set(options()) - {(name, "--json") for name in main.commands}))
def test_an_option_is_in_the_section_of_its_command(command: str, option: str) -> None:
    """Each option of a command is described where the command is."""
    headings = sections((DOCS / "command-line.rst").read_text("utf-8"))
    (text,) = (text for heading, text in headings.items() if heading.startswith(f"waiaas {command} "))
    assert re.search(rf"^``{option}[ `]", text, re.MULTILINE)


@pytest.mark.parametrize("option", ["--json", "--help", *(o for p in main.params for o in p.opts)])
def test_an_option_of_all_commands_is_on_the_page(option: str) -> None:
    """What every command takes, and what stands before the command, is described once."""
    assert f"``{option}" in (DOCS / "command-line.rst").read_text("utf-8")


@pytest.mark.parametrize("command", sorted({name for name, option in options() if option == "--json"}))
def test_the_json_keys_of_a_command_are_in_its_section(command: str) -> None:
    """Whoever reads the JSON of a command by program finds each of its keys described."""
    waiaas.close(waiaas.connect("wallets.db"))
    path = "new.db" if command in ("init", "demo") else "wallets.db"
    result = CliRunner().invoke(main, [command, path, "--json"], catch_exceptions=False)
    headings = sections((DOCS / "command-line.rst").read_text("utf-8"))
    (text,) = (text for heading, text in headings.items() if heading.startswith(f"waiaas {command} "))
    described = set(re.findall(r"``(\w+)``", text.split("JSON: ")[1]))
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)) <= described


def test_every_page_can_be_reached() -> None:
    """Each page stands in the table of contents of the start page."""
    contents = (DOCS / "index.rst").read_text("utf-8").split(".. toctree::")[1].split()
    assert {page.stem for page in DOCS.glob("*.rst")} - {"index"} <= set(contents)
