"""Each benchmark runs, on a very small scale, and its sides agree; nothing here is about time."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMALL = "--sizes 20 --sessions 60 --rounds 1 --seconds 0.5 --clients 3 --limit 1"

pytestmark = pytest.mark.benchmarks

Result = dict[str, Any]


def check_migration(result: Result) -> None:
    tools = result["sizes"][0]["tools"]
    assert {"plain-whole", "waiaas", "waiaas-backup", "playhouse", "alembic", "django", "sqlite-utils"} <= tools.keys()
    assert tools["waiaas"]["faults"] == tools["waiaas-backup"]["faults"] == tools["plain-whole"]["faults"] == []
    assert tools["alembic"]["faults"]


def check_upgrade_from_1(result: Result) -> None:
    assert [version for version, *_ in result["steps"]] == list(range(2, 20))
    assert "waiaas" in result["sides"]


def check_fidelity(result: Result) -> None:
    (verdicts,) = result["cases"].values()
    assert len(verdicts) == 8
    assert verdicts["waiaas"][0] == verdicts["waiaas-rebuild"][0] == "keeps"
    assert all(kills["statements"] > 0 for kills in result["kills"].values())


def check_startup(result: Result) -> None:
    assert result["import"].keys() == result["connect"].keys() == {"least", "ours", "ratio"}
    assert result["backup"].keys() == {"wal", "delete"}


def check_hot_path(result: Result) -> None:
    assert result["operations"].keys() == {"authorize", "authenticate", "resolve", "resolve a named wallet"}
    assert all(each.keys() == {"sqlite3", "waiaas", "peewee", "sqlalchemy"} for each in result["operations"].values())
    assert result["scans"] == []


def check_django_sessions(result: Result) -> None:
    assert result["engines"].keys() == {"SQLite", "PostgreSQL"}
    assert all(each.keys() == {"waiaas", "django", "ratio"} for each in result["engines"].values())


def check_writes(result: Result) -> None:
    assert result["operations"].keys() == {"create", "link", "renew", "revoke"}


def check_mixed_load(result: Result) -> None:
    for side in result["sides"].values():
        assert all(each["calls"] > 0 for each in side["operations"].values())
        assert side["errors"] == {}
        assert side["check"] == []
        assert side["sessions_without_one_default"] == 0


def check_prune(result: Result) -> None:
    assert result["pruning"]["removed"] == result["sessions"] == 60
    assert result["alone"]["removed"] == 0


def check_http_load(result: Result) -> None:
    assert len(result["runs"]) == 3
    for run in result["runs"].values():
        assert run["requests"] > 0
        assert run["errors"] == {}


def check_in_apps(result: Result) -> None:
    assert result["engines"].keys() == {"SQLite", "PostgreSQL"}
    for apps in result["engines"].values():
        assert apps.keys() == {"fastapi", "inline", "flask"}
        assert all(app["call ratio"] > 0 for app in apps.values())


def check_postgresql(result: Result) -> None:
    assert result["reads"].keys() == {"authorize", "authenticate", "resolve"}
    assert result["writers"].keys() == {"create", "link", "renew"}
    for found in result["writers"].values():
        assert all(each["rate"] > 0 for side in found["sides"].values() for each in side.values())


def check_failover(result: Result) -> None:
    assert (result["restarts"], result["failovers"]) == (1, 7)
    counts = result["counts"]
    assert counts["acknowledged"] > 0
    assert counts["lost"] == counts["valid again"] == counts["refused but done"] == 0


def check_moving(result: Result) -> None:
    assert {"psql", "waiaas"} <= result["tools"].keys()
    assert result["tools"]["waiaas"]["different_values"] == 0
    assert result["tools"]["waiaas"]["checks"] > 0


CHECKS: dict[str, Callable[[Result], None]] = {
    name.removeprefix("check_"): check for name, check in globals().items() if name.startswith("check_")
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_benchmark_runs(name: str, tmp_path: Path) -> None:
    """A benchmark records a whole result, prints its figures, and writes its part of the page.

    It ends with an error if two sides give different results.
    """
    command = [sys.executable, ROOT / "benchmarks/run.py", "--only", name, *SMALL.split(), "--output", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"benchmarks/results/{name}.json").read_text("utf-8"))
    CHECKS[name](result)
    assert result["machine"]["python"] in done.stdout
    assert "list-table" in (tmp_path / f"docs/benchmarks/{name}.inc").read_text("utf-8")


def test_no_benchmark_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a test here for each benchmark that `run.py` has."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    assert importlib.import_module("run").BENCHMARKS.keys() == CHECKS.keys()


def test_a_slower_run_is_seen(tmp_path: Path) -> None:
    """A second run prints each figure's ratio to the run before."""
    command = [sys.executable, ROOT / "benchmarks/run.py", "--only", "writes", *SMALL.split(), "--output", tmp_path]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert "times the last run" not in first
    assert second.count("times the last run") == 4
