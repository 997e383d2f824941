"""A power cut at any moment leaves a file completely at its old version or completely at the new one."""

from __future__ import annotations

import pytest
from support.cut_scenarios import SCENARIOS, Scenario, cut
from support.power_cuts import Model

SHORT = ("upgrade from 18", "upgrade from 18, write-ahead log", "connect, current file", "init", "restore")


@pytest.mark.parametrize("model", ["weak", "ordered"])
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in SHORT], ids=lambda scenario: scenario.name)
def test_a_power_cut_loses_nothing(scenario: Scenario, model: Model) -> None:
    """Rows, version and backup are all old or all new; after exit 0 they are new; doing it again finishes."""
    result = cut(scenario, model, count=25, seed=1)
    assert result.violations == []
    assert result.outcomes["new"] > 0
