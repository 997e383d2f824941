"""The result of schema operations."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from waiaas.errors import WAIaaSError

_LOG = logging.getLogger("waiaas")


@dataclass
class Result:
    """The result of all operations of one migrator so far.

    `rows_written` counts the rows that were copied, changed or added; `rows_changed` counts, by table, the rows that
    `update` has changed. `leftovers_used` names empty tables of an interrupted tool that were used.
    """

    rows_written: int = 0
    rows_changed: dict[str, int] = field(default_factory=dict)
    links_created: int = 0
    leftovers_used: list[str] = field(default_factory=list)
    foreign_keys_reconnected: list[str] = field(default_factory=list)
    indexes_dropped: list[str] = field(default_factory=list)
    warnings: list[WAIaaSError] = field(default_factory=list)

    def warn(self, error: WAIaaSError) -> None:
        """Record and log an error that does not prevent the change."""
        _LOG.warning("%s", error)
        self.warnings.append(error)
