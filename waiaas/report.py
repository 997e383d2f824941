"""The base class of reports, which can be written as JSON."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from waiaas.errors import WAIaaSError


class Report:
    """A data class of plain values, lists, errors and other reports."""

    #: The properties that are written before the fields.
    COMPUTED: ClassVar[tuple[str, ...]] = ()

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """Return the report as plain values that ``json.dumps`` takes.

        :param lang: the language of errors and findings, one of ``waiaas.errors.LANGUAGES``.
        :returns: the values by their names.
        """
        return {name: _plain(getattr(self, name), lang) for name in (*self.COMPUTED, *vars(self))}


def _plain(value: Any, lang: str) -> Any:
    if isinstance(value, (Report, WAIaaSError)):
        return value.to_dict(lang)
    if isinstance(value, list):
        return [_plain(each, lang) for each in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
