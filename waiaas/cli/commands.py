"""The commands: their arguments, what they call, and their exit codes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from click.exceptions import Exit
from click.shell_completion import get_completion_class
from peewee import SqliteDatabase

from waiaas import __version__, demo, maintenance
from waiaas.cli.audit import audit
from waiaas.cli.emergency import kill_switch, tokens
from waiaas.cli.files import backup, backups, health, restore
from waiaas.cli.group import PENDING, PROBLEMS_FOUND, REFUSED, ErrorReportingGroup
from waiaas.cli.links import links
from waiaas.cli.messages import TranslatedCommand, current_language, print_text, translated
from waiaas.cli.move import move
from waiaas.cli.options import (
    INTERRUPTED,
    LANGUAGE_HELP,
    Language,
    VariableOption,
    accepted_yes_option,
    backup_of,
    backup_options,
    common_options,
    database_argument,
    database_file,
    epilog,
    language_option,
    name_of,
    path_argument,
    skip_orphans_option,
)
from waiaas.cli.output import (
    check_lines,
    created_lines,
    demo_lines,
    downgrade_lines,
    old_file_lines,
    plan_lines,
    rehearsal_lines,
    status_lines,
    upgrade_lines,
)
from waiaas.cli.prune import prune
from waiaas.cli.sessions import sessions
from waiaas.cli.target import TargetCommand
from waiaas.cli.terminal import interrupted_by_signals, print_answer, progress_line, until_the_commit
from waiaas.cli.wallets import wallets
from waiaas.database import connect
from waiaas.ddl.untrusted import limit_heap
from waiaas.errors import LANGUAGES, WAIaaSError, refusal
from waiaas.inspection.check import check
from waiaas.migrations import LATEST_SCHEMA_VERSION, opening, runner, version
from waiaas.migrations.report import Plan
from waiaas.progress import Progress, ProgressReporter

_COMPLETION_VARIABLE = "_WAIAAS_COMPLETE"


def _show_version(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    # Not click's own option, which keeps the language of the moment when it is declared.
    if is_given and not ctx.resilient_parsing:
        print_text(translated("%(prog)s, version %(version)s") % {"prog": "waiaas", "version": __version__})
        ctx.exit()


_EXIT_CODES = """\b
Exit codes:
  0    done, or nothing to do
  1    refused or failed, and nothing was changed;
       for plan and rehearse: an upgrade would be refused
  2    wrong usage
  3    (status only) an upgrade is pending
  4    done, but the answer could not be written
  5    (check only) problems were found
  130  interrupted by Ctrl-C: nothing was changed"""


@click.group(
    cls=ErrorReportingGroup,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option(
    "--lang",
    cls=VariableOption,
    type=Language(LANGUAGES),
    default="en",
    envvar="WAIAAS_LANG",
    show_envvar=True,
    help=LANGUAGE_HELP,
)
def main(lang: str) -> None:
    """Manage the database file of a WAIaaS wallet service.

    An upgrade brings a file of an older schema version to the latest one, in which the session of an AI agent can use
    many wallets. It is all or nothing, and writes a backup first.

    \b
    To upgrade a file step by step:
      waiaas status wallets.db              which version is it?
      waiaas plan wallets.db                what would an upgrade do?
      waiaas rehearse wallets.db            try it on a copy
      waiaas upgrade wallets.db             do it
      waiaas check wallets.db               is everything in order?

    To see all of this with an example file: waiaas demo
    """  # noqa: D301 (click takes the backspace itself, not an escaped one)
    limit_heap()


for _command in (audit, backup, backups, health, kill_switch, links, move, prune, restore, sessions, tokens, wallets):
    main.add_command(_command)


@main.command(
    cls=TargetCommand,
    short_help="Create a new, empty database.",
    epilog=epilog(
        "waiaas init wallets.db",
        "waiaas check wallets.db",
        {0: "created", 1: "refused: TARGET already exists, or cannot be written"},
    ),
)
@database_argument
@accepted_yes_option
@common_options
def init(path: Path | str) -> None:
    """Create a new, empty database TARGET, at the latest schema version.

    Only you can read and write the file (mode 0600). An existing file that is not empty is refused and unchanged,
    unless it is exactly what this command creates. If TARGET is the URL of a PostgreSQL database, the tables are
    created there. Without TARGET, WAIAAS_DATABASE names the database.
    """
    warnings, lang, name = _create(path), current_language(), name_of(path)
    answer = {
        "path": str(name),
        "version": LATEST_SCHEMA_VERSION,
        "warnings": [warning.to_dict(lang) for warning in warnings],
    }
    print_answer(answer, created_lines(name, warnings))


def _create(target: Path | str) -> list[WAIaaSError]:
    if isinstance(target, Path):
        if not opening.is_new(target):
            opening.refuse_existing(target)
        return opening.create(target)
    if maintenance.status(target).action == "ok":
        raise refusal("target_not_empty", path=name_of(target))
    connect(target).close()
    return []


@main.command(
    cls=TargetCommand,
    short_help="Show the schema version of a file.",
    epilog=epilog(
        "waiaas status wallets.db && echo up to date",
        "waiaas plan wallets.db     if an upgrade is pending\nwaiaas check wallets.db    if not",
        {
            0: "at the latest version",
            1: "refused: newer than this program, or not a WAIaaS database",
            3: "an upgrade is pending, or the file is empty",
        },
    ),
)
@database_argument
@common_options
def status(path: Path | str) -> None:
    """Show the schema version of the database TARGET, and whether it can be used without an upgrade (read-only).

    TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the database.
    """
    if isinstance(path, str):
        answer = maintenance.status(path)
    else:
        with progress_line() as line, opening.open_read_only(path, progress=line) as opened:
            answer = version.status(opened)
    if answer.error is not None:
        raise answer.error
    colour, name = "yellow" if answer.action == "migrate" else "green", name_of(path)
    lines = status_lines(name, answer)
    print_answer({"path": str(name), **answer.to_dict()}, lines, (0, colour))
    if answer.action == "migrate":
        raise Exit(PENDING)


@main.command(
    cls=TargetCommand,
    short_help="Show what an upgrade would do.",
    epilog=epilog(
        "waiaas plan wallets.db",
        "waiaas rehearse wallets.db    try it on a copy",
        {
            0: "nothing blocks an upgrade, or the file is empty",
            1: "an upgrade would be refused, or the file was",
            **INTERRUPTED,
        },
    ),
)
@database_argument
@common_options
@skip_orphans_option
def plan(path: Path | str, skip_orphans: bool) -> None:
    """Show what `waiaas upgrade` would do to the database TARGET, and what blocks it (read-only).

    TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the database.
    Everything in the schema that blocks any step is listed. A value that a later step does not allow is found by
    `waiaas rehearse`.
    """
    try:
        planned = _plan(path, skip_orphans)
    except WAIaaSError as error:
        if error.reason != "empty_database":
            raise
        planned = Plan(from_version=0, to_version=LATEST_SCHEMA_VERSION)
    lang, name = current_language(), name_of(path)
    answer = {"path": str(name), **planned.to_dict(lang)}
    print_answer(answer, plan_lines(name, planned, skip_orphans))
    if planned.obstacles:
        raise Exit(REFUSED)


def _plan(path: Path | str, skip_orphans: bool) -> Plan:
    if isinstance(path, str):
        return maintenance.plan(path)
    with _open_to_read(path, "planning") as opened:
        return runner.plan(opened, skip_orphans=skip_orphans)


def _point_to_rehearse(_: click.Context, __: click.Parameter, value: bool) -> None:
    if value:
        raise click.UsageError(translated("To try the upgrade on a copy, run `waiaas rehearse PATH`."))


@main.command(
    cls=TargetCommand,
    short_help="Upgrade a file to the latest version.",
    epilog=epilog(
        "waiaas upgrade wallets.db\nwaiaas upgrade wallets.db --json --skip-orphans",
        "waiaas check wallets.db",
        {
            0: "upgraded, or nothing to do",
            1: "refused or failed, and nothing was changed",
            **INTERRUPTED,
        },
    ),
)
@database_argument
@accepted_yes_option
@common_options
@backup_options
@skip_orphans_option
@click.option(
    "--dry-run",
    "--rehearse",
    is_flag=True,
    hidden=True,
    expose_value=False,
    callback=_point_to_rehearse,
    help="Use `waiaas rehearse`.",
)
def upgrade(path: Path | str, backup_to: str | None, no_backup: bool, skip_orphans: bool) -> None:
    """Upgrade the database TARGET to the latest schema version, all or nothing.

    TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the database.

    A verified backup is written next to the file before the commit. Its name contains the old version and the time.
    Stop the daemon first, because it works only with its own version. Sessions that are left without a wallet are
    listed. In an empty file the tables of the latest version are created.
    """
    is_empty = isinstance(path, Path) and opening.is_empty(path)
    lang, name = current_language(), name_of(path)
    with progress_line() as line:
        report = maintenance.upgrade(
            path, backup=backup_of(backup_to, no_backup), skip_orphans=skip_orphans, progress=until_the_commit(line)
        )
    lines = created_lines(name, report.warnings) if is_empty else upgrade_lines(name, report)
    print_answer({"path": str(name), "created": is_empty, **report.to_dict(lang)}, lines)


@main.command(
    "rehearse",
    cls=TargetCommand,
    short_help="Try an upgrade on a copy.",
    epilog=epilog(
        "waiaas rehearse wallets.db",
        "waiaas upgrade wallets.db",
        {0: "the upgrade would succeed, or nothing to do", 1: "it would be refused or fail", **INTERRUPTED},
    ),
)
@path_argument
@common_options
@skip_orphans_option
def rehearse_command(path: Path, skip_orphans: bool) -> None:
    """Upgrade a copy of the file at PATH, report the result and remove the copy. The file is unchanged.

    The daemon can keep running. The copy contains the key that signs session tokens, as the file does: only you can
    read it (mode 0600). It is on the same file system. After kill -9 or a power failure the folder .waiaas-rehearsal-…
    stays next to the file: the next rehearsal removes it.

    Without PATH, WAIAAS_DATABASE names the file.
    """
    is_empty = opening.is_empty(path)
    with progress_line() as line:
        rehearsal = None if is_empty else maintenance.rehearse(path, skip_orphans=skip_orphans, progress=line)
    lang = current_language()
    answer = {"path": str(path), "created": is_empty, "rehearsal": rehearsal.to_dict(lang) if rehearsal else None}
    lines = rehearsal_lines(path, rehearsal, skip_orphans)
    is_ok = rehearsal is None or rehearsal.ok
    print_answer(answer, lines, (0, "green" if is_ok else "red"))
    if not is_ok:
        raise Exit(REFUSED)


@main.command(
    cls=TargetCommand,
    short_help="Downgrade a file to version 18.",
    epilog=epilog(
        "waiaas downgrade wallets.db --to 18",
        "waiaas status wallets.db",
        {0: "downgraded, or nothing to do", 1: "refused or failed, and nothing was changed", **INTERRUPTED},
    ),
)
@path_argument
@accepted_yes_option
@common_options
@backup_options
@click.option("--to", "to_version", type=int, default=18, show_default=True, help="The version to downgrade to.")
@click.option(
    "--drop-links",
    is_flag=True,
    help="Drop the links that version 18 cannot hold (all but each session's default wallet), and report them.",
)
def downgrade(
    path: Path,
    backup_to: str | None,
    no_backup: bool,
    to_version: int,
    drop_links: bool,
) -> None:
    """Downgrade the file at PATH to version 18, for a daemon that does not support version 19.

    Each session keeps its default wallet. If a session has more wallets, the file is refused without --drop-links.
    To go back to the file from before an upgrade, restore its backup instead.

    Without PATH, WAIAAS_DATABASE names the file.
    """
    lang = current_language()
    with progress_line() as line:
        report = maintenance.downgrade(
            path,
            to_version,
            drop_links=drop_links,
            backup=backup_of(backup_to, no_backup),
            progress=until_the_commit(line),
        )
    answer = {"path": str(path), **report.to_dict(lang)}
    print_answer(answer, downgrade_lines(path, report))


@main.command(
    "check",
    cls=TargetCommand,
    short_help="Check for corruption and broken links.",
    epilog=epilog(
        "waiaas check wallets.db && echo no problems",
        "waiaas check wallets.db --json    lists every row that has a problem",
        {0: "no problems", 1: "refused: the file could not be checked", 5: "problems were found", **INTERRUPTED},
    ),
)
@database_argument
@common_options
def check_command(path: Path | str) -> None:
    """Check the database TARGET for corruption, schema drift, broken links, violations and invalid values.

    TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the database.
    It is only read. Notes, such as one about your own index, are not problems. Tables and links are checked
    only at the latest schema version, so check a file before and after an upgrade.
    """
    if isinstance(path, str):
        report = maintenance.check(path)
    else:
        with _open_to_read(path, "checking the file") as opened:
            report = check(opened)
    lang, name = current_language(), name_of(path)
    answer = {"path": str(name), **report.to_dict(lang)}
    verdict = (-1, "green" if report.ok else "red")
    print_answer(answer, check_lines(name, report), verdict)
    if not report.ok:
        raise Exit(PROBLEMS_FOUND)


@main.command(
    "demo",
    cls=TranslatedCommand,
    short_help="See an upgrade of an example file.",
    epilog=epilog(
        "waiaas demo\nwaiaas demo --version 18 old.db    an old file to play with",
        "waiaas status wallets.db    with your own file",
        {0: "shown", 1: "refused: PATH already exists, or cannot be written"},
    ),
)
@click.argument("path", type=click.Path(readable=False), callback=database_file, required=False)
@click.option("--version", "version_18", type=click.Choice(["18"]), help="Only create a file of this version at PATH.")
@common_options
def demo_command(path: Path | None, version_18: str | None) -> None:
    """Create a file of version 18 with example rows, upgrade it, and show before, plan, report and after.

    The file is created in a temporary folder and removed at the end, unless you give a PATH.
    """
    if version_18 is not None:
        if path is None:
            raise click.UsageError(translated("Name a PATH for the file."))
        counts = demo.leave_version_18(path)
        answer = {"path": str(path), "version": 18, "counts": counts}
        print_answer(answer, old_file_lines(path, counts))
        return
    if path is not None:
        shown = demo.run(path)
    else:
        with _temporary_folder() as folder:
            shown = demo.run(folder / "wallets.db")
    print_answer(shown.to_dict(), demo_lines(shown, kept_at=path))


@main.command(
    cls=TranslatedCommand,
    short_help="Print a completion script for a shell.",
    epilog=epilog(
        "waiaas completion bash >> ~/.bashrc\n"
        "waiaas completion zsh >> ~/.zshrc\n"
        "waiaas completion fish > ~/.config/fish/completions/waiaas.fish",
        "Open a new shell, type `waiaas up` and press Tab.",
        {0: "printed"},
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@language_option
def completion(shell: str) -> None:
    """Print a script that completes the commands, options and paths of waiaas.

    Add it once to the file that your shell reads at its start. It needs bash 4.4 or newer; in zsh, add it after
    compinit.
    """
    found = get_completion_class(shell)
    assert found is not None
    print_answer(None, found(main, {}, "waiaas", _COMPLETION_VARIABLE).source().splitlines())


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
def _open_to_read(path: Path, phase: str) -> Iterator[SqliteDatabase]:
    """Open a file to read it, with progress, until Ctrl-C."""
    with progress_line() as line, opening.open_read_only(path, progress=line) as opened:
        reporter = ProgressReporter(line)
        reporter(Progress(phase))
        with reporter.during(opened.connection()), interrupted_by_signals(opened.connection()):
            yield opened
