"""The program that mypy checks also runs."""

from __future__ import annotations

import runpy
from pathlib import Path

PROGRAM = runpy.run_path(str(Path(__file__).with_name("use.py")))


def test_the_typed_program_works(tmp_path: Path) -> None:
    """A program that mypy accepts runs: create, link, list, unlink, plan, upgrade, check."""
    results = PROGRAM["work"](tmp_path / "wallets.db")
    assert results == ["2027-02-14T08:00:00+00:00", "trading, payments", "True", "1", "1", "1", "True"]


def test_a_refusal_has_its_declared_types(tmp_path: Path) -> None:
    """Code, status, reason and hint of a refusal can be used without a check for None."""
    assert PROGRAM["refused"](tmp_path).startswith("DATABASE_UNAVAILABLE 503 cannot_open: Check the path")
