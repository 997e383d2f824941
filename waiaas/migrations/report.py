"""Reports and plans of upgrades and downgrades, and the facts that version modules add to them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any, NamedTuple, TypeVar

from waiaas.errors import WAIaaSError
from waiaas.report import Report

#: Whether an upgrade writes a backup, or the path of the backup, or of the folder for it.
Backup = bool | str | PathLike[str]
#: The effects of a version, as JSON values by name. Names without a field in the report or plan are added to its
#: `details`.
Facts = Mapping[str, Any]

_Kind = TypeVar("_Kind", "UpgradeReport", "DowngradeReport", "Plan")


class Forecast(NamedTuple):
    """The effects of a version on a database of any older version.

    `obstacles` are caused by rows that are there now. `dropped_columns` are columns, each as table and column in lower
    case, that the version drops: it does not matter if foreign keys of theirs are violated.
    """

    facts: Facts
    obstacles: Sequence[WAIaaSError] = ()
    dropped_columns: Collection[tuple[str, str]] = ()


@dataclass(frozen=True)
class Options:
    """The things that a version may skip: orphan sessions, or the links that version 18 cannot hold."""

    skip_orphans: bool = False
    drop_links: bool = False


@dataclass(frozen=True)
class Step:
    """One version's step: how long it took (seconds) and how many rows it wrote."""

    version: int
    description: str
    seconds: float
    rows: int


@dataclass(frozen=True, kw_only=True)
class UpgradeReport(Report):
    """The report of `upgrade`.

    `applied` holds the versions that were added, oldest first, and is empty if there was nothing to do.
    `sessions_without_wallet` holds the ids of all sessions that got no link, because their wallet was NULL or (these
    are in `orphans_skipped` too, with the wallet id that they named) because that wallet is missing. `leftovers_used`
    names empty tables of an interrupted tool that were used or removed, and `foreign_keys_reconnected` the foreign
    keys that had lost their table. `backup` is a path, or None; `backup_is_earlier` is true if an earlier backup with
    the same content was found, so that none was written. `warnings` are errors that did not prevent the
    upgrade; each has a reason, a message and a hint. `rows_changed` counts, by table, the rows in which a step has
    changed or filled a value. `details` holds what a version reports beyond these fields.
    """

    from_version: int
    to_version: int
    applied: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    links_created: int = 0
    sessions_without_wallet: list[str] = field(default_factory=list)
    orphans_skipped: list[dict[str, str]] = field(default_factory=list)
    leftovers_used: list[str] = field(default_factory=list)
    foreign_keys_reconnected: list[str] = field(default_factory=list)
    backup: str | None = None
    backup_is_earlier: bool = False
    seconds: float = 0.0
    warnings: list[WAIaaSError] = field(default_factory=list)
    rows_changed: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DowngradeReport(Report):
    """The report of `downgrade`.

    `undone` holds the versions that were taken back, newest first. `links_dropped` holds the links (session and wallet
    id) that version 18 cannot hold and that the caller allowed to drop; `sessions_without_wallet` the ids of the
    sessions that had no link and so have no wallet at version 18 either. `backup` and `backup_is_earlier` are those of
    `UpgradeReport`. `warnings` are errors that did not prevent
    the downgrade. `details` holds what a version reports beyond these fields.
    """

    from_version: int
    to_version: int
    undone: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    links_dropped: list[dict[str, str]] = field(default_factory=list)
    sessions_without_wallet: list[str] = field(default_factory=list)
    backup: str | None = None
    backup_is_earlier: bool = False
    seconds: float = 0.0
    warnings: list[WAIaaSError] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedStep:
    """A step that `upgrade` would take."""

    version: int
    description: str


@dataclass(frozen=True, kw_only=True)
class Plan(Report):
    """The plan of an upgrade.

    `obstacles` are the errors that would stop `upgrade`, if any. `foreign_key_violations` counts, by table, the
    existing violations that `PRAGMA foreign_key_check` finds, except those of `orphan_sessions`: they do not stop the
    upgrade, and these rows stay unchanged. `details` contains further facts of the versions.
    """

    from_version: int
    to_version: int
    steps: list[PlannedStep] = field(default_factory=list)
    sessions: int = 0
    links_to_create: int = 0
    sessions_without_wallet: list[str] = field(default_factory=list)
    orphan_sessions: list[dict[str, str]] = field(default_factory=list)
    drop_column_by: str | None = None
    foreign_key_violations: dict[str, int] = field(default_factory=dict)
    obstacles: list[WAIaaSError] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def report_of(kind: type[_Kind], facts: Iterable[Facts], **known: Any) -> _Kind:
    """Make a report from known fields and the facts of versions; facts without a field go into `details`."""
    names = {each.name for each in fields(kind)}
    reported = {name: value for each in facts for name, value in each.items()}
    details = {name: value for name, value in reported.items() if name not in names}
    return kind(**known, **{name: value for name, value in reported.items() if name in names}, details=details)
