"""Turns every error of a command into a message or a JSON object, and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from difflib import get_close_matches
from typing import Any

import click

from waiaas.cli.messages import MESSAGES
from waiaas.cli.terminal import (
    AS_JSON,
    PATH,
    OutputLostError,
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

REFUSED = 1
WRONG_USAGE = 2
PENDING = 3
OUTPUT_LOST = 4
PROBLEMS_FOUND = 5
STOPPED_BY_SIGNAL = 128


class CommandGroup(click.Group):
    """A group of commands that shows its help without arguments, and suggests a command for an unknown one."""

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
            suggestion = f" Did you mean: {ctx.command_path} {meant}" if meant else ""
            ctx.fail(f"No such command {name!r}.{suggestion}")
        return super().resolve_command(ctx, args)


class ErrorReportingGroup(CommandGroup):
    """A group of commands that reports errors in the chosen language; errors of usage are click's own, in English."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program and exit."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.UsageError as error:
            shown = io.StringIO()
            error.show(shown)
            print_error(without_passwords(shown.getvalue().rstrip("\n")).split("\n"))
            code = WRONG_USAGE
        except click.Abort:
            code = STOPPED_BY_SIGNAL + signal.SIGINT
        sys.exit(code)

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
        except OutputLostError as error:
            give_up_output()
            if not error.is_broken_pipe:
                words = MESSAGES[ctx.params["lang"]]
                print_error([f"{words['error']}: {words['output_lost'].format(cause=error.cause.strerror)}"])
            ctx.exit(OUTPUT_LOST)
        except Stopped as stopped:
            words, path = MESSAGES[ctx.params["lang"]], ctx.meta.get(PATH)
            state = words["unchanged"].format(path=path) if path else ""
            print_error([f"{words['interrupted']}: {state}".rstrip(": ")])
            ctx.exit(STOPPED_BY_SIGNAL + stopped.number)


def _report_refusal(error: WAIaaSError, ctx: click.Context) -> int:
    lang = ctx.params["lang"]
    words = MESSAGES[lang]
    answer: dict[str, Any] = error.to_dict(lang)
    fields = (answer["details"] or {}).get("fields", {})
    about_fields = [f"  {name}: {' '.join(messages)}" for name, messages in fields.items()]
    lines = [f"{words['error']}: {answer['message']}", *about_fields, f"{words['what_to_do']}: {answer['hint']}"]
    print_error(lines, {"error": answer} if ctx.meta.get(AS_JSON) else None)
    return REFUSED
