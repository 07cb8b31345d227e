"""The ability scale: it recovers what it was told, names anchors that moved, and says when it cannot tell."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.watch.ability import MAX_SE, Scale, lock, place
from festina.watch.domains import ALPHA, breadth, evidence, moved, new_ability

ITEMS = 10


def answers(rng: random.Random, ability: float, difficulties: list[float], floor: float = 0.05) -> list[float]:
    """Unit scores of a version, from Rasch's model; ability in doublings."""
    shares = [floor + (1 - floor) / (1 + math.exp(b - ability * math.log(2))) for b in difficulties]
    return [sum(rng.random() < p for _ in range(ITEMS)) / ITEMS for p in shares]


def locked(rng: random.Random, difficulties: list[float]) -> Scale:
    scale = lock(answers(rng, 0.0, difficulties), ITEMS, 0.05)
    assert scale is not None
    return scale


@pytest.mark.parametrize("ability", [-1.5, 0.0, 1.0, 2.0])
def test_W1_abilities_are_recovered_within_their_stated_error(ability: float) -> None:
    rng = random.Random(f"ability {ability}")
    held = 0
    for _ in range(25):
        difficulties = [rng.gauss(0.3, 1.0) for _ in range(50)]
        placed = place(locked(rng, difficulties), answers(rng, ability, difficulties), 1)
        assert placed.told
        assert placed.level is not None
        assert placed.drifted == ()
        held += abs(placed.level - ability) <= 1.96 * placed.error
    assert held >= 20, "95 % intervals"


def test_W1_which_anchors_are_left_does_not_move_the_comparison() -> None:
    rng = random.Random(3)
    difficulties = [rng.gauss(0.0, 1.0) for _ in range(60)]
    scale, scores = locked(rng, difficulties), answers(rng, 1.0, difficulties)
    easy = sorted(range(60), key=lambda i: difficulties[i])
    for out in (easy[:25], easy[-25:]):
        placed = place(scale, scores, 1, out)
        assert placed.used == 35
        assert placed.level is not None
        assert abs(placed.level - 1.0) <= 3 * placed.error


def test_G1_a_leaked_anchor_is_named_and_left_out() -> None:
    rng = random.Random(4)
    difficulties = [rng.gauss(3.0, 0.5) for _ in range(50)]
    first, scores = answers(rng, 0.0, difficulties), answers(rng, 0.5, difficulties)
    first[7] = first[30] = 0.1
    scale = lock(first, ITEMS, 0.05)
    assert scale is not None
    honest = place(scale, scores, 1)
    for at in (7, 30):
        scores[at] = 1.0
    placed = place(scale, scores, 1)
    assert placed.drifted == ((7, "easier"), (30, "easier"))
    assert placed.used == 48
    assert honest.level is not None
    assert placed.level is not None
    assert abs(placed.level - honest.level) < 0.2, "the leak does not count as ability"
    later = place(scale, scores, 3, {7, 30})
    assert later.drifted == ()


def test_G1_many_leaks_do_not_hide_each_other() -> None:
    """Ten of fifty know their answers: before, they drew the ability towards themselves, and none was found."""
    rng = random.Random(9)
    difficulties = [rng.gauss(2.7, 0.7) for _ in range(50)]
    scale, scores = locked(rng, difficulties), answers(rng, 0.0, difficulties)
    placed = place(scale, [1.0 if at < 10 else x for at, x in enumerate(scores)], 1)
    assert len(placed.drifted) >= 3 or not placed.told
    most = place(scale, [1.0 if at < 20 else x for at, x in enumerate(scores)], 1)
    assert (most.headroom, most.told) == ("of no one ability", False)


