"""The commands `waiaas backup`, `restore`, `backups` and `health`."""

from __future__ import annotations

from pathlib import Path

import click
from click.exceptions import Exit

from waiaas import maintenance
from waiaas.cli.group import PROBLEMS_FOUND
from waiaas.cli.messages import current_language, translated
from waiaas.cli.options import (
    INTERRUPTED,
    accepted_yes_option,
    common_options,
    database_argument,
    database_file,
    epilog,
    name_of,
    path_argument,
)
from waiaas.cli.output import backup_lines, backups_lines, health_lines, restore_lines
from waiaas.cli.target import TargetCommand, ask, yes_option
from waiaas.cli.terminal import print_answer, progress_line


@click.command(
    cls=TargetCommand,
    short_help="Write a verified backup of a file.",
    epilog=epilog(
        "waiaas backup wallets.db\nwaiaas backup wallets.db /srv/backups/",
        "waiaas backups wallets.db",
        {0: "written", 1: "refused or failed, and there is no backup", **INTERRUPTED},
    ),
)
@path_argument
@click.argument("to", type=click.Path(readable=False), required=False)
@accepted_yes_option
@common_options
def backup(path: Path, to: str | None) -> None:
    """Write a verified backup of the file at PATH, which can be in use.

    It contains every committed row, and has the permissions and the group of the file. TO is the path of the backup,
    or a folder for it. Without TO the backup is next to the file, and its name contains the version and the time.

    Without PATH, WAIAAS_DATABASE names the file: with one argument, that is PATH. Back up PostgreSQL with pg_dump.
    """
    with progress_line() as line:
        written = maintenance.backup(path, to, progress=line)
    print_answer(written.to_dict(), backup_lines(path, written))


@click.command(
    cls=TargetCommand,
    short_help="Replace a file with a backup.",
    epilog=epilog(
        "waiaas restore wallets.db wallets.db.v18-20260102T030405Z.backup",
        "waiaas check wallets.db",
        {
            0: "restored",
            1: "refused or failed, or you answered no: nothing was changed",
            130: "interrupted by Ctrl-C: the file is the old one or the backup",
        },
    ),
)
@path_argument
@click.argument("backup", type=click.Path(readable=False), callback=database_file)
@yes_option
@common_options
def restore(path: Path, backup: Path) -> None:
    """Replace the file at PATH with a copy of BACKUP, all or nothing. PATH may be missing or damaged.

    Stop the daemon first. The copy is verified before it takes the place of the file, with a single rename. The
    file that it replaces is kept next to it: as a backup, or with `damaged` in its name.

    Rights that were removed after the backup was made come back with it, such as a session that was revoked. They are
    listed: remove them again before you start the daemon.

    Without PATH, WAIAAS_DATABASE names the file: with one argument, that is BACKUP.
    """
    ask(
        translated(
            "Changes made after the backup will then be only in the file that is kept next to it, and rights that were"
            " removed later come back. Replace {path} with {backup}?",
            path=path,
            backup=backup,
        )
    )
    with progress_line() as line:
        report = maintenance.restore(path, backup, progress=line)
    lang = current_language()
    print_answer(report.to_dict(lang), restore_lines(report))


@click.command(
    cls=TargetCommand,
    short_help="List the backups of a file, or remove old ones.",
    epilog=epilog(
        "waiaas backups wallets.db\nwaiaas backups wallets.db --keep 7 --yes",
        "waiaas restore wallets.db BACKUP",
        {0: "listed, or removed", 1: "refused or failed, or you answered no"},
    ),
)
@path_argument
@click.option("--keep", type=click.IntRange(1), help="Remove all but the newest KEEP backups.")
@yes_option
@common_options
def backups(path: Path, keep: int | None) -> None:
    """List the backups next to the file at PATH, the newest first.

    Without PATH, WAIAAS_DATABASE names the file.
    """
    if keep is not None and (old := maintenance.backups(path)[keep:]):
        ask(
            translated("Backups to remove: {count}, up to {name}. Remove them?", count=len(old), name=old[0].path.name)
        )
    found = maintenance.backups(path, keep=keep)
    answer = {"path": str(path), "backups": [each.to_dict() for each in found]}
    print_answer(answer, backups_lines(path, found))


@click.command(
    cls=TargetCommand,
    short_help="Show whether a database is ready for use.",
    epilog=epilog(
        "waiaas health wallets.db\nwaiaas health wallets.db --json",
        "waiaas check wallets.db",
        {0: "ready for use", PROBLEMS_FOUND: "not at the latest version, not writable, locked, or not readable"},
    ),
)
@database_argument
@common_options
def health(path: Path | str) -> None:
    """Show whether TARGET is ready for use: version, write lock, log, free space, backup, sessions, kill switch.

    It takes milliseconds and changes nothing. TARGET is the path of a file or the URL of a PostgreSQL database.
    """
    found, lang = maintenance.health(path), current_language()
    verdict = (0, "green" if found.ok else "red")
    print_answer(found.to_dict(lang), health_lines(name_of(path), found), verdict)
    if not found.ok:
        raise Exit(PROBLEMS_FOUND)
