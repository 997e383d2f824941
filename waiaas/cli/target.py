"""Commands on an open database: how they are declared, who acts, and the question before something is removed."""

from __future__ import annotations

import functools
import getpass
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from click.exceptions import Exit

from waiaas.cli.group import REFUSED, STOPPED_BY_SIGNAL
from waiaas.cli.messages import TranslatedCommand, translated
from waiaas.cli.options import accepted_yes_option, common_options, database_or_url, epilog
from waiaas.cli.terminal import Stopped, escaped, read_line
from waiaas.database import connect

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: The environment variable that names the database, for commands without a TARGET.
VARIABLE = "WAIAAS_DATABASE"

_TARGET_HELP = f"TARGET is a file, or the URL of a PostgreSQL database. Without it, {VARIABLE} names the database."
_CONFIRMED = "waiaas.confirmed"
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class TargetCommand(TranslatedCommand):
    """A command whose first argument, TARGET, is that of the environment if an argument is missing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; if one is missing, the environment names the target."""
        try:
            return super().parse_args(ctx, [*args])
        except click.MissingParameter as error:
            target = os.environ.get(VARIABLE)
            if not target:
                raise self._missing(error, ctx) from error
            ctx.params.clear()
            return super().parse_args(ctx, [target, *args])

    def _missing(self, error: click.MissingParameter, ctx: click.Context) -> click.MissingParameter:
        """Return the error with the variable in it; if the first argument is an id, TARGET is what is missing."""
        first = next(each for each in self.params if isinstance(each, click.Argument))
        given = ctx.params.get(first.name or "")
        unset = "Without {argument}, set the environment variable {variable}."
        hint = translated(unset, argument=first.human_readable_name, variable=VARIABLE)
        if _UUID.fullmatch(str(given)):
            return click.MissingParameter(hint, ctx, first)
        return click.MissingParameter(f"{error.message} {hint}".lstrip(), error.ctx, error.param, error.param_hint)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show that the first argument can be left out."""
        pieces = super().collect_usage_pieces(ctx)
        return [f"[{piece}]" if piece in ("TARGET", "PATH") else piece for piece in pieces]


def _user() -> str:
    """Return the operating system's user, not what an environment variable claims."""
    try:
        import pwd
    except ImportError:  # Windows
        return f"cli:{getpass.getuser()}"
    try:
        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # A container can run as a user without a name.
        return f"cli:{os.getuid()}"


def _remember_yes(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_CONFIRMED] = value


_actor_option = click.option(
    "--actor",
    default=_user,
    help="The name for the audit log. The default is cli: and the user of the operating system.",
)
#: For a command that calls `ask`.
yes_option = click.option("--yes", "-y", is_flag=True, callback=_remember_yes, expose_value=False, help="Do not ask.")


class Effect(NamedTuple):
    """What a command does to the database: the options and the exit codes that follow from it."""

    options: tuple[Callable[[Callable[..., None]], Callable[..., None]], ...]
    exit_codes: dict[int, str]


READS = Effect((), {1: "refused or failed, and nothing was changed"})
CHANGES = READS._replace(options=(_actor_option, accepted_yes_option))
REMOVES = Effect((_actor_option, yes_option), {1: "refused or failed, or you answered no: nothing was changed"})
REMOVES_IN_BATCHES = REMOVES._replace(
    exit_codes={
        1: "refused or failed, or you answered no; complete batches are kept",
        130: "interrupted by Ctrl-C; complete batches are kept",
    }
)


def target_command(
    name: str, effect: Effect, summary: str, *ids: str, then: str, examples: str = ""
) -> Callable[[Callable[..., None]], click.Command]:
    """Declare a command on an open database, which its function gets first; nothing is created or upgraded.

    `ids` are the arguments that follow TARGET. From them the example is made, unless `examples` are given.
    """

    def declare(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(target: Path | str, **arguments: Any) -> None:
            with connect(target, create=False, upgrade=False) as database:
                function(database, **arguments)

        decorated: Callable[..., None] = run
        for option in (*reversed(effect.options), *map(click.argument, reversed(ids)), common_options):
            decorated = option(decorated)
        target = click.Argument(["target"], type=click.Path(readable=False), callback=database_or_url)
        own_name = name.split()[-1]
        command = click.command(own_name, cls=TargetCommand, short_help=summary, epilog=end, params=[target])
        return command(decorated)

    example = " ".join(("waiaas", name, "wallets.db", *map(str.upper, ids)))
    codes = {0: "done", **effect.exit_codes}
    end = f"{_TARGET_HELP}\n\n{epilog(examples or example, then, codes)}"
    return declare


def page_options(command: _Command) -> _Command:
    """Add the options of a paginated list."""
    limit = click.option(
        "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many to print at most."
    )
    after = click.option("--after", metavar="ID", help="Continue after this entry: the next page.")
    return limit(after(command))


def is_confirmed() -> bool:
    """Return whether the user passed --yes."""
    return bool(click.get_current_context().meta[_CONFIRMED])


def ask(question: str) -> None:
    """Ask before something is removed, unless the user passed --yes; end the command after a no."""
    if is_confirmed():
        return
    if not is_interactive():
        raise click.UsageError(translated("Nothing was changed: there is no terminal to confirm on; pass --yes."))
    try:
        is_yes = _is_yes(question)
    except (Stopped, EOFError) as error:
        click.echo(f"\n{translated('Nothing was changed.')}", err=True)
        raise Exit(STOPPED_BY_SIGNAL + getattr(error, "number", signal.SIGINT)) from error
    if not is_yes:
        click.echo(translated("Nothing was changed."), err=True)
        raise Exit(REFUSED)


def _is_yes(question: str) -> bool:
    """Ask until the answer is yes or no, which is what an empty line means; raises EOFError at the end of input."""
    while True:
        click.echo(f"{escaped(question)} [y/N]: ", nl=False, err=True)
        line = read_line()
        if not line:
            raise EOFError
        answer = line.strip().lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("n", "no", ""):
            return False
        click.echo(translated("Answer y or n."), err=True)


def is_interactive() -> bool:
    """Return whether a question can be answered."""
    return sys.stdin is not None and sys.stdin.isatty()
