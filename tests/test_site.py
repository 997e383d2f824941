"""The built pages describe everything public, and every internal link has a target.

`tox -e docs` builds the site and then runs these tests.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

import waiaas
from waiaas import schemas
from waiaas import vocabularies as enums
from waiaas.cli import main
from waiaas.errors import ALL_CODES, REASONS
from waiaas.errors.texts import texts_in
from waiaas.migrations.history import DESCRIPTIONS
from waiaas.models import MODELS

pytestmark = pytest.mark.site

SITE = Path(__file__).resolve().parent.parent / "docs" / "_build"
PAGES = sorted(str(page.relative_to(SITE)) for page in SITE.rglob("*.html") if "_static" not in page.parts)
OPTIONS = [
    (name, spelling)
    for name, command in main.commands.items()
    for parameter in command.params
    if isinstance(parameter, click.Option) and not parameter.hidden
    for spelling in parameter.opts
]


def source_of(page: str) -> str:
    return (SITE / page).read_text("utf-8")


def text_of(source: str) -> str:
    """Return the visible text of a page or part of it, with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", source)).split())


def section(page: str, target: str) -> str:
    """Return the source of a section, from its target to the next heading of the same kind."""
    found = re.search(rf'<section id="{target}">.*?(?=<section |</article>)', source_of(page), re.DOTALL)
    assert found, f"{page} has no section {target}"
    return found[0]


def described(page: str, name: str) -> str:
    """Return the description of an error code, a refusal or a finding."""
    names = r'<span class="sig-name descname"><span class="pre">'
    found = re.search(rf"<dt [^>]*>\s*{names}{name}</span>.*?</dd>", source_of(page), re.DOTALL)
    assert found, f"{page} does not describe {name}"
    return text_of(found[0])


def plain(text: str) -> str:
    """Return a text as pages show it: without the marks of code, and of parts that may be left out."""
    return " ".join(re.sub(r"`|\[\[|\]\]", "", text).split())


def test_the_site_was_built() -> None:
    """The site was built, so that the other tests run on something."""
    assert {"index.html", "tutorial/index.html", "reference/tables.html"} <= set(PAGES)


@pytest.mark.parametrize("name", waiaas.__all__)
def test_a_public_name_is_described(name: str) -> None:
    """Each public name of the library has an entry."""
    assert any(f'id="waiaas.{name}"' in source_of(f"reference/{page}.html") for page in ("python", "schemas"))


@pytest.mark.parametrize("name", schemas.__all__)
def test_a_schema_is_described(name: str) -> None:
    """Each public name of the wire schemas has an entry."""
    source = source_of("reference/schemas.html")
    assert f'id="waiaas.schemas.{name}"' in source or f'id="waiaas.{name}"' in source


@pytest.mark.parametrize("name", [name for name in vars(enums) if name.isupper()])
def test_a_vocabulary_is_described(name: str) -> None:
    """Each vocabulary has an entry with its values."""
    source = source_of("reference/vocabularies.html")
    assert f'id="waiaas.vocabularies.{name}"' in source
    assert all(f"'{word}'" in text_of(source) for word in vars(enums)[name])


@pytest.mark.parametrize("code", ALL_CODES)
@pytest.mark.parametrize(("page", "lang"), [("errors", "en"), ("errors-ko", "ko")])
def test_an_error_code_is_described(code: str, page: str, lang: str) -> None:
    """Each error code has its status, its message and its hint, in both languages."""
    shown = described(f"reference/{page}.html", code)
    assert all(plain(text) in shown for text in texts_in(lang).codes[code])
    assert f"HTTP {ALL_CODES[code].http_status}" in shown


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize(("page", "lang"), [("errors", "en"), ("errors-ko", "ko")])
def test_a_refusal_is_described(reason: str, page: str, lang: str) -> None:
    """Each reason to refuse a file has its message and its hint, in both languages."""
    shown = described(f"reference/{page}.html", reason)
    assert all(plain(text) in shown for text in (REASONS[reason].code, *texts_in(lang).reasons[reason]))


@pytest.mark.parametrize("kind", texts_in("en").findings)
@pytest.mark.parametrize(("page", "lang"), [("findings", "en"), ("errors-ko", "ko")])
def test_a_kind_of_finding_is_described(kind: str, page: str, lang: str) -> None:
    """Each kind of finding has its message and its hint, in both languages."""
    shown = described(f"reference/{page}.html", kind)
    assert all(plain(text) in shown for text in texts_in(lang).findings[kind])


@pytest.mark.parametrize("name", texts_in("en").fields)
def test_a_message_about_a_field_is_described(name: str) -> None:
    """Each message about a field of a request is next to its translation."""
    english, korean = (texts_in(lang).fields[name].message for lang in ("en", "ko"))
    assert f"{english} {korean}" in text_of(source_of("reference/errors-ko.html"))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.table_name)
