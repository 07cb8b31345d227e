"""Growth read off the record: gains on one scale, sentences that are true in every state, alarms made again."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import log2
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.loop import corners, outlook, outlook_words
from festina.loop.rows import Generation
from festina.loop.state import State
from festina.select.certified import Step


def line(
    shares: list[float], trials: list[int] | None = None, *, direction: str = "higher", ranged: bool = True,
    targets: dict[int, str] | None = None,
) -> State:  # fmt: skip
    """A state whose line had these mean scores, in a range of 0 to 10 (``lower``: 10 is worst)."""
    s = State()
    low, high = (0.0, 10.0) if ranged else (None, None)
    suite = SimpleNamespace(low=low, high=high, direction=direction, mode="fresh", batch_items=10)
    s.epoch = cast(Any, SimpleNamespace(suite=suite, crossplay_share=0.0))
    s.line = list(range(len(shares)))
    for number, share in enumerate(shares):
        value = 10.0 * share if direction == "higher" else 10.0 * (1.0 - share)
        g = Generation(number, f"{number:040x}", number - 1 if number else None, trials=(trials or [100] * 99)[number])
        if number:
            before = shares[number - 1]
            old = 10.0 * before if direction == "higher" else 10.0 * (1.0 - before)
            wobble = itertools.cycle((-0.01, 0.01))
            g.means, g.target = (value, old), cast(Any, (targets or {}).get(number, "gain"))
            g.step = Step(tuple(share - before + next(wobble) for _ in range(40)), 0.1)
        s.generations[number] = g
    return s


def growing(odds: list[float]) -> list[float]:
    """Mean scores whose odds double so many times, from even."""
    return [float(1.0 / (1.0 + 2.0**-x)) for x in np.cumsum([-4.0, *odds])]


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_W1_a_gain_is_the_doublings_of_the_odds_whatever_the_direction(direction: str) -> None:
    s = line([0.2, 0.5, 0.8], [0, 100, 250], direction=direction)
    made = outlook.gains(s)
    assert [g.doublings for g in made] == pytest.approx([2.0, 2.0], abs=1e-6)
    assert [g.effort for g in made] == [100, 150]
    assert 0.0 < made[0].error < 0.1


def test_W1_without_a_range_a_gain_is_doublings_of_the_score_and_where_that_means_nothing_there_is_none() -> None:
    made = outlook.gains(line([0.1, 0.2, 0.4], ranged=False))
    assert [g.doublings for g in made] == pytest.approx([1.0, 1.0])
    assert outlook.gains(line([0.1, -0.2], ranged=False)) == ()


@pytest.mark.parametrize(
    "means", [(1e300, 1e-300), (1e308, 5e-324), (1e200, 1.0), (float("inf"), 1.0), (float("nan"), 1.0)]
)
def test_W1_T5_a_script_that_prints_any_number_gives_a_gain_that_is_one_or_none(means: tuple[float, float]) -> None:
    s = line([0.1, 0.2, 0.4, 0.6, 0.8], ranged=False)
    s.generations[4].means = means
    assert len(outlook.gains(s)) == 3
    s.generations[4].means = (2.0, 1.0)
    assert len(outlook.gains(s)) == 4
    s.generations[4].step = Step((means[0], -means[0]), 0.1)
    assert len(outlook.gains(s)) == 3


def test_W1_what_only_changed_the_improver_has_no_gain_and_its_cost_counts_for_the_next() -> None:
    s = line([0.2, 0.2, 0.5], [0, 100, 250], targets={1: "productivity"})
    assert [(g.generation, g.effort) for g in outlook.gains(s)] == [(2, 250)]


def test_W3_the_gap_is_what_was_gained_since_and_missing_where_a_gain_is() -> None:
    s = line(growing([0.5, 0.25, 0.25]))
    gap = outlook.gap_since(s, 1)
    assert gap is not None
    assert gap[0] == pytest.approx(0.5, abs=1e-6)
    assert gap[1] > gap[0]
    assert outlook.gap_since(s, 3) == (0.0, 0.0)
    assert outlook.gap_since(s, 9) is None
    s.generations[2].means = None
    assert outlook.gap_since(s, 1) is None
    assert outlook.gap_since(s, 2) is not None


def test_W1_too_few_generations_say_how_many_more_it_takes() -> None:
    assert outlook.read(line(growing([0.5, 0.5]))) is None
    said = outlook_words.told(line(growing([0.5])), None)
    assert said == [
        "How the run grows cannot be told from 1 measured generation: it takes 2 more at least, and usually 10 to 30."
    ]
    assert outlook_words.told(line([0.5]), None) == []
    assert "on no scale" in outlook_words.told(line([0.1, -0.2], ranged=False), None)[0]


def test_W1_a_run_that_slows_is_told_so_and_what_is_not_known_of_it() -> None:
    s = line(growing([1.0 * 0.8**k for k in range(18)]), [100 * k for k in range(19)])
    reading = outlook.read(s)
    assert reading is not None
    assert reading.tendency == "slowing down"
    said = "\n".join(outlook_words.told(s, reading))
    assert "The pace (gain for the same effort) falls" in said
    assert "Why cannot be told from this" in said
    assert "90 % intervals held" in said
    assert outlook.read(s) is reading
    assert reading.next_gain[0] < reading.next_gain[1]
    assert reading.escape < 0.05


def test_W1_whatever_cannot_be_told_yet_says_when_it_will_be_or_why_that_is_not_said() -> None:
    s = line(growing([0.3, 0.4, 0.25, 0.35, 0.2, 0.3]), [100 * k for k in range(7)])
    reading = outlook.read(s)
    assert reading is not None
    assert reading.tendency == "cannot tell"
    reasons = {
        "if it does change, about 7 more generations tell which (in 80% of cases by then).": (7, 0.9),
        "if it does change, about 1 more generation tells which (in 80% of cases by then).": (1, 1.0),
        "even if it does change, 60 more generations tell in 35% of cases only": (None, 0.35),
        "that it changes is so unlikely that no number of generations can be said.": (None, None),
    }
    for words, (more, within) in reasons.items():
        said = outlook_words.told(s, replace(reading, more=more, within=within))[1]
        assert "cannot be told yet" in said
        assert words in said
    own = outlook_words.told(s, reading)[1]
    assert (reading.more is not None) == ("more generations tell which" in own)
    told = outlook.read(line(growing([1.0 * 0.8**k for k in range(18)]), [100 * k for k in range(19)]))
    assert told is not None
    assert (told.more, told.within) == (None, None)
    assert "more generation" not in outlook_words.told(s, told)[1]


def test_W3_a_leap_is_an_alarm_once_and_is_made_again_from_the_record() -> None:
    odds = [0.3, 0.25, 0.35, 0.3, 0.28, 0.32, 0.3, 0.27, 0.33, 0.3, 0.29]
    s = line(growing([*odds, 5.0]), [100 * k for k in range(13)])
    found = outlook.alarm_due(s)
    assert found is not None
    assert (found.alarm, found.generation, found.measured) == ("jump", 12, 12)
    assert found.size > 10
    assert outlook.check(s, found) == []
    assert outlook.check(s, found.model_copy(update={"size": 2.0}))[0][0] == "size"
    for rule in (1, 2):  # an old record's thresholds are its own
        earlier = outlook.alarm_due(s, rule)
        assert earlier is not None
        assert earlier.rule == rule
        assert outlook.check(s, earlier) == []
        assert (earlier.size, earlier.chance) == pytest.approx(
            (15.705906, 7.2126525e-05), rel=1e-4
        )  # as the versions before made it
    assert outlook.check(s, found.model_copy(update={"rule": 99}))[0][0] == "rule"
    assert outlook.check(line(growing(odds), [100 * k for k in range(12)]), found)[0] == ("alarm", "jump", "none")
    s.growth.alarms.append(found)
    assert outlook.alarm_due(s) is None
    assert "ALARM at generation 12: it gained" in outlook_words.alarms(s)[0]


# -- what is due, and four corners -------------------------------------------------------------------------------------


def played(left: int, right: int, start: int, scores: list[tuple[float, float, float]]) -> Any:
    plan = SimpleNamespace(left=left, right=right, start=start, problems=24, units=8)
    rows = [
        SimpleNamespace(left=SimpleNamespace(score=a), right=SimpleNamespace(score=b), start=c) for a, b, c in scores
    ]
    return SimpleNamespace(plan=plan, problems=rows, ended=SimpleNamespace(answer="paid"))


def test_W2_a_comparison_is_due_by_growth_and_told_with_its_share() -> None:
    s = line(growing([1.0] * 9))
    assert corners.due(s) is None  # the first improver is in force
    s.in_force, s.trials = 3, 100_000
    wanted = corners.due(s)
    assert wanted is not None
    assert (wanted.kind, wanted.fits) == ("corners", True)
    s.trials = 3000
    assert corners.due(s).fits is False  # type: ignore[union-attr]
    s.growth.crossplays = [played(8, 0, 0, []), played(8, 0, 8, [])]
    assert corners.due(s) is None
    s.growth.crossplays = [played(5, 0, 0, []), played(5, 0, 5, [])]
    assert corners.due(s).kind == "cross-play"  # type: ignore[union-attr]


def test_W2_four_corners_are_read_from_the_newest_pair_of_cross_plays() -> None:
    s = line(growing([1.0] * 4))
    low = [(5.0 + k % 2 / 50, 4.0 + k % 3 / 50, 3.0) for k in range(24)]
    high = [(4.2 + k % 2 / 50, 3.6 + k % 3 / 50, 3.0) for k in range(24)]
    s.growth.crossplays = [played(4, 0, 0, low)]
    assert corners.square(s) is None
    s.growth.crossplays.append(played(4, 0, 4, high))
    found = corners.square(s)
    assert found is not None
    assert (found.left, found.right) == (4, 0)
    assert found.found.apart == pytest.approx(4.0, abs=1e-6)
    assert found.found.r is not None
    assert found.found.r[0] <= found.found.r[1] <= found.found.r[2]
    s.growth.old = (2, 0)
    assert corners.square(s) is None  # another epoch's rules


# -- the headline ---------------------------------------------------------------------------------------------------


def answered(arms: list[str], plays: list[str]) -> State:
    s = line(growing([0.5, 0.5]))
    ended = [cast(Any, (SimpleNamespace(), SimpleNamespace(answer=a))) for a in arms]
    s.growth.arms = ended
    spread = (0.01, -0.02, 0.04)
    s.growth.crossplays = [
        cast(Any, SimpleNamespace(ended=SimpleNamespace(answer=a, ahead=spread, problems=24))) for a in plays
    ]
    return s


ANSWERS = st.lists(st.sampled_from(["paid", "did not pay", "cannot tell"]), max_size=3)


@given(ANSWERS, ANSWERS)
def test_W2_the_headline_claims_no_more_than_the_comparisons(arms: list[str], plays: list[str]) -> None:
    said = outlook_words.headline(answered(arms, plays))
    pays, does_not = said.startswith("Recursion pays"), said.startswith("Recursion does not pay")
    assert pays == ("paid" in arms and "did not pay" not in arms + plays)
    assert does_not == ("did not pay" in arms and "paid" not in arms + plays)
    if not arms and not plays:
        assert said.endswith("no changed improver has proposed anything.")  # a comparison would show nothing yet
    if not pays and not does_not:
        assert "cannot be told" in said or "is not shown" in said


def test_W2_a_line_that_paid_and_an_improver_that_is_worse_from_one_start_are_two_answers() -> None:
    """The library example's own record: its grown language finds more from where it stands, and less from the start."""
    said = outlook_words.headline(answered(["paid"], ["did not pay", "cannot tell"]))
    assert said.startswith("Letting the improver change paid, by 1 control arm (1 paid); but")
    assert "gains less, by 2 cross-plays (1 did not pay, 1 cannot tell)" in said
    assert said.endswith("Whether recursion pays from here on cannot be told yet.")
    for arms, plays in ((["paid", "did not pay"], ["did not pay"]), (["paid"], ["paid", "did not pay"])):
        assert "point both ways" in outlook_words.headline(answered(arms, plays))


