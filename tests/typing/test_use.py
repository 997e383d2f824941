"""The program that the type checker reads does what its types say."""

from __future__ import annotations

import runpy
from pathlib import Path

PROGRAM = runpy.run_path(str(Path(__file__).with_name("use.py")))


def test_the_typed_program_works(tmp_path: Path) -> None:
    """What mypy accepts runs: create, link, list, take back, plan, upgrade, check."""
    told = PROGRAM["work"](tmp_path / "wallets.db")
    assert told == ["2027-02-14T08:00:00+00:00", "trading, payments", "True", "1", "1", "1", "True"]


def test_a_refusal_has_the_types_that_it_says(tmp_path: Path) -> None:
    """Code, status, reason and hint of a refusal are there without a look at None."""
    assert PROGRAM["refused"](tmp_path).startswith("DATABASE_UNAVAILABLE 503 cannot_open: Check the path")
