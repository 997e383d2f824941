"""What the commands print for people: each answer as lines, the most important first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from waiaas.cli.messages import MESSAGES
from waiaas.cli.terminal import quoted
from waiaas.demo import Demo
from waiaas.errors import WAIaaSError
from waiaas.files.backups import BackupFile
from waiaas.inspection.report import CheckReport, Health, Rehearsal, RestoreReport, SchemaChange, TableRows
from waiaas.migrations import LATEST_SCHEMA_VERSION
from waiaas.migrations.report import DowngradeReport, Plan, UpgradeReport
from waiaas.migrations.version import Status

_SHOWN_AT_MOST = 20
_SHOWN_OF_DEMO = 6
_WIDTH = 78
# Not repeated in a line that names the table or index before its SQL.
_CREATE = re.compile(r"^CREATE (UNIQUE )?(?:TABLE|INDEX) \S+ ", re.IGNORECASE)


def created_lines(path: Path | str, warnings: Sequence[WAIaaSError], lang: str = "en") -> list[str]:
    """Return the answer of `init`."""
    created = MESSAGES[lang]["created"].format(path=path, version=LATEST_SCHEMA_VERSION)
    return [created, *_warning_lines(warnings, lang)]


def status_lines(path: Path | str, answer: Status, lang: str = "en") -> list[str]:
    """Return the version of a file, and what to do if it is not the latest."""
    words = MESSAGES[lang]
    if answer.action == "ok":
        return [words["latest"].format(path=path, version=answer.version)]
    if answer.version == 0:
        return [words["empty"].format(path=path), f"{words['what_to_do']}: waiaas init {quoted(path)}"]
    then = words["then"].format(first=f"waiaas plan {quoted(path)}", second=f"waiaas upgrade {quoted(path)}")
    return [
        words["pending"].format(path=path, version=answer.version, latest=answer.latest_version),
        f"{words['what_to_do']}: {then}",
    ]


def backup_lines(path: Path, backup: BackupFile) -> list[str]:
    """Return the answer of `backup`."""
    return [f"Backed up {path} (schema version {backup.version}, {backup.size:,} bytes).", f"  backup: {backup.path}"]


def restore_lines(report: RestoreReport, lang: str = "en") -> list[str]:
    """Return the answer of `restore`."""
    lines = [f"Restored {report.path} at schema version {report.version} from {report.backup}."]
    lines += [] if report.kept is None else [f"  the file before: {report.kept}"]
    return [*lines, *_warning_lines(report.warnings, lang)]


def backups_lines(path: Path, backups: Sequence[BackupFile]) -> list[str]:
    """Return the backups of a file, one per line."""
    if not backups:
        return [f"There is no backup next to {path}."]
    return [
        f"{'removed  ' if each.is_removed else ''}{each.made_at:%Y-%m-%d %H:%M:%S} UTC  version {each.version}"
        f"  {each.size:>15,} bytes  {each.path}"
        for each in backups
    ]


def health_lines(path: Path | str, health: Health, lang: str = "en") -> list[str]:
    """Return the health of a database, the verdict first."""
    if health.error is not None:
        text = health.error.to_dict(lang)
        return [f"{path}: {text['message']}", f"{MESSAGES[lang]['what_to_do']}: {text['hint']}"]
    wait = "not free within a second" if health.lock_wait is None else f"free after {health.lock_wait:.3f} s"
    facts = {
        "schema version": f"{health.version} of {health.latest_version}",
        "writable": "yes" if health.writable else "no",
        "write lock": wait,
        "write-ahead log": health.log_size is not None and f"{health.log_size:,} bytes",
        "free on the disk": health.free_room is not None and f"{health.free_room:,} bytes",
        "last backup": health.last_backup and f"{health.last_backup:%Y-%m-%d %H:%M:%S} UTC",
        "live sessions": health.live_sessions,
        "kill switch": health.kill_switch,
    }
    verdict = f"{path} is {'fit' if health.ok else 'not fit'} for work."
    return [
        verdict,
        *(f"  {fact}: {value}" for fact, value in facts.items() if value is not None and value is not False),
    ]


def plan_lines(path: Path | str, planned: Plan, skip_orphans: bool = False, lang: str = "en") -> list[str]:
    """Return what an upgrade would do, and what blocks it."""
    words = MESSAGES[lang]
    if planned.from_version == 0:
        return [_is_empty(path, skip_orphans, lang)]
    if not planned.steps:
        return [_nothing_to_upgrade(path, planned.from_version, lang)]
    lines = [words["planned"].format(path=path, version=planned.from_version, to=planned.to_version)]
    lines += [f"  step {step.version}: {step.description}" for step in planned.steps]
    lines.append(f"  links to create: {planned.links_to_create} for {planned.sessions} sessions")
    lines += _list_lines("sessions without a wallet (NULL), to be left without one", planned.sessions_without_wallet)
    if skip_orphans:  # Otherwise an obstacle lists them.
        lines += _list_lines(
            "sessions of a wallet that does not exist, to be left without one",
            [f"{orphan['session_id']} (wallet {orphan['wallet_id']})" for orphan in planned.orphan_sessions],
        )
    lines += [
        f"  foreign-key violations in {table}, left unchanged: {count}"
        for table, count in planned.foreign_key_violations.items()
    ]
    for obstacle in planned.obstacles:
        text = obstacle.to_dict(lang)
        lines += [f"{words['obstacle']}: {text['message']}", f"  {words['what_to_do']}: {text['hint']}"]
    command = words["do_it"].format(command=_upgrade_command(path, skip_orphans))
    return [*lines, words["nothing_changed"] if planned.obstacles else f"{words['nothing_changed']} {command}"]


def upgrade_lines(path: Path | str, report: UpgradeReport, lang: str = "en") -> list[str]:
    """Return what an upgrade did."""
    if not report.applied:
        return [_nothing_to_upgrade(path, report.to_version, lang), *_warning_lines(report.warnings, lang)]
    return [
        MESSAGES[lang]["upgraded"].format(path=path, version=report.from_version, to=report.to_version),
        *_work_lines(report),
        f"  backup: {report.backup or 'none'}",
        *_warning_lines(report.warnings, lang),
    ]


def rehearsal_lines(path: Path, rehearsal: Rehearsal | None, skip_orphans: bool, lang: str) -> list[str]:
    """Return what an upgrade did to a copy; the rehearsal of an empty file is None."""
    words = MESSAGES[lang]
    if rehearsal is None:
        return [_is_empty(path, skip_orphans, lang)]
    report = rehearsal.report
    if not rehearsal.ok:
        tables = ", ".join(table.table for table in rehearsal.unexpected)
        first = words["would_change_rows"].format(path=path, tables=tables)
    elif not report.applied:
        first = _nothing_to_upgrade(path, report.to_version, lang)
    else:
        first = words["would_succeed"].format(path=path, version=report.from_version, to=report.to_version)
    command = words["do_it"].format(command=_upgrade_command(path, skip_orphans))
    done = f" {command}" if report.applied and rehearsal.ok else ""
    return [
        first,
        *(_work_lines(report) if report.applied else []),
        *_comparison_lines(rehearsal, lang),
        f"  time: {rehearsal.copy_seconds:.2f} s for the copy, as a backup takes,"
        f" and {rehearsal.upgrade_seconds:.2f} s for the upgrade",
        f"{words['copy_removed'].format(path=path)}{done}",
    ]


def downgrade_lines(path: Path, report: DowngradeReport, lang: str = "en") -> list[str]:
    """Return what a downgrade did."""
    if not report.undone:
        done = f"{path} is already at schema version {report.to_version}: nothing to do."
        return [done, *_warning_lines(report.warnings, lang)]
    return [
        MESSAGES[lang]["downgraded"].format(path=path, version=report.from_version, to=report.to_version),
        *_list_lines(
            "links dropped",
            [f"session {link['session_id']}, wallet {link['wallet_id']}" for link in report.links_dropped],
            all_of_them=True,
        ),
        *_list_lines(
            "sessions without a wallet (wallet_id is NULL, which the daemon's own version 18 does not allow)",
            report.sessions_without_wallet,
        ),
        f"  backup: {report.backup or 'none'}",
        *_warning_lines(report.warnings, lang),
    ]


def check_lines(path: Path | str, report: CheckReport, lang: str = "en") -> list[str]:
    """Return what `check` found, with the verdict at the end."""
    *findings, verdict = _findings_lines(report, lang)
    if report.version != report.latest_version:
        findings.append(MESSAGES[lang]["not_compared"].format(path=path, version=report.version))
    return [*findings, f"{path}: {verdict}"]


def demo_lines(shown: Demo, kept_at: Path | None) -> list[str]:
    """Return the demonstration, from the old file to the new one."""
    parts = (
        [f"The file of a wallet service at schema version 18: {_rows_of(shown.counts)}.", *_wallet_lines(shown)],
        ["Each session has one wallet:", *_first_lines(shown.before, default="")],
        ["$ waiaas plan", *plan_lines(shown.path, shown.plan)],
        ["$ waiaas upgrade", *upgrade_lines(shown.path, shown.report)],
        [
            "Now each session has links to its wallets, one of them the default:",
            *_first_lines(shown.after),
        ],
        [
            "One session gets a second wallet, on another chain. Its token stays the same.",
            *_session_lines(shown.linked),
        ],
        ["$ waiaas check", *check_lines(shown.path, shown.check)],
    )
    lines = [line for part in parts for line in (*part, "")]
    lines[-1] = f"The file is kept: {kept_at}." if kept_at else "The files of the demo were removed."
    return lines


def old_file_lines(path: Path, counts: dict[str, int]) -> list[str]:
    """Return what `demo --version` created, and what to do with it."""
    return [f"Created {path} at schema version 18: {_rows_of(counts)}.", f"What to do: waiaas plan {quoted(path)}"]


def _rows_of(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {table}" for table, count in counts.items())


def _wallet_lines(shown: Demo) -> list[str]:
    """Return a wallet per line, with its network if that is not named like its environment."""
    return [
        f"  {name}: {chain}{'' if network == environment else f', {network}'} ({environment})"
        for name, chain, environment, network in (wallet.values() for wallet in shown.wallets)
    ]


def _session_lines(rows: list[dict[str, Any]], default: str = " (default)") -> list[str]:
    return [f"  session {row['session']} -> {row['wallet']}{default if row['is_default'] else ''}" for row in rows]


def _first_lines(rows: list[dict[str, Any]], default: str = " (default)") -> list[str]:
    lines = _session_lines(rows, default)
    return [*lines[:_SHOWN_OF_DEMO], f"  … and {len(lines) - _SHOWN_OF_DEMO} more"]


def _list_lines(title: str, entries: list[str], *, all_of_them: bool = False) -> list[str]:
    """Return a list with a title; a long one is cut, because --json has all entries."""
    if not entries:
        return []
    shown = entries if all_of_them else entries[:_SHOWN_AT_MOST]
    rest = [f"    … and {len(entries) - len(shown)} more (all with --json)"] if len(shown) < len(entries) else []
    return [f"  {title}: {len(entries)}", *(f"    {entry}" for entry in shown), *rest]


def _nothing_to_upgrade(path: Path | str, version: int, lang: str) -> str:
    return MESSAGES[lang]["nothing_to_do"].format(path=path, version=version)


def _is_empty(path: Path | str, skip_orphans: bool, lang: str) -> str:
    return MESSAGES[lang]["empty_to_upgrade"].format(path=path, command=_upgrade_command(path, skip_orphans))


def _upgrade_command(path: Path | str, skip_orphans: bool) -> str:
    return f"waiaas upgrade {quoted(path)}{' --skip-orphans' if skip_orphans else ''}"


def _warning_lines(warnings: Sequence[WAIaaSError], lang: str) -> list[str]:
    words = MESSAGES[lang]
    texts = [warning.to_dict(lang) for warning in warnings]
    return [
        line
        for text in texts
        for line in (f"{words['warning']}: {text['message']}", f"  {words['what_to_do']}: {text['hint']}")
    ]


def _work_lines(report: UpgradeReport) -> list[str]:
    orphans = {orphan["session_id"]: orphan["wallet_id"] for orphan in report.orphans_skipped}
    without_wallet = [
        f"{session} (wallet {orphans[session]} does not exist)" if session in orphans else f"{session} (was NULL)"
        for session in report.sessions_without_wallet
    ]
    return [
        *(f"  step {s.version}: {s.description} ({s.rows} rows, {s.seconds:.2f} s)" for s in report.steps),
        f"  links created: {report.links_created}",
        *_list_lines("sessions left without a wallet", without_wallet, all_of_them=True),
        *_list_lines("foreign keys reconnected", report.foreign_keys_reconnected),
        *_list_lines("empty tables of an interrupted tool, used or removed", report.leftovers_used),
    ]


def _comparison_lines(rehearsal: Rehearsal, lang: str) -> list[str]:
    before = _counts(rehearsal.foreign_key_violations_before)
    after = _counts(rehearsal.foreign_key_violations_after)
    return [
        *_list_lines("changes of the schema", [_change_line(change) for change in rehearsal.schema], all_of_them=True),
        *_rows_lines(rehearsal.rows),
        f"  foreign-key violations: {before} before, {after} after",
        "  check of the result:",
        *(f"    {line}" for line in _findings_lines(rehearsal.check, lang)),
    ]


def _change_line(change: SchemaChange) -> str:
    """Return one difference; a long one is cut, because --json has all of it."""
    what = f"{change.kind} {change.where}"
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
    yield from _list_lines("tables whose rows differ", [_rows_line(table) for table in differing], all_of_them=True)
    yield f"  tables whose rows are the same: {len(same)}, {sum(table.before or 0 for table in same):,} rows"


def _rows_line(table: TableRows) -> str:
    counts = ("none" if count is None else f"{count:,}" for count in (table.before, table.after))
    changes = {"added": table.added, "removed": table.removed, "changed": table.changed}
    shown = ", ".join(f"{count:,} {what}" for what, count in changes.items() if count)
    return f"{table.table}: {' -> '.join(counts)} ({shown})"


def _counts(violations: dict[str, int]) -> str:
    return ", ".join(f"{count} in {table}" for table, count in violations.items()) or "none"


def _findings_lines(report: CheckReport, lang: str) -> list[str]:
    """Return the findings, each hint once after all findings that share it, and the verdict at the end."""
    words = MESSAGES[lang]
    by_hint: dict[str, list[str]] = {}
    for finding in report.findings:
        text = finding.to_dict(lang)
        by_hint.setdefault(text["hint"], []).append(f"{words[finding.severity]}: {text['message']}")
    count = Counter(finding.severity for finding in report.findings)["problem"]
    return [
        *(line for hint, lines in by_hint.items() for line in (*lines, f"  {words['what_to_do']}: {hint}")),
        words[_verdict(count, report)].format(count=count),
    ]


def _verdict(count: int, report: CheckReport) -> str:
    """Return the name of the message for a number of problems."""
    if count:
        return "one_problem" if count == 1 else "problems"
    return "no_problem" if report.version == report.latest_version else "no_problem_partly"
