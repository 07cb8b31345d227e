"""Controls: constant and random answers must fail and right ones pass, or the scorer is not believed."""

from __future__ import annotations

import json
import random

import pytest

from festina.errors import UsageError
from festina.verify.controls import check
from festina.verify.parse import Item
from festina.verify.scoring import Range, Scorer

UNIT = Range(0.0, 1.0, "higher")


def items(label, oracle=None):
    def sample(seed, n):
        stream = random.Random(seed)
        made = []
        for _ in range(n):
            x = stream.getrandbits(40)
            right = None if oracle is None else json.dumps(oracle(x)).encode()
            made.append(Item("q", str(x).encode(), json.dumps(label(x)).encode(), right))
        return made

    return sample


def run(call, sample, *, bounds=UNIT, n=50, guards=()):
    return check(Scorer("scoring:f", call, bounds), guards, sample, 3, n, ())


def equal(item, output):
    return float(output == item["label"])


def test_V2_a_sound_scorer_passes():
    found = run(equal, items(lambda x: x % 1009))
    assert found.ok
    assert found.oracle == 1.0
    assert max(found.constant, found.random) < 0.1


def test_V2_a_balanced_two_way_question_passes():
    assert run(equal, items(lambda x: x % 2)).ok


def test_V2_a_metric_that_is_the_same_for_every_answer_is_found():
    found = run(lambda item, output: 0.7, items(lambda x: x))
    assert not found.ok
    assert (found.constant, found.random, found.oracle) == (0.7, 0.7, None)
    assert "the same score (0.700): it measures nothing" in found.note
    declared = run(lambda item, output: 1.0, items(lambda x: x))
    assert not declared.ok
    assert declared.oracle == 1.0
    assert "constant, random and right answers the same score" in declared.note


def test_V2_a_scorer_that_takes_an_answer_listing_everything_is_found():
    labels = items(lambda x: f"word{x % 7}")
    found = run(lambda item, output: float(str(item["label"]) in str(output)), labels)
    assert not found.ok
    assert found.constant == 1.0
    assert "a constant answer scores 1.000" in found.note
    assert run(equal, labels).ok  # positive control: the same items with an honest scorer


def test_V2_a_scorer_that_likes_an_empty_answer_is_found():
    assert not run(lambda item, output: float(not output or output == item["label"]), items(lambda x: x + 1)).ok


def test_V2_a_suite_that_one_answer_nearly_solves_is_found():
    found = run(equal, items(lambda x: int(x % 20 == 0)))
    assert not found.ok
    assert "not 0.1" in found.note or "not 0." in found.note


def test_V2_a_range_far_wider_than_the_scores_is_found():
    assert not run(
        lambda i, o: 995.0 + 5 * (o == i["label"]), items(lambda x: x), bounds=Range(0.0, 1000.0, "higher")
    ).ok


def test_V2_lower_is_better_turns_everything_round():
    found = run(lambda i, o: abs(float(o) - i["label"]), items(lambda x: x % 100), bounds=Range(0.0, 200.0, "lower"))
    assert found.oracle == 1.0
    assert found.ok
    assert not run(lambda i, o: 0.0, items(lambda x: x), bounds=Range(0.0, 8.0, "lower")).ok


def test_V2_a_declared_oracle_is_used_where_the_label_is_no_answer():
    def grade(item, output):
        return float(isinstance(output, list) and sum(output) == item["label"]["sum"])

    sample = items(lambda x: {"sum": x}, oracle=lambda x: [x - 1, 1])
    assert run(grade, sample).oracle == 1.0
    blind = run(lambda i, o: grade(i, o) if o != "" else 0.5, items(lambda x: {"sum": x}))
    assert (blind.oracle, blind.ok) == (None, True)
    assert "the top was not checked" in blind.note


def test_V2_a_scorer_that_fails_on_the_oracle_is_broken_not_harsh():
    def grade(item, output):
        return output["missing"]

    for sample in (items(lambda x: x, oracle=lambda x: x), items(lambda x: x)):
        with pytest.raises(UsageError) as caught:
            check(Scorer("scoring:f", grade, UNIT), (), sample, 3, 10, ())
        assert caught.value.name == "scorer-broken"
        assert "TypeError" in caught.value.what


def test_V4_a_guard_that_fails_on_the_oracle_is_broken():
    guard = Scorer("scoring:g", lambda i, o: 1 / 0, UNIT)
    with pytest.raises(UsageError) as caught:
        run(equal, items(lambda x: x), guards=(guard,))
    assert caught.value.name == "scorer-broken"
    assert "scoring:g" in caught.value.what


def test_V2_the_oracle_comes_the_same_way_as_a_candidates_bytes():
    """A right answer that no candidate could hand in is a broken suite, not a passed control."""
    with pytest.raises(UsageError) as caught:
        run(equal, items(lambda x: x, oracle=lambda x: 10**50 + x))
    assert "beyond the reader's limits" in caught.value.what


def test_raising_on_nonsense_alone_is_no_fault_of_the_scorer():
    assert run(lambda i, o: 1.0 if int(o) == i["label"] else 0.0, items(lambda x: x)).ok


def test_one_item_is_too_few():
    with pytest.raises(UsageError) as caught:
        run(equal, items(lambda x: x), n=1)
    assert caught.value.name == "controls-too-few"
