"""How the program ends: every error told in one way, in the language asked for, and the exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import click

from waiaas.cli.terminal import (
    OutputLostError,
    Stopped,
    give_up_output,
    print_error,
    quoted,
    signals_that_stop,
    wants_colour,
    without_passwords,
)
from waiaas.cli.texts import listed
from waiaas.cli.words import WORDS, NoSuchCommand, language, usage_message
from waiaas.errors import LANGUAGES, WAIaaSError, refusal
from waiaas.errors.sqlite import cause_of, reason_for

REFUSED = 1
WRONG_USAGE = 2
PENDING = 3
OUTPUT_LOST = 4
_STOPPED_BY_SIGNAL = 128

#: Where a command's options are kept for whoever has to tell its error.
AS_JSON, PATH = "waiaas.json", "waiaas.path"


class _Command(click.Command):
    """A command whose parser says of each error where it was: click leaves that out of some."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the command's name."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


class ErrorTellingGroup(click.Group):
    """A group of commands that turns errors into messages, JSON objects where asked for, and exit codes."""

    command_class = _Command

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program to its exit code."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.UsageError as error:
            _tell_wrong_usage(error)
            code = WRONG_USAGE
        except click.Abort:
            code = _STOPPED_BY_SIGNAL + signal.SIGINT
        sys.exit(code)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help where there is nothing to parse."""
        ctx.color = wants_colour()
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(WRONG_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            raise NoSuchCommand(args[0], get_close_matches(args[0], self.list_commands(ctx), n=1), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        lang = ctx.params["lang"]
        try:
            with signals_that_stop():
                return super().invoke(ctx)
        except WAIaaSError as error:
            _tell_refusal(error, lang, as_json=ctx.meta.get(AS_JSON, False))
            ctx.exit(REFUSED)
        except (OSError, MemoryError) as error:
            path = ctx.meta.get(PATH) or os.curdir
            known = refusal(reason_for(error) or "cannot_open", path=path, cause=cause_of(error))
            _tell_refusal(known, lang, as_json=ctx.meta.get(AS_JSON, False))
            ctx.exit(REFUSED)
        except OutputLostError as error:
            give_up_output()
            if not error.is_broken_pipe:
                words = WORDS[lang]
                cause = error.cause.strerror
                print_error([f"{words['error']}: {words['output_lost'].format(cause=cause)}"])
            ctx.exit(OUTPUT_LOST)
        except Stopped as stopped:
            words, path = WORDS[lang], ctx.meta.get(PATH)
            state = words["as_it_was"].format(path=path) if path else ""
            print_error([f"{words['interrupted']}: {state}".rstrip(": ")])
            ctx.exit(_STOPPED_BY_SIGNAL + stopped.number)


def _tell_refusal(error: WAIaaSError, lang: str, *, as_json: bool) -> None:
    words, told = WORDS[lang], error.to_dict(lang)
    lines = [f"{words['error']}: {told['message']}", f"{words['what_to_do']}: {told['hint']}"]
    sessions = (error.details or {}).get("sessions")
    if isinstance(sessions, list):
        lines += listed(words["sessions"], sessions, more=words["more"])
    print_error(lines, {"error": told} if as_json else None)


def _tell_wrong_usage(error: click.UsageError) -> None:
    lang = _language(error)
    words, lines = WORDS[lang], []
    if isinstance(error, click.NoSuchOption) and error.ctx is not None and _right_side(error, error.ctx):
        # It exists: none that merely looks like it was meant.
        error = click.NoSuchOption(error.option_name, ctx=error.ctx)
    if error.ctx is not None:
        lines += error.ctx.get_usage().replace("Usage", words["usage"], 1).splitlines()
    lines.append(f"{words['error']}: {without_passwords(usage_message(error, lang))}")
    if error.ctx is not None:
        lines.append(f"{words['what_to_do']}: {_next_step(error, error.ctx, words)}")
    print_error(lines)


def _language(error: click.UsageError) -> str:
    """The language asked for; where the error comes before that is known, the environment's."""
    asked = error.ctx.find_root().params.get("lang") if error.ctx else None
    lang = asked or language(os.environ.get("WAIAAS_LANG", ""))
    return lang if lang in LANGUAGES else "en"


def _next_step(error: click.UsageError, ctx: click.Context, words: Mapping[str, str]) -> str:
    """What was meant, where that can be seen, or else the help."""
    if isinstance(error, NoSuchCommand) and os.path.isfile(error.name):
        return f"{ctx.command_path} status {quoted(error.name)}"
    if isinstance(error, click.NoSuchOption):
        side = _right_side(error, ctx)
        if side is not None:
            return words[side].format(option=error.option_name)
        for word in sys.argv[1:]:
            if word.startswith(error.option_name) and os.path.isfile(word):
                return words["write_the_path_as"].format(path=quoted(word))
    return f"{ctx.command_path} --help"


def _right_side(error: click.NoSuchOption, ctx: click.Context) -> str | None:
    """On which side of the command an option belongs, as a key of `WORDS`; None where there is no such option."""
    root = ctx.find_root()
    if error.option_name in _options(root.command):
        return "write_before_the_command"
    if ctx is root and any(error.option_name in _options(command) for command in _commands(root)):
        return "write_behind_the_command"
    return None


def _commands(root: click.Context) -> list[click.Command]:
    return list(root.command.commands.values()) if isinstance(root.command, click.Group) else []


def _options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}
