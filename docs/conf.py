"""Sphinx configuration; what the reference lists is taken from the library at build time (see `_extensions/`)."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, is_typeddict

from docutils import nodes
from marshmallow import Schema
from marshmallow.fields import Field as MarshmallowField
from peewee import Field, ForeignKeyField, Model
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent / "_extensions"))

import waiaas

project = "waiaas"
author = "The waiaas authors"
project_copyright = f"2026, {author}"
release = version = waiaas.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
    "diagrams",
    "known_names",
    "library_reference",
    "page_links",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"waiaas {release}"
html_static_path = ["_static"]
html_css_files = ["waiaas.css"]
# A copied example has no prompts and no output. Without prompts a block is copied whole.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# What is typed on a command line has straight quotes and two dashes.
smartquotes = False
highlight_language = "none"
# The docstrings write code in single backticks.
default_role = "literal"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Their pages are elsewhere, and a build needs no network.
nitpick_ignore_regex = [("py:.*", r"(marshmallow|peewee|playhouse)\..*|waiaas\.services\.pages\.Item")]

for _module in ("waiaas.schemas", "waiaas.services", "waiaas.transfer"):
    importlib.import_module(_module)
_MODULES = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "waiaas"]


def _import_for_types(module: ModuleType) -> None:
    """Import what a module imports for type checkers only: with these names, signatures show what they mean."""
    for node in ast.parse(inspect.getsource(module)).body if inspect.getsourcefile(module) else ():
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                with suppress(ImportError):  # of a package that only type checkers need
                    exec(ast.unparse(each), vars(module))


for _each in _MODULES:
    _import_for_types(_each)

_PYTHON_MODULES = ("collections.abc", "contextlib", "datetime", "hmac", "os", "pathlib")
_PYTHON_TYPES = {
    "Text": "str",
    "Integer": "int",
    "AutoIncrement": "int, given by the database",
    "DoubleField": "float",
    "Flag": "bool",
    "UTCDateTime": "aware UTC datetime",
    "JSONText": "JSON value",
}
# What Python says of a default that is a function, or the new value that a dataclass makes.
_DEFAULTS = {repr(time.time): "time.time", "<factory>": "..."}


def _complete(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take a constant's text from where it is defined; list a model's attributes and a typed dictionary's keys."""
    if what == "data":
        lines[:] = _comment_on(name.rpartition(".")[2], obj)
    elif what == "class" and issubclass(obj, Model):
        table = obj._meta.table_name
        lines += ["", f"Table :ref:`{table} <table-{table}>`, by attribute:", ""]
        lines += [f"* ``{field.name}``: {', '.join(_about(field))}" for field in obj._meta.sorted_fields]
        lines.append("")
    elif is_typeddict(obj):
        lines[:] = [f"* {line}" if re.match("``[a-z_]+``: ", line) else f"  {line}".rstrip() for line in lines]
        lines[0] = lines[0].strip()


def _comment_on(name: str, value: object) -> list[str]:
    homes = (module.__name__ for module in _MODULES if vars(module).get(name) is value)
    comments = (ModuleAnalyzer.for_module(home).find_attr_docs() for home in homes)
    return next(found["", name] for found in comments if ("", name) in found)


def _about(field: Field) -> Iterator[str]:
    if isinstance(field, ForeignKeyField):
        yield f"a :class:`~waiaas.models.{field.rel_model.__name__}`, whose ``{field.backref}`` lead back here"
        yield f"column ``{field.column_name}``"
    else:
        yield _PYTHON_TYPES[type(field).__name__]
    if field.primary_key:
        yield "the key"
    elif field.null:
        yield "or None"
    if field.default is not None:
        yield f"by default ``{field.default!r}``"


def _signature(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Leave out constructors that are Peewee's or marshmallow's, and write every default as code.

    What Python says of some is none, and Sphinx would take the whole signature for plain text.
    """
    if what == "class" and issubclass(obj, (Model, Schema, MarshmallowField)):
        return "", None
    if signature is None:
        return None
    for said, code in _DEFAULTS.items():
        signature = signature.replace(said, code)
    return signature, returns


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.Element) -> nodes.Element | None:
    """Link the standard library's types, and our own names that a docstring gives as its own module sees them."""
    # A named tuple knows its types by the names that its own module has for them.
    target = {"datetime": "datetime.datetime"}.get(node["reftarget"], node["reftarget"])
    module = target.rpartition(".")[0]
    if module in _PYTHON_MODULES:
        page = f"https://docs.python.org/3/library/{module}.html#{target}"
        return nodes.reference("", "", contnode, refuri=page, internal=False)
    if node.get("refdomain") != "py":
        return None
    node["refspecific"] = True
    name = re.sub(r"^waiaas\.([a-z_]+\.)*", "", target)
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, contnode)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _complete)
    app.connect("autodoc-process-signature", _signature)
    app.connect("missing-reference", _resolve)