def test_W2_comparisons_under_earlier_rules_say_nothing_of_these() -> None:
    s = answered(["paid"], ["paid"])
    assert outlook_words.headline(s).startswith("Recursion pays")
    s.growth.new_epoch()
    assert "earlier rules" in outlook_words.headline(s)
    assert "cannot be told yet" in outlook_words.headline(s)


def test_W2_the_headline_before_any_acceptance_and_how_many_problems_it_would_take() -> None:
    assert "nothing has been accepted" in outlook_words.headline(line([0.5]))
    s = answered([], ["cannot tell"])
    assert "about 259 problems would show it" in outlook_words.headline(s)
    ended = s.growth.crossplays[-1].ended
    assert ended is not None
    for ahead, why in (
        ((0.0, -0.02, 0.02), "saw no difference"), ((0.001, -0.03, 0.03), "even 1000 problems would not show it"),
        ((0.05, 0.04, 0.06), "too few problems"),
    ):  # fmt: skip
        cast(Any, ended).ahead = ahead
        assert why in outlook_words.headline(s)
    assert "with luck of its own" in outlook_words.headline(answered(["cannot tell"], []))


def test_W4_a_score_doubles_as_its_ratio() -> None:
    s = line([0.1, 0.3], ranged=False)
    assert outlook.gains(s)[0].doublings == pytest.approx(log2(3.0))
    assert isinstance(e.KINDS["growth-alarm"], type)


