"""Whether recursion pays, measured on a real system: cross-play, control arm, shares of the gain."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from festina.cli.words import recursion_sentence
from festina.errors import Fault, IntegrityError, UsageError
from festina.ledger import entries as e
from festina.loop.arm import spent
from festina.loop.bench import Bench, Replan
from festina.loop.crossplay import Wanted, _resumed
from festina.loop.engine import Options, measuring
from festina.loop.growth import HANDLERS, Arm, Crossplay, Grown, by_changed, compared, models_spent, sentences
from festina.loop.recount import recount
from festina.propose.meter import Cost
from festina.report.certified import Steps
from festina.select.pairing import product_means
from tests.loop.commandline import evidence, festina
from tests.loop.forging import edited, ledger_of, signed_again, wrong
from tests.loop.invariants import check, no_orphans, read
from tests.loop.paper import Paper, PaperLoop, Searching
from tests.toy import Toy, make_toy


def patched(toy: Toy, path: Path, *, skill: str, step: str) -> Path:
    """A person's change of skill and improver, as a patch."""
    (toy.root / "skill.json").write_text(f'{{"skill": {skill}}}')
    code = (toy.root / "improve.py").read_text()
    (toy.root / "improve.py").write_text(code.replace("step = 0.1\n", f"step = {step}\n"))
    path.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "--", ".")
    return path


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Skill 0.1 and an improver that adds 0.1; a person's generation 1 has skill 0.7 and an improver that adds 0.5."""
    base = tmp_path_factory.mktemp("grown")
    before = {key: os.environ.get(key) for key in ("FESTINA_HOME", "FESTINA_REVIEWER_KEYS")}
    toy = make_toy(base, skill=0.1, step="0.1", detect=0.3)
    patch = patched(toy, base / "more.patch", skill="0.7", step="0.5")
    done = festina("run", "--with", str(patch), "--as", "ann", "--proposals", "1", "--budget", "200s", toy=toy)
    os.environ.update({key: value for key, value in before.items() if value is not None})
    assert "Accepted" in done.stderr, done.stderr
    return toy


PLAY = ("--crossplay", "--left", "1", "--problems", "6", "--units", "2")


def test_W2_crossplay_finds_the_better_improver_and_a_kill_loses_and_doubles_nothing(
    grown: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in grown.environment.items():
        monkeypatch.setenv(key, value)
    with monkeypatch.context() as crashing:
        crashing.setenv("FESTINA_CRASH_AT", "growth-problem")
        killed = festina("growth", *PLAY, toy=grown)
    assert killed.returncode == -signal.SIGKILL
    no_orphans(str(grown.root.parent))
    done = festina("growth", *PLAY, "--json", toy=grown)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answer"] == "paid"
    assert abs(found["left"][0] - 0.5) < 0.25
    assert found["ratio"] is None or found["ratio"][1] > 1.0
    state = check(grown.root, settled=True)
    records = read(grown.root)[1]
    kinds = Counter(r.kind for r in records)
    assert kinds["crossplay-planned"] == kinds["crossplay-ended"] == 1  # the plan stands before data, and once  # L-4
    assert kinds["crossplay-problem"] == 6
    charged = [r.body for r in records if r.kind == "measure-started" and r.body.purpose == "crossplay"]
    assert len(charged) == 7  # the one that was cut off is paid for, too  # E-1
    assert {x.trials for x in charged} == {2 + 3 * 2}
    assert len(state.proposals) == 1  # no product became a proposal
    assert found["sentence"] in festina("growth", toy=grown).stdout
    path = ledger_of(grown)
    assert recount(path).mismatches == ()  # S-4: what a cross-play found is made again, too
    for kind, change, field in (
        ("crossplay-ended", {"answer": "did not pay"}, "answer"), ("crossplay-problem", {"start": 0.99}, "start"),
    ):  # fmt: skip
        forged = signed_again(grown, tmp_path / f"{field}.db", edited(kind, lambda _, new=change: new))
        assert (kind, field) in wrong(recount(forged))
    play = state.growth.crossplays[0]
    for body in (play.problems[0], play.ended, e.ArmEnded.model_construct(arm=7)):  # nothing unplanned is a result
        with pytest.raises(IntegrityError) as refused:
            HANDLERS[body.kind](state, Paper(state.size, body.kind, "", body, ""), body)
        assert refused.value.name == "entry-does-not-fit"


def test_T6_a_measurement_that_is_cut_off_is_no_failure_of_anybody(
    grown: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in grown.environment.items():
        monkeypatch.setenv(key, value)

    def cut(seconds: float) -> None:
        with measuring(grown.root, Options(wall_s=seconds)) as bench:
            assert seconds or bench.expired.wait(60)
            raise Fault("cut-off", "the batch was cut off")

    for seconds, expected in ((0.0, Replan), (3600.0, Fault)):
        with pytest.raises(expected):
            cut(seconds)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--left", "1"), "--left belongs to --crossplay"),
        (("--control", "--problems", "5"), "--problems belongs to --crossplay"),
        (("--budget", "5s"), "--budget belongs to --crossplay or --control"),
        (("--crossplay", "--left", "0"), "both improvers would be generation 0's"),
    ],
)
def test_growth_passes_over_no_option_in_silence(grown: Toy, words: tuple[str, ...], said: str) -> None:
    done = festina("growth", *words, toy=grown)
    assert done.returncode == 2
    assert said in done.stderr


