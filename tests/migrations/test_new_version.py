"""A new schema version needs its module and the model, and no other change."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import waiaas

pytestmark = pytest.mark.slow

VERSION_20 = """
from waiaas.errors import refusal
from waiaas.migrations.report import Forecast

VERSION = 20
DESCRIPTION = "A wallet has a label"


def obstacles(migrator):
    if migrator.count("wallets", "name = 'nameless'"):
        yield refusal("unexpected_schema", table="wallets", problem="a wallet is nameless")


def forecast(migrator):
    return Forecast({"labels_to_write": migrator.count("wallets"), "sessions": 7})


def up(migrator):
    migrator.migrate(migrator.append_column("wallets", "label TEXT"))
    migrator.migrate(migrator.update("wallets", "label = name", "1"))
    return {"labels": migrator.count("wallets")}


def down(migrator):
    migrator.migrate(migrator.drop_column("wallets", "label"))
    return {"labels_dropped": migrator.count("wallets")}
"""
PROGRAM = """
import sys
import waiaas
from waiaas.migrations.opening import open_to_change
from waiaas.demo import make_version_18

path = sys.argv[1]
make_version_18(path)
with open_to_change(path) as database:
    database.execute_sql("UPDATE wallets SET name = 'nameless' WHERE id = (SELECT min(id) FROM wallets)")
    try:
        waiaas.upgrade(database)
    except waiaas.WAIaaSError as error:
        print(error.details["problem"], waiaas.status(database).version)
    database.execute_sql("UPDATE wallets SET name = 'main' WHERE name = 'nameless'")
    plan = waiaas.plan(database)
    print([step.version for step in plan.steps], plan.sessions, plan.details, plan.obstacles)
    report = waiaas.upgrade(database, backup=False)
    print(report.applied, report.details, report.rows_changed)
    print(database.execute_sql("SELECT count(*) FROM wallets WHERE label = name").fetchone())
    undone = waiaas.downgrade(database, 18, drop_links=True, backup=False)
    print(undone.undone, undone.details)
    print([row[1] for row in database.execute_sql("PRAGMA table_info(wallets)")].count("label"))
"""


def add_version_20(package: Path) -> None:
    """Follow the guide for a new version (docs/how-to/new-version.rst)."""
    (package / "migrations" / "versions" / "v20_wallet_label.py").write_text(VERSION_20)
    edit(package / "models" / "tables.py", r"( +)owner_approval_method = .*\n", r"\g<0>\1label = Text(null=True)\n")


def edit(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text("utf-8"))
    assert count >= 1, f"{file} has no {pattern}"
    file.write_text(text, "utf-8")


def test_a_new_version_needs_no_other_change(tmp_path: Path) -> None:
    """Version 20, added as a module, is refused, planned, applied, reported and undone."""
    package = tmp_path / "source" / "waiaas"
    shutil.copytree(Path(waiaas.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    add_version_20(package)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "wallets.db")],
        cwd=package.parent,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        "a wallet is nameless 18",
        "[19, 20] 7 {'labels_to_write': 3} []",
        "[19, 20] {'labels': 3} {'wallets': 3}",
        "(3,)",
        "[20, 19] {'labels_dropped': 3}",
        "0",
    ]