def test_G1_headroom_is_said_and_no_number_pretends() -> None:
    rng = random.Random(5)
    difficulties = [rng.gauss(0.0, 0.7) for _ in range(20)]
    scale = locked(rng, difficulties)
    top, bottom = place(scale, [1.0] * 20, 1), place(scale, [0.0] * 20, 1)
    assert (top.headroom, top.told) == ("too easy", False)
    assert (bottom.headroom, bottom.told) == ("too hard", False)
    assert place(scale, [0.5] * 4 + [None] * 16, 1).level is None, "four anchors are no scale"
    assert lock([0.0] * 50, ITEMS, 0.05) is None
    assert lock([1.0] * 50, ITEMS, 0.05) is None
    assert lock([0.5] * 50, 1, 0.05) is None, "single items cannot tell chance from difficulty"
    assert lock([0.5] * 4, ITEMS, 0.05) is None


def test_W1_new_items_continue_the_old_scale() -> None:
    rng = random.Random(6)
    old, new = ([rng.gauss(0.0, 1.0) for _ in range(50)] for _ in range(2))
    first = locked(rng, old)
    reached = place(first, answers(rng, 1.5, old), 1)
    assert reached.level is not None
    second = lock(answers(rng, 1.5, new), ITEMS, 0.05, reached.level, reached.error)
    assert second is not None
    placed = place(second, answers(rng, 2.5, new), 1)
    assert placed.level is not None
    assert placed.error > place(first, answers(rng, 2.5, old), 1).error, "the link's error is in it"
    assert abs(placed.level - 2.5) <= 3 * placed.error


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([i / 10 for i in range(11)]), min_size=5, max_size=30), st.integers(1, 5))
def test_W1_the_reference_stands_where_it_was_put(scores: list[float], looks: int) -> None:
    scale = lock(scores, ITEMS, 0.05, at=1.0)
    if scale is None:
        return
    placed = place(scale, scores, looks)
    assert placed.level is not None
    assert abs(placed.level - 1.0) < 1e-6 or placed.drifted
    assert placed.error > 0.0
    assert placed.headroom == "enough" or placed.error > MAX_SE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.floats(0.02, 0.5))
def test_W3_evidence_is_worth_no_more_than_one_where_units_are_at_the_floor(chances: list[float], floor: float) -> None:
    total = sum(chances) / len(chances)
    shares = [c * floor / total if total > floor else c for c in chances]  # a mean of at most the floor
    expected = 0.0
    for outcome in range(2 ** len(shares)):
        bits = [outcome >> i & 1 for i in range(len(shares))]
        weight = math.prod(p if bit else 1 - p for p, bit in zip(shares, bits, strict=True))
        expected += weight * evidence([float(bit) for bit in bits], floor)
    assert expected <= 1.0 + 1e-9


def new(runs: list[list[float]]) -> int | None:
    return new_ability([evidence(scores, 0.05) for scores in runs])


def test_W3_an_ability_that_was_not_there_is_new_once_and_one_that_was_there_never() -> None:
    rng = random.Random(7)
    units = lambda p: [sum(rng.random() < p for _ in range(ITEMS)) / ITEMS for _ in range(50)]  # noqa: E731
    assert new([units(0.01), units(0.02), units(0.2)]) == 2
    assert new([units(0.3), units(0.9)]) is None, "it was there from the start"
    assert sum(new([units(0.05) for _ in range(5)]) is not None for _ in range(100)) <= 100 * 3 * ALPHA


def test_W3_breadth_tells_narrow_from_general() -> None:
    rng = random.Random(8)
    before = [rng.random() for _ in range(40)]
    after = [min(1.0, x + 0.2 + 0.05 * rng.random()) for x in before]
    narrow = breadth({"a": (before, after, True), "b": (before, before[::-1], False), "c": (before, before, True)})
    assert (narrow.word, narrow.changed) == ("narrow", ("a",))
    assert narrow.sentence().startswith("narrow (1 of 3 domains): a up by 0.")
    general = breadth({"a": (before, after, True), "b": (after, before, True), "c": (before, before, True)})
    assert (general.word, general.changed) == ("general", ("a", "b"))
    assert breadth({"a": (before, after, True)}).word == "one domain only"
    assert breadth({"a": (before, before, True), "b": (before, before, True)}).word == "none shown"
    assert moved([0.1, None], [0.2, 0.3], paired=True, domains=1) is None
