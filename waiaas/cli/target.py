"""Commands on an open database: its argument, who acts, and the question before something is removed."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from waiaas.cli.group import REFUSED, CommandGroup
from waiaas.cli.options import common_options, epilog
from waiaas.database import Database, connect
from waiaas.files.opening import is_url
from waiaas.paths import is_postgresql_url

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: The environment variable that names the database, for commands without a TARGET.
VARIABLE = "WAIAAS_DATABASE"

_TARGET_HELP = (
    "TARGET is the path of a file, or the URL of a PostgreSQL database. Without it,\n"
    f"the environment variable {VARIABLE} names the database."
)
_CODES = {1: "refused or failed, and nothing was changed"}
_ASKING = {1: "refused or failed, or you answered no: nothing was changed"}
_BATCHES = {
    1: "refused or failed, or you answered no; complete batches are kept",
    130: "interrupted by Ctrl-C; complete batches are kept",
}


class TargetCommand(click.Command):
    """A command whose first argument, TARGET, is that of the environment if an argument is missing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; if one is missing, the environment names the target."""
        try:
            return super().parse_args(ctx, [*args])
        except click.MissingParameter as error:
            target = os.environ.get(VARIABLE)
            if not target:
                hint = f"{error.message} Without TARGET, set the environment variable {VARIABLE}.".lstrip()
                raise click.MissingParameter(hint, error.ctx, error.param, error.param_hint) from error
            ctx.params.clear()
            return super().parse_args(ctx, [target, *args])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show that TARGET can be left out."""
        return ["[TARGET]" if piece == "TARGET" else piece for piece in super().collect_usage_pieces(ctx)]


class TargetGroup(CommandGroup):
    """A group of such commands."""

    command_class = TargetCommand


def _target(_: click.Context, __: click.Parameter, target: str) -> str:
    if not target:
        raise click.BadParameter("It is empty.")
    if target == ":memory:":
        raise click.BadParameter("A database in memory ends with the command.")
    if is_url(target) and not is_postgresql_url(target):
        raise click.BadParameter("Of URLs, only those of PostgreSQL databases are accepted.")
    return target


def target_options(command: _Command) -> _Command:
    """Add what every command on an open database has."""
    argument = click.argument("target", type=click.Path(readable=False), callback=_target)
    return argument(common_options(command))


def target_epilog(example: str, then: str, *, asks: bool = False, in_batches: bool = False) -> str:
    """Return the end of the help of a command on an open database."""
    codes = {0: "done", **(_BATCHES if in_batches else _ASKING if asks else _CODES)}
    return "\n\n".join((f"\b\n{_TARGET_HELP}", epilog(example, then, codes)))


def open_target(target: str) -> Database:
    """Open a database that exists and is at the latest schema version; nothing is created or upgraded."""
    return connect(target, create=False, upgrade=False)


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


actor_option = click.option(
    "--actor",
    default=_user,
    help="The name for the audit log. The default is cli: and the user of the operating system.",
)
yes_option = click.option("--yes", "-y", "is_confirmed", is_flag=True, help="Do not ask.")


def page_options(command: _Command) -> _Command:
    """Add the options of a list that comes in pages."""
    limit = click.option(
        "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many to print at most."
    )
    after = click.option("--after", metavar="ID", help="Print those after this one: the next page.")
    return limit(after(command))


def ask(question: str, is_confirmed: bool) -> None:
    """Ask before something is removed, unless the user has confirmed it already; end the command after a no."""
    if is_confirmed:
        return
    if not is_interactive():
        raise click.UsageError("Nothing was changed: add --yes, because there is no terminal to ask you.")
    try:
        is_confirmed = click.confirm(question, err=True)
    except click.Abort:
        click.echo("\nNothing was changed.", err=True)
        raise
    if not is_confirmed:
        click.echo("Nothing was changed.", err=True)
        click.get_current_context().exit(REFUSED)


def is_interactive() -> bool:
    """Return whether somebody can answer a question."""
    return sys.stdin is not None and sys.stdin.isatty()
