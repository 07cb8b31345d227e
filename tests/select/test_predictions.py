"""How well predictions come true: scored against what the gate measured, beside a base rate."""

from __future__ import annotations

import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select.predictions import Judged, Record, counts, records

GAIN = st.floats(-1.0, 1.0)


def judged(pairs: list[tuple[float | None, float]], author: str = "own") -> list[Judged]:
    return [Judged(seq, author, predicted, came, came > 0.0) for seq, (predicted, came) in enumerate(pairs)]


def only(rows: list[Judged]) -> Record:
    (found,) = records(rows)
    return found


def test_P6_the_score_is_the_absolute_error_beside_that_of_the_median_of_earlier_results() -> None:
    found = only(judged([(0.5, 0.1), (None, 0.3), (0.2, 0.0), (-0.1, 0.2)]))
    assert (found.predictions, found.judged) == (3, 4)
    assert found.error == pytest.approx((0.4 + 0.2 + 0.3) / 3)
    assert found.reference == pytest.approx((0.1 + abs(0.2 - 0.0) + abs(0.1 - 0.2)) / 3)  # medians: 0, .2, .1
    assert found.bias == pytest.approx((0.4 + 0.2 - 0.3) / 3)
    assert (found.hopeful, found.held, found.accepted) == (2, 1, 3)
    assert found.answer == "too few to tell"
    assert "off by 0.300 on average" in found.sentence
    assert "too much in the mean" in found.sentence


def test_P6_who_knows_is_told_from_who_hopes_and_from_who_repeats_the_base_rate() -> None:
    rng = random.Random(5)
    came = [rng.gauss(0.02, 0.1) for _ in range(60)]
    knows = only(judged([(x + rng.gauss(0.0, 0.01), x) for x in came]))
    hopes = only(judged([(0.5, x) for x in came]))
    seen: list[float] = []
    repeats = []
    for x in came:
        repeats.append((median(seen) if seen else 0.0, x))
        seen.append(x)
    assert [each.answer for each in (knows, hopes, only(judged(repeats)))] == ["better", "worse", "cannot tell"]


def test_P6_authors_have_records_of_their_own_and_one_reference_for_all() -> None:
    mine, theirs = judged([(0.1, 0.1)] * 3), judged([(0.5, 0.2)] * 3, "people")
    theirs = [Judged(10 + each.seq, each.author, each.predicted, each.came, each.accepted) for each in theirs]
    own, people = records([*theirs, *mine])  # by entry, whatever the order in which they are given
    assert (own.author, people.author) == ("own", "people")
    assert people.reference == pytest.approx((0.1 + 0.1 + 0.1) / 3)  # medians of what came before: .1, .1, .1
    assert records(judged([(None, 0.1)])) == ()


@given(st.lists(st.tuples(GAIN, GAIN), min_size=1, max_size=20))
def test_P6_no_prediction_scores_better_than_what_came(pairs: list[tuple[float, float]]) -> None:
    found, best = only(judged(list(pairs))), only(judged([(came, came) for _, came in pairs]))
    assert found.error >= best.error == 0.0
    assert found.reference == best.reference  # which no prediction moves


@pytest.mark.parametrize(
    ("word", "reason", "counted"),
    [("accepted", "shown", True), ("rejected", "futile", True), ("inconclusive", "cap", True),
     ("inconclusive", "line-moved", False), ("inconclusive", "new-epoch", False), ("refused", "scope", False),
     (None, "", False)],
)  # fmt: skip
def test_P6_only_what_was_judged_to_the_end_is_scored(word: str | None, reason: str, counted: bool) -> None:
    assert counts(word, reason) is counted


def test_P6_numbers_that_have_no_square_are_left_out() -> None:
    found = only(judged([(0.5, 0.1), (1e250, 0.3), (0.2, -1e250), (0.1, float("nan")), (0.1, 0.3)]))
    assert (found.predictions, found.judged) == (2, 2)
    assert found.error == pytest.approx(0.3)
