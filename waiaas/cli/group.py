"""Turns every error of a command into a message or a JSON object, and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import click

from waiaas.cli.messages import (
    OutputLostError,
    TranslatedCommand,
    chosen_language,
    current_language,
    spoken,
    translated,
)
from waiaas.cli.options import language_option
from waiaas.cli.terminal import (
    AS_JSON,
    PATH,
    Stopped,
    give_up_output,
    print_error,
    quoted,
    signals_that_stop,
    wants_colour,
    without_passwords,
)
from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.sqlite import cause_of, reason_for
from waiaas.errors.texts import texts_in

REFUSED = 1
WRONG_USAGE = 2
PENDING = 3
OUTPUT_LOST = 4
PROBLEMS_FOUND = 5
STOPPED_BY_SIGNAL = 128


class CommandGroup(TranslatedCommand, click.Group):
    """A group of commands that shows its help without arguments, and suggests a command for an unknown one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take click's arguments; every group has --lang, as every command does."""
        super().__init__(*args, **options)
        if all(parameter.name != "lang" for parameter in self.params):
            language_option(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the help if there are no arguments."""
        ctx.color = wants_colour()
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(WRONG_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest one."""
        name = args[0]
        if not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            close = get_close_matches(name, self.list_commands(ctx), n=1)
            is_file = ctx.parent is None and os.path.isfile(name)
            meant = f"status {quoted(name)}" if is_file else next(iter(close), None)
            unknown = translated("No such command {name!r}.", name=name)
            suggestion = translated("Did you mean: {command}", command=f"{ctx.command_path} {meant}") if meant else ""
            ctx.fail(f"{unknown} {suggestion}".rstrip())
        return super().resolve_command(ctx, args)


class ErrorReportingGroup(CommandGroup):
    """A group of commands that reports errors, and exits with their codes."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> Any:
        """Run the program and exit."""
        language = chosen_language(sys.argv[1:] if args is None else args)
        texts_in(language)  # now: there may be no memory left for them when an error is reported
        with spoken(language):
            sys.exit(self._run(args, *more, **extra))

    def _run(self, *args: Any, **extra: Any) -> Any:
        """Run the program and return its exit code."""
        try:
            return super().main(*args, **{**extra, "standalone_mode": False})
        except click.UsageError as error:
            shown = io.StringIO()
            error.show(shown)
            print_error(without_passwords(shown.getvalue().rstrip("\n")).split("\n"))
            return WRONG_USAGE
        except OutputLostError as error:
            give_up_output()
            if not error.is_broken_pipe:
                lost = "The command did its work, but its answer could not be written: {cause}."
                print_error([f"{translated('Error')}: {translated(lost, cause=error.cause.strerror)}"])
            return OUTPUT_LOST
        except click.Abort:
            return STOPPED_BY_SIGNAL + signal.SIGINT

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            with signals_that_stop():
                return super().invoke(ctx)
        except WAIaaSError as error:
            ctx.exit(_report_refusal(error, ctx))
        except (OSError, MemoryError) as error:
            path = ctx.meta.get(PATH) or os.curdir
            known = refusal(reason_for(error) or "cannot_open", path=path, cause=cause_of(error))
            ctx.exit(_report_refusal(known, ctx))
        except Stopped as stopped:
            path = ctx.meta.get(PATH)
            state = translated("{path} is unchanged.", path=path) if path else ""
            print_error([f"{translated('Interrupted')}: {state}".rstrip(": ")])
            ctx.exit(STOPPED_BY_SIGNAL + stopped.number)


def _report_refusal(error: WAIaaSError, ctx: click.Context) -> int:
    answer: dict[str, Any] = error.to_dict(current_language())
    details = answer["details"] or {}
    fields = details.get("fields", {})
    about = [f"  {name}: {' '.join(messages)}" for name, messages in fields.items()]
    if "from" in details and "to" in details:  # states
        about.append(f"  {details['from']} -> {details['to']}")
    lines = [
        f"{translated('Error')}: {answer['message']}",
        *about,
        f"{translated('What to do')}: {answer['hint']}",
    ]
    print_error(lines, {"error": answer} if ctx.meta.get(AS_JSON) else None)
    return REFUSED
