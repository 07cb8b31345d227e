"""Several tests open side by side: disjoint shares, interleaved batches, and a line that moves under all but one."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError, UsageError
from festina.experiment.batch import run_groups
from festina.ledger.log import Record
from festina.ledger.seeds import unit_seed
from festina.loop import next as plan
from festina.loop.certifying import total_gain
from festina.loop.engine import Options, run
from festina.loop.state import State, fold
from festina.propose.scripted import Scripted
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.report.fold import fold as read_report
from festina.sandbox.job import Sandbox
from festina.system.manifest import Manifest
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop
from tests.toy import Toy, make_toy


def improver(*patches: bytes):
    def make(_manifest: Manifest, _sandbox: Sandbox) -> Scripted:
        return Scripted([("own", patch) for patch in patches])

    return make


def patch(toy: Toy, name: str, text: str) -> bytes:
    (toy.root / name).write_text(text)
    toy.git("add", "-A")
    made = toy.git("diff", "--cached", "--binary", "--full-index").encode() + b"\n"
    toy.git("reset", "-q", "--hard")
    return made


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A gain, a change that does nothing, and a second gain that no longer fits once the first is accepted."""
    with pytest.MonkeyPatch.context() as patched:
        base = tmp_path_factory.mktemp("at-once")
        toy = make_toy(base, skill=0.0, detect=0.1, policy="plant_rate = 0.0\ncontrol_share = 0.0")
        for key, value in toy.environment.items():
            patched.setenv(key, value)
        patches = [
            patch(toy, "skill.json", '{"skill": 1.0}'), patch(toy, "notes.txt", "a note\n"),
            patch(toy, "skill.json", '{"skill": 0.8}'),
        ]  # fmt: skip
        run(toy.root, Options(wall_s=200, proposals=3, at_once=3, improver=improver(*patches)))
        return toy


