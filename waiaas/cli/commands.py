"""The commands: what each takes, what it asks the library to do, and its exit code."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import get_completion_class
from peewee import SqliteDatabase

from waiaas import __version__, database, demo, migrations
from waiaas.cli.group import AS_JSON, PATH, PENDING, REFUSED, ErrorTellingGroup
from waiaas.cli.terminal import interrupted_by_signals, print_answer, progress_line, until_the_commit
from waiaas.cli.texts import (
    check_lines,
    created_lines,
    demo_lines,
    downgrade_lines,
    plan_lines,
    rehearsal_lines,
    status_lines,
    upgrade_lines,
)
from waiaas.cli.words import BadPath, language
from waiaas.ddl.untrusted import limit_heap
from waiaas.errors import LANGUAGES, WAIaaSError, refusal
from waiaas.files.opening import is_url
from waiaas.inspection.check import check
from waiaas.inspection.rehearsal import rehearse
from waiaas.migrations.runner import nothing_to_do
from waiaas.progress import Progress, Pulse

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:  # generic since click 8.2
    _Choice = click.Choice

_COMPLETION_VARIABLE = "_WAIAAS_COMPLETE"
_Command = TypeVar("_Command", bound=Callable[..., Any])

_EXIT_CODES = """\b
Exit codes:
  0    done, or nothing to do
  1    refused or failed: the error is on standard error, nothing was changed;
       for check: problems were found
  2    wrong usage
  3    (status only) an upgrade is pending
  4    done, but the answer could not be written to standard output
  130  interrupted by Ctrl-C: nothing was changed"""


_INTERRUPTED = {130: "interrupted by Ctrl-C, and nothing was changed"}
# What every command can end with.
_ANY_COMMAND = {2: "wrong usage", 4: "done, but the answer could not be written to standard output"}


def _epilog(examples: str, then: str, exit_codes: dict[int, str]) -> str:
    """What stands at the end of a command's help: how it looks, what comes next, how a script can tell."""
    title = "Examples" if "\n" in examples else "Example"
    all_codes = sorted({**exit_codes, **_ANY_COMMAND}.items())
    width = max(len(str(code)) for code, _ in all_codes) + 2
    codes = "\n".join(f"{code:<{width}}{text}" for code, text in all_codes)
    parts = ((title, examples), ("Next", then), ("Exit codes", codes))
    indented = ((title, text.replace("\n", "\n  ")) for title, text in parts)
    return "\n\n".join(f"\b\n{title}:\n  {text}" for title, text in indented)


class _Language(_Choice):
    """One of the languages, however it is spelt."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take a language, or a locale of it."""
        return super().convert(language(value), param, ctx)


@click.group(
    cls=ErrorTellingGroup,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="waiaas")
@click.option(
    "--lang",
    type=_Language(LANGUAGES),
    default="en",
    envvar="WAIAAS_LANG",
    show_envvar=True,
    help="The language of errors and findings; answers and help are in English.",
)
def main(lang: str) -> None:
    """Look after the database file of a WAIaaS wallet service.

    Brings a file of an older schema version to the latest one, in which an AI agent's session reaches one or many
    wallets. An upgrade happens wholly or not at all, and writes a backup first.

    \b
    A file that you care about, step by step:
      waiaas status wallets.db              which version is it at?
      waiaas plan wallets.db                what would an upgrade do?
      waiaas upgrade wallets.db --rehearse  try it on a copy
      waiaas upgrade wallets.db             do it
      waiaas check wallets.db               is everything as it should be?

    No file at hand? See it work on one made for the purpose: waiaas demo
    """  # noqa: D301 (click takes the backspace itself, not an escaped one)
    limit_heap()


def _file(_: click.Context, __: click.Parameter, path: str | None) -> Path | None:
    if path in ("", ":memory:"):
        raise BadPath("in_memory" if path else "empty_path")
    if path is not None and is_url(path):
        raise BadPath("url_path")
    if path is not None and not os.path.basename(path):
        # pathlib would drop the slash at the end.
        raise BadPath("folder_path")
    return None if path is None else Path(path)


