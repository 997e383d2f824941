"""What commands share: options, arguments, the end of their help, and how they open a database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from waiaas.cli.messages import language, translated
from waiaas.cli.terminal import AS_JSON, PATH
from waiaas.errors import LANGUAGES
from waiaas.files.opening import is_url
from waiaas.paths import is_postgresql_url

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:  # generic since click 8.2
    _Choice = click.Choice


_Command = TypeVar("_Command", bound=Callable[..., Any])

INTERRUPTED = {130: "interrupted by Ctrl-C, and nothing was changed"}
_EVERY_COMMAND = {2: "wrong usage", 4: "done, but the answer could not be written"}


def epilog(examples: str, then: str, exit_codes: dict[int, str]) -> str:
    """Return the end of a command's help: examples, what to do next, and the exit codes."""
    title = "Examples" if "\n" in examples else "Example"
    all_codes = sorted({**exit_codes, **_EVERY_COMMAND}.items())
    width = max(len(str(code)) for code, _ in all_codes) + 2
    codes = "\n".join(f"{code:<{width}}{text}" for code, text in all_codes)
    parts = ((title, examples), ("Next", then), ("Exit codes", codes))
    indented = ((title, text.replace("\n", "\n  ")) for title, text in parts)
    return "\n\n".join(f"\b\n{title}:\n  {text}" for title, text in indented)


LANGUAGE_HELP = "The language of everything that is printed."


class Language(_Choice):
    """A language, or a locale of it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the code of the language."""
        known = language(value)
        return super().convert(known if known in self.choices else value, param, ctx)


class VariableOption(click.Option):
    """An option with an environment variable, which errors name in the language of the program."""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the name of the option and the variable."""
        variable = translated("env var: {var}", var=f"'{self.envvar}'")
        return f"{click.Parameter.get_error_hint(self, ctx)} ({variable})"  # click's own is in English


def database_file(_: click.Context, __: click.Parameter, path: str | None) -> Path | None:
    """Return the path of a database file; refuse an argument that cannot be one."""
    if path is None:
        return None
    if not path:
        raise click.BadParameter(translated("The path is empty."))
    if path == ":memory:":
        raise click.BadParameter(translated("A database in memory ends with the command."))
    if is_postgresql_url(path):
        raise click.BadParameter(translated("This command is for files. For PostgreSQL, use pg_dump and pg_restore."))
    if is_url(path):
        raise click.BadParameter(translated("A URL or a connection string is not the path of a database file."))
    # pathlib removes the slash at the end. If the folder exists, it is refused as it is without the slash.
    if not os.path.basename(path) and not os.path.isdir(path):
        raise click.BadParameter(translated("This is the path of a folder."))
    return Path(path)


def database_or_url(ctx: click.Context, parameter: click.Parameter, target: str) -> Path | str | None:
    """Return the URL of a PostgreSQL database, or the path of a file."""
    return target if is_postgresql_url(target) else database_file(ctx, parameter, target)


def _all_or_nothing(ctx: click.Context, parameter: click.Parameter, target: str) -> Path | str | None:
    """Keep the target for the message of an interruption, which leaves it unchanged."""
    found = database_or_url(ctx, parameter, target)
    ctx.meta[PATH] = None if found is None else name_of(found)
    return found


def _file_all_or_nothing(ctx: click.Context, parameter: click.Parameter, path: str) -> Path | None:
    """Keep the path likewise, and refuse a URL."""
    ctx.meta[PATH] = path
    return database_file(ctx, parameter, path)


def name_of(target: Path | str) -> Path | str:
    """Return a path, or a URL without its password, to be shown."""
    if isinstance(target, Path):
        return target
    from waiaas.backends.postgresql import parse_url, shown_url

    return shown_url(parse_url(target))


#: The path of a file or the URL of a PostgreSQL database.
database_argument = click.argument("path", metavar="TARGET", type=click.Path(readable=False), callback=_all_or_nothing)
path_argument = click.argument("path", type=click.Path(readable=False), callback=_file_all_or_nothing)


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[AS_JSON] = value


def common_options(command: _Command) -> _Command:
    """Add the options of every command."""
    for option in (
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            callback=_remember_json,
            is_eager=True,
            expose_value=False,
            help="Print JSON on standard output, and nothing else.",
        ),
        language_option,
    ):
        command = option(command)
    return command


language_option = click.option(
    "--lang", type=Language(LANGUAGES), is_eager=True, expose_value=False, help=LANGUAGE_HELP
)


#: For a command that changes something and does not ask: a script can pass --yes to every one.
accepted_yes_option = click.option("--yes", "-y", is_flag=True, hidden=True, expose_value=False, help="Do not ask.")

skip_orphans_option = click.option(
    "--skip-orphans",
    is_flag=True,
    help="Leave sessions of a missing wallet without a wallet, and report them, instead of refusing.",
)


def backup_options(command: _Command) -> _Command:
    """Add the options for the backup of a change; `backup_of` returns what they mean."""
    to = click.option(
        "--backup",
        "backup_to",
        metavar="PATH",
        type=click.Path(readable=False),
        help="Write the backup to PATH, or into it if it is a folder.",
    )
    none = click.option(
        "--no-backup", is_flag=True, help="Write no backup. Use this only if you have your own: the change is final."
    )
    return to(none(command))


def backup_of(backup_to: str | None, no_backup: bool) -> str | bool:
    """Return the argument `backup` of the library."""
    if backup_to is not None and no_backup:
        raise click.UsageError(translated("--backup and --no-backup exclude each other."))
    if backup_to == "":
        raise click.BadParameter(translated("The path is empty."), param_hint="--backup")
    return not no_backup if backup_to is None else backup_to
