"""The benchmark's own machinery at a small size, so that it cannot rot between its runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def test_a_long_ledger_is_made_opened_and_folded(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "loop.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_the_loop", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    row = module.resume(tmp_path, 200)
    assert row["entries"] >= 200
    assert row["resume_s"] > 0
    assert row["bare_scan_s"] > 0