def _existing_file(ctx: click.Context, parameter: click.Parameter, path: str) -> Path | None:
    """Remember the file that stays as it was where the command is stopped."""
    file = _file(ctx, parameter, path)
    ctx.meta[PATH] = path
    return file


_path = click.argument("path", type=click.Path(readable=False), callback=_existing_file)
_new_path = click.argument("path", type=click.Path(readable=False), callback=_file)


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta[AS_JSON] = value
    return value


def _json(command: _Command) -> _Command:
    option = click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=_remember_json,
        is_eager=True,
        help="Print one JSON object on standard output, and nothing else there.",
    )
    return option(command)


_no_backup = click.option(
    "--no-backup", is_flag=True, help="Write no backup. Only where you have one of your own: the change is final."
)


@main.command(
    short_help="Create a new, empty database.",
    epilog=_epilog(
        "waiaas init wallets.db",
        "waiaas check wallets.db",
        {0: "created", 1: "refused: something stands at PATH already, or it cannot be written"},
    ),
)
@_new_path
@_json
@click.pass_context
def init(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Create a new, empty database at PATH, at the latest schema version.

    The file is readable and writable by you alone (mode 0600). A file that contains anything is refused and unchanged,
    unless it is exactly what this command creates.
    """
    if not database.is_new(path):
        database.refuse_existing(path)
    warnings, lang = database.create(path), ctx.find_root().params["lang"]
    answer = {
        "path": str(path),
        "version": migrations.LATEST_SCHEMA_VERSION,
        "warnings": [warning.to_dict(lang) for warning in warnings],
    }
    print_answer(answer, created_lines(path, warnings, lang), as_json=as_json)


@main.command(
    short_help="Tell the schema version of a file.",
    epilog=_epilog(
        "waiaas status wallets.db && echo up to date",
        "waiaas plan wallets.db     where an upgrade is pending\nwaiaas check wallets.db    where there is none",
        {
            0: "at the latest version",
            1: "refused: newer than this program, or not a WAIaaS database",
            3: "an upgrade is pending, or the file is still empty",
        },
    ),
)
@_path
@_json
@click.pass_context
def status(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Tell which schema version the file at PATH is at, and whether it can be used as it is.

    Nothing is changed.
    """
    with progress_line() as line, database.open_as_it_is(path, progress=line) as opened:
        answer = migrations.compatibility(opened)
    if answer.error is not None:
        raise answer.error
    colour = "yellow" if answer.action == "migrate" else "green"
    print_answer(
        {"path": str(path), **answer.to_dict()}, status_lines(path, answer), as_json=as_json, verdict=(0, colour)
    )
    if answer.action == "migrate":
        ctx.exit(PENDING)


@main.command(
    short_help="Tell what an upgrade would do.",
    epilog=_epilog(
        "waiaas plan wallets.db",
        "waiaas upgrade wallets.db --rehearse    try it on a copy",
        {
            0: "the plan was made, whether or not there are obstacles",
            1: "refused: not a file that could be upgraded",
            **_INTERRUPTED,
        },
    ),
)
@_path
@_json
@click.option("--skip-orphans", is_flag=True, help="Plan for an upgrade with --skip-orphans.")
@click.pass_context
def plan(ctx: click.Context, path: Path, as_json: bool, skip_orphans: bool) -> None:
    """Tell what `waiaas upgrade` would do to the file at PATH, and what stands in its way.

    Nothing is changed. All that the schema puts in the way of any step is listed. A value that a later step does
    not allow shows in a rehearsal.
    """
    with _open_to_look(path, "planning") as opened:
        planned = migrations.plan(opened, skip_orphans=skip_orphans)
    lang = ctx.find_root().params["lang"]
    answer = {"path": str(path), **planned.to_dict(lang)}
    print_answer(answer, plan_lines(path, planned, skip_orphans, lang), as_json=as_json)


@main.command(
    short_help="Bring a file to the latest version.",
    epilog=_epilog(
        "waiaas upgrade wallets.db --rehearse\nwaiaas upgrade wallets.db\n"
        "waiaas upgrade wallets.db --json --skip-orphans",
        "waiaas check wallets.db",
        {
            0: "upgraded, or nothing to do; with --rehearse: the upgrade would succeed",
            1: "refused or failed, nothing was changed; with --rehearse: it would fail",
            **_INTERRUPTED,
        },
    ),
)
@_path
@_json
@_no_backup
@click.option(
    "--skip-orphans",
    is_flag=True,
    help="Leave sessions that name a missing wallet without a wallet, and report them, instead of refusing.",
)
@click.option(
    "--rehearse",
    "is_rehearsal",
    is_flag=True,
    help="Upgrade a copy beside the file, tell what came of it, remove it, and leave the file alone.",
)
@click.pass_context
def upgrade(
    ctx: click.Context, path: Path, as_json: bool, no_backup: bool, skip_orphans: bool, is_rehearsal: bool
) -> None:
    """Bring the file at PATH to the latest schema version, wholly or not at all.

    A verified backup, written beside the file before anything is committed, has a name that holds the old version
    and the time. Stop the daemon first: it works with the version that it knows. What was left out (sessions
    without a wallet) is reported one by one. An empty file is created at the latest version.

    With --rehearse the daemon may run on. The copy holds the key that signs session tokens, as the file does: it
    is yours alone (mode 0600), on the same file system, and removed at the end, except after kill -9 or a power
    cut: then remove the folder .waiaas-rehearsal-… beside the file yourself.
    """
    is_empty = database.is_empty(path)
    if is_rehearsal:
        with progress_line() as line:
            rehearsal = None if is_empty else rehearse(path, skip_orphans=skip_orphans, progress=line)
        lang = ctx.find_root().params["lang"]
        answer = {"path": str(path), "created": is_empty, "rehearsal": rehearsal.to_dict(lang) if rehearsal else None}
        lines = rehearsal_lines(path, rehearsal, skip_orphans, lang)
        is_ok = rehearsal is None or rehearsal.ok
        print_answer(answer, lines, as_json=as_json, verdict=(0, "green" if is_ok else "red"))
        ctx.exit(0 if is_ok else REFUSED)
    lang, late = ctx.find_root().params["lang"], list[WAIaaSError]()
    if is_empty:
        report = nothing_to_do(database.create(path))
        lines = created_lines(path, report.warnings, lang)
    else:
        with progress_line() as line, database.open_to_change(path, late.append, line) as opened:
            report = migrations.upgrade(
                opened, backup=not no_backup, skip_orphans=skip_orphans, progress=until_the_commit(line)
            )
        report.warnings.extend(late)
        lines = upgrade_lines(path, report, lang)
    print_answer({"path": str(path), "created": is_empty, **report.to_dict(lang)}, lines, as_json=as_json)


@main.command(
    short_help="Take a file back to version 18.",
    epilog=_epilog(
        "waiaas downgrade wallets.db --to 18",
        "waiaas status wallets.db",
        {0: "taken back, or nothing to do", 1: "refused or failed, and nothing was changed", **_INTERRUPTED},
    ),
)
@_path
@_json
@_no_backup
@click.option("--to", "to_version", type=int, default=18, show_default=True, help="The schema version to go back to.")
@click.option(
    "--drop-links",
    is_flag=True,
    help="Drop the links that version 18 cannot hold (all but each session's default wallet), and report them.",
)
@click.pass_context
def downgrade(
    ctx: click.Context, path: Path, as_json: bool, no_backup: bool, to_version: int, drop_links: bool
) -> None:
    """Take the file at PATH back to version 18, for a daemon that knows no later one.

    Each session keeps its default wallet. A file in which a session has more wallets than that is refused unless
    you say --drop-links. To go back to the very file from before an upgrade, put its backup in its place instead.
    """
    lang, late = ctx.find_root().params["lang"], list[WAIaaSError]()
    with progress_line() as line, database.open_to_change(path, late.append, line) as opened:
        report = migrations.downgrade(
            opened, to_version, drop_links=drop_links, backup=not no_backup, progress=until_the_commit(line)
        )
    report.warnings.extend(late)
    answer = {"path": str(path), **report.to_dict(lang)}
    print_answer(answer, downgrade_lines(path, report, lang), as_json=as_json)


@main.command(
    "check",
    short_help="Look a file over: damage, tables, links.",
    epilog=_epilog(
        "waiaas check wallets.db && echo all is well",
        "waiaas check wallets.db --json    names every row, where there is a problem",
        {0: "no problem", 1: "there is a problem, or the file was refused", **_INTERRUPTED},
    ),
)
@_path
@_json
@click.pass_context
def check_command(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Look the file at PATH over: damage, tables, foreign-key violations, links of sessions, times, JSON.

    Nothing is changed. Notes (an index of your own, say) are not problems. The tables and links are compared at the
    latest schema version only, so have a file checked before an upgrade and after it.
    """
    with _open_to_look(path, "checking the file") as opened:
        report = check(opened)
    lang = ctx.find_root().params["lang"]
    answer = {"path": str(path), **report.to_dict(lang)}
    verdict = (-1, "green" if report.ok else "red")
    print_answer(answer, check_lines(path, report, lang), as_json=as_json, verdict=verdict)
    if not report.ok:
        ctx.exit(REFUSED)


@main.command(
    "demo",
    short_help="See an upgrade of an example file.",
    epilog=_epilog(
        "waiaas demo\nwaiaas demo keep-it-here.db",
        "waiaas status wallets.db    with a file of your own",
        {0: "shown", 1: "refused: something stands at PATH already, or it cannot be written"},
    ),
)
@click.argument("path", type=click.Path(readable=False), callback=_file, required=False)
@_json
def demo_command(path: Path | None, as_json: bool) -> None:
    """Make a version-18 file with example rows, upgrade it, and show before, plan, report and after.

    The file is made in a temporary folder and removed at the end, unless you give a PATH for it.
    """
    if path is not None:
        shown = demo.run(path)
    else:
        with _temporary_folder() as folder:
            shown = demo.run(folder / "wallets.db")
    print_answer(shown.to_dict(), demo_lines(shown, kept_at=path), as_json=as_json)


@main.command(
    short_help="Print a shell's completion script.",
    epilog=_epilog(
        "waiaas completion bash >> ~/.bashrc\n"
        "waiaas completion zsh >> ~/.zshrc\n"
        "waiaas completion fish > ~/.config/fish/completions/waiaas.fish",
        "Open a new shell, type `waiaas up` and press the tab key.",
        {0: "printed"},
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes commands, options and paths of waiaas."""
    found = get_completion_class(shell)
    assert found is not None
    print_answer({}, found(main, {}, "waiaas", _COMPLETION_VARIABLE).source().splitlines(), as_json=False)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="waiaas-demo-")
    except OSError as error:
        cause = error.strerror or str(error)
        raise refusal("cannot_open", path=error.filename or "a temporary folder", cause=cause) from error
    with folder as name:
        yield Path(name)


@contextmanager
def _open_to_look(path: Path, phase: str) -> Iterator[SqliteDatabase]:
    """Open a file to read it, show that reading goes on when it takes long, and let Ctrl-C end it."""
    with progress_line() as line, database.open_as_it_is(path, progress=line) as opened:
        pulse = Pulse(line)
        pulse(Progress(phase))
        with pulse.during(opened.connection()), interrupted_by_signals(opened.connection()):
            yield opened
