"""How far the working line may run ahead of people who understood it.  # G-3"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.ledger.measures import HunkEffect
from festina.loop import debt
from festina.loop import next as plan
from festina.loop.state import State
from festina.review.seats import Vote
from festina.select.attribution import SINGLE
from festina.system.manifest import parse_manifest
from tests.loop.paper import PaperLoop


def grown() -> PaperLoop:
    """A line with two changes that nobody has looked at since generation 0, about to propose the next."""
    for seed in range(1, 40):
        loop = PaperLoop(seed, proposals=12, approve=0.0)
        loop.begin()
        while not isinstance(action := plan.next_action(loop.state, loop.facts()), plan.Finish):
            if loop.state.line and loop.state.debt[0] == 2 and isinstance(action, plan.Propose):
                return loop
            getattr(loop, f"_{type(action).__name__}")(action)
    raise AssertionError("nothing was accepted")


LOOP = grown()


def changed(**epoch: Any) -> State:
    s = copy.deepcopy(LOOP.state)
    assert s.epoch is not None
    s.epoch = s.epoch.model_copy(update=epoch)
    return s


def taken_apart(total: float, *hunks: tuple[str, float]) -> e.Attributed:
    rows = tuple(
        HunkEffect.model_construct(
            verdict=word, leave_out=None if word == "needed" else (size, size, size), share=None, alone=None
        )
        for word, size in hunks
    )
    return e.Attributed.model_construct(total=(total, total, total), hunks=rows)


def vote(right: bool | None, *, approved: bool = True, demo: bool = False) -> Vote:
    word = "approve" if approved else "deny"
    decision = e.ReviewDecided.model_construct(decision=word, reviewer="ann", without_person=demo)
    return Vote(0, None, decision, "approve", right, None)


def approved_by(*votes: Vote) -> State:
    """The first of the two changes was approved by these votes."""
    s = changed(debt_generations=5, debt_lines=100)
    number, review = s.line[-2], next(iter(s.reviews.values()))
    s.generations[number].approved = review.terms.review
    review.votes, s.in_force = votes, number
    return s


@pytest.mark.parametrize(
    ("votes", "wrong"),
    [
        ((vote(False),), True), ((vote(False), vote(False)), True), ((vote(False), vote(True)), False),
        ((vote(True),), False), ((vote(None),), False), ((vote(False, demo=True),), False),
        ((vote(True, approved=False), vote(False)), True), ((), False),
    ],
)  # fmt: skip
def test_G3_an_approval_whose_every_answer_was_wrong_halves_what_may_follow(
    votes: tuple[Vote, ...], wrong: bool
) -> None:
    owed = debt.of(approved_by(*votes))
    assert owed.wrong is wrong
    assert (owed.most_generations, owed.most_lines) == ((2, 50) if wrong else (5, 100))
    assert (debt.WRONG in owed.sentence) is wrong


def test_G3_what_a_demo_key_approves_later_makes_no_wrong_answer_right() -> None:
    s = approved_by(vote(False))
    review = next(iter(s.reviews.values()))
    s.reviews[99] = copy.copy(review)
    s.reviews[99].votes = (vote(None, demo=True),)
    s.generations[s.line[-1]].approved = 99
    assert debt.of(s).wrong
    s.reviews[99].votes = (vote(True),)
    assert not debt.of(s).wrong


def test_G3_half_of_one_is_one_so_that_a_loop_can_always_go_on() -> None:
    s = approved_by(vote(False))
    assert s.epoch is not None
    s.epoch = s.epoch.model_copy(update={"debt_generations": 1, "debt_lines": 1})
    assert (debt.of(s).most_generations, debt.of(s).most_lines) == (1, 1)


def test_G3_the_loop_waits_at_the_halved_limit_and_goes_on_at_the_whole_one() -> None:
    s = approved_by(vote(False))
    assert s.epoch is not None
    s.epoch = s.epoch.model_copy(update={"debt_generations": 2, "debt_lines": 10**6})
    assert s.debt[0] == 1
    waits = plan.next_action(s, LOOP.facts())
    assert isinstance(waits, plan.Finish)
    assert waits.reason == "waiting"
    next(iter(s.reviews.values())).votes = (vote(True),)
    assert isinstance(plan.next_action(s, LOOP.facts()), plan.Propose)


def test_G3_gain_that_no_hunk_explains_is_counted_by_its_size() -> None:
    s = changed(attribution_share=0.25)
    first, second = (s.generations[n] for n in s.line[-2:])
    gains = [g.verdict.estimate or 0.0 for g in (first, second) if g.verdict is not None]
    assert min(gains) > 0.0
    first.attribution = e.MeasureSkipped.model_construct(reason=SINGLE)
    second.attribution = taken_apart(0.4, ("helps", 0.3), ("unclear", 0.2))
    assert debt.of(s).unexplained == pytest.approx(0.25 * gains[1] / sum(gains))
    second.attribution = taken_apart(0.4, ("helps", 0.4), ("helps", 0.4))  # each does all of it, together no more
    assert debt.of(s).unexplained == pytest.approx(gains[1] / sum(gains))
    second.attribution = taken_apart(0.4, ("needed", 0.0))
    assert debt.of(s).unexplained == 0.0
    first.attribution = e.MeasureSkipped.model_construct(reason="its share is too small")
    second.attribution = None
    assert debt.of(s).unexplained == 1.0  # what was not taken apart explains nothing
    assert debt.of(changed(attribution_share=0.0)).unexplained is None  # nobody takes anything apart there


def part(word: str, effect: float | None, alone: float | None) -> HunkEffect:
    def around(size: float | None) -> tuple[float, float, float] | None:
        return None if size is None else (size, size - 0.01, size + 0.01)

    return HunkEffect.model_construct(verdict=word, leave_out=around(effect), share=None, alone=around(alone))


@pytest.mark.parametrize(
    ("parts", "unexplained"),
    [
        ([part("needed", None, 0.4), part("nothing", 0.0, 0.0)], 0.0),  # by itself it does all of it
        ([part("needed", None, 0.1), part("helps", 0.3, None)], 0.0),
        ([part("needed", None, 0.0), part("unclear", 0.2, None), part("unclear", 0.2, None)], 1.0),  # a line all call
        ([part("needed", None, 0.0), part("nothing", 0.0, None), part("nothing", 0.0, None)], 1.0),  # either does it
        ([part("needed", None, None), part("nothing", 0.0, None), part("nothing", 0.0, None)], 1.0),
        ([part("needed", None, 0.1), part("unclear", 0.1, None)], 0.75),
        ([part("needed", None, None), part("needed", None, None)], 0.0),  # one change in two places
        ([part("needed", None, None), part("needed", None, None), part("nothing", 0.0, 0.0)], 0.0),
        ([part("needed", None, None), part("needed", None, None), part("unclear", 0.1, 0.0)], 1.0),
        ([part("needed", None, 0.9), part("helps", 0.1, None)], 0.0),  # no more than there is to explain
        ([part("needed", None, 0.4), part("helps", 0.4, None), part("helps", 0.4, None)], 1.0),
    ],
)
def test_G3_a_hunk_without_which_nothing_runs_explains_what_it_does_and_not_what_the_change_does(
    parts: list[HunkEffect], unexplained: float
) -> None:
    s = changed(attribution_share=0.25)
    for number in s.line[-2:]:
        s.generations[number].attribution = e.Attributed.model_construct(total=(0.4, 0.4, 0.4), hunks=tuple(parts))
    assert debt.of(s).unexplained == pytest.approx(unexplained)


def test_G3_a_limit_on_unexplained_gain_holds_the_loop() -> None:
    s = changed(attribution_share=0.25, debt_unexplained=0.5, debt_generations=50, debt_lines=10**6)
    for number in s.line[-2:]:
        s.generations[number].attribution = taken_apart(0.4, ("unclear", 0.4))
    assert debt.of(s).over
    waits = plan.next_action(s, LOOP.facts())
    assert isinstance(waits, plan.Finish)
    assert "100% of their gain is explained by no part of a change (50% may be)" in debt.of(s).sentence
    for number in s.line[-2:]:
        s.generations[number].attribution = taken_apart(0.4, ("helps", 0.4))
    assert not debt.of(s).over
    assert isinstance(plan.next_action(s, LOOP.facts()), plan.Propose)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([True, False, None]), max_size=4), st.integers(1, 12), st.integers(1, 400))
def test_G3_nothing_that_people_answer_lets_the_loop_run_further_than_the_policy(
    answers: list[bool | None], generations: int, lines: int
) -> None:
    s = approved_by(*(vote(right) for right in answers))
    assert s.epoch is not None
    s.epoch = s.epoch.model_copy(update={"debt_generations": generations, "debt_lines": lines})
    owed = debt.of(s)
    assert 1 <= owed.most_generations <= generations
    assert 1 <= owed.most_lines <= lines
    assert owed.over >= (s.debt[0] >= generations or s.debt[1] >= lines)


def test_G3_a_limit_that_nothing_could_meet_is_an_error_of_the_manifest() -> None:
    text = (
        '[system]\nname = "x"\n[scope]\nallow = ["a.py"]\n[experiment]\nrun = ["a"]\n[suite.hidden]\nscorer = "s:f"\n'
        "range = [0, 1]\ndetect = 0.1\n[policy]\ndebt = { unexplained = 0.5 }\n"
    )
    assert parse_manifest(text.encode()).policy.debt.unexplained == 0.5
    with pytest.raises(Exception, match=r"policy\.debt\.unexplained"):
        parse_manifest((text + "attribution = { share = 0 }\n").encode())
