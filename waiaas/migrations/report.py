"""What the migrations tell: reports of what was done, plans of what would be done, progress meanwhile."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

from waiaas.errors import WAIaaSError

_LOG = logging.getLogger("waiaas")


#: Whether an upgrade writes a backup, or the path of the backup, or of the folder for it.
Backup = bool | str | PathLike[str]


@dataclass(frozen=True)
class Options:
    """What the caller allows a migration to leave out: sessions of missing wallets, or surplus links."""

    skip_orphans: bool = False
    drop_links: bool = False


@dataclass
class Told:
    """What the steps of one run have to tell, gathered while they run; the report is made from it."""

    rows: int = 0
    rows_changed: dict[str, int] = field(default_factory=dict)
    links_created: int = 0
    sessions_without_wallet: list[str] = field(default_factory=list)
    orphans_skipped: list[dict[str, str]] = field(default_factory=list)
    links_dropped: list[dict[str, str]] = field(default_factory=list)
    leftovers_used: list[str] = field(default_factory=list)
    foreign_keys_reconnected: list[str] = field(default_factory=list)
    indexes_dropped: list[str] = field(default_factory=list)
    warnings: list[WAIaaSError] = field(default_factory=list)

    def warn(self, error: WAIaaSError) -> None:
        """Take an error that does not prevent the change, and write it to the log."""
        _LOG.warning("%s", error)
        self.warnings.append(error)


@dataclass(frozen=True)
class Step:
    """One version's step: how long it took (seconds) and how many rows it wrote."""

    version: int
    description: str
    seconds: float
    rows: int


@dataclass(frozen=True)
class UpgradeReport:
    """What `upgrade` did.

    `applied` holds the versions that were added, oldest first, and is empty where there was nothing to do.
    `sessions_without_wallet` holds the ids of all sessions that got no link, because their wallet was NULL or
    (these stand in `orphans_skipped` too, with the wallet id that they named) because that wallet is missing.
    `leftovers_used` names empty tables of an interrupted tool that were used or removed, and
    `foreign_keys_reconnected` the foreign keys that had lost their table. `backup` is a path, or None.
    `warnings` are errors that did not prevent the upgrade; each has a reason, a message and a hint. `rows_changed`
    counts, by table, the rows in which a step has changed or filled a value.
    """

    from_version: int
    to_version: int
    applied: list[int]
    steps: list[Step]
    links_created: int
    sessions_without_wallet: list[str]
    orphans_skipped: list[dict[str, str]]
    leftovers_used: list[str]
    foreign_keys_reconnected: list[str]
    backup: str | None
    seconds: float
    warnings: list[WAIaaSError] = field(default_factory=list)
    rows_changed: dict[str, int] = field(default_factory=dict)

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """Return the report as plain values that `json.dumps` takes; `lang` is the language of the warnings."""
        return _plain(self, lang)


@dataclass(frozen=True)
class DowngradeReport:
    """What `downgrade` did.

    `undone` holds the versions that were taken back, newest first. `links_dropped` holds the links (session and
    wallet id) that version 18 could not hold and that the caller said to drop; `sessions_without_wallet` the ids
    of the sessions that had no link and so have no wallet at version 18 either. `warnings` are errors that did not
    prevent the downgrade.
    """

    from_version: int
    to_version: int
    undone: list[int]
    steps: list[Step]
    links_dropped: list[dict[str, str]]
    sessions_without_wallet: list[str]
    backup: str | None
    seconds: float
    warnings: list[WAIaaSError] = field(default_factory=list)

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """Return the report as plain values that `json.dumps` takes; `lang` is the language of the warnings."""
        return _plain(self, lang)


def _plain(report: UpgradeReport | DowngradeReport, lang: str) -> dict[str, Any]:
    return {
        **vars(report),
        "steps": [asdict(step) for step in report.steps],
        "warnings": [warning.to_dict(lang) for warning in report.warnings],
    }


@dataclass(frozen=True)
class PlannedStep:
    """A step that `upgrade` would take."""

    version: int
    description: str


@dataclass(frozen=True)
class Plan:
    """What `upgrade` would do to a database as it stands now.

    `obstacles` are the errors with which `upgrade` would refuse; it is empty where nothing stands in the way.
    `foreign_key_violations` counts, by table, what `PRAGMA foreign_key_check` finds in the file already: these rows
    are no obstacle and stay as they are. Those of `orphan_sessions` do not stay, and are not among them.
    """

    from_version: int
    to_version: int
    steps: list[PlannedStep]
    sessions: int
    links_to_create: int
    sessions_without_wallet: list[str]
    orphan_sessions: list[dict[str, str]]
    drop_column_by: str | None
    foreign_key_violations: dict[str, int]
    obstacles: list[WAIaaSError]

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """Return the plan as plain values that `json.dumps` takes; `lang` is the language of the obstacles."""
        return {
            **{name: value for name, value in vars(self).items() if name not in ("steps", "obstacles")},
            "steps": [asdict(step) for step in self.steps],
            "obstacles": [error.to_dict(lang) for error in self.obstacles],
        }
