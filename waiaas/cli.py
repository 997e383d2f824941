"""The command `waiaas`: arguments in, printed results and exit codes out."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from waiaas import __version__, database, demo, migrations
from waiaas.errors import LANGUAGES, WAIaaSError, refusal
from waiaas.integrity import CheckReport, check
from waiaas.migrations import Compatibility, DowngradeReport, Plan, Progress, UpgradeReport

REFUSED = 1
PENDING = 3
_IDS_SHOWN = 20
_ERROR = {"en": "Error", "ko": "오류"}
_WHAT_TO_DO = {"en": "What to do", "ko": "해결 방법"}
_Command = TypeVar("_Command", bound=Callable[..., Any])

_EXIT_CODES = """\b
Exit codes:
  0  done, or nothing to do
  1  refused or failed: the error is on standard error, nothing was changed; for check: problems were found
  2  wrong usage
  3  (status only) an upgrade is pending"""


class _Waiaas(click.Group):
    """A group whose commands turn a WAIaaSError into a message, a JSON object where asked for, and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WAIaaSError as error:
            _show_error(error, lang=ctx.params["lang"], as_json=ctx.meta.get("waiaas.json", False))
            ctx.exit(REFUSED)


@click.group(
    cls=_Waiaas,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="waiaas")
@click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    default="en",
    envvar="WAIAAS_LANG",
    show_envvar=True,
    help="The language of error messages.",
)
def main(lang: str) -> None:
    """Look after the database file of a WAIaaS wallet service.

    Brings a file of an older schema version to the latest one, in which an AI agent's session reaches one or many
    wallets. An upgrade happens wholly or not at all, and writes a backup first.

    \b
    A file that you care about, step by step:
      waiaas status wallets.db     which version is it at?
      waiaas plan wallets.db       what would an upgrade do, what is in its way?
      waiaas upgrade wallets.db    do it
      waiaas check wallets.db      is everything as it should be?

    No file at hand? See it work on one made for the purpose: waiaas demo
    """  # noqa: D301 (click takes the backspace itself, not an escaped one)


def _file(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if str(path) == ":memory:":
        raise click.BadParameter("a database in memory ends with the command; name a file.")
    return path


def _path(command: _Command) -> _Command:
    return click.argument("path", type=click.Path(path_type=Path), callback=_file)(command)


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    ctx.meta["waiaas.json"] = value
    return value


def _json(command: _Command) -> _Command:
    option = click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=_remember_json,
        is_eager=True,
        expose_value=True,
        help="Print one JSON object on standard output, and nothing else there.",
    )
    return option(command)


_no_backup = click.option(
    "--no-backup", is_flag=True, help="Write no backup. Only where you have one of your own: the change is final."
)


@main.command(short_help="Create a new, empty database.", epilog="\b\nExample:\n  waiaas init wallets.db")
@_path
@_json
def init(path: Path, as_json: bool) -> None:
    """Create a new, empty database at PATH, at the latest schema version.

    The file is readable and writable by you alone (mode 0600). A file that holds anything already is left alone.
    """
    _refuse_existing(path)
    database.close(database.connect(path))
    _show({"path": str(path), "version": migrations.LATEST_SCHEMA_VERSION}, as_json, _created_text(path))


