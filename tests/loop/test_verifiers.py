"""Several verifiers in the loop: all that decide must agree, those that watch only watch, and misses are told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.cli.assurance import verifier_lines
from festina.errors import IntegrityError
from festina.loop.state import State, fold
from festina.report.fold import fold as read_report
from festina.report.html import page
from festina.report.verifiers import lines
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop
from tests.toy import make_toy

relaxed = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
loops = st.builds(
    PaperLoop, seed=st.integers(0, 10**6), proposals=st.integers(1, 5), guards=st.integers(0, 1),
    judges=st.integers(0, 2), watchers=st.integers(0, 1), fooled=st.sampled_from([0.0, -0.4, 0.5]),
    share=st.sampled_from([0.0, 0.1]), plant=st.sampled_from([0.0, 0.4]),
)  # fmt: skip


@relaxed
@given(loops)
def test_V5_nothing_is_accepted_that_a_deciding_verifier_was_not_shown_to_like(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    assert fold(loop.records) == loop.state
    state = State()
    for record in loop.records:
        if record.kind == "verdict" and record.body.verdict == "accept":
            test = state.open[record.body.test]
            proven = 1.0 / test.terms.level
            assert len(test.progress.judges) == loop.judges
            assert all(bet.wealth >= proven for bet in test.progress.judges)
        state.apply(record)
    data = read_report(loop.records, lambda _: b"{}")
    assert {p.proposal: p.words for p in data.plants} == {p.proposal: p.words for p in loop.state.plants}
    assert not [f for f in data.findings if "follow" in f.text or "rule" in f.text]


def test_V5_results_of_a_verifier_that_are_missing_do_not_fold() -> None:
    loop = PaperLoop(seed=3, proposals=8, judges=1, watchers=1)
    loop.begin()
    loop.run()
    at = next(i for i, r in enumerate(loop.records) if r.kind == "batch-ended")
    record = loop.records[at]
    for judges in (record.body.judges[:1], (record.body.judges[0][:-1], record.body.judges[1]),
                   ((5.0, *record.body.judges[0][1:]), record.body.judges[1])):  # fmt: skip
        changed = replace(record, body=record.body.model_copy(update={"judges": judges}))
        with pytest.raises(IntegrityError):
            fold([*loop.records[:at], changed])
    fold(loop.records[: at + 1])  # the control


def studied(fooled: float) -> PaperLoop:
    for seed in range(30):
        loop = PaperLoop(seed=seed, proposals=8, plant=0.6, plant_gain=0.0, watchers=1, fooled=fooled)
        loop.begin()
        loop.run()
        if sum(bool(p.words) for p in loop.state.plants) >= 6:
            return loop
    raise AssertionError("too few plants")


def test_V5_a_verifier_that_is_fooled_is_told_from_one_that_is_not() -> None:
    fooled, honest = studied(0.6), studied(0.0)
    seen = [p.words for p in fooled.state.plants if p.words]
    assert sum(words[1] == "missed" for words in seen) >= len(seen) // 2
    assert not any(words[0] == "missed" for words in seen)
    assert not any("missed" in p.words for p in honest.state.plants)
    said = "\n".join(verifier_lines(fooled.state))
    assert "j0 (watching) alone would have missed" in said
    assert "cannot be told yet" in said  # no joint miss: nothing is claimed about dependence
    html = page(read_report(fooled.records, lambda _: b"{}"), plots=False)
    assert "Several verifiers" in html


def test_V5_words_for_people_claim_no_more_than_the_families_allow() -> None:
    words = [("missed", "missed")] * 20 + [("caught", "caught")] * 60
    same = "\n".join(lines(("a", "b"), ("python", "qwen"), "llama", words))
    assert "share blind spots: they miss the same" in same
    assert "count as 1.0 independent" in same
    apart = [("missed", "missed")] * 4 + [("missed", "caught"), ("caught", "missed")] * 16 + [("caught", "caught")] * 64
    assert "count as 2.0 independent" in "\n".join(lines(("a", "b"), ("python", "qwen"), "llama", apart))
    assert "count as 1.0 independent" in "\n".join(lines(("a", "b"), ("qwen", "qwen"), "llama", apart))
    assert "cannot be told yet" in "\n".join(lines(("a", "b"), ("python", "qwen"), "llama", []))
    assert lines(("a",), ("python",), "llama", []) == []
    for word in ("e-process", "martingale", "Bonferroni", "odds"):
        assert word not in same


SECOND = """

def taste(item, output):
    return 1.0 if output in (-1, item["label"]) else 0.0  # a blank is as good as the right answer
"""
JUDGE = '[judge.taste]\nscorer = "scoring:taste"\ndirection = "higher"\nfamily = "python"\nrole = "{role}"\n'


@pytest.mark.parametrize("role", ["decide", pytest.param("watch", marks=pytest.mark.slow)])
def test_V5_a_gain_that_the_second_verifier_does_not_see_is_accepted_only_where_it_merely_watches(
    tmp_path: Path, role: str
) -> None:
    toy = make_toy(tmp_path, skill=0.3, step="0.6", extra=JUDGE.format(role=role))
    (toy.root / "scoring.py").write_text((toy.root / "scoring.py").read_text() + SECOND)
    toy.commit("a verifier with another taste")
    done = festina("run", "--proposals", "1", "--budget", "100s", toy=toy)
    state, records = read(toy.root)
    check(toy.root, settled=True)
    assert done.returncode == 0, done.stderr
    verdict = next(r.body for r in records if r.kind == "verdict")
    batch = next(r.body for r in records if r.kind == "batch-ended")
    assert len(batch.judges) == 1
    assert sum(batch.judges[0]) == 0.0 < sum(batch.gain)
    if role == "watch":
        assert verdict.verdict == "accept"
        assert verdict.judge_evidence == ()
    else:
        assert (verdict.verdict, verdict.reason) == ("reject", "judge")
        assert "the verifier taste did not find it better" in verdict.sentence
    assert "Verifiers: the goal's scorer, taste" in festina("status", toy=toy).stdout
    assert state.epoch is not None
    assert state.epoch.judges[0].detect == pytest.approx(0.2)


def test_V2_V5_a_verifier_that_tells_nothing_apart_stops_the_run(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, extra=JUDGE.format(role="watch"))
    flat = "\n\ndef taste(item, output):\n    return 0.5\n"
    (toy.root / "scoring.py").write_text((toy.root / "scoring.py").read_text() + flat)
    toy.commit("a verifier that likes everything alike")
    done = festina("run", "--proposals", "1", "--budget", "60s", toy=toy)
    assert done.returncode == 1
    assert "verifier taste" in done.stderr
