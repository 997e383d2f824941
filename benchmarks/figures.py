"""The figures that matter, each with its target, read from the recorded results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

#: The revision of version 0.1.0, with which some benchmarks compare.
BEFORE = "06a7425"


class Figure(NamedTuple):
    """A figure of this library: what is measured, what it is divided by or its unit, where it is, and the target.

    Lower is better.
    """

    title: str
    unit: str
    benchmark: str
    path: tuple[str | int, ...]
    at_most: float | None = None


_PLAIN = "÷ plain ``sqlite3``"
FIGURES = (
    *(
        Figure(f"``{name}``", _PLAIN, "hot_path", ("operations", name, "waiaas", "ratio"), 1.2)
        for name in ("authorize", "authenticate", "resolve")
    ),
    *(
        Figure(f"``{name}``", _PLAIN, "writes", ("operations", name, "ratio"), 1.7 if name == "create" else 2)
        for name in ("create", "link", "renew", "revoke")
    ),
    Figure("upgrade, most sessions", f"{_PLAIN} and its checks", "migration", ("sizes", -1, "ratio"), 0.5),
    Figure("upgrade, 100,000 sessions", f"{_PLAIN} and its checks", "migration", ("sizes", -2, "ratio"), 0.5),
    Figure("upgrade of a small file", "seconds more than playhouse", "migration", ("sizes", 0, "more"), 0.03),
    Figure("upgrade from version 1", "÷ 0.1.0", "upgrade_from_1", ("ratio",), 0.5),
    *(
        Figure(f"``authorize``, {engine}", "÷ a session of Django", "django_sessions", ("engines", engine, "ratio"))
        for engine in ("SQLite", "PostgreSQL")
    ),
    *(
        Figure(
            f"``authorize`` in {title}, {engine}",
            "÷ the call alone",
            "in_apps",
            ("engines", engine, app, "call ratio"),
            2,
        )
        for engine in ("SQLite", "PostgreSQL")
        for app, title in (("fastapi", "FastAPI"), ("flask", "Flask"))
    ),
    Figure("``import waiaas``", "÷ ``import peewee, marshmallow``", "startup", ("import", "ratio")),
    Figure("``connect``", "÷ ``sqlite3.connect``", "startup", ("connect", "ratio")),
    Figure("backup, write-ahead log", "÷ copying the file", "startup", ("backup", "wal", "ratio"), 1.5),
    Figure("backup, rollback journal", "÷ copying the file", "startup", ("backup", "delete", "ratio"), 1.5),
    Figure("eight threads: time of a call", "÷ 0.1.0", "mixed_load", ("ratio",)),
    Figure("longest wait during ``prune``", "milliseconds", "prune", ("pruning", "longest_ms")),
    *(
        Figure(f"``{name}``, PostgreSQL", "÷ plain psycopg", "postgresql", ("reads", name, "ratio"), target)
        for name, target in (("authorize", 1.2), ("authenticate", 1.2), ("resolve", 1.3))
    ),
    *(
        Figure(f"``{name}`` by 16 callers", unit, "postgresql", ("writers", name, *path), target)
        for name in ("create", "link", "renew")
        for unit, path, target in (
            ("÷ plain psycopg", ("ratios", "workers"), 1.67),
            ("÷ by one caller", ("sides", "waiaas", "workers", "to_one"), 0.67),
        )
    ),
    Figure("calls after a restart", "seconds after a new connection", "failover", ("restart_seconds",), 1),
    Figure("calls after a failover", "seconds after a new connection", "failover", ("failover_seconds",), 1),
    Figure("sessions lost at failovers", "of all acknowledged", "failover", ("counts", "lost"), 0),
    Figure("move to PostgreSQL", "÷ ``psql`` with COPY", "moving", ("tools", "psql", "ratio"), 2),
    Figure("move to PostgreSQL", "÷ pgloader", "moving", ("tools", "pgloader", "ratio"), 1),
)


def read(results: Path) -> dict[Figure, float]:
    """Return the figures of the recorded results."""
    recorded = {file.stem: json.loads(file.read_text("utf-8")) for file in results.glob("*.json")}
    found = {figure: _value(recorded.get(figure.benchmark), figure.path) for figure in FIGURES}
    return {figure: value for figure, value in found.items() if value is not None}


def _value(result: Any, path: tuple[str | int, ...]) -> float | None:
    try:
        return float(reduce(lambda part, key: part[key], path, result))
    except (KeyError, IndexError, TypeError):  # an older result, or a tool that was not installed
        return None


def compare(now: Mapping[Figure, float], last: Mapping[Figure, float], benchmark: str) -> str:
    """Return a line for each figure of a benchmark: its value, its target, its ratio to the last recorded run."""
    lines = []
    for figure, value in now.items():
        if figure.benchmark == benchmark:
            target = "" if figure.at_most is None else f", at most {figure.at_most:g}"
            verdict = " MISSED" if figure.at_most is not None and value > figure.at_most else ""
            change = f", {value / last[figure]:.2f} times the last run" if last.get(figure) else ""
            lines.append(f"  {figure.title} {figure.unit}: {value:.3g}{target}{verdict}{change}".replace("``", ""))
    return "\n".join(lines)
