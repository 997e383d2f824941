"""What the commands print for people: each answer as lines, the most important first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from waiaas.cli.messages import counted, current_language, translated
from waiaas.cli.terminal import quoted
from waiaas.demo import Demo
from waiaas.errors import WAIaaSError
from waiaas.files.backups import BackupFile
from waiaas.inspection.report import CheckReport, Health, Rehearsal, RestoreReport, SchemaChange, TableRows
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.report import DowngradeReport, Plan, PlannedStep, Step, UpgradeReport
from waiaas.migrations.version import Status

_SHOWN_AT_MOST = 20
_SHOWN_OF_DEMO = 6
_WIDTH = 78
# Not repeated in a line that names the table or index before its SQL.
_CREATE = re.compile(r"^CREATE (UNIQUE )?(?:TABLE|INDEX) \S+ ", re.IGNORECASE)


def created_lines(path: Path | str, warnings: Sequence[WAIaaSError]) -> list[str]:
    """Return the answer of `init`."""
    created = translated("Created {path} at schema version {version}.", path=path, version=LATEST_SCHEMA_VERSION)
    return [created, *_warning_lines(warnings)]


def status_lines(path: Path | str, answer: Status) -> list[str]:
    """Return the version of a file, and what to do if it is not the latest."""
    if answer.action == "ok":
        return [translated("{path} is at schema version {version}, the latest.", path=path, version=answer.version)]
    if answer.version == 0:
        return [translated("{path} is empty.", path=path), f"{translated('What to do')}: waiaas init {quoted(path)}"]
    then = translated(
        "{first}, then {second}", first=f"waiaas plan {quoted(path)}", second=f"waiaas upgrade {quoted(path)}"
    )
    return [
        translated(
            "{path} is at schema version {version}; an upgrade to {latest} is pending.",
            path=path,
            version=answer.version,
            latest=answer.latest_version,
        ),
        f"{translated('What to do')}: {then}",
    ]


def backup_lines(path: Path, backup: BackupFile) -> list[str]:
    """Return the answer of `backup`."""
    return [
        translated(
            "Backed up {path} (schema version {version}, {size:,} bytes).",
            path=path,
            version=backup.version,
            size=backup.size,
        ),
        _backup_line(str(backup.path), backup.is_earlier),
    ]


def restore_lines(report: RestoreReport) -> list[str]:
    """Return the answer of `restore`."""
    lines = [
        translated(
            "Restored {path} at schema version {version} from {backup}.",
            path=report.path,
            version=report.version,
            backup=report.backup,
        )
    ]
    lines += [] if report.kept is None else [f"  {translated('the file before')}: {report.kept}"]
    return [*lines, *_warning_lines(report.warnings)]


def backups_lines(path: Path, backups: Sequence[BackupFile]) -> list[str]:
    """Return the backups of a file, one per line."""
    if not backups:
        return [translated("There is no backup next to {path}.", path=path)]
    return [
        f"{translated('removed') + '  ' if each.is_removed else ''}{each.made_at:%Y-%m-%d %H:%M:%S} UTC"
        f"  {translated('version {version}', version=each.version)}  {_bytes(each.size):>21}  {each.path}"
        for each in backups
    ]


def health_lines(path: Path | str, health: Health) -> list[str]:
    """Return the health of a database, the verdict first."""
    if health.error is not None:
        text = health.error.to_dict(current_language())
        return [f"{translated('Error')}: {text['message']}", f"{translated('What to do')}: {text['hint']}"]
    wait = (
        translated("not free within a second")
        if health.lock_wait is None
        else translated("free after {seconds:.3f} s", seconds=health.lock_wait)
    )
    facts = {
        translated("schema version"): translated(
            "{version} of {latest}", version=health.version, latest=health.latest_version
        ),
        translated("writable"): translated("yes") if health.writable else translated("no"),
        translated("write lock"): wait,
        translated("write-ahead log"): health.log_size is not None and _bytes(health.log_size),
        translated("free on the disk"): health.free_room is not None and _bytes(health.free_room),
        translated("last backup"): health.last_backup and f"{health.last_backup:%Y-%m-%d %H:%M:%S} UTC",
        translated("live sessions"): health.live_sessions,
        translated("kill switch"): health.kill_switch,
    }
    is_fit = translated("{path} is ready for use.", path=path)
    verdict = is_fit if health.ok else translated("{path} is not ready for use.", path=path)
    return [
        verdict,
        *(f"  {fact}: {value}" for fact, value in facts.items() if value is not None and value is not False),
    ]


def plan_lines(path: Path | str, planned: Plan, skip_orphans: bool = False) -> list[str]:
    """Return what an upgrade would do, and what blocks it."""
    if planned.from_version == 0:
        return [_is_empty(path, skip_orphans)]
    if not planned.steps:
        return [_nothing_to_upgrade(path, planned.from_version)]
    lines = [
        translated(
            "{path}: schema version {version} to {to}", path=path, version=planned.from_version, to=planned.to_version
        )
    ]
    lines += [f"  {_step(step)}" for step in planned.steps]
    sessions = counted("{count:,} session", "{count:,} sessions", planned.sessions)
    to_create = "links to create: {count} for {sessions}"
    lines.append(f"  {translated(to_create, count=planned.links_to_create, sessions=sessions)}")
    lines += _list_lines(
        translated("sessions without a wallet (NULL), to be left without one"), planned.sessions_without_wallet
    )
    if skip_orphans:  # Otherwise an obstacle lists them.
        lines += _list_lines(
            translated("sessions of a wallet that does not exist, to be left without one"),
            [
                translated("{session} (wallet {wallet})", session=orphan["session_id"], wallet=orphan["wallet_id"])
                for orphan in planned.orphan_sessions
            ],
        )
    lines += [
        f"  {translated('foreign-key violations in {table}, left unchanged: {count}', table=table, count=count)}"
        for table, count in planned.foreign_key_violations.items()
    ]
    for obstacle in planned.obstacles:
        text = obstacle.to_dict(current_language())
        lines += [f"{translated('Obstacle')}: {text['message']}", f"  {translated('What to do')}: {text['hint']}"]
    command = translated("To upgrade: {command}", command=_upgrade_command(path, skip_orphans))
    return [
        *lines,
        translated("Nothing was changed.") if planned.obstacles else f"{translated('Nothing was changed.')} {command}",
    ]


def upgrade_lines(path: Path | str, report: UpgradeReport) -> list[str]:
    """Return what an upgrade did."""
    if not report.applied:
        return [_nothing_to_upgrade(path, report.to_version), *_warning_lines(report.warnings)]
    return [
        translated(
            "Upgraded {path} from schema version {version} to {to}.",
            path=path,
            version=report.from_version,
            to=report.to_version,
        ),
        *_work_lines(report),
        _backup_line(report.backup, report.backup_is_earlier),
        *_warning_lines(report.warnings),
    ]


def rehearsal_lines(path: Path, rehearsal: Rehearsal | None, skip_orphans: bool) -> list[str]:
    """Return what an upgrade did to a copy; the rehearsal of an empty file is None."""
    if rehearsal is None:
        return [_is_empty(path, skip_orphans)]
    report = rehearsal.report
    if not rehearsal.ok:
        tables = ", ".join(table.table for table in rehearsal.unexpected)
        first = translated(
            "An upgrade of {path} would change rows that it must not change, in: {tables}. Do not upgrade it.",
            path=path,
            tables=tables,
        )
    elif not report.applied:
        first = _nothing_to_upgrade(path, report.to_version)
    else:
        first = translated(
            "An upgrade of {path} from schema version {version} to {to} succeeds.",
            path=path,
            version=report.from_version,
            to=report.to_version,
        )
    command = translated("To upgrade: {command}", command=_upgrade_command(path, skip_orphans))
    done = f" {command}" if report.applied and rehearsal.ok else ""
    return [
        first,
        *(_work_lines(report) if report.applied else []),
        *_comparison_lines(rehearsal),
        "  "
        + translated(
            "time: {copy:.2f} s for the copy, as a backup takes, and {upgrade:.2f} s for the upgrade",
            copy=rehearsal.copy_seconds,
            upgrade=rehearsal.upgrade_seconds,
        ),
        f"{translated('This was done to a copy, which was removed. {path} is unchanged.', path=path)}{done}",
    ]


def downgrade_lines(path: Path, report: DowngradeReport) -> list[str]:
    """Return what a downgrade did."""
    if not report.undone:
        done = translated(
            "{path} is already at schema version {version}: nothing to do.", path=path, version=report.to_version
        )
        return [done, *_warning_lines(report.warnings)]
    return [
        translated(
            "Downgraded {path} from schema version {version} to {to}.",
            path=path,
            version=report.from_version,
            to=report.to_version,
        ),
        *_list_lines(
            translated("links dropped"),
            [
                translated("session {session}, wallet {wallet}", session=link["session_id"], wallet=link["wallet_id"])
                for link in report.links_dropped
            ],
            all_of_them=True,
        ),
        *_list_lines(
            translated(
                "sessions without a wallet (wallet_id is NULL, which the daemon's own version 18 does not allow)"
            ),
            report.sessions_without_wallet,
        ),
        _backup_line(report.backup, report.backup_is_earlier),
        *_warning_lines(report.warnings),
    ]


def check_lines(path: Path | str, report: CheckReport) -> list[str]:
    """Return what `check` found, with the verdict at the end."""
    *findings, verdict = _findings_lines(report)
    if report.version != report.latest_version:
        findings.append(
            translated(
                "{path} is at schema version {version}: its tables and links were not compared.",
                path=path,
                version=report.version,
            )
        )
    return [*findings, f"{path}: {verdict}"]


def demo_lines(shown: Demo, kept_at: Path | None) -> list[str]:
    """Return the demonstration, from the old file to the new one."""
    parts = (
        [
            translated("The file of a wallet service at schema version 18: {rows}.", rows=_rows_of(shown.counts)),
            *_wallet_lines(shown),
        ],
        [translated("Each session has one wallet:"), *_first_lines(shown.before, default="")],
        ["$ waiaas plan", *plan_lines(shown.path, shown.plan)],
        ["$ waiaas upgrade", *upgrade_lines(shown.path, shown.report)],
        [
            translated("Now each session has links to its wallets, one of them the default:"),
            *_first_lines(shown.after),
        ],
        [
            translated("One session gets a second wallet, on another chain. Its token stays the same."),
            *_session_lines(shown.linked),
        ],
        ["$ waiaas check", *check_lines(shown.path, shown.check)],
    )
    lines = [line for part in parts for line in (*part, "")]
    lines[-1] = (
        translated("The file is kept: {path}.", path=kept_at)
        if kept_at
        else translated("The files of the demo were removed.")
    )
    return lines


def old_file_lines(path: Path, counts: dict[str, int]) -> list[str]:
    """Return what `demo --version` created, and what to do with it."""
    return [
        translated("Created {path} at schema version 18: {rows}.", path=path, rows=_rows_of(counts)),
        f"{translated('What to do')}: waiaas plan {quoted(path)}",
    ]


def _rows_of(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{translated(table)} {count}" if current_language() == "ko" else f"{count} {table}"
        for table, count in counts.items()
    )


def _wallet_lines(shown: Demo) -> list[str]:
    """Return a wallet per line, with its network if that is not named like its environment."""
    return [
        f"  {name}: {chain}{'' if network == environment else f', {network}'} ({environment})"
        for name, chain, environment, network in (wallet.values() for wallet in shown.wallets)
    ]


def _session_lines(rows: list[dict[str, Any]], default: str | None = None) -> list[str]:
    mark = translated(" (default)") if default is None else default
    return [
        f"  {translated('session')} {row['session']} -> {row['wallet']}{mark if row['is_default'] else ''}"
        for row in rows
    ]


def _first_lines(rows: list[dict[str, Any]], default: str | None = None) -> list[str]:
    lines = _session_lines(rows, default)
    return [*lines[:_SHOWN_OF_DEMO], f"  {translated('… and {count} more', count=len(lines) - _SHOWN_OF_DEMO)}"]


def _rows(count: int) -> str:
    return counted("{count:,} row", "{count:,} rows", count)


def _bytes(count: int) -> str:
    return translated("{count:,} bytes", count=count)


def _backup_line(backup: str | None, is_earlier: bool) -> str:
    existing = translated(" (existing, identical)") if is_earlier else ""
    return f"  {translated('backup')}: {backup or translated('none')}{existing}"


def _step(step: Step | PlannedStep) -> str:
    return translated("step {version}: {description}", version=step.version, description=translated(step.description))


def _list_lines(title: str, entries: list[str], *, all_of_them: bool = False) -> list[str]:
    """Return a list with a title; a long one is cut, because --json has all entries."""
    if not entries:
        return []
    shown = entries if all_of_them else entries[:_SHOWN_AT_MOST]
    rest = (
        [f"    {translated('… and {count} more (all with --json)', count=len(entries) - len(shown))}"]
        if len(shown) < len(entries)
        else []
    )
    return [f"  {title}: {len(entries)}", *(f"    {entry}" for entry in shown), *rest]


def _nothing_to_upgrade(path: Path | str, version: int) -> str:
    return translated("{path} is at schema version {version}, the latest: nothing to do.", path=path, version=version)


def _is_empty(path: Path | str, skip_orphans: bool) -> str:
    return translated(
        "{path} is empty: an upgrade creates the tables in it. To upgrade: {command}",
        path=path,
        command=_upgrade_command(path, skip_orphans),
    )


def _upgrade_command(path: Path | str, skip_orphans: bool) -> str:
    return f"waiaas upgrade {quoted(path)}{' --skip-orphans' if skip_orphans else ''}"


def _warning_lines(warnings: Sequence[WAIaaSError]) -> list[str]:
    texts = [warning.to_dict(current_language()) for warning in warnings]
    return [
        line
        for text in texts
        for line in (f"{translated('Warning')}: {text['message']}", f"  {translated('What to do')}: {text['hint']}")
    ]


def _work_lines(report: UpgradeReport) -> list[str]:
    orphans = {orphan["session_id"]: orphan["wallet_id"] for orphan in report.orphans_skipped}
    without_wallet = [
        translated("{session} (wallet {wallet} does not exist)", session=session, wallet=orphans[session])
        if session in orphans
        else translated("{session} (was NULL)", session=session)
        for session in report.sessions_without_wallet
    ]
    return [
        *(f"  {_step(s)} ({_rows(s.rows)}, {translated('{seconds:.2f} s', seconds=s.seconds)})" for s in report.steps),
        f"  {translated('links created')}: {report.links_created}",
        *_list_lines(translated("sessions left without a wallet"), without_wallet, all_of_them=True),
        *_list_lines(translated("foreign keys reconnected"), report.foreign_keys_reconnected),
        *_list_lines(translated("empty tables of an interrupted tool, used or removed"), report.leftovers_used),
    ]


def _comparison_lines(rehearsal: Rehearsal) -> list[str]:
    before = _counts(rehearsal.foreign_key_violations_before)
    after = _counts(rehearsal.foreign_key_violations_after)
    return [
        *_list_lines(
            translated("changes of the schema"),
            [_change_line(change) for change in rehearsal.schema],
            all_of_them=True,
        ),
        *_rows_lines(rehearsal.rows),
        "  " + translated("foreign-key violations: {before} before, {after} after", before=before, after=after),
        f"  {translated('check of the result')}:",
        *(f"    {line}" for line in _findings_lines(rehearsal.check)),
    ]


def _change_line(change: SchemaChange) -> str:
    """Return one difference; a long one is cut, because --json has all of it."""
    what = f"{translated(change.kind)} {change.where}"
    before, after = (_CREATE.sub(r"\1", sql or "") for sql in (change.before, change.after))
    if change.before is None:
        return _cut(f"+ {what}: {after}")
    if change.after is None:
        return _cut(f"- {what}: {before}")
    return _cut(f"~ {what}: {before} -> {after}")


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 2]} …"


def _rows_lines(tables: list[TableRows]) -> Iterator[str]:
    differing = [table for table in tables if table.differs]
    same = [table for table in tables if not table.differs]
    yield from _list_lines(
        translated("tables whose rows differ"), [_rows_line(table) for table in differing], all_of_them=True
    )
    yield "  " + translated(
        "tables whose rows are the same: {count}, {rows}",
        count=len(same),
        rows=_rows(sum(table.before or 0 for table in same)),
    )


def _rows_line(table: TableRows) -> str:
    counts = (translated("none") if count is None else f"{count:,}" for count in (table.before, table.after))
    changes = {
        translated("{count:,} added"): table.added,
        translated("{count:,} removed"): table.removed,
        translated("{count:,} changed"): table.changed,
    }
    shown = ", ".join(what.format(count=count) for what, count in changes.items() if count)
    return f"{table.table}: {' -> '.join(counts)} ({shown})"


def _counts(violations: dict[str, int]) -> str:
    return ", ".join(
        translated("{count} in {table}", count=count, table=table) for table, count in violations.items()
    ) or translated("none")


def _findings_lines(report: CheckReport) -> list[str]:
    """Return the findings, each hint once after all findings that share it, and the verdict at the end."""
    by_hint: dict[str, list[str]] = {}
    for finding in report.findings:
        text = finding.to_dict(current_language())
        by_hint.setdefault(text["hint"], []).append(f"{translated(finding.severity)}: {text['message']}")
    count = Counter(finding.severity for finding in report.findings)["problem"]
    return [
        *(line for hint, lines in by_hint.items() for line in (*lines, f"  {translated('What to do')}: {hint}")),
        _verdict(count, report),
    ]


def _verdict(count: int, report: CheckReport) -> str:
    if count:
        return counted("{count} problem found.", "{count} problems found.", count)
    if report.version == report.latest_version:
        return translated("no problem found.")
    return translated("no problem found in what was checked.")
