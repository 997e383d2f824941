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

NEXT = waiaas.LATEST_SCHEMA_VERSION + 1
MODULE = f"""
from waiaas.errors import refusal
from waiaas.migrations.report import Forecast

VERSION = {NEXT}
DESCRIPTION = "A wallet has a nickname"


def obstacles(migrator):
    if migrator.count("wallets", "name = 'nameless'"):
        yield refusal("unexpected_schema", table="wallets", problem="a wallet is nameless")


def forecast(migrator):
    return Forecast({{"nicknames_to_write": migrator.count("wallets"), "sessions": 7}})


def up(migrator):
    migrator.migrate(migrator.append_column("wallets", "nickname TEXT"))
    migrator.migrate(migrator.update("wallets", "nickname = name", "1"))
    return {{"nicknames": migrator.count("wallets")}}


def down(migrator):
    migrator.migrate(migrator.drop_column("wallets", "nickname"))
    return {{"nicknames_dropped": migrator.count("wallets")}}
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
    print(database.execute_sql("SELECT count(*) FROM wallets WHERE nickname = name").fetchone())
    undone = waiaas.downgrade(database, 18, drop_links=True, backup=False)
    print(undone.undone, undone.details)
    print([row[1] for row in database.execute_sql("PRAGMA table_info(wallets)")].count("nickname"))
"""


def add_version(package: Path) -> None:
    """Follow the guide for a new version (docs/how-to/new-version.rst)."""
    (package / "migrations" / "versions" / f"v{NEXT}_wallet_nickname.py").write_text(MODULE)
    end_of_wallet = r'\n\n    class Meta:\n        table_name = "wallets"'
    edit(package / "models" / "tables.py", end_of_wallet, r"\n    nickname = Text(null=True)\g<0>")


def edit(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text("utf-8"))
    assert count >= 1, f"{file} has no {pattern}"
    file.write_text(text, "utf-8")


def test_a_new_version_needs_no_other_change(tmp_path: Path) -> None:
    """The next version, added as a module, is refused, planned, applied, reported and undone."""
    package = tmp_path / "source" / "waiaas"
    shutil.copytree(Path(waiaas.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    add_version(package)
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "wallets.db")],
        cwd=package.parent,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
    )
    assert run.stderr == ""
    versions = [*range(19, NEXT + 1)]
    assert run.stdout.splitlines() == [
        "a wallet is nameless 18",
        f"{versions} 7 {{'nicknames_to_write': 3}} []",
        f"{versions} {{'nicknames': 3}} {{'wallets': 3}}",
        "(3,)",
        f"{versions[::-1]} {{'nicknames_dropped': 3}}",
        "0",
    ]
