"""Directives whose text comes from the library itself, so that the reference cannot say anything else.

Each writes reStructuredText, which Sphinx then reads as part of the page.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import groupby
from types import ModuleType
from typing import Any

import click
from docutils import nodes
from peewee import ForeignKeyField, Model
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import waiaas
from waiaas import schemas
from waiaas.errors import ALL_CODES, REASONS, ErrorCode
from waiaas.errors.texts import texts_in
from waiaas.migrations.history import DESCRIPTIONS, MIGRATIONS
from waiaas.models import MODELS

_WORDS = {
    "en": {"retry": "may succeed later", "do": "What to do"},
    "ko": {"retry": "나중에 성공할 수 있음", "do": "해결 방법"},
}


class ErrorCodes(SphinxDirective):
    """`.. error-codes:: en`: each error code under its domain, with status, message and what to do."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(_codes(self.arguments[0])), allow_section_headings=True)


def _codes(lang: str) -> Iterator[str]:
    for domain, rows in groupby(ALL_CODES.values(), key=lambda row: row.domain):
        yield from _heading(domain, "~")
        for row in rows:
            yield from _entry("error-code", row.code, lang, _facts(row, lang))
            yield from _message(*texts_in(lang).codes[row.code], lang)


def _facts(row: ErrorCode, lang: str) -> str:
    return f"*HTTP {row.http_status}" + (f", {_WORDS[lang]['retry']}*" if row.retryable else "*")


class Refusals(SphinxDirective):
    """`.. refusals:: en`: each reason for refusing a file, with its message and what to do."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(_reasons(self.arguments[0])))


def _reasons(lang: str) -> Iterator[str]:
    for name, reason in REASONS.items():
        retry = f", *{_WORDS[lang]['retry']}*" if reason.retryable else ""
        yield from _entry("refusal", name, lang, f"``{reason.code}``{retry}")
        yield from _message(*texts_in(lang).reasons[name], lang)


class Findings(SphinxDirective):
    """`.. findings:: en`: each kind of what the check finds, with its message and what to do."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(_findings(self.arguments[0])))


def _findings(lang: str) -> Iterator[str]:
    for kind, (message, hint) in texts_in(lang).findings.items():
        yield from _entry("finding", kind, lang, "")
        yield from _message(message, hint, lang)


class FieldMessages(SphinxDirective):
    """`.. field-messages::`: the messages about the fields of a request, in English and in Korean."""

    def run(self) -> list[nodes.Node]:
        pairs = zip(*(texts_in(lang).fields.values() for lang in ("en", "ko")), strict=True)
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 50 50", "", *_cells("English", "한국어")]
        lines += [line for english, korean in pairs for line in _cells(english.message, korean.message)]
        return self.parse_text_to_nodes("\n".join(lines))


def _entry(kind: str, name: str, lang: str, facts: str) -> Iterator[str]:
    """The first lines of a described object; it is the target of references in English only."""
    yield from (f".. {kind}:: {name}", *(() if lang == "en" else ("   :no-index:",)), "")
    if facts:
        yield from (f"   {facts}", "")


def _message(message: str, hint: str, lang: str) -> Iterator[str]:
    yield from (f"   {_as_code(message)}", "", f"   **{_WORDS[lang]['do']}:** {_as_code(hint)}", "")


def _as_code(text: str) -> str:
    """Keep text in backticks code even if a letter follows, as particles do in Korean."""
    text = text.replace("[[", "").replace("]]", "")  # Left out if there is nothing to list.
    parts = text.replace("\\", "\\\\").replace("*", "\\*").split("`")
    return "".join(f"\\ ``{part}``\\ " if i % 2 else part for i, part in enumerate(parts))


class Tables(SphinxDirective):
    """`.. tables::`: each table with its columns, as a fresh file has them, and what each column holds."""

    def run(self) -> list[nodes.Node]:
        database = waiaas.connect(":memory:").peewee
        text = "\n".join(line for model in MODELS for line in _table(model, database))
        database.close_all()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def _table(model: type[Model], database: Any) -> Iterator[str]:
    name = model._meta.table_name
    yield from (f".. _table-{name}:", "", *_heading(name, "~"), str(inspect.getdoc(model)), "")
    yield from (f"Model: :class:`waiaas.models.{model.__name__}`.", "")
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 22 18 15 45", "   :class: columns", "")
    yield from _cells("Column", "Type", "Default", "Meaning")
    meanings = ModuleAnalyzer.for_module("waiaas.models.tables").find_attr_docs()
    for _, column, type_, not_null, default, key in database.execute_sql(f"PRAGMA table_info({name})").fetchall():
        field = model._meta.columns[column]
        yield from _cells(
            f"``{column}``",
            f"{type_}{', NOT NULL' if not_null else ''}{', primary key' if key else ''}",
            f"``{default}``" if default is not None else "",
            *meanings[model.__name__, field.name],
            *_rules(field),
        )
    yield from ("", *_indexes(name, database))