def runs(s: Any, **more: Any) -> Any:
    """A run whose improver is the system's own, and in which an approved change of it is in force."""
    s.epoch.crossplay_share = 0.15
    s.run = SimpleNamespace(improver="own", frozen_improver=False, trials=10**6, **more)
    s.run_trials, s.in_force, s.trials = 0, 3, 100_000
    s.generations[2].improver_changed = True
    return s


def test_W2_the_loop_makes_the_comparison_that_is_due_by_itself_both_starts_of_it() -> None:
    s = runs(line(growing([1.0] * 9)))
    wanted = corners.play(s, None)
    assert wanted is not None
    assert (wanted.left, wanted.right, wanted.start) == (3, 0, 0)
    s.growth.crossplays = [played(3, 0, 0, [])]
    other = corners.play(s, None)
    assert other is not None
    assert (other.left, other.right, other.start) == (3, 0, 3), "the other two corners"
    going = played(2, 0, 0, [(1.0, 1.0, 1.0)])
    going.ended = None
    s.growth.crossplays.append(going)
    first = corners.play(s, None)
    assert first is not None
    assert first.left == 2, "what was begun is finished first"


@pytest.mark.parametrize(
    "how", ["share", "frozen", "search", "same", "mode", "models", "trials", "items", "room", "cut off", "first"]
)
def test_W2_E5_no_comparison_is_made_that_cannot_be_paid_for_or_says_nothing(how: str) -> None:
    s = runs(line(growing([1.0] * 9)))
    assert corners.play(s, 10_000) is not None
    items: int | None = 10_000
    if how == "share":
        s.epoch.crossplay_share = 0.0
    elif how == "frozen":
        s.run.frozen_improver = True
    elif how == "search":
        s.run.improver = "search:built-in"
    elif how == "same":
        s.generations[2].improver_changed = False
    elif how == "mode":
        s.epoch.suite.mode = "sealed"
    elif how == "models":
        s.called.count = 3
    elif how == "trials":
        s.run_trials = 10**6 - 5
    elif how == "items":
        items = 3
    elif how == "room":
        s.trials = 3000  # with it, comparisons would take more than their share
    elif how == "cut off":
        s.side.attempts["crossplay", None] = 3
    else:
        s.in_force = 0
    assert corners.play(s, items) is None
