"""The auditor's script, which shares no line with the package, gives the same numbers in every mode.  # S-4, L-1"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from festina.ledger import entries as e
from festina.ledger.merkle import leaf_hash
from festina.ledger.signing import LocalKey, pae
from festina.ledger.statement import NO_PREV, PAYLOAD_TYPE, seal, statement
from festina.select.rules import RULES
from tests.loop.paper import PaperLoop, Searching

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "recount.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recount_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(folder: Path, loop: PaperLoop, change: dict[int, dict[str, object]] | None = None) -> Path:
    """A run on paper as an exported ledger: bodies as they are, hashes right, signatures anybody's."""
    key = LocalKey.create(folder / "key.pem", "engine")
    prev, lines = NO_PREV, []
    for record in loop.records:
        body = record.body.model_copy(update=(change or {}).get(record.seq, {}))
        payload = statement(
            seq=record.seq, prev=prev, at=record.at, body=body, content=(), commitments=record.commitments,
            subjects=(("ledger", "0" * 64),),
        )  # fmt: skip
        lines.append(seal(payload, key.keyid, key.sign(pae(PAYLOAD_TYPE, payload))))
        prev = leaf_hash(lines[-1]).hex()
    (folder / "entries.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return folder


def wrong(audit: Any) -> list[str]:
    """Seeds on paper are made up."""
    return [text for text in audit.wrong if "batch-started" not in text]


CASES: dict[str, dict[str, Any]] = {
    "fresh": {"guards": 2, "judges": 1, "watchers": 1, "plant": 0.5},
    "first rule": {"guards": 1, "judges": 1, "rule": 1},
    "second rule": {"guards": 1, "rule": 2},
    "fdr": {"error": "fdr", "plant": 0.5},
    "at once": {"at_once": 3, "plant": 0.4, "approve": 0.5},
    "sealed": {"mode": "sealed", "approve": 0.3, "plant": 0.3},
    "ledger": {"mode": "ledger", "plant": 0.3},
    "metric": {"mode": "metric", "plant": 0.3},
    "ledger, with tries": {"mode": "ledger", "loop": Searching},
    "few seeds": {"mode": "seeds", "guards": 1, "judges": 1, "plant": 0.3},
}


@pytest.mark.parametrize("name", CASES)
def test_S5_the_script_gives_every_number_that_the_loop_recorded(script: ModuleType, tmp_path: Path, name: str) -> None:
    learnt, verdicts = False, 0
    for seed in range(4):
        terms = CASES[name]
        loop = terms.get("loop", PaperLoop)(seed, proposals=6, **{k: v for k, v in terms.items() if k != "loop"})
        loop.begin()
        loop.run()
        loop.start_run()
        loop.run()
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = script.audit(written(folder, loop))
        assert wrong(found) == []
        assert found.verdicts == sum(record.kind == "verdict" for record in loop.records)
        verdicts += found.verdicts
        learnt |= any(record.kind == "test-opened" and record.body.noise_tests > 0 for record in loop.records)
    assert verdicts >= 4
    assert learnt == (name in ("fresh", "fdr", "at once"))


def test_S4_positive_control_a_changed_number_is_found(script: ModuleType, tmp_path: Path) -> None:
    loop = PaperLoop(1, proposals=4)
    loop.begin()
    loop.run()
    at = next(record for record in loop.records if record.kind == "verdict")
    assert isinstance(at.body, e.Verdict)
    found = script.audit(written(tmp_path, loop, {at.seq: {"alpha_left": 0.06, "units": at.body.units + 1}}))
    assert len(wrong(found)) == 2
    assert all(f"entry {at.seq}, verdict" in text for text in wrong(found))


def test_S5_the_script_knows_every_version_of_the_rule(script: ModuleType) -> None:
    for version, rule in RULES.items():
        for name, aim in script.RULES[version].items():
            known = getattr(rule, name)
            assert aim == (known.aims, known.weights, tuple(known.tuning))


def test_S5_the_script_needs_the_standard_library_alone() -> None:
    lines = [line.split() for line in SCRIPT.read_text().splitlines() if line.startswith(("import ", "from "))]
    assert {words[1].split(".")[0] for words in lines} <= set(sys.stdlib_module_names)