def _rules(field: Any) -> Iterator[str]:
    if isinstance(field, ForeignKeyField):
        parent = field.rel_model._meta.table_name
        column = field.rel_field.column_name
        yield f"References :ref:`{parent} <table-{parent}>` (``{column}``), ON DELETE {field.on_delete}."
    if getattr(field, "values", None):
        yield "One of " + ", ".join(f"``{value}``" for value in field.values) + "."
    if any("UNIQUE" in str(each.sql) for each in field.constraints or ()):
        yield "Unique."


def _indexes(table: str, database: Any) -> Iterator[str]:
    indexes = sorted(database.get_indexes(table), key=lambda index: index.name)
    named = [index for index in indexes if not index.name.startswith("sqlite_autoindex")]
    if named:
        yield from ("Indexes:", "")
    for index in named:
        columns = ", ".join(f"``{column}``" for column in index.columns)
        yield f"* ``{index.name}`` on {columns}{', unique' if index.unique else ''}"
    yield ""


def _cells(first: str, *others: str) -> Iterator[str]:
    """One row of a list-table; more texts than columns become paragraphs of the last cell."""
    yield f"   * - {first}"
    yield from (f"     - {text}" for text in others[:3])
    for text in others[3:]:
        yield from ("", f"       {text}")


class Versions(SphinxDirective):
    """`.. schema-versions::`: what each schema version brought, newest first, from the version modules."""

    def run(self) -> list[nodes.Node]:
        lines = [line for module in reversed(MIGRATIONS) for line in _version(module)]
        lines += _version_heading(1, DESCRIPTIONS[1])
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _version(module: ModuleType | Any) -> Iterator[str]:
    yield from _version_heading(module.VERSION, module.DESCRIPTION)
    _, _, text = str(inspect.getdoc(module)).partition("\n\n")
    yield from (*text.splitlines(), "")
    yield f":Upgrade: {_in_one_line(module.up)}"
    if hasattr(module, "down"):
        yield f":Going back: {_in_one_line(module.down)}"
    yield ""


def _version_heading(version: int, description: str) -> tuple[str, ...]:
    return (f".. _schema-version-{version}:", "", *_heading(f"Version {version}", "~"), f"{description}.", "")


def _in_one_line(function: Any) -> str:
    return " ".join(str(inspect.getdoc(function)).split())


class WireSchemas(SphinxDirective):
    """`.. wire-schemas:: requests` (or `responses`, `parts`): what `waiaas.schemas` has, each from its docstring."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        lines: list[str] = []
        for name in schemas.__all__:
            if _kind(name) == self.arguments[0]:
                lines += [*_documented(name, getattr(schemas, name)), ""]
        return self.parse_text_to_nodes("\n".join(lines))


def _kind(name: str) -> str:
    """Tell requests and responses from what they are made of: base classes and fields."""
    if re.search(r"[a-z]ResponseSchema$", name) and name != "PageResponseSchema":
        return "responses"
    is_request = re.search(r"[a-z]Request(Schema)?$|_request$|^RequestValidationError$", name)
    return "requests" if is_request and name != "PageRequestSchema" else "parts"


def _documented(name: str, value: object) -> list[str]:
    home = "waiaas.schemas"
    if inspect.isclass(value):
        shown = "load, validate" if value is schemas.WireSchema else None
        options = [f"   :members: {shown}"] if shown else []
        return [f".. autoclass:: {home}.{name}", *options, *_keys(value)]
    return [f".. auto{'function' if inspect.isfunction(value) else 'data'}:: {home}.{name}"]


def _keys(schema: type) -> Iterator[str]:
    """The keys of a schema that have a description in the metadata of their fields."""
    if issubclass(schema, schemas.WireSchema):
        for field in schema().fields.values():
            if "description" in field.metadata:
                yield from ("", f"   ``{field.data_key}``", f"      {_as_code(field.metadata['description'])}")


def _keep_layout(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Show what a help text sets out in columns as it does: sphinx-click makes a line block of it."""
    shown: list[str] = []
    in_block = False
    for line in lines:
        if not line.startswith("| "):
            shown.append(line)
        elif in_block:
            shown.append(f"   {line[2:]}")
        else:
            shown += [f"{line[2:]}:", ""]
        in_block = line.startswith("| ")
    lines[:] = shown


def _heading(text: str, line: str) -> tuple[str, ...]:
    return (text, line * len(text), "")


def setup(app: Sphinx) -> dict[str, bool]:
    for kind in ("error-code", "refusal", "finding"):
        app.add_object_type(kind, kind, indextemplate=f"pair: %s; {kind.replace('-', ' ')}")
    app.connect("sphinx-click-process-description", _keep_layout)
    app.connect("sphinx-click-process-epilog", _keep_layout)
    app.add_directive("error-codes", ErrorCodes)
    app.add_directive("refusals", Refusals)
    app.add_directive("findings", Findings)
    app.add_directive("field-messages", FieldMessages)
    app.add_directive("tables", Tables)
    app.add_directive("schema-versions", Versions)
    app.add_directive("wire-schemas", WireSchemas)
    return {"parallel_read_safe": True}
