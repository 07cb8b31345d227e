"""The page can say yes, in every stage and for the next rung; and never where any one piece of evidence is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.loop import soaks
from festina.loop.outcomes import Known
from festina.report.data import ReportData, TwinsRow
from festina.report.trust.grounds import Case
from festina.report.trust.judging import judge
from festina.report.trust.model import Checked
from festina.report.trust.seen import At
from festina.review.calibration import Calibration
from festina.select import monitor
from festina.select.rates import exact
from tests.report.made_ledger import digest, made_run, oid
from tests.report.test_trust import NOW, _plant, case, drill, ground, halt, measured, suite, watch

PROPOSAL, EXPERIMENT, SELECTION, DEPLOYMENT = ("proposal",), ("experimentation",), ("selection",), ("deployment",)
RUNG = ("next rung",)
LATER = At(3, "2026-11-23T12:00:00.000Z")
Without = Callable[[Case], Case]


def eye(name: str) -> Calibration:
    low, high = exact(6, 6)
    return Calibration(name, False, 6, 6, low, high, 3, 0, None, 0, 0, 0, None, True, "")


def whole() -> Case:
    """A record in which nothing is missing."""
    log = made_run()
    drill(log)
    halt(log)
    made = case(log)
    data = replace(
        made.data, plants=(replace(_plant(), outcome="rejected"),) * 17,
        twins=TwinsRow(0.1, 0.001, 20, (5,), (), None, ()),
    )  # fmt: skip
    seen = made.seen
    seen.rollbacks = [(LATER, replace(LATER, seq=4))]
    return replace(
        made, data=data, eyes=(eye("ann"), eye("bob")), watches=(watch(),), suites=(suite(),),
        abilities=measured(0.9), safeguards={"two-people": "2027-11-01T00:00:00.000Z"},
    )  # fmt: skip


WHOLE = whole()


def data(**changed: object) -> Without:
    return lambda made: replace(made, data=replace(made.data, **changed))  # type: ignore[arg-type]


def seen(name: str, value: object) -> Without:
    def gone(made: Case) -> Case:
        other = replace(made.seen)
        setattr(other, name, value)
        return replace(made, seen=other)

    return gone


def of(**changed: object) -> Without:
    return lambda made: replace(made, **changed)  # type: ignore[arg-type]


def weaker(**changed: object) -> Without:
    """The newest run as it would be with less confinement."""

    def gone(made: Case) -> Case:
        runs = tuple(replace(run, **changed) for run in made.data.runs)  # type: ignore[arg-type]
        return replace(made, data=replace(made.data, runs=runs))

    return gone


def unreleased(made: Case) -> Case:
    rows = tuple(replace(row, released_now=False) for row in made.data.generations)
    return replace(made, data=replace(made.data, generations=rows))


def older_rules(made: Case) -> Case:
    return seen("rules", At(made.data.size, made.data.last_at))(made)


MISSING: Mapping[str, tuple[Without, tuple[str, ...]]] = {
    "drill": (seen("drill", None), PROPOSAL + EXPERIMENT), "rules as then": (older_rules, PROPOSAL + SELECTION),
    "proposals": (data(proposals=()), PROPOSAL),
    "a record that holds": (of(checked=Checked(False, "entry 3: it does not hold", True)), PROPOSAL + SELECTION),
    "runs": (data(runs=()), EXPERIMENT), "the level": (weaker(level=2), EXPERIMENT),
    "users of their own": (weaker(separated_uids=False), EXPERIMENT),
    "tests": (data(tests=()), EXPERIMENT + SELECTION), "rules": (data(epochs=()), SELECTION),
    "controls": (data(controls=()), SELECTION), "itself": (data(twins=None), SELECTION),
    "plants": (data(plants=()), SELECTION), "one plant less": (data(plants=WHOLE.data.plants[1:]), SELECTION),
    "public gain": (data(overfit=None), SELECTION), "final score": (data(finals=()), SELECTION),
    "numbers made again": (of(checked=Checked(True, "it holds", None)), SELECTION),
    "a release": (unreleased, DEPLOYMENT), "a roll back": (seen("rollbacks", []), DEPLOYMENT),
    "a halt": (seen("halts", []), DEPLOYMENT), "a watch": (of(watches=()), DEPLOYMENT),
    "a look at a draft": (of(drafts={5: "may be one"}), DEPLOYMENT),
    "people": (of(eyes=()), RUNG), "a second trained eye": (of(eyes=(eye("ann"), replace(eye("bob"), low=0.4))), RUNG),
    "suites": (of(suites=()), RUNG), "a measurement": (of(abilities={}), RUNG), "safeguards": (of(safeguards={}), RUNG),
    "the present": (of(now=NOW + timedelta(days=31)), PROPOSAL + EXPERIMENT + SELECTION + DEPLOYMENT),
    "the past": (of(now=NOW - timedelta(days=30)), PROPOSAL + EXPERIMENT + DEPLOYMENT),
}  # fmt: skip


def test_W5_where_nothing_is_missing_every_stage_and_the_next_rung_are_a_yes() -> None:
    found = judge(WHOLE)
    assert {stage.name: [g.name for g in stage.open] for stage in found.stages} == {s.name: [] for s in found.stages}
    assert [stage.name for stage in found.stages][-1] == "next rung"
    assert found.rung == "unattended"


@pytest.mark.parametrize("name", MISSING)
def test_W5_each_piece_of_evidence_that_is_missing_takes_its_yes_and_that_of_the_next_rung(name: str) -> None:
    gone, stages = MISSING[name]
    found = {stage.name: stage.answer for stage in judge(gone(WHOLE)).stages}
    assert {stage: found[stage] == "yes" for stage in (*stages, *RUNG)} == dict.fromkeys((*stages, *RUNG), False)


@given(st.sets(st.sampled_from(sorted(MISSING)), min_size=1))
@settings(max_examples=30, deadline=None)
def test_W5_no_two_gaps_hide_each_other(names: set[str]) -> None:
    made, stages = WHOLE, set(RUNG)
    for name in sorted(names):
        gone, mine = MISSING[name]
        made, stages = gone(made), stages | set(mine)
    found = {stage.name: stage.answer for stage in judge(made).stages}
    assert [stage for stage in stages if found.get(stage) == "yes"] == []


def test_W5_a_second_release_is_scored_over_the_first_and_a_line_that_ran_ahead_leaves_what_is_in_use_scored() -> None:
    head = WHOLE.data.line[-1].generation
    row = next(f for f in WHOLE.data.finals if (f.generation_a, f.generation_b) == (head, 0))

    def answer(**changed: object) -> tuple[str, str]:
        made = data(finals=(replace(row, **changed),))(WHOLE)  # type: ignore[arg-type]
        found = ground(judge(made), "selection", "gain on items that no test used")
        return found.answer, found.words

    assert answer(generation_b=1)[0] == "yes"
    assert f"generation {head} over generation 1: " in answer(generation_b=1)[1]
    assert answer(generation_b=1, interval=(-0.3, -0.1))[0] == "no"
    used = next(g.generation for g in WHOLE.data.generations if g.released_now)
    assert answer(generation_a=used)[0] == "yes"
    assert answer(generation_a=99)[0] == "cannot tell yet"
    assert answer(generation_a=0)[0] == "cannot tell yet", "the start gained nothing"
    assert answer(generation_b=None)[0] == "cannot tell yet", "a tree of another ledger"
    first, again = replace(row, generation_b=1), replace(row, generation_b=1, interval=(-0.3, -0.1), seq=row.seq + 1)
    found = ground(judge(data(finals=(first, again))(WHOLE)), "selection", "gain on items that no test used")
    assert found.answer == "no", "scored again, under later rules: the newest answer counts"


# -- what serves no requests -----------------------------------------------------------------------------------

TERMS = e.SoakTerms(
    name="long", scorer="s:f", low=0.0, high=1.0, direction="higher", units=400, batch_items=10, max_loss=0.05,
    valid_s=14 * 86400.0,
)  # fmt: skip


def soaked(low: float, high: float, at: str = "2026-11-23T12:00:00.000Z") -> soaks.Soak:
    body = e.Soaked(
        measure=3, suite="long", generation=2, tree=oid("t2"), base=oid("t0"), units=400, items=4000, mean=0.9,
        base_mean=0.9, estimate=(low + high) / 2, interval=(low, high), answer="holds", details=digest("d"), asked=1,
    )  # fmt: skip
    return soaks.Soak(at, "5" * 64, body, 12)


@pytest.mark.parametrize(
    ("terms", "row", "answer", "word"),
    [
        (TERMS, soaked(-0.02, 0.03), "yes", "holds within 0.05"),
        (TERMS, soaked(-0.2, 0.1), "cannot tell yet", "not shown to hold"),
        (TERMS, soaked(-0.2, -0.1), "no", "worse by more than"),
        (TERMS, soaked(-0.02, 0.03, "2026-11-01T12:00:00.000Z"), "cannot tell yet", "not valid now"),
        (TERMS, None, "cannot tell yet", "have not run"),
        (TERMS.model_copy(update={"max_loss": 0.5}), soaked(-0.02, 0.03), "cannot tell yet", "may be lost"),
    ],
)
def test_D3_W5_what_serves_no_requests_stands_on_soaks_that_hold_and_are_fresh(
    terms: e.SoakTerms, row: soaks.Soak | None, answer: str, word: str
) -> None:
    found = judge(replace(WHOLE, watches=(), soaks=((terms, row),)))
    mine = ground(found, "deployment", "watch after release")
    assert (mine.answer, word in mine.words) == (answer, True), mine.words
    assert {s.name: s.answer for s in found.stages}["deployment"] == answer
    watched = judge(replace(WHOLE, soaks=((terms, row),)))
    assert ground(watched, "deployment", "watch after release").answer == "yes", "requests were watched"
    left = replace(watch(), ended=None, ended_seq=None, ended_at="", requests=0)
    started = watch().started.model_copy(update={"commit": oid("c9")})
    for seen_ in (left, replace(watch(), started=started)):  # left open, or of another version: it does serve
        found = ground(judge(replace(WHOLE, watches=(seen_,), soaks=((terms, row),))), "deployment", mine.name)
        assert (found.answer, "was not watched" in found.words) == ("cannot tell yet", True)


def test_D4_W5_outcomes_count_where_the_rules_ask_for_them() -> None:
    terms = e.OutcomeTerms(tolerate=0.02, least=50, valid_s=30 * 86400.0, alpha=0.01)

    def answer(events: str, day: datetime = NOW - timedelta(days=1)) -> str:
        seen_ = monitor.start(terms.tolerate, terms.alpha)
        for bit in events:
            seen_ = monitor.observe(seen_, bit == "1")
        at = day.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = e.OutcomesCounted(
            batch=0, generation=2, commit=oid("c2"), rows=digest("r"), events=events, first=at, last=at
        )
        found = judge(replace(WHOLE, later=(terms, Known(seen_, (body,)))))
        return ground(found, "deployment", "what became of its work").answer

    assert answer("0" * 60) == "yes"
    assert answer("0" * 20) == "cannot tell yet"
    assert answer("0" * 60, NOW - timedelta(days=60)) == "cannot tell yet"
    assert answer("1" * 20) == "no"
    assert ground(judge(replace(WHOLE, later=(terms, None))), "deployment", "what became of its work").next
    assert isinstance(WHOLE.data, ReportData)