def test_V6_without_a_public_suite_it_is_said_that_overfitting_cannot_be_told(grown: Toy) -> None:
    assert "cannot be told" in festina("status", toy=grown).stdout.replace("\n", " ")
    assert "cannot be told" in evidence(0, grown, by="bob")  # the change is ann's own


def test_W2_P5_status_and_growth_say_who_made_the_gain(grown: Toy) -> None:
    for command in ("growth", "status"):
        said = " ".join(festina(command, toy=grown).stdout.split())
        assert "Gain by author (sums of estimates): people" in said
    made = json.loads(festina("growth", "--json", toy=grown).stdout)["authors"]
    assert [(row["author"], row["part"]) for row in made] == [("people", 1.0)]


def test_W2_the_control_arm_is_one_command_and_what_it_found_is_recorded(
    grown: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in grown.environment.items():
        monkeypatch.setenv(key, value)
    with monkeypatch.context() as crashing:
        crashing.setenv("FESTINA_CRASH_AT", "batch-started")
        killed = festina("growth", "--control", "--units", "12", toy=grown)
    assert killed.returncode == -signal.SIGKILL  # in the arm's own loop
    before = read(grown.root)[0]
    done = festina("growth", "--control", "--units", "12", toy=grown)
    assert done.returncode == 0, done.stderr
    state = check(grown.root, settled=True)
    (started, ended) = state.growth.arms[-1]
    assert len(state.growth.arms) == 1  # it went on with the arm that was cut off
    assert ended is not None
    assert ended.proposals <= started.proposals == 1  # the same budget
    assert ended.trials <= started.trials
    assert (ended.generations, ended.tree) == (0, state.epoch.start_tree)  # 0.1 more is under what was asked for
    assert ended.estimate > 0.3  # 0.7 against 0.1
    assert ended.answer == "cannot tell"  # ahead by what a person did: no changed improver has made anything
    assert state.line == before.line
    assert recount(ledger_of(grown)).mismatches == ()
    forged = signed_again(grown, tmp_path / "arm.db", edited("arm-ended", lambda _: {"answer": "paid"}))
    assert ("arm-ended", "answer") in wrong(recount(forged))
    assert ended.sentence in " ".join(festina("growth", toy=grown).stdout.split("\n"))
    assert "control arm" in festina("report", "--no-plots", "-o", "-", toy=grown).stdout


def test_W2_E1_an_arms_budget_holds_the_tries_of_the_line() -> None:
    """What the line's archive ran is charged to the line's runs, and its arm has an archive, too."""
    loop = Searching(seed=3, proposals=2)
    loop.begin()
    loop.run()
    assert loop.state.search.runs > 0
    assert spent(loop.records, 0).trials == loop.state.trials  # type: ignore[arg-type]


def test_W2_a_lead_over_an_arm_that_was_stopped_early_is_no_finding() -> None:
    loops = (PaperLoop(seed, proposals=8, approve=1.0) for seed in range(50))
    for loop in loops:
        loop.begin()
        loop.run()
        if any(p.word == "accepted" and p.from_generation != 0 for p in loop.state.proposals.values()):
            break
    s = loop.state
    terms = e.ArmStarted(
        arm=0, start_commit=s.generations[0].commit, head=s.head.number, proposals=8, trials=1000, spent_wall_s=1.0,
        wall_s=120.0,
    )  # fmt: skip
    ahead = e.FinalScored.model_construct(
        items=80, mean_a=0.7, mean_b=0.1, estimate=0.6, interval=(0.4, 0.8), tree_b=s.generations[0].commit
    )
    behind = ahead.model_copy(update={"estimate": -0.6, "interval": (-0.8, -0.4)})
    whole, stopped = Arm(0, 5, 998, "budget"), Arm(0, 5, 500, "budget")
    assert compared(s, terms, whole, ahead)["answer"] == "paid"  # positive control
    assert compared(s, terms, Arm(0, 5, 500, "exhausted"), ahead)["answer"] == "paid"  # it had nothing more to offer
    said = compared(s, terms, stopped, ahead)
    assert said["answer"] == "cannot tell"
    assert "stopped before its budget was spent" in said["sentence"]
    assert "5 of 8 proposals and 500 of 1,000 runs" in said["sentence"]
    assert compared(s, terms, stopped, behind)["answer"] == "did not pay"  # ahead with less
    for p in s.proposals.values():
        p.from_generation = 0
    luck = compared(s, terms, whole, behind)
    assert luck["answer"] == "cannot tell"  # one improver on both sides: the arm had better luck
    assert "no changed improver has proposed anything" in luck["sentence"]


def test_W2_E5_an_arm_has_as_much_of_models_as_the_line_which_may_have_had_several_runs() -> None:
    def asked(call: int, seq: int) -> Paper:
        body = e.ModelAsked(call=call, asker="improver", proposal=0, model="m", request="a" * 64, calls=1,
                            tokens_in=90, tokens_out=10, money=1.0)  # fmt: skip
        return Paper(seq, body.kind, "", body, "")

    def answered(call: int, seq: int) -> Paper:
        body = e.ModelAnswered(call=call, ended="ok", reply=None, calls=1, tokens_in=9, tokens_out=1, money=0.1,
                               metered=True, wall_s=1.0)  # fmt: skip
        return Paper(seq, body.kind, "", body, "")

    rows = [asked(0, 0), answered(0, 1), asked(1, 2), answered(1, 3), asked(2, 4)]
    assert spent(rows, 0).models == Cost(108, 12, 1.2, 3)  # type: ignore[arg-type]  # what was cut off counts in full
    assert spent(rows, 2).models == Cost(99, 11, 1.1, 2)  # type: ignore[arg-type]
    line = e.ArmStarted(arm=0, start_commit="a" * 40, head=0, proposals=9, trials=9, spent_wall_s=0.0, wall_s=1.0,
                        calls=3, tokens=120, money=0.0)  # fmt: skip
    assert models_spent(line, Cost(0, 0, 0.0, 3))
    assert models_spent(line, Cost(100, 20, 0.0, 2))
    assert not models_spent(line, Cost(100, 19, 5.0, 2))  # the line's model cost no money
    assert not models_spent(line.model_copy(update={"calls": 0, "tokens": 0}), Cost(1, 1, 1.0, 1))


def test_V1_W2_without_a_range_a_product_that_does_not_run_is_no_better_than_a_bad_one() -> None:
    def unit(product: float | None, right: float | None, start: float | None) -> dict[str, float | None]:
        return {"candidate": product, "incumbent": right, "anchor": start}

    fine = [unit(5.0, 4.0, 4.0), unit(5.0, 4.0, 4.0)]
    assert product_means(fine, 1.0) == {"candidate": 5.0, "incumbent": 4.0, "anchor": 4.0}
    half = product_means([unit(5.0, 4.0, 4.0), unit(None, 4.0, 4.0)], 1.0)
    assert half == {"candidate": 2.5, "incumbent": 4.0, "anchor": 4.0}  # its failure used to be left out: 5.0
    none = [unit(None, 4.0, 4.0)] * 2  # and used to count as the start, 4.0
    assert [made["candidate"] for sign in (1.0, -1.0) if (made := product_means(none, sign))] == [0.0, 8.0]
    assert product_means([unit(None, 1.0, None), unit(3.0, 1.0, 2.0)], 1.0) == {
        "candidate": 1.5, "incumbent": 1.0, "anchor": 2.0}  # fmt: skip
    twice = [{"candidate": None, "incumbent": 0.1}]  # the right product is the start
    assert product_means(twice, 1.0) == {"candidate": -0.9, "incumbent": 0.1, "anchor": 0.1}
    assert product_means([unit(1.0, 1.0, None)], 1.0) is None


def test_L4_W2_a_crossplay_that_was_begun_is_finished_as_it_was_planned() -> None:
    plan = e.CrossplayPlanned(
        crossplay=0, left=1, right=0, start=0, left_commit="b" * 40, right_commit="a" * 40, start_commit="a" * 40,
        problems=24, units=8, wall_s=1.0, cpu_s=1.0,
    )  # fmt: skip
    play = Crossplay(plan, "c" * 64)
    b = cast(Bench, SimpleNamespace(state=SimpleNamespace(growth=Grown([play]))))
    wanted = Wanted(1, 0, 0, 24, 8)
    assert _resumed(b, wanted) is play
    for other in (replace(wanted, problems=25), replace(wanted, units=9)):
        with pytest.raises(UsageError, match="--problems 24 --units 8") as refused:
            _resumed(b, other)
        assert refused.value.name == "crossplay-open"
    assert _resumed(b, replace(wanted, right=2)) is None  # other improvers may be compared beside it
    play.ended = e.CrossplayEnded.model_construct(crossplay=0)
    assert _resumed(b, replace(wanted, problems=25)) is None


def test_W2_only_what_a_changed_improver_made_says_that_recursion_paid() -> None:
    """People's later changes, and the first improver's, say nothing about it."""
    loops = (PaperLoop(seed, proposals=8, approve=1.0) for seed in range(50))
    for loop in loops:
        loop.begin()
        loop.run()
        if by_changed(loop.state, loop.state.head.number):
            break
    s = loop.state
    final = e.FinalScored.model_construct(items=80, mean_a=0.7, mean_b=0.1, estimate=0.6, interval=(0.4, 0.8))
    assert recursion_sentence(final, s).startswith("Recursion paid in this run")  # positive control
    for proposal in s.proposals.values():
        if proposal.from_generation != s.line[0]:
            proposal.improver = "person:ann"  # handed in while a changed improver was in force
    assert recursion_sentence(final, s).startswith("Whether recursion pays cannot be told yet")


def test_W2_whoever_measures_again_until_it_paid_shows_the_other_answers_with_it() -> None:
    loop = PaperLoop(1)
    loop.begin()
    answers = ["did not pay", "cannot tell", "did not pay", "paid"]
    arms = [e.ArmEnded.model_construct(answer=answer, sentence=f"It {answer}.") for answer in answers]
    for count in (1, 4):
        loop.state.growth.arms = [(e.ArmStarted.model_construct(arm=0), arm) for arm in arms[-count:]]
        said = " ".join(sentences(loop.state))
        assert "It paid." in said
        assert ("Of 4 control arms: 1 paid, 2 did not pay, 1 cannot tell." in said) == (count == 4)


def test_W2_S1_nothing_that_was_begun_under_other_rules_goes_on() -> None:
    loop = PaperLoop(1)
    loop.begin()
    loop.run()
    first = loop.state.generations[0].commit
    play = e.CrossplayPlanned(
        crossplay=0, left=0, right=0, start=0, left_commit=first, right_commit=first, start_commit=first, problems=3,
        units=1, wall_s=1.0, cpu_s=1.0,
    )  # fmt: skip
    arm = e.ArmStarted(arm=0, start_commit=first, head=0, proposals=1, trials=1, spent_wall_s=0.0, wall_s=1.0)
    loop.put(play, arm)
    grown = loop.state.growth
    assert (grown.open_arm, [p.plan for p in grown.going]) == (arm, [play])  # positive control
    epoch = next(r.body for r in loop.records if r.kind == "epoch-opened")
    loop.put(epoch.model_copy(update={"epoch": 1, "reason": "another scorer"}))
    assert (grown.open_arm, grown.going) == (None, [])
    with pytest.raises(IntegrityError, match="not open"):
        loop.put(e.CrossplayEnded.model_construct(crossplay=0, problems=0))
    loop.put(arm.model_copy(update={"arm": 1}))  # a new one may begin


def test_P5_W2_what_the_first_improver_tried_is_its_own_whenever_it_is_handed_in() -> None:
    """An archive outlives a changed improver's approval: its older trees are no merit of the newer improver."""
    for seed in range(35, 200):  # the 35th does
        loop = Searching(seed=seed, proposals=8, approve=1.0)
        loop.begin()
        loop.run()
        loop.start_run()
        loop.run()
        s, head = loop.state, loop.state.head.number
        late = [p for p in s.proposals.values() if p.word == "accepted" and p.from_generation != 0]
        older = [p for p in late if s.search.nodes[s.search.by_tree[p.tree or ""]].from_generation == 0]
        if older:
            break
    assert older
    assert by_changed(s, head) == len(late) - len(older)
    read = Steps()
    for record in loop.records:
        read.take(record.body)
    assert {read.makers[p.tree or ""] for p in older} == {0}  # the report says the same
