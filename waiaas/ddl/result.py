"""What the operations of a migrator have done."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from waiaas.errors import WAIaaSError

_LOG = logging.getLogger("waiaas")


@dataclass
class Result:
    """What the operations of one migrator have done so far.

    `rows_written` counts the rows that were copied, changed or added; `rows_changed` counts, by table, those in which
    `update` has changed a value. `leftovers_used` names empty tables of an interrupted tool that were used.
    """

    rows_written: int = 0
    rows_changed: dict[str, int] = field(default_factory=dict)
    links_created: int = 0
    leftovers_used: list[str] = field(default_factory=list)
    foreign_keys_reconnected: list[str] = field(default_factory=list)
    indexes_dropped: list[str] = field(default_factory=list)
    warnings: list[WAIaaSError] = field(default_factory=list)

    def warn(self, error: WAIaaSError) -> None:
        """Record an error that does not prevent the change, and log it.

        :param error: the warning; it has a reason, a message and a hint.
        """
        _LOG.warning("%s", error)
        self.warnings.append(error)
