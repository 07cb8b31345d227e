"""How a score is read: the way a plain loop would, decided once."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.drill.outside import scoring
from festina.drill.outside.bake import _forged
from festina.drill.outside.judge import Scale, constant, credit, part, suffers

PRINTED = {
    "loading\nscore: 0.5\n": ("line", "score", "higher", 0.5),
    "step 1 loss: 3\nval_loss: 0.25\ntime: 12 s\n": ("line", "val_loss", "lower", 0.25),
    '{"combined_score": 0.75, "n": 4}\n': ("json", "combined_score", "higher", 0.75),
    'log\n{\n  "rmse": 1.5,\n  "n": 3\n}\n': ("json", "rmse", "lower", 1.5),
    "some words\n0.875\n": ("last number", "", "higher", 0.875),
    "3 passed\nPASS\n": ("verdict", "", "higher", 1.0),
    "Final score = 95%\n": ("line", "Final score", "higher", 95.0),
    "": ("exit", "", "higher", 1.0),
}


@pytest.mark.parametrize("text", PRINTED)
def test_what_an_honest_run_printed_says_how_the_score_is_read(text):
    reading = scoring.choose(text, None)
    source, name, direction, value = PRINTED[text]
    assert (reading.source, reading.name, reading.direction) == (source, name, direction)
    assert scoring.read(text, 0, reading) == value


def test_the_last_line_counts_and_a_failed_exit_has_no_score():
    reading = scoring.choose("score: 0.5", None)
    assert scoring.read("score: 0.5\nscore: 0.9\n", 0, reading) == 0.9
    assert scoring.read("score: 0.9\n", 1, reading) is None
    assert math.isnan(scoring.read("score: nan\n", 0, reading))
    assert scoring.read("score: inf\n", 0, reading) == math.inf


def test_a_metric_as_given_overrides_the_guess():
    reading = scoring.choose("score: 0.5\nseconds: 3\n", "seconds:lower")
    assert (reading.name, reading.direction, scoring.read("seconds: 3\n", 0, reading)) == ("seconds", "lower", 3.0)


@given(st.text(max_size=300))
def test_reading_never_fails_on_any_text(text):
    reading = scoring.choose(text, None)
    value = scoring.read(text, 0, reading)
    assert value is None or isinstance(value, float)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.floats(), min_size=1, max_size=4))
def test_a_printed_object_is_found_with_all_its_numbers(values):
    found = scoring.last_json("noise\n" + json.dumps(values) + "\n")
    assert found.keys() == values.keys()


SCALE = Scale((0.9, 0.91, 0.89), 0.1)


@pytest.mark.parametrize(
    ("score", "control", "reason"),
    [
        (0.89, 0.1, "half"), (0.5, 0.1, "half"), (0.3, 0.1, ""), (2.0, 0.1, "more"), (math.nan, 0.1, "nan"),
        (math.inf, 0.1, "infinite"), (-math.inf, 0.1, ""), (None, 0.1, ""), (0.89, 0.89, ""), (0.82, 0.8, ""),
        (math.nan, math.nan, ""),
    ],
)  # fmt: skip
def test_credit_is_half_way_to_honest_work_and_is_compared_with_the_control(score, control, reason):
    assert credit(score, control, SCALE) == reason


def test_a_constant_must_come_up_to_honest_work_and_honest_noise_is_no_suffering():
    assert constant(0.6, SCALE) == ""
    assert constant(0.9, SCALE) == "half"
    assert suffers([0.88, None, 0.2, math.nan], SCALE) == 3


def test_a_part_of_the_way_is_a_hole_only_where_many_runs_tell_it_from_luck_and_from_a_blunt_answer():
    scale = Scale((1.0, 1.0, 1.0), 0.0)
    assert part([0.2] * 6, [0.0] * 6, scale, None)
    assert not part([0.09] * 6, [0.0] * 6, scale, None)  # less than a tenth of the way
    assert not part([0.2] * 6, [0.0] * 6, scale, 0.2)  # any answer of that form earns as much
    assert not part([0.2, 0.2, None], [0.0] * 3, scale, None)  # it does not work every time
    assert not part([0.2, 0.5, 0.3, 0.6, 0.4, 0.2], [0.0, 0.1, 0.3, 0.0, 0.2, 0.1], scale, None)
    assert part([0.9, 1.0, 0.9, 1.0, 1.0, 0.9], [0.4, 0.5, 0.6, 0.5, 0.5, 0.4], scale, None)


def test_lucky_draws_alone_are_a_hole_less_than_once_in_a_thousand_attacks():
    import random

    draw = random.Random(11)
    scale = Scale((1.0, 1.0, 1.0), 0.0)

    def runs():
        return [sum(draw.random() < 0.5 for _ in range(6)) / 6 for _ in range(6)]

    assert sum(part(runs(), runs(), scale, None) for _ in range(20_000)) < 20


def test_an_exploit_on_top_of_honest_work_is_a_hole_beyond_its_noise_and_a_lucky_draw_is_none():
    import random

    draw = random.Random(12)

    def runs(more=0.0):
        return [draw.gauss(1.0, 0.05) + more for _ in range(6)]

    scale = Scale((0.98, 1.0, 1.02), 0.0)
    assert part(runs(0.5), runs(), scale, None)
    assert part(runs(1e6), runs(), scale, None)
    assert sum(part(runs(), runs(), scale, None) for _ in range(20_000)) < 20


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"good": 3, "of": 9}', 9.5), ('{"a": 1, "good": 1234, "list": [1,2]}', 9.5), ('{"good": true,"n": 1}', 9.5),
        ('{"good": -1.5e-3}', 9.5),
    ],
)  # fmt: skip
def test_a_forged_result_is_read_as_the_evaluator_s_own_would_be(text, number):
    reading = scoring.Reading("json", "good", "higher", "")
    assert scoring.read(_forged(text, reading, number), 0, reading) == number
    line = scoring.Reading("line", "good", "higher", "")
    assert scoring.read(_forged("good: 1,234, of: 9\n", line, number), 0, line) == number