@main.command(
    short_help="Tell the schema version of a file.",
    epilog="\b\nExample:\n  waiaas status wallets.db && echo up to date",
)
@_path
@_json
@click.pass_context
def status(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Tell which schema version the file at PATH is at, and whether it can be used as it is.

    Nothing is changed. The exit code is 0 at the latest version, 3 when an upgrade is pending, 1 when the file
    is refused (newer than this program, or not a WAIaaS database).
    """
    with database.open_as_it_is(path) as opened:
        answer = migrations.compatibility(opened)
    if answer.error is not None:
        raise answer.error
    _show({"path": str(path), **answer.to_dict()}, as_json, _status_text(path, answer))
    if answer.action == "migrate":
        ctx.exit(PENDING)


@main.command(short_help="Tell what an upgrade would do.", epilog="\b\nExample:\n  waiaas plan wallets.db")
@_path
@_json
@click.option("--skip-orphans", is_flag=True, help="Plan for an upgrade with --skip-orphans.")
@click.pass_context
def plan(ctx: click.Context, path: Path, as_json: bool, skip_orphans: bool) -> None:
    """Tell what `waiaas upgrade` would do to the file at PATH, and what stands in its way.

    Nothing is changed, and obstacles do not change the exit code: 0 means that the plan was made.
    """
    with database.open_as_it_is(path) as opened:
        planned = migrations.plan(opened, skip_orphans=skip_orphans)
    lang = ctx.find_root().params["lang"]
    _show({"path": str(path), **planned.to_dict(lang)}, as_json, _plan_text(path, planned, skip_orphans, lang))


@main.command(
    short_help="Bring a file to the latest version.",
    epilog="\b\nExamples:\n  waiaas upgrade wallets.db\n  waiaas upgrade wallets.db --json --skip-orphans",
)
@_path
@_json
@_no_backup
@click.option(
    "--skip-orphans",
    is_flag=True,
    help="Leave sessions that name a missing wallet without a wallet, and report them, instead of refusing.",
)
def upgrade(path: Path, as_json: bool, no_backup: bool, skip_orphans: bool) -> None:
    """Bring the file at PATH to the latest schema version, wholly or not at all.

    Before the first change a verified backup is written beside the file, under a name that holds the old version
    and the time. Stop the daemon first: it works with the version that it knows. What was left out (sessions
    without a wallet) is reported one by one. An empty file is created at the latest version.
    """
    is_empty = path.is_file() and path.stat().st_size == 0
    if is_empty:
        database.close(database.connect(path))
    with database.open_to_change(path) as opened:
        report = migrations.upgrade(
            opened, backup=not no_backup, skip_orphans=skip_orphans, progress=_terminal_progress()
        )
    text = _created_text(path) if is_empty else _upgrade_text(path, report)
    _show({"path": str(path), "created": is_empty, **report.to_dict()}, as_json, text)


@main.command(
    short_help="Take a file back to version 18.", epilog="\b\nExample:\n  waiaas downgrade wallets.db --to 18"
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
def downgrade(path: Path, as_json: bool, no_backup: bool, to_version: int, drop_links: bool) -> None:
    """Take the file at PATH back to version 18, for a daemon that knows no later one.

    Each session keeps its default wallet. A file in which a session has more wallets than that is refused unless
    you say --drop-links. To go back to the very file from before an upgrade, put its backup in its place instead.
    """
    with database.open_to_change(path) as opened:
        report = migrations.downgrade(
            opened, to_version, drop_links=drop_links, backup=not no_backup, progress=_terminal_progress()
        )
    _show({"path": str(path), **report.to_dict()}, as_json, _downgrade_text(path, report))


@main.command(
    "check",
    short_help="Look a file over: damage, tables, links.",
    epilog="\b\nExample:\n  waiaas check wallets.db && echo all is well",
)
@_path
@_json
@click.pass_context
def check_command(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Look the file at PATH over: damage, tables, links of sessions, broken references.

    Nothing is changed. The exit code is 1 where there is a problem; notes (an index of your own, say) are not
    problems. The tables and links are compared at the latest schema version only.
    """
    with database.open_as_it_is(path) as opened:
        report = check(opened)
    _show({"path": str(path), **report.to_dict()}, as_json, _check_text(path, report))
    if not report.ok:
        ctx.exit(REFUSED)


@main.command(
    "demo",
    short_help="See an upgrade of an example file.",
    epilog="\b\nExamples:\n  waiaas demo\n  waiaas demo keep-it-here.db",
)
@click.argument("path", type=click.Path(path_type=Path), callback=_file, required=False)
@_json
def demo_command(path: Path | None, as_json: bool) -> None:
    """Make a version-18 file with example rows, upgrade it, and show before, plan, report and after.

    The file is made in a temporary folder and removed at the end, unless you give a PATH for it.
    """
    if path is not None:
        _refuse_existing(path)
    with tempfile.TemporaryDirectory(prefix="waiaas-demo-") as folder:
        shown = demo.run(path or Path(folder) / "wallets.db")
    kept = f"\nThe file stays at {path}." if path else "\nThe demo's files are removed again."
    _show(shown.to_dict(), as_json, _demo_text(shown) + kept)


def _refuse_existing(path: Path) -> None:
    if path.exists() and (not path.is_file() or path.stat().st_size):
        raise refusal("file_exists", path=str(path))


def _show(result: dict[str, Any], as_json: bool, text: str) -> None:
    click.echo(_printable(json.dumps(result, ensure_ascii=False) if as_json else text))


def _printable(text: str) -> str:
    """Escape the bytes of a file name that are not UTF-8: they are no reason to fail."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _show_error(error: WAIaaSError, lang: str, as_json: bool) -> None:
    told = error.to_dict(lang)
    click.echo(f"{_ERROR[lang]}: {told['message']}", err=True)
    if told["hint"]:
        click.echo(f"{_WHAT_TO_DO[lang]}: {told['hint']}", err=True)
    sessions = (error.details or {}).get("sessions")
    if isinstance(sessions, list):
        click.echo("\n".join(_list("sessions", sessions)), err=True)
    if as_json:
        click.echo(_printable(json.dumps({"error": told}, ensure_ascii=False)))


def _terminal_progress() -> Callable[[Progress], None] | None:
    """Show progress on one line of a terminal's standard error; nothing where it is not a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(progress: Progress) -> None:
        share = f" {progress.done:,} of {progress.total:,}" if progress.total else ""
        step = f"version {progress.version}: " if progress.version else ""
        end = "\n" if progress.total == progress.done else ""
        click.echo(f"\r\x1b[K{step}{progress.phase}{share}{end}", nl=False, err=True)

    return show


def _quoted(path: Path) -> str:
    """A path as it can be pasted into a shell."""
    return shlex.quote(str(path))


def _created_text(path: Path) -> str:
    return f"Created {path} at schema version {migrations.LATEST_SCHEMA_VERSION}."


def _status_text(path: Path, answer: Compatibility) -> str:
    if answer.action == "ok":
        return f"{path} is at schema version {answer.version}, the latest."
    if answer.version == 0:
        return f"{path} is empty.\nWhat to do: waiaas init {_quoted(path)}"
    return (
        f"{path} is at schema version {answer.version}; an upgrade to {answer.latest_version} is pending.\n"
        f"What to do: waiaas plan {_quoted(path)}, then waiaas upgrade {_quoted(path)}"
    )


def _plan_text(path: Path, planned: Plan, skip_orphans: bool = False, lang: str = "en") -> str:
    if not planned.steps:
        return f"{path} is at schema version {planned.from_version}, the latest: nothing to do."
    lines = [f"{path}: schema version {planned.from_version} to {planned.to_version}"]
    lines += [f"  step {step.version}: {step.description}" for step in planned.steps]
    lines.append(f"  links to create: {planned.links_to_create} for {planned.sessions} sessions")
    lines += _list("sessions whose wallet is NULL, to be left without one", planned.sessions_without_wallet)
    lines += _list(
        "sessions that name a wallet which does not exist",
        [f"{orphan['session_id']} (wallet {orphan['wallet_id']})" for orphan in planned.orphan_sessions],
    )
    lines += [
        f"  broken references in {table}, left as they are: {count}"
        for table, count in planned.foreign_key_violations.items()
    ]
    for obstacle in planned.obstacles:
        told = obstacle.to_dict(lang)
        lines += [f"In the way: {told['message']}", f"  {_WHAT_TO_DO[lang]}: {told['hint']}"]
    option = " --skip-orphans" if skip_orphans else ""
    command = f" Do it: waiaas upgrade {_quoted(path)}{option}" if not planned.obstacles else ""
    lines.append(f"Nothing was changed.{command}")
    return "\n".join(lines)


def _upgrade_text(path: Path, report: UpgradeReport) -> str:
    if not report.applied:
        return f"{path} is at schema version {report.to_version}, the latest: nothing to do."
    lines = [f"Upgraded {path} from schema version {report.from_version} to {report.to_version}."]
    lines += [f"  step {s.version}: {s.description} ({s.rows} rows, {s.seconds:.2f} s)" for s in report.steps]
    lines.append(f"  links created: {report.links_created}")
    orphans = {orphan["session_id"]: orphan["wallet_id"] for orphan in report.orphans_skipped}
    lines += _list(
        "sessions left without a wallet",
        [
            f"{session} (wallet {orphans[session]} does not exist)" if session in orphans else f"{session} (was NULL)"
            for session in report.sessions_without_wallet
        ],
        all_of_them=True,
    )
    lines += _list("foreign keys reconnected", report.foreign_keys_reconnected)
    lines += _list("empty tables of an interrupted tool, used or removed", report.leftovers_used)
    lines.append(f"  backup: {report.backup or 'none'}")
    return "\n".join(lines)


def _downgrade_text(path: Path, report: DowngradeReport) -> str:
    if not report.undone:
        return f"{path} is at schema version {report.to_version} already: nothing to do."
    lines = [f"Took {path} back from schema version {report.from_version} to {report.to_version}."]
    lines += _list(
        "links dropped",
        [f"session {link['session_id']}, wallet {link['wallet_id']}" for link in report.links_dropped],
        all_of_them=True,
    )
    lines += _list("sessions without a wallet", report.sessions_without_wallet)
    lines.append(f"  backup: {report.backup or 'none'}")
    return "\n".join(lines)


def _check_text(path: Path, report: CheckReport) -> str:
    lines = [f"{finding.severity}: {finding.message}" for finding in report.findings]
    if report.version != report.latest_version:
        lines.append(f"{path} is at schema version {report.version}: its tables and links were not compared.")
    problems = sum(finding.severity == "problem" for finding in report.findings)
    lines.append(f"{path}: {'no problem' if report.ok else f'{problems} problem(s)'} found.")
    return "\n".join(lines)


def _demo_text(shown: demo.Demo) -> str:
    return "\n\n".join(
        (
            f"A wallet service's file at schema version 18 ({shown.path}): {shown.counts}\n"
            f"Each session belongs to one wallet:\n{shown.before}",
            f"$ waiaas plan\n{_plan_text(shown.path, shown.plan)}",
            f"$ waiaas upgrade\n{_upgrade_text(shown.path, shown.report)}",
            f"Now a session reaches its wallets through links, one of them the default:\n{shown.after}",
            f"One agent, two chains, one token: session {shown.linked_session} gets a second wallet.\n{shown.linked}",
            f"$ waiaas check\n{_check_text(shown.path, shown.check)}",
        )
    )


def _list(title: str, entries: list[str], *, all_of_them: bool = False) -> list[str]:
    """A titled list; long ones are cut, since --json has them whole, but for what an upgrade left out."""
    if not entries:
        return []
    shown = entries if all_of_them else entries[:_IDS_SHOWN]
    more = [f"    … and {len(entries) - len(shown)} more (all with --json)"] if len(shown) < len(entries) else []
    return [f"  {title}: {len(entries)}", *(f"    {entry}" for entry in shown), *more]
