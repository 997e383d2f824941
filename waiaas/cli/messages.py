"""The language of the command line: everything that a command prints, in English or as `waiaas.cli.korean` has it.

The texts of errors and findings are in `waiaas.errors`.
"""

from __future__ import annotations

import errno
import gettext
import inspect
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy

import click

from waiaas.cli.korean import KOREAN
from waiaas.errors import LANGUAGES

_ENGLISH = "en"
_language = ContextVar("language", default=_ENGLISH)
# A line of examples or exit codes has its parts in columns.
_COLUMNS = re.compile(r"(^ +| {2,})")
# A character that is not shown (word joiner).
_SECOND_COLUMN = "\u2060"


def current_language() -> str:
    """Return the language of the running command."""
    return _language.get()


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Print everything in this language until the block ends."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def chosen_language(arguments: Sequence[str]) -> str:
    """Return the language that the last `--lang` names, else that of the environment, else English.

    It is known before the arguments are parsed, so that help and errors of usage are in this language, too.

    >>> chosen_language(["--lang", "ko", "status"]), chosen_language(["status", "--lang=ko_KR"])
    ('ko', 'ko')
    """
    found = os.environ.get("WAIAAS_LANG", "")
    for number, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--lang":
            found = value if equals else "".join(arguments[number + 1 : number + 2])
    return language(found) if language(found) in LANGUAGES else _ENGLISH


def language(name: str) -> str:
    """Return the language of a locale: its first part, in lower case.

    >>> language("ko_KR.UTF-8"), language("KO"), language("en-US"), language("C")
    ('ko', 'ko', 'en', 'c')
    """
    return re.split("[_.@-]", name)[0].lower()


def translated(message: str, **values: object) -> str:
    """Return a message in the language of the command, with values in the place of its names."""
    found = message if current_language() == _ENGLISH else KOREAN.get(message, message)
    return found.format(**values) if values else found


def counted(one: str, many: str, count: int, **values: object) -> str:
    """Return the message for a count: the first for one, the second for any other."""
    return translated(one if count == 1 else many, count=count, **values)


def both(message: str) -> tuple[str, str]:
    """Return a message in all languages."""
    return message, KOREAN[message]


class OutputLostError(Exception):
    """Standard output cannot be written to; `cause` is the operating system's error."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.is_broken_pipe = cause.errno == errno.EPIPE


def print_text(text: str) -> None:
    """Print a text that is no answer of a command: help, or the version."""
    try:
        click.echo(text)
    except OSError as error:
        raise OutputLostError(error) from error


class TranslatedCommand(click.Command):
    """A command whose help is in the language of the program."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that prints the help."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _print_help
        return option

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help of a copy with translated texts, because the command itself is shared."""
        shown = copy(self)
        shown.help, shown.epilog = _paragraphs(self.help), _paragraphs(self.epilog)
        shown.params = [*map(_translated_parameter, self.params)]
        shown._help_option = None  # click keeps the option with the text that it had at first
        if isinstance(shown, click.Group):
            shown.commands = {name: _summarized(command) for name, command in shown.commands.items()}
        super(TranslatedCommand, shown).format_help(ctx, formatter)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help."""
        return super().get_help(ctx).replace(_SECOND_COLUMN, "")

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the line for the list of commands."""
        # All of it: a text that is cut is not in the catalogue.
        return translated(self.short_help or super().get_short_help_str(limit=1000))


def _print_help(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not ctx.resilient_parsing:
        print_text(ctx.get_help())
        ctx.exit()


def _summarized(command: click.Command) -> click.Command:
    shown = copy(command)
    shown.short_help = _widened(command.get_short_help_str())
    return shown


def _translated_parameter(parameter: click.Parameter) -> click.Parameter:
    if not isinstance(parameter, click.Option) or not parameter.help:
        return parameter
    shown = copy(parameter)
    shown.help = _widened(translated(parameter.help))
    return shown


def _paragraphs(text: str | None) -> str | None:
    """Translate a text paragraph by paragraph, and one whose lines click keeps apart column by column."""
    if text is None:
        return None
    return "\n\n".join(map(_paragraph, inspect.cleandoc(text).split("\n\n")))


def _paragraph(text: str) -> str:
    if not text.startswith("\b"):
        return _widened(translated(" ".join(text.split())))
    return "\n".join("".join(map(translated, _COLUMNS.split(line))) for line in text.split("\n"))


def _widened(text: str) -> str:
    """Let each letter of two columns count as two characters, because click wraps lines by their characters."""
    return "".join(f"{c}{_SECOND_COLUMN}" if unicodedata.east_asian_width(c) in "WF" else c for c in text)


def _translate_click() -> None:
    """Let click's own texts, which it takes from gettext, be in the language of the program."""

    def of_click(message: str) -> str:
        found = translated(message)
        return gettext.gettext(message) if found == message else found

    def counted_of_click(one: str, many: str, count: int) -> str:
        found = translated(many)
        return gettext.ngettext(one, many, count) if found == many else found

    replaced = {"_": (gettext.gettext, of_click), "ngettext": (gettext.ngettext, counted_of_click)}
    for module in [module for name, module in sys.modules.items() if name.startswith("click.")]:
        for name, (before, after) in replaced.items():
            if getattr(module, name, None) is before:
                setattr(module, name, after)


_translate_click()
