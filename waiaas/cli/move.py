"""The command `move`: from a file to PostgreSQL, and back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from waiaas import maintenance
from waiaas.cli.messages import TranslatedCommand, counted, translated
from waiaas.cli.options import INTERRUPTED, accepted_yes_option, common_options, epilog, skip_orphans_option
from waiaas.cli.target import VARIABLE
from waiaas.cli.terminal import print_answer, progress_line, until_the_commit
from waiaas.errors import refusal
from waiaas.paths import is_postgresql_url

if TYPE_CHECKING:
    from waiaas.transfer.moving import MoveReport


@click.command(
    cls=TranslatedCommand,
    short_help="Move a file to PostgreSQL, or back.",
    epilog=epilog(
        "waiaas move wallets.db postgresql://app@db1/wallets\n"
        f"{VARIABLE}=postgresql://app:secret@db1/wallets waiaas move wallets.db",
        "waiaas check TARGET",
        {0: "moved, or with --rehearse: it would be", 1: "refused or failed; the target is empty", **INTERRUPTED},
    ),
)
@click.argument("source", type=click.Path(readable=False))
@click.argument("target", type=click.Path(readable=False), required=False)
@accepted_yes_option
@common_options
@click.option(
    "--back", is_flag=True, help=f"With one argument, a path: move the database of {VARIABLE} to a new file there."
)
@click.option("--rehearse", is_flag=True, help="Do everything except the commit: the target stays empty.")
@skip_orphans_option
def move(source: str, target: str | None, back: bool, rehearse: bool, skip_orphans: bool) -> None:
    """Move a database from the file SOURCE to the empty PostgreSQL database TARGET, or from a URL to a new file.

    Without TARGET, the environment variable WAIAAS_DATABASE names it, which keeps the password out of the process
    list. Stop the service first. SOURCE is not changed. Every table is read back and compared before the commit.
    Values that PostgreSQL cannot store are listed before anything is written.
    """
    pair = _pair(source, target, is_back=back and target is None)
    with progress_line() as line:
        report = maintenance.move(*pair, rehearse=rehearse, skip_orphans=skip_orphans, progress=until_the_commit(line))
    print_answer(report.to_dict(), _lines(report))


def _pair(source: str, target: str | None, *, is_back: bool) -> tuple[str, str]:
    """Return from where to where to move: a file and a URL, in either order."""
    if not is_back and not is_postgresql_url(source) and not os.path.lexists(source):
        raise refusal("file_not_found", path=source)
    named = os.environ.get(VARIABLE) if target is None else target
    if not named:
        raise click.UsageError(
            translated("Name TARGET, or set the environment variable {variable}.", variable=VARIABLE)
        )
    if is_postgresql_url(source) == is_postgresql_url(named):
        both = "SOURCE and TARGET are both files: one must be the URL of a PostgreSQL database."
        if is_postgresql_url(source):
            both = "SOURCE and TARGET are both URLs: one must be a file."
        origin = translated(" TARGET is from {variable}.", variable=VARIABLE) if target is None else ""
        raise click.UsageError(f"{translated(both)}{origin}")
    return (named, source) if is_back else (source, named)


def _lines(report: MoveReport) -> list[str]:
    """Return what was moved."""
    done = "Moved {source} (schema version {version}) to {target} in {seconds:.1f} s."
    if report.is_rehearsal:
        done = "Rehearsed the move of {source} (schema version {version}) to {target} in {seconds:.1f} s."
    width = max(len(table.table) for table in report.tables)
    return [
        translated(
            done, source=report.source, version=report.from_version, target=report.target, seconds=report.seconds
        ),
        *(
            f"  {each.table:<{width}}  {rows}  SHA-256 {each.checksum[:16]}…"
            for each in report.tables
            for rows in [counted("{count:>9,} row ", "{count:>9,} rows", each.rows)]
        ),
        translated("All {rows:,} rows were read back and are equal.", rows=report.rows),
        *(f"  {translated('stays in the source')}: {each}" for each in report.left_behind),
        *([translated("The target is empty again.")] if report.is_rehearsal else []),
    ]
