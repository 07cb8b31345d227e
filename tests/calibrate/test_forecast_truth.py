"""Forecasts against what the real rule takes on the systems' own laws: the benchmark with fewer calibrations."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from festina.calibrate.forecast import forecast

pytestmark = pytest.mark.slow


def _load() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "calibrate.py"
    spec = importlib.util.spec_from_file_location("festina_benchmark_calibrate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _load()
NAMES = ("right or wrong, 4 in 10 answers change", "heavy tails between runs", "a printed loss, seeds differ")
SYSTEMS = {system.name: system for system in bench.SYSTEMS}


@pytest.mark.parametrize("name", NAMES)
def test_S7_a_forecast_comes_true_on_the_systems_own_law(name: str) -> None:
    # Six calibrations of 40 runs each; bounds that a forecast a fifth off would break.
    row = bench.against(SYSTEMS[name], 6)
    for figure in ("rejected", "accepted", "reach"):
        middle, low, high = row[figure]
        assert 0.85 <= middle <= 1.18, row
        assert 0.6 <= low <= high <= 1.7, row
        assert row[f"{figure} in range"] >= 0.66, row
    said, true = row["power"]
    assert abs(said - true) <= 0.15, row


def test_S7_a_forecast_that_overlooks_pairing_does_not_come_true() -> None:
    """Positive control: the same runs, but each change's runs are said to have had another seed."""
    system = SYSTEMS["a printed loss, seeds differ"]
    measured = system.measured(0)
    seeds = {run.seed for run in measured.runs}
    moved = [
        run if run.tree == "incumbent" else replace(run, seed=(run.seed + 1) % len(seeds)) for run in measured.runs
    ]
    blind = forecast(replace(measured, runs=tuple(moved)), system.setting).reach
    assert blind is not None
    assert blind.first is not None
    assert blind.first.low > 2.0 * bench.truth(system, forecast(measured, system.setting)).reach