@pytest.fixture(autouse=True)
def _environment(moved: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in moved.environment.items():
        monkeypatch.setenv(key, value)


def test_S8_an_acceptance_ends_the_tests_beside_it_and_they_start_anew(moved: Toy) -> None:
    state = check(moved.root, settled=True)
    _, records = read(moved.root)
    tests = [r for r in records if r.kind == "test-opened"]
    verdicts = {r.body.test: r.body for r in records if r.kind == "verdict"}
    assert [(verdicts[n].reason, verdicts[n].again) for n in range(3)] == [
        ("shown", False), ("line-moved", True), ("line-moved", True),
    ]  # fmt: skip
    again = tests[3]
    assert len(tests) == 4
    assert (again.body.proposal, again.body.base_commit) == (1, state.generations[1].commit)
    assert again.leaf != tests[1].leaf  # E-3: and with it all seeds
    assert unit_seed(again.leaf, 0, 0) != unit_seed(tests[1].leaf, 0, 0)
    assert "tried again" in verdicts[1].sentence
    assert verdicts[3].reason == "futile"


def test_P4_each_proposal_is_told_with_one_word(moved: Toy) -> None:
    state, _ = read(moved.root)
    assert [p.word for p in state.proposals.values()] == ["accepted", "rejected", "inconclusive"]
    assert state.proposals[2].reason == "line-moved"  # its patch does not fit the new version
    page = json.loads(festina("status", "--json", toy=moved).stdout)
    assert page["proposals"] == {"accepted": 1, "rejected": 1, "inconclusive": 1}
    assert page["testing"] == []
    certified = page["certified_gain"]
    assert certified["steps"] == 1
    assert certified["at_least"] < certified["sum_of_estimates"] == pytest.approx(1.0, abs=0.01)
    assert "at least" in certified["sentence"]


def test_E1_side_by_side_each_batch_is_charged_before_any_of_them_runs(moved: Toy) -> None:
    _, records = read(moved.root)
    kinds = [(r.kind, r.body.test) for r in records if r.kind in ("batch-started", "batch-ended")]
    assert kinds[:6] == [("batch-started", n) for n in range(3)] + [("batch-ended", n) for n in range(3)]


def test_P4_items_that_candidates_share_are_tested_one_after_the_other(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    text = (toy.root / "festina.toml").read_text()
    (toy.root / "festina.toml").write_text(text.replace('"fresh"', '"sealed"'))
    toy.commit()
    with pytest.raises(UsageError) as caught:
        run(toy.root, Options(at_once=2))
    assert caught.value.name == "one-at-a-time"


def test_T6_a_failure_in_one_tests_batch_leaves_the_others_standing() -> None:
    from festina.errors import Fault

    def fails(seed: int) -> int:
        raise Fault("sandbox-error", str(seed))

    kept, lost, also = run_groups([(lambda seed: 2 * seed, [1, 2, 3]), (fails, [7, 8]), (lambda seed: seed, [4])], 2)
    assert (kept, also) == ([2, 4, 6], [4])
    assert isinstance(lost, Fault)
    assert lost.what == "7"


class Slow:
    """Hands in its second change only once a batch of its first one's test has been recorded."""

    author = "own"

    def __init__(self, first: bytes, second: bytes) -> None:
        self.made, self.batch = [first, second], threading.Event()

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        if not self.made:
            return NoProposal(self.author, "no more", exhausted=True)
        if len(self.made) == 1:
            assert self.batch.wait(60), "the test waited for the improver"
        return Proposal(self.author, patch=self.made.pop(0))

    def listen(self, record: Record, _: State) -> None:
        if record.kind == "batch-ended":
            self.batch.set()


def test_E5_the_improver_works_while_tests_run_and_what_it_made_fits_the_line_as_it_is_then(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, policy="plant_rate = 0.0\ncontrol_share = 0.0")
    slow = Slow(patch(toy, "skill.json", '{"skill": 0.9}'), patch(toy, "notes.txt", "a note\n"))
    with pytest.MonkeyPatch.context() as patched:
        for key, value in toy.environment.items():
            patched.setenv(key, value)
        run(toy.root, Options(wall_s=200, proposals=2, at_once=2, improver=lambda *_: slow), slow.listen)
        state = check(toy.root, settled=True)
        _, records = read(toy.root)
    order = {(r.kind, getattr(r.body, "proposal", None)): r.seq for r in records}
    first_batch = next(r.seq for r in records if r.kind == "batch-ended")
    assert order["proposal-requested", 1] < first_batch < order["proposal-received", 1]
    assert [p.word for p in state.proposals.values()] == ["accepted", "rejected"]


def test_E5_tests_go_on_while_the_improver_works_and_wait_for_it_where_there_is_nothing_else() -> None:
    loop = PaperLoop(seed=0, proposals=6, at_once=2)
    loop.begin()
    while not loop.state.open:
        action = plan.next_action(loop.state, plan.Facts(0.0))
        getattr(loop, "_" + type(action).__name__)(action)
    loop._requested(plan.Propose(9, 1))
    for asked, wanted in (("working", plan.RunBatch), ("done", plan.TakeProposal), ("", plan.Propose)):
        assert isinstance(plan.next_action(loop.state, plan.Facts(0.0, asked=asked)), wanted)
    loop.state.open.clear()
    assert isinstance(plan.next_action(loop.state, plan.Facts(0.0, asked="working")), plan.TakeProposal)


def many(seed: int) -> PaperLoop:
    loop = PaperLoop(seed=seed, proposals=12, at_once=3, approve=1.0)
    loop.begin()
    loop.run()
    return loop


@pytest.mark.parametrize("seed", range(3))
def test_S8_refunded_wealth_is_never_resumed(seed: int) -> None:
    """A test that the line ended takes no further batch; its proposal's next one starts from nothing, at the level that
    the budget gives then."""
    loop = many(seed)
    state, over = State(), set()
    for record in loop.records:
        if record.kind in ("batch-started", "batch-ended"):
            assert record.body.test not in over
        if record.kind == "verdict":
            over.add(record.body.test)
        if record.kind == "test-opened":
            assert state.budget is not None
            assert record.body.level == state.budget.next_level()
        state.apply(record)
        if record.kind == "test-opened":
            assert state.open[record.body.test].progress.units == 0
            assert len(state.open) <= 3


def test_S8_what_was_judged_is_not_tested_again_and_what_the_line_moved_under_is_not_accepted() -> None:
    """Forged records: each does not fold."""
    loop = next(x for x in map(many, range(20)) if any(r.kind == "verdict" and r.body.again for r in x.records))
    for i, record in enumerate(loop.records):
        if record.kind != "verdict":
            continue
        if record.body.reason == "futile":
            forged = record.body.model_copy(update={"again": True})
        elif record.body.again:
            forged = record.body.model_copy(update={"verdict": "accept", "reason": "shown", "again": False})
        else:
            continue
        with pytest.raises(IntegrityError):
            fold([*loop.records[:i], replace(record, body=forged)])


def test_G3_tests_that_start_anew_wait_for_people_too() -> None:
    loop = PaperLoop(seed=5, proposals=30, at_once=4, approve=0.0)
    loop.begin()
    state, deepest = State(), 0
    loop.run()
    for record in loop.records:
        state.apply(record)
        deepest = max(deepest, state.debt[0] if state.line and state.epoch else 0)
    assert deepest <= 3


def test_S2_an_improver_that_was_ahead_of_its_verdicts_is_asked_again() -> None:
    loop = PaperLoop(seed=0, proposals=6, at_once=2)
    loop.begin()
    while not (loop.state.open and loop.state.current is None):
        action = plan.next_action(loop.state, plan.Facts(0.0))
        getattr(loop, "_" + type(action).__name__)(action)
    assert isinstance(plan.next_action(loop.state, plan.Facts(0.0)), plan.Propose)
    loop.state.run_exhausted = True
    assert isinstance(plan.next_action(loop.state, plan.Facts(0.0)), plan.RunBatch)
    while loop.state.open:
        action = plan.next_action(loop.state, plan.Facts(0.0))
        getattr(loop, "_" + type(action).__name__)(action)
    assert not loop.state.run_exhausted


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([None, 0.6]))
def test_V7_plants_beside_other_tests_are_each_revealed_and_cost_nothing(seed: int, at_once: int, gain: float | None):
    loop = PaperLoop(seed=seed, proposals=10, at_once=at_once, plant=0.5, plant_gain=gain, approve=1.0)
    loop.begin()
    loop.run()
    state = fold(loop.records)
    assert state == loop.state
    assert read_report(loop.records, lambda _: b"{}").certified == total_gain(state)  # two readings, one bound
    open_now = {t.proposal for t in state.open.values()} | set(state.again) | {state.current}
    assert {n for n in loop.origins if loop.planted(n)} - {p.proposal for p in state.plants} <= open_now
    assert not {g.proposal for g in state.generations.values()} & {p.proposal for p in state.plants}
    spent = sum(r.body.alpha_spent for r in loop.records if r.kind == "verdict")
    planted = {p.proposal for p in state.plants}
    spent -= sum(r.body.alpha_spent for r in loop.records if r.kind == "verdict" and r.body.proposal in planted)
    assert state.budget is not None
    last = {r.body.test: r.body.again for r in loop.records if r.kind == "verdict" and r.body.proposal in planted}
    if not any(last.values()):  # a plant that the line moved under had a test that was never revealed: it stays paid
        assert state.budget.spent == pytest.approx(spent, abs=1e-12)
