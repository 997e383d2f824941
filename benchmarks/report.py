"""The tables and plots of `docs/benchmarks.rst`, from `benchmarks/results/*.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import fidelity_tools
import figures
import migration_tools
import plots
from measure import describe

# A sign for each verdict makes the table narrow enough for a phone.
_MARKS = {"keeps": "✓", "refuses": "○", "loses": "−", "corrupts": "✗", "breaks": "‼"}
_SIDES = {"sqlite3": "plain sqlite3", "waiaas": "waiaas", "peewee": "Peewee", "sqlalchemy": "SQLAlchemy"}


def write(results: Path, page: Path) -> None:
    """Write the files that the page includes, for every existing result."""
    page.mkdir(parents=True, exist_ok=True)
    _write(page / "figures.inc", "benchmarks/results", _figures(results))
    for name, make in _PARTS.items():
        file = results / f"{name}.json"
        if file.exists():
            result = json.loads(file.read_text("utf-8"))
            parts = [*make(result), f"*{describe(result['machine'])}*"]
            _write(page / f"{name}.inc", f"benchmarks/results/{name}.json", "\n\n".join(parts))
            if name in plots.PLOTS:
                plots.PLOTS[name](result, page / f"{name}.svg")
            if name == "fidelity":
                _write(page / "fidelity_details.inc", f"benchmarks/results/{name}.json", _particulars(result["cases"]))


def _write(file: Path, source: str, text: str) -> None:
    file.write_text(f".. Written by benchmarks/report.py from {source}.\n\n{text}\n", "utf-8")


def _figures(results: Path) -> str:
    rows = [
        [
            figure.title,
            figure.unit,
            "" if figure.at_most is None else f"{figure.at_most:g}",
            f"**{value:.3g}**" if figure.at_most is not None and value > figure.at_most else f"{value:.3g}",
        ]
        for figure, value in figures.read(results).items()
    ]
    return _table(["What", "Compared with", "At most", "Measured"], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], style: str = "figures") -> str:
    """Return a table in reStructuredText; the first column names the row."""
    lines = [
        ".. list-table::",
        f"   :class: {style}",
        "   :header-rows: 1",
        "   :stub-columns: 1",
        "   :widths: auto",
        "",
    ]
    for row in (header, *rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines)


def _migration(result: dict[str, Any]) -> list[str]:
    sizes = result["sizes"]
    header = ["Tool", *(f"{size['sessions']:,}" for size in sizes)]
    runs = {tool: [size["tools"].get(tool) for size in sizes] for tool in sizes[0]["tools"]}
    faults = {tool: next(filter(None, reversed(of_tool)))["faults"] for tool, of_tool in runs.items()}
    seconds = [
        [migration_tools.TOOLS[tool].title, *map(_seconds, of_tool), "**no**" if faults[tool] else "yes"]
        for tool, of_tool in runs.items()
    ]
    processor = [[migration_tools.TOOLS[tool].title, *map(_processor, of_tool)] for tool, of_tool in runs.items()]
    wrong = [
        f"- {migration_tools.TOOLS[tool].title}: {'; '.join(wrongs)}." for tool, wrongs in faults.items() if wrongs
    ]
    return [
        "Seconds by the number of sessions, and in brackets the ratio:",
        _table([*header, "Right?"], seconds),
        "What was not right:",
        "\n".join(wrong),
        ".. image:: benchmarks/migration.svg\n   :alt: Seconds by number of sessions",
        "Processor seconds, which a busy machine disturbs less, with their ratio, and the memory (RssAnon):",
        _table(header, processor),
        f"Runs of each tool: {', '.join(str(size['rounds']) for size in sizes)}.",
    ]


def _seconds(run: dict[str, float] | None) -> str:
    return f"{run['seconds']:.2f} ({run['ratio']:.2f})" if run else ""


def _processor(run: dict[str, float] | None) -> str:
    return f"{run['processor']:.2f} ({run['processor_ratio']:.2f}), {run['anonymous']:.0f} MB" if run else ""


def _fidelity(result: dict[str, Any]) -> list[str]:
    tools = list(next(iter(result["cases"].values())))
    titles = [fidelity_tools.TOOLS[tool].title for tool in tools]
    rows = [[case, *(_MARKS[verdicts[tool][0]] for tool in tools)] for case, verdicts in result["cases"].items()]
    counts = {
        word: [sum(verdicts[tool][0] == word for verdicts in result["cases"].values()) for tool in tools]
        for word in _MARKS
    }
    totals = [[f"{word} {_MARKS[word]}", *map(str, numbers)] for word, numbers in counts.items()]
    kills = [
        [
            title,
            *(str(result["kills"][tool].get(word, 0)) for word in ("statements", "as before", "done", "between")),
            "; ".join(f"{_literal(what)} ({times})" for what, times in result["kills"][tool]["what"].items()),
        ]
        for tool, title in zip(tools, titles, strict=True)
    ]
    return [
        _table(["", *titles], rows, "verdicts"),
        "In all:",
        _table(["", *titles], totals, "verdicts"),
        ".. _killed-half-way:\n\n.. rubric:: Killed half-way",
        "Each tool was killed before each of its statements in turn, on a table with two indexes and a child with"
        " rows. How often the file was as before, done, or in between, and what was wrong with it then:",
        _table(["", "Statements", "As before", "Done", "In between", "What was wrong"], kills),
    ]


def _particulars(cases: dict[str, Any]) -> str:
    """Return what exactly each tool did in each case, without the cases that it keeps."""
    parts = []
    for case, verdicts in cases.items():
        lines = [
            f"   {fidelity_tools.TOOLS[tool].title}\n      {word}: {'; '.join(map(_literal, particulars))}"
            for tool, (word, particulars) in verdicts.items()
            if word != "keeps"
        ]
        if lines:
            parts.append("\n".join([case, *lines]))
    return "\n\n".join(parts) + "\n"


def _literal(text: str) -> str:
    """Return text as code, with any characters."""
    return f"``{text.strip().replace('`', chr(39))}``"


def _startup(result: dict[str, Any]) -> list[str]:
    def row(title: str, measured: dict[str, float], least: str, scale: float, unit: str) -> list[str]:
        return [
            title,
            least,
            f"{measured['least'] * scale:.2f} {unit}",
            f"{measured['ours'] * scale:.2f} {unit}",
            f"{measured['ratio']:.2f}",
        ]

    rows = [
        row("``import waiaas``", result["import"], "``import peewee, marshmallow``", 1000, "ms"),
        row("``connect`` to an up-to-date file", result["connect"], "``sqlite3.connect`` and the PRAGMAs", 1000, "ms"),
        *(
            row(
                f"what a backup adds, {having}",
                result["backup"][journal_mode],
                "``shutil.copy`` and ``fsync``",
                1,
                "s",
            )
            for journal_mode, having in (("wal", "write-ahead log"), ("delete", "rollback journal"))
        ),
    ]
    return [
        _table(["What", "Compared with", "That takes", "waiaas", "Ratio"], rows),
        f"The backup is of a file of {result['megabytes']:.0f} MB, made while it is upgraded.",
    ]


def _hot_path(result: dict[str, Any]) -> list[str]:
    operations = result["operations"]
    sides = list(next(iter(operations.values())))
    rows = [
        [operation, *(f"{measured[name]['microseconds']:.0f} ({measured[name]['ratio']:.2f})" for name in sides)]
        for operation, measured in operations.items()
    ]
    load = result["load"]
    loading = (
        f"Loading a request that creates a session takes {load['waiaas']['microseconds']:.0f} µs with"
        f" ``CreateSessionRequestSchema``, and {load['marshmallow']['microseconds']:.0f} µs with a bare marshmallow"
        f" schema of the same fields: ratio {load['waiaas']['ratio']:.2f}."
    )
    scans = "No statement of the library reads a table without an index (``EXPLAIN QUERY PLAN``)."
    found = "Statements that read a table without an index: " + "; ".join(map(_literal, result["scans"]))
    return [
        "Microseconds, and in brackets the ratio to plain ``sqlite3``:",
        _table(["", *(_SIDES[name] for name in sides)], rows),
        ".. image:: benchmarks/hot_path.svg\n   :alt: Microseconds by operation",
        loading,
        found if result["scans"] else scans,
    ]


def _writes(result: dict[str, Any]) -> list[str]:
    rows = [
        [name, f"{found['plain']:.0f}", f"{found['waiaas']:.0f}", f"{found['ratio']:.2f}"]
        for name, found in result["operations"].items()
    ]
    return [_table(["", "Plain sqlite3 (µs)", "waiaas (µs)", "Ratio"], rows)]


def _moving(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            "**waiaas move**" if name == "waiaas" else f"``{name}``",
            f"{found['seconds']:.1f}",
            f"{found['ratio']:.2f}",
            f"{found['different_values']:,}",
            f"{found['checks']}",
            f"{found['not_nulls']}",
        ]
        for name, found in result["tools"].items()
    ]
    header = ["", "Seconds", "waiaas ÷ this", "Values that differ", "CHECKs", "NOT NULLs"]
    return [f"{result['rows']:,} rows.", _table(header, rows)]


def _postgresql(result: dict[str, Any]) -> list[str]:
    titles = {"psycopg": "psycopg", "waiaas": "**waiaas**"}
    writers = [
        [
            f"``{name}``, {titles[side]}",
            *(f"{each['rate']:,.0f} ({each['busy']:.0%})" for each in shapes.values()),
            *(f"{1 / each['to_one']:.2f}" for shape, each in shapes.items() if shape != "one"),
            *(f"{ratio:.2f}" if side == "waiaas" else "" for ratio in found["ratios"].values()),
        ]
        for name, found in result["writers"].items()
        for side, shapes in found["sides"].items()
    ]
    reads = [
        [
            f"``{name}``",
            *(f"{side['client']:.0f} + {side['server']:.0f}" for side in found["sides"].values()),
            f"{found['ratio']:.2f}",
        ]
        for name, found in result["reads"].items()
    ]
    return [
        f"PostgreSQL {result['postgresql']}, {result['sessions']:,} sessions. Processor time of one call, in"
        " microseconds of the client and of the server:",
        _table(["", "psycopg", "waiaas", "waiaas ÷ psycopg"], reads),
        "Changes per second, and how busy the processors were, by one caller, by 16 callers in two processes of eight"
        " threads, as a service with two workers has them, and by 16 callers in as many processes. The processes and"
        " the server share the processors. The last three columns compare the time of a change, waiaas ÷ psycopg:",
        _table(["", "1", "2 × 8", "16 × 1", "2 × 8 ÷ 1", "16 × 1 ÷ 1", "at 1", "at 2 × 8", "at 16 × 1"], writers),
        ".. image:: benchmarks/postgresql.svg\n   :alt: Changes per second by 16 callers in two processes",
    ]


def _failover(result: dict[str, Any]) -> list[str]:
    delays = [
        ["crashes and restarts", str(result["restarts"])],
        ["longest delay of a caller after one", f"{result['restart_seconds']:.2f} s"],
        [f"failovers under {result['callers']} callers", str(result["failovers"])],
        ["longest delay of a caller after one", f"{result['failover_seconds']:.2f} s"],
    ]
    return [_table(["", ""], [*delays, *([name, f"{count:,}"] for name, count in result["counts"].items())])]


def _mixed_load(result: dict[str, Any]) -> list[str]:
    sides = result["sides"]
    rows = [
        [f"``{operation}``", *(_times(side["operations"][operation]) for side in sides.values())]
        for operation in sides["waiaas"]["operations"]
    ]
    rows.append(["calls per second", *(f"{_calls(side) / side['seconds']:,.0f}" for side in sides.values())])
    titles = {"before": "0.1.0 (ms)", "waiaas": "waiaas (ms)"}
    ours = sides["waiaas"]
    refusals = ", ".join(f"{what} {times:,}" for what, times in sorted(ours["refusals"].items()))
    errors = "; ".join(f"{what} ({times:,})" for what, times in ours["errors"].items()) or "none"
    broken = ours["check"] or ours["sessions_without_one_default"]
    return [
        f"{ours['threads']} threads for {ours['seconds']:.0f} seconds, {ours['sessions']:,} sessions at the start."
        " Of each operation: median, 99 of 100 within, longest.",
        _table(["", *(titles[name] for name in sides)], rows),
        f"Errors: {errors}. Refusals that the rules demand: {refusals}. ``waiaas.check`` found"
        f" {'a problem' if broken else 'nothing'} afterwards.",
    ]


def _times(measured: dict[str, float]) -> str:
    return ", ".join(f"{1000 * measured[which]:.2f}" for which in ("p50", "p99", "longest"))


def _calls(side: dict[str, Any]) -> int:
    return sum(measured["calls"] for measured in side["operations"].values())


def _upgrade_from_1(result: dict[str, Any]) -> list[str]:
    titles = {"before": "0.1.0", "waiaas": "waiaas"}
    rows = [
        [titles[name], f"{side['seconds']:.2f}", f"{side['processor']:.2f}", f"{side['anonymous']:.0f}"]
        for name, side in result["sides"].items()
    ]
    slowest = sorted(result["steps"], key=lambda step: -step[1])[:5]
    steps = [[str(version), f"{seconds:.2f}", f"{rows:,}"] for version, seconds, rows, _ in slowest]
    return [
        f"{result['sessions']:,} sessions and three times as many transactions, {result['megabytes']:.0f} MB."
        + (f" Ratio: {result['ratio']:.2f}." if "ratio" in result else ""),
        _table(["", "Seconds", "Processor (s)", "Memory (MB)"], rows),
        "The slowest versions:",
        _table(["Version", "Seconds", "Rows written"], steps),
    ]


def _django_sessions(result: dict[str, Any]) -> list[str]:
    rows = [
        [engine, f"{found['django']:.0f}", f"{found['waiaas']:.0f}", f"{found['ratio']:.2f}"]
        for engine, found in result["engines"].items()
    ]
    return [_table(["", "Django session (µs)", "``authorize`` (µs)", "Ratio"], rows)]


def _prune(result: dict[str, Any]) -> list[str]:
    titles = {"alone": "alone", "pruning": "during ``prune``"}
    rows = [
        [
            titles[name],
            f"{found['changes'] / found['seconds']:,.0f}",
            *(f"{found[which]:.1f}" for which in ("median_ms", "p99_ms", "longest_ms")),
        ]
        for name, found in ((name, result[name]) for name in titles)
    ]
    header = ["", "Changes per second", "Median (ms)", "99 of 100 within (ms)", "Longest (ms)"]
    removed, seconds = result["pruning"]["removed"], result["pruning"]["seconds"]
    return [
        f"{result['writers']} processes write. ``prune`` removed {removed:,} sessions in {seconds:.1f} s.",
        _table(header, rows),
    ]


def _http_load(result: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            f"{found['requests_per_second']:,}",
            *(", ".join(f"{found[kind][part]:.0f}" for part in ("p50", "p99", "p100")) for kind in _KINDS),
            f"{sum(found['errors'].values())}",
            f"{found['most_open_connections']}",
        ]
        for name, found in result["runs"].items()
    ]
    some = next(iter(result["runs"].values()))
    return [
        f"{some['clients']} clients for {some['seconds']:.0f} seconds. Requests per second; their times (median, 99 of"
        " 100 within, longest); and the most connections that were open to the database.",
        _table(["", "Per second", "Reads (ms)", "Writes (ms)", "Errors", "Open"], rows),
    ]


def _in_apps(result: dict[str, Any]) -> list[str]:
    rows = [
        [f"{_APPS[app]}, {engine}", *(_ratio_in(found, what) for what in ("call", "processor", "dependency"))]
        for engine, apps in result["engines"].items()
        for app, found in apps.items()
    ]
    return [_table(["", "The call", "Its processor time", "The dependency"], rows)]


def _ratio_in(found: dict[str, float], what: str) -> str:
    return f"{found[what]:.0f} ({found[f'{what} ratio']:.2f})" if what in found else ""


_APPS = {"fastapi": "FastAPI", "inline": "FastAPI, ``async def``", "flask": "Flask"}
_KINDS = ("read_ms", "write_ms")


_PARTS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "migration": _migration,
    "upgrade_from_1": _upgrade_from_1,
    "fidelity": _fidelity,
    "startup": _startup,
    "hot_path": _hot_path,
    "django_sessions": _django_sessions,
    "writes": _writes,
    "mixed_load": _mixed_load,
    "prune": _prune,
    "http_load": _http_load,
    "in_apps": _in_apps,
    "postgresql": _postgresql,
    "failover": _failover,
    "moving": _moving,
}
