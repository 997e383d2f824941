"""A page that names a command, option, error code or Python name of this library that does not exist fails the build.

What is written as code is checked: the commands of the command line, dotted names, codes in capitals, other names, and
paths of source files. Roles such as `:func:` are checked by Sphinx itself.
"""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import click

import waiaas
from waiaas import vocabularies
from waiaas.cli import main
from waiaas.errors import ALL_CODES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ROOT = Path(__file__).resolve().parent.parent.parent

# What belongs to other programs, in a name's own form.
_FOREIGN = {
    *("--only", "--rounds", "--sizes"),  # benchmarks/run.py
    *("--preload", "ExecStartPre", "StateDirectoryMode", "TimeoutStartSec"),  # gunicorn, systemd
    "--collect-submodules",  # PyInstaller
    *("FORCE_COLOR", "NO_COLOR"),
    *("SQLITE_DBCONFIG_DEFENSIVE", "SQLITE_TMPDIR", "json_extract"),
    *("sqlite3_hard_heap_limit64", "sqlite3_interrupt", "sqlite3_limit"),
    *("drop_column_default", "drop_not_null"),  # playhouse
    *("max_connections", "pg_dump", "pool_mode", "synchronous_standby_names"),
}
# The files of a version that is still to be written, in the guide to that.
_NEXT = f"v{waiaas.LATEST_SCHEMA_VERSION + 1}"
_CODE = re.compile(r"``(?!`)(.+?)``|(?<![`\w:])`(?!`)([^`\n]+)`(?![`_])", re.DOTALL)
_TYPED = re.compile(r"^ *(?:\$ )?((?:[A-Z_]+=\S+ )*(?:\S*/)?waiaas .*)$", re.MULTILINE)
_COMMAND = re.compile(r"(?:^|(?<!from)[\s;(/])waiaas ([a-z-][^;&|>()]*)")
_DOTTED = re.compile(r"(?<![\w./-])((?:waiaas|database)(?:\.[A-Za-z_]\w*)+)(?!\w|/|\.db)")
_CAPITALS = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_OTHER = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+")
_OPTION = re.compile(r"(--[a-z][a-z-]*)(?:[ =].*)?")
# What Sphinx builds is not in a checkout.
_PATH = re.compile(r"(?:waiaas|tests|docs(?!/_build/)|benchmarks)/[\w./-]+\.\w+")


def unknown_names(text: str) -> Iterator[str]:
    """Yield what a text names as code that does not exist."""
    pieces = [" ".join((rst or markdown).split()) for rst, markdown in _CODE.findall(text)]
    for piece in pieces:
        yield from (path for path in _PATH.findall(piece) if _NEXT not in path and not (_ROOT / path).exists())
        yield from (name for name in _DOTTED.findall(piece) if not _exists(name))
        if not _is_known(piece):
            yield piece
    for line in [*pieces, *_TYPED.findall(text)]:
        for typed in _COMMAND.findall(line):
            yield from _unknown_in_command(typed)


def _is_known(piece: str) -> bool:
    if _CAPITALS.fullmatch(piece):
        return piece in _codes() | _FOREIGN
    if _OTHER.fullmatch(piece):
        return piece in _words() | _FOREIGN
    option = _OPTION.fullmatch(piece)
    return option is None or option[1] in _options(main) | _FOREIGN


def _unknown_in_command(typed: str) -> Iterator[str]:
    """Yield the command, or the options of it, that do not exist; a word in capitals or brackets is in their place."""
    try:
        words = shlex.split(typed)
    except ValueError:  # a quote that ends in the next part of a pipe
        words = typed.split()
    command: click.Command = main
    options = _options_of(main)
    for word in words:
        if word.startswith("--"):
            if word.partition("=")[0] not in options:
                yield f"waiaas {typed.strip()}: {word}"
        elif isinstance(command, click.Group) and re.fullmatch("[a-z][a-z-]*", word) and word not in ("en", "ko"):
            if word not in command.commands:
                yield f"waiaas {typed.strip()}"
                return
            command = command.commands[word]
            options |= _options_of(command)


def _options_of(command: click.Command) -> set[str]:
    return {"--help"} | {spelling for each in command.params for spelling in each.opts}


def _options(command: click.Command) -> set[str]:
    children = command.commands.values() if isinstance(command, click.Group) else ()
    return _options_of(command).union(*map(_options, children))


@cache
def _exists(name: str) -> bool:
    """Return whether a dotted name leads somewhere, from the package or from an open database."""
    first, *rest = name.split(".")
    if first == "database":
        with waiaas.connect(":memory:") as found:
            return _leads_somewhere(found, rest)
    return _leads_somewhere(waiaas, rest)


def _leads_somewhere(found: object, names: list[str]) -> bool:
    for name in names:
        if isinstance(found, ModuleType):
            with suppress(ImportError):
                importlib.import_module(f"{found.__name__}.{name}")
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


@cache
def _codes() -> frozenset[str]:
    """Return error codes, words of the vocabularies, and constants and environment variables of the package."""
    words = {word for value in vars(vocabularies).values() if isinstance(value, tuple) for word in value}
    constants = re.findall(r"^([A-Z][A-Z0-9_]+)\b(?=[:, ])|[\"'](WAIAAS_[A-Z]+)[\"']", _source("waiaas"), re.MULTILINE)
    return frozenset({*ALL_CODES, *words, *(each for found in constants for each in found)})


@cache
def _words() -> frozenset[str]:
    return frozenset(re.findall(r"\w+", _source("waiaas") + _source("docs")))


def _source(folder: str) -> str:
    here = Path(__file__)
    files = (path for path in sorted((_ROOT / folder).rglob("*.py")) if path != here)
    return "\n".join(path.read_text("utf-8") for path in files)


def _check(app: Sphinx, page: str, source: list[str]) -> None:
    from sphinx.util import logging  # The tests use this module without Sphinx.

    for name in unknown_names(source[0]):
        logging.getLogger(__name__).warning("there is no %s in this library", name, location=page)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _check)
    return {"parallel_read_safe": True}
