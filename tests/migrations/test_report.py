"""Reports of upgrades and downgrades as plain values and as text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from support.connect_results import open_unchanged
from support.old_files import make_file

import waiaas
from waiaas.cli.output import downgrade_lines, upgrade_lines
from waiaas.errors import refusal

WARNING = refusal("io_error", path="wallets.db", cause="disk I/O error")


def test_warnings_are_plain_values_in_the_requested_language(tmp_path: Path) -> None:
    """The reports of upgrades and downgrades contain each warning with code, reason, message and hint."""
    database = waiaas.connect(make_file(tmp_path / "wallets.db", 19)).peewee
    upgraded, downgraded = waiaas.upgrade(database), waiaas.downgrade(database, 18)
    database.close_all()
    for report in (upgraded, downgraded):
        assert report.warnings == []
        (warning,) = json.loads(json.dumps(replace(report, warnings=[WARNING]).to_dict("ko")))["warnings"]
        assert (warning["details"]["reason"], warning["message"]) == ("io_error", WARNING.to_dict("ko")["message"])


def test_warnings_are_printed_with_their_hints(tmp_path: Path) -> None:
    """A warning is printed last, with its hint, whether or not there was anything to do."""
    path = make_file(tmp_path / "wallets.db")
    database = open_unchanged(path)
    reports = [waiaas.upgrade(database), waiaas.upgrade(database)]
    downgrades = [waiaas.downgrade(database, 18), waiaas.downgrade(database, 18)]
    database.close_all()
    warning = WARNING.to_dict()
    expected = [f"Warning: {warning['message']}", f"  What to do: {warning['hint']}"]
    for report in reports:
        assert upgrade_lines(path, replace(report, warnings=[WARNING]))[-2:] == expected
    for each in downgrades:
        assert downgrade_lines(path, replace(each, warnings=[WARNING]))[-2:] == expected
