"""What a scorer's answer means: a finite real number in range counts, all else is the worst score."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.verify.parse import Item, read_predictions
from festina.verify.scoring import Range, Scorer, judge, mark

ITEM = Item("q", b"1", b'{"answer":1}', None)
UP, DOWN = Range(0.0, 2.0, "higher"), Range(0.0, 2.0, "lower")


def score(value, bounds=UP):
    return mark(Scorer("s:f", lambda item, output: value, bounds), ITEM, "x", "out", ())


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), float("inf"), float("-inf"), True, False, "1.0", b"1", None, 10**400,
        2.1, -0.1, 1j, [1.0], (1.0,),
        numpy.float64("nan"), numpy.bool_(True), numpy.array([1.0]), pytest.param(object(), id="object"),
    ],
    ids=repr,
)  # fmt: skip
def test_T6_what_is_not_a_score_in_its_range_is_the_worst(value):
    for bounds in (UP, DOWN):
        found = score(value, bounds)
        assert (found.unit, found.valid) == (0.0, False)
        assert bounds.own(found.unit) == (0.0 if bounds is UP else 2.0)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (0, 0.0),
        (1, 0.5),
        (2.0, 1.0),
        (numpy.float32(1), 0.5),
        (numpy.int64(2), 1.0),
        (Fraction(1, 2), 0.25),
        (2 + 1e-10, 1.0),
    ],
    ids=repr,
)
def test_real_numbers_of_every_kind_count(value, unit):
    assert (score(value).unit, score(value).valid) == (unit, True)
    assert score(value, DOWN).unit == pytest.approx(1 - unit)


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [ValueError("label"), KeyboardInterrupt(), SystemExit(0), MemoryError(), Odd("x"), GeneratorExit()]
)
def test_T6_whatever_a_scorer_raises_is_the_worst_score_and_its_words_stay_inside(error):
    def call(item, output):
        raise error

    found = mark(Scorer("s:f", call, UP), ITEM, "x", "out", ())
    assert (found.unit, found.valid) == (0.0, False)
    assert found.failure.error in {type(error).__name__, "BaseException"}  # only names that no scorer could choose
    assert "label" not in repr(found)


def test_a_scorer_cannot_change_an_item_or_output_for_the_next_one():
    def vandal(item, output):
        before = (item["label"]["answer"], len(output))
        item["label"]["answer"] = 99
        output.append("more")
        return 1.0 if before == (1, 1) else 0.0

    scorer = Scorer("s:f", vandal, UP)
    predictions = read_predictions(b'{"id":"x","output":["o"]}', {"x": ITEM})
    assert [judge(scorer, {"x": ITEM}, predictions, ())[0] for _ in range(3)] == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("label", "output"), [("1", True), ("true", 1), ("0", False), ("1.0", True)])
def test_a_truth_value_never_answers_a_number_nor_the_other_way_round(label, output):
    equal = Scorer("s:f", lambda item, given: float(given == item["label"]), Range(0.0, 1.0, "higher"))
    assert equal.call({"label": json.loads(label)}, output) == 1.0  # positive control: plain == is fooled
    assert mark(equal, Item("q", b"1", label.encode(), None), "x", output, ()).unit == 0.0
    honest = json.loads(label)
    assert mark(equal, Item("q", b"1", label.encode(), None), "x", honest, ()).unit == 1.0


@given(st.integers(1, 12), st.data())
def test_V1_every_issued_item_and_every_line_beyond_them_is_in_the_denominator(n, data):
    items = {f"i{k}": Item("q", b"1", b"1", None) for k in range(n)}
    answered = data.draw(st.lists(st.sampled_from(sorted(items)), unique=True))
    junk = data.draw(st.integers(0, 5))
    output = b"".join(b'{"id":"%s","output":1}\n' % each.encode() for each in answered) + b"junk\n" * junk
    mean, marks = judge(
        Scorer("s:f", lambda i, o: 1.0, Range(0.0, 1.0, "higher")), items, read_predictions(output, items), ()
    )
    assert mean == pytest.approx(len(answered) / max(n, len(answered) + junk))
    assert sum(not each.valid for each in marks) == n - len(answered)