def test_a_table_is_described(model: type[waiaas.models.BaseModel]) -> None:
    """Each table has every column, index and vocabulary on the page, and is in the diagram of all columns."""
    name = model._meta.table_name
    shown = text_of(section("reference/tables.html", f"{name.replace('_', '-')}"))
    columns = [field.column_name for field in model._meta.sorted_fields]
    indexes = [index._name for index in model._meta.indexes]
    values = [str(value) for field in model._meta.sorted_fields for value in getattr(field, "values", None) or ()]
    assert [word for word in (*columns, *indexes, *values) if not re.search(rf"(?<!\w){word}(?!\w)", shown)] == []
    drawings = [(SITE / f"_static/tables/{theme}/all.svg").read_text("utf-8") for theme in ("light", "dark")]
    assert all(f">{word}<" in drawing for word in (name, *columns) for drawing in drawings)


@pytest.mark.parametrize("version", DESCRIPTIONS)
def test_a_schema_version_is_described(version: int) -> None:
    """Each schema version has its description."""
    shown = text_of(section("reference/schema-versions.html", f"version-{version}"))
    assert DESCRIPTIONS[version] in shown


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_is_described(command: str, option: str) -> None:
    """Each option of each command is described with the command."""
    assert f'id="cmdoption-waiaas-{command}-{option.lstrip("-")}"' in source_of("reference/command-line.html")


@pytest.mark.parametrize("option", [spelling for parameter in main.params for spelling in parameter.opts])
def test_an_option_before_the_command_is_described(option: str) -> None:
    """Each option of the program itself is described."""
    assert f'id="cmdoption-waiaas-{option.lstrip("-")}"' in source_of("reference/command-line.html")


@pytest.mark.parametrize("command", sorted(main.commands))
def test_a_command_is_described(command: str) -> None:
    """Each command has a section with its help text and its usage."""
    shown = text_of(section("reference/command-line.html", f"waiaas-{command}"))
    assert f"waiaas {command} [OPTIONS]" in shown
    assert plain(str(main.commands[command].help).split("\n\n")[0]) in shown


def test_exit_codes_are_described() -> None:
    """The page of the commands lists the same exit codes as `--help`."""
    shown = text_of(source_of("reference/command-line.html"))
    assert all(" ".join(line.split()) in shown for line in str(main.epilog).splitlines()[1:])


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each internal link and picture exists, and so does the fragment it points to."""
    missing = []
    for link in re.findall(r'(?:href|src|srcset)="([^"]+)"', source_of(page)):
        parts = urlsplit(html.unescape(link))
        if parts.scheme or parts.netloc:
            continue
        target = (SITE / page).parent / unquote(parts.path) if parts.path else SITE / page
        exists = target.is_file() or (target / "index.html").is_file()
        anchored = (
            not parts.fragment
            or target.suffix != ".html"
            or f'id="{unquote(parts.fragment)}"' in source_of(str(target.resolve().relative_to(SITE)))
        )
        if not exists or not anchored:
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_markup(page: str) -> None:
    """No page shows a role or backticks of the source, as it does where markup is inside of other markup."""
    prose = text_of(
        re.sub(r"<pre>.*?</pre>|<code .*?</code>|<script.*?</script>", "", source_of(page), flags=re.DOTALL)
    )
    assert re.findall(r"``.{0,40}|:[a-z-]+:`.{0,40}", prose) == []


@pytest.mark.parametrize("page", PAGES)
def test_signatures_are_code(page: str) -> None:
    """Each signature is rendered as code: its types are links and short names, its defaults Python expressions."""
    signatures = re.findall(r'<dt class="sig sig-object py"[^>]*>.*?</dt>', source_of(page), re.DOTALL)
    assert [text for text in map(text_of, signatures) if "<" in text or "~" in text] == []
    assert signatures or "reference/python" not in page


@pytest.mark.parametrize("name", sorted(path.stem for path in (SITE.parent / "diagrams").glob("*.d2")))
def test_a_diagram_is_on_a_page(name: str) -> None:
    """Each diagram is on a page, for light and dark, with a text for those who cannot see it."""
    sources = " ".join(map(source_of, PAGES))
    for theme in ("light", "dark"):
        shown = re.findall(rf'<img src="[./]*_static/diagrams/{theme}/{name}\.svg" alt="([^"]*)"', sources)
        assert shown
        assert all(len(text.split()) > 5 for text in shown)


def test_a_name_that_does_not_exist_fails_the_build(tmp_path: Path) -> None:
    """A build in which warnings are errors fails for a page that names a command that does not exist, and names it."""
    (tmp_path / "conf.py").write_text('extensions = ["known_names"]')
    (tmp_path / "index.rst").write_text("Title\n=====\n\nRun ``waiaas upgrde wallets.db``.\n")
    paths = os.pathsep.join(str(SITE.parent.parent / folder) for folder in (".", "docs/_extensions"))
    build = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-b", "html", str(tmp_path), str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 1
    assert "there is no waiaas upgrde wallets.db in this library" in build.stderr
