"""Every condition of the proof matters: with it the error stays below alpha, without it the error exceeds it.

Positive controls of the whole guarantee; ``docs/proof.md`` names each. Reduced: the full sizes are the script's.
"""

import importlib.util
import sys
from math import comb
from pathlib import Path

import pytest


def _load():
    path = Path(__file__).parents[2] / "benchmarks" / "breaks.py"
    spec = importlib.util.spec_from_file_location("festina_benchmark_breaks", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _load()


def most(runs: int, alpha: float) -> int:
    """Errors that ``runs`` runs at a rate of alpha exceed once in a thousand times."""
    below, k = 0.0, -1
    while below < 0.999:
        k += 1
        below += comb(runs, k) * alpha**k * (1 - alpha) ** (runs - k)
    return k


@pytest.mark.parametrize("name", bench.BREAKS)
def test_S1_the_error_stays_below_alpha_while_the_condition_holds_and_exceeds_it_when_broken(name):
    share = {"refunds": 1.0, "scores": 0.2}.get(name, 0.1)
    runs = max(40, round(bench.BREAKS[name].runs * share))
    held, broken = bench.rates(name, share)
    limit = most(runs, bench.ALPHA) / runs
    assert held <= limit
    assert broken > limit


def test_S1_the_proof_page_names_every_demonstration_with_what_it_prints():
    page = (Path(__file__).parents[2] / "docs" / "proof.md").read_text()
    for name in bench.BREAKS:
        assert f"| `{name}` |" in page
