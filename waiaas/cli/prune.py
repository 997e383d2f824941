"""The command `waiaas prune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from waiaas.cli.messages import counted, translated
from waiaas.cli.options import database_file
from waiaas.cli.target import REMOVES_IN_BATCHES, ask, target_command
from waiaas.cli.terminal import print_answer, progress_line
from waiaas.database import Database

if TYPE_CHECKING:
    from waiaas.services import Pruned

_DAYS = click.IntRange(0, 36_500)


@target_command(
    "prune",
    REMOVES_IN_BATCHES,
    "Remove sessions that ended long ago, and old audit entries.",
    then="waiaas check wallets.db",
    examples="waiaas prune wallets.db --sessions 90\n"
    "waiaas prune wallets.db --sessions 90 --audit 365 --export audit.jsonl",
)
@click.option("--sessions", type=_DAYS, metavar="DAYS", help="Remove sessions that ended this many days ago.")
@click.option("--audit", type=_DAYS, metavar="DAYS", help="Remove audit entries older than this many days.")
@click.option(
    "--export",
    type=click.Path(readable=False),
    callback=database_file,
    help="A new file for these entries, as JSON lines. Without it they are lost.",
)
@click.option("--dry-run", is_flag=True, help="Only count what would be removed.")
def prune(
    database: Database,
    sessions: int | None,
    audit: int | None,
    export: Path | None,
    dry_run: bool,
    actor: str,
) -> None:
    """Remove sessions that ended long ago, with their links, and old entries of the audit log.

    The service can keep running: each batch of rows is a short transaction. After Ctrl-C, what was removed stays
    removed. The file does not become smaller: new rows use the free space.
    """
    if sessions is None and audit is None:
        raise click.UsageError(translated("Name what to remove: --sessions or --audit, or both."))
    if export is not None and audit is None:
        raise click.UsageError(translated("--export is for --audit."))
    with progress_line() as line:
        found = database.prune(session_days=sessions, audit_days=audit, actor=actor, dry_run=True)
        counts = _counts(found)
        if dry_run:
            print_answer(_answer(found, dry_run), [translated("To be removed: {counts}.", counts=counts)])
            return
        ask(translated("Permanently remove {counts}?", counts=counts))
        pruned = database.prune(session_days=sessions, audit_days=audit, export=export, actor=actor, progress=line)
    lines = [translated("Removed: {counts}.", counts=_counts(pruned))]
    if pruned.audit_entries_kept:
        lines.append(
            translated(
                "Entries kept, because JSON cannot hold their values: {count:,}.", count=pruned.audit_entries_kept
            )
        )
    print_answer(_answer(pruned, dry_run), lines)


def _counts(pruned: Pruned) -> str:
    sessions = counted("{count:,} session", "{count:,} sessions", pruned.sessions)
    entries = counted("{count:,} audit entry", "{count:,} audit entries", pruned.audit_entries)
    return translated("{sessions} and {entries}", sessions=sessions, entries=entries)


def _answer(pruned: Pruned, dry_run: bool) -> dict[str, Any]:
    return {
        "sessions": pruned.sessions,
        "auditEntries": pruned.audit_entries,
        "auditEntriesKept": pruned.audit_entries_kept,
        "dryRun": dry_run,
    }
