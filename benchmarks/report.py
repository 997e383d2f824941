"""The tables and plots of `docs/benchmarks.rst`, from `benchmarks/results/*.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import fidelity_tools
import migration_tools

DOCS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
#: The tools of the plot; the others differ from these in one setting.
PLOTTED = ("plain-whole", "waiaas", "waiaas-backup", "playhouse", "alembic", "django", "sqlite-utils")
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
}
# Good results are less prominent than bad ones, which also makes the table narrow enough for a page.
_MARKS = {"keeps": "✓", "refuses": "○"}
_CONTENDERS = {
    "sqlite3": "plain sqlite3",
    "waiaas": "**waiaas**",
    "peewee": "Peewee",
    "sqlalchemy": "SQLAlchemy",
}


def write(results: Path) -> None:
    """Write the files that the page includes, for every existing result."""
    DOCS.mkdir(exist_ok=True)
    makers = {
        "migration": _migration,
        "fidelity": _fidelity,
        "startup": _startup,
        "hot_path": _hot_path,
        "writes": _writes,
        "mixed_load": _mixed_load,
        "moving": _moving,
    }
    for name, make in makers.items():
        file = results / f"{name}.json"
        if file.exists():
            result = json.loads(file.read_text("utf-8"))
            text = "\n\n".join([*make(result), _machine(result["machine"])])
            _write(
                f"{name}.inc", f".. Written by benchmarks/report.py from benchmarks/results/{name}.json.\n\n{text}\n"
            )


def _write(name: str, text: str) -> None:
    (DOCS / name).write_text(text, "utf-8")


def _machine(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"*{machine['processors']} processors ({machine['model']}), {machine['memory_gb']} GB of memory,"
        f" {machine['system']}; Python {machine['python']}, SQLite {machine['sqlite']}, {packages}.*"
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], widths: str = "auto") -> str:
    """Return a table in reStructuredText; the first column names the row."""
    lines = [".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", f"   :widths: {widths}", ""]
    for row in (header, *rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines)


def _migration(result: dict[str, Any]) -> list[str]:
    sizes = result["sizes"]
    header = ["Tool", *(f"{size['sessions']:,} sessions" for size in sizes)]
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
    _plot_migration(sizes)
    return [
        "Seconds, and in brackets the ratio:",
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
    rows = [
        [case, *(_MARKS.get(verdicts[tool][0], verdicts[tool][0]) for tool in tools)]
        for case, verdicts in result["cases"].items()
    ]
    counts = {
        word: [sum(verdicts[tool][0] == word for verdicts in result["cases"].values()) for tool in tools]
        for word in ("keeps", "refuses", "loses", "corrupts", "breaks")
    }
    totals = [[f"{word} {_MARKS.get(word, '')}", *map(str, numbers)] for word, numbers in counts.items()]
    kills = [
        [
            title,
            *(str(result["kills"][tool].get(word, 0)) for word in ("statements", "as before", "done", "between")),
            "; ".join(f"{_literal(what)} ({times})" for what, times in result["kills"][tool]["what"].items()),
        ]
        for tool, title in zip(tools, titles, strict=True)
    ]
    _write("fidelity_details.inc", _particulars(result["cases"]))
    return [
        _table(["", *titles], rows),
        "In all:",
        _table(["", *titles], totals),
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
                f"what the backup adds to the upgrade of a file of {result['megabytes']:.0f} MB {having}",
                result["backup"][journal_mode],
                "``shutil.copy`` and ``fsync``",
                1,
                "s",
            )
            for journal_mode, having in (("wal", "with a write-ahead log"), ("delete", "with a rollback journal"))
        ),
    ]
    return [_table(["What", "Compared with", "That takes", "This library", "Ratio"], rows)]


def _hot_path(result: dict[str, Any]) -> list[str]:
    operations = result["operations"]
    contenders = list(next(iter(operations.values())))
    header = ["", *(f"{_CONTENDERS[name].strip('*')} (µs)" for name in contenders), "Ratio to plain"]
    rows = [
        [
            operation,
            *(f"{measured[name]['microseconds']:.0f}" for name in contenders),
            " / ".join(f"{measured[name]['ratio']:.2f}" for name in contenders[1:]),
        ]
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
    _plot_hot_path(operations)
    return [
        _table(header, rows),
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


def _mixed_load(result: dict[str, Any]) -> list[str]:
    calls = sum(measured["calls"] for measured in result["operations"].values())
    rows = [
        [
            f"``{operation}``",
            f"{measured['calls']:,}",
            *(f"{1000 * measured[which]:.2f}" for which in ("p50", "p99", "longest")),
        ]
        for operation, measured in result["operations"].items()
    ]
    refusals = ", ".join(f"{what} {times:,}" for what, times in sorted(result["refusals"].items()))
    errors = "; ".join(f"{what} ({times:,})" for what, times in result["errors"].items()) or "none"
    broken = result["check"] or result["sessions_without_one_default"]
    after = "found a problem" if broken else "found nothing"
    return [
        f"{result['threads']} threads, {result['seconds']:.0f} seconds, {result['sessions']:,} sessions at the start:"
        f" {calls:,} calls, {calls / result['seconds']:,.0f} a second.",
        _table(["", "Calls", "Median (ms)", "99 of 100 within (ms)", "Longest (ms)"], rows),
        f"Errors: {errors}. Refusals that the rules demand: {refusals}. ``waiaas.check`` {after} afterwards.",
    ]


def _plot_migration(sizes: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    counts = [size["sessions"] for size in sizes]
    for tool in PLOTTED:
        if tool not in sizes[-1]["tools"]:
            continue
        right = not sizes[-1]["tools"][tool]["faults"]
        axes.plot(
            counts,
            [size["tools"][tool]["seconds"] for size in sizes],
            marker="o" if right else "x",
            linestyle="-" if right else ":",
            color=_COLOURS[tool],
            label=_plain(migration_tools.TOOLS[tool].title) + ("" if right else " (result not right)"),
        )
    axes.set(xscale="log", yscale="log", xlabel="sessions (2.5 times as many transactions)", ylabel="seconds")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    _save(figure, "migration.svg")


def _plot_hot_path(operations: dict[str, Any]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot()
    contenders = list(next(iter(operations.values())))
    height = 0.8 / len(contenders)
    for number, name in enumerate(contenders):
        places = [place + number * height for place in range(len(operations))]
        values = [measured[name]["microseconds"] for measured in operations.values()]
        axes.barh(places, values, height, color=_COLOURS[name], label=_plain(_CONTENDERS[name]))
    axes.set_yticks([place + 0.4 - height / 2 for place in range(len(operations))], list(operations))
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="microseconds a call")
    axes.legend(fontsize=8)
    _save(figure, "hot_path.svg")


def _plain(title: str) -> str:
    return title.replace("*", "").replace("`", "")


def _save(figure: Any, name: str) -> None:
    import matplotlib

    # Text stays text, and the same figures give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "waiaas"}):
        figure.savefig(DOCS / name, metadata={"Date": None})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
