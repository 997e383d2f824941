"""The plots of `docs/benchmarks.rst`, narrow enough for their text to be readable on a phone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import migration_tools

#: The tools of the plot of migrations; the others differ from these in one setting.
TOOLS = ("plain-whole", "waiaas", "waiaas-backup", "playhouse", "alembic", "django", "sqlite-utils")
_COLOURS = {
    "plain-whole": "#555555",
    "waiaas": "#c2410c",
    "waiaas-backup": "#fb923c",
    "playhouse": "#2563eb",
    "alembic": "#16a34a",
    "django": "#7c3aed",
    "sqlite-utils": "#db2777",
    "sqlite3": "#555555",
    "peewee": "#2563eb",
    "sqlalchemy": "#16a34a",
    "psycopg": "#555555",
}
_INCHES = 5


def _migration(result: dict[str, Any], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_INCHES, 5.5), layout="constrained")
    axes = figure.add_subplot()
    # A run of a small file is mostly the start of the tool.
    sizes = [size for size in result["sizes"] if size["sessions"] >= 1000] or result["sizes"]
    for tool in TOOLS:
        if tool not in sizes[-1]["tools"]:
            continue
        right = not sizes[-1]["tools"][tool]["faults"]
        title = migration_tools.TOOLS[tool].title.replace("*", "").replace("`", "")
        axes.plot(
            [size["sessions"] for size in sizes],
            [size["tools"][tool]["seconds"] for size in sizes],
            marker="o" if right else "x",
            linestyle="-" if right else ":",
            color=_COLOURS[tool],
            label=title + ("" if right else " (not right)"),
        )
    axes.set(xscale="log", yscale="log", xlabel="sessions", ylabel="seconds")
    axes.grid(True, which="major", alpha=0.3)
    figure.legend(loc="outside lower center", fontsize=9)
    _save(figure, file)


def _hot_path(result: dict[str, Any], file: Path) -> None:
    operations = result["operations"]
    sides = list(next(iter(operations.values())))
    values = {side: [measured[side]["microseconds"] for measured in operations.values()] for side in sides}
    _bars(list(operations), values, "microseconds per call", file)


def _writes(result: dict[str, Any], file: Path) -> None:
    operations = result["operations"]
    values = {name: [operations[each][key] for each in operations] for name, key in _SIDES_OF_WRITES.items()}
    _bars(list(operations), values, "microseconds per call", file)


_SIDES_OF_WRITES = {"sqlite3": "plain", "waiaas": "waiaas"}


def _django_sessions(result: dict[str, Any], file: Path) -> None:
    engines = result["engines"]
    values = {name: [engines[each][name] for each in engines] for name in ("django", "waiaas")}
    _bars(list(engines), values, "microseconds per call", file)


def _postgresql(result: dict[str, Any], file: Path) -> None:
    writers = result["writers"]
    sides = next(iter(writers.values()))["sides"]
    values = {side: [found["sides"][side]["workers"]["rate"] for found in writers.values()] for side in sides}
    _bars(list(writers), values, "changes per second, by 16 callers in two processes", file)


def _bars(titles: list[str], values: dict[str, list[float]], unit: str, file: Path) -> None:
    """Draw a group of horizontal bars for each title, one bar for each side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_INCHES, 1.2 + 0.8 * max(1, len(titles))), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(values)
    for number, (side, of_side) in enumerate(values.items()):
        places = [place + number * height for place in range(len(titles))]
        bars = axes.barh(places, of_side, height, color=_COLOURS[side], label=side)
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize=8)
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(titles))], titles)
    axes.invert_yaxis()
    axes.set(xlabel=unit)
    axes.margins(x=0.12)
    figure.legend(loc="outside lower center", ncols=len(values), fontsize=9)
    _save(figure, file)


def _save(figure: Any, file: Path) -> None:
    import matplotlib

    # Text stays text, and the same figures give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "waiaas"}):
        figure.savefig(file, metadata={"Date": None})


#: What draws the plot of a benchmark.
PLOTS: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "migration": _migration,
    "hot_path": _hot_path,
    "writes": _writes,
    "django_sessions": _django_sessions,
    "postgresql": _postgresql,
}
