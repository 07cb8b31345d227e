"""The archive's choices, from nodes that are drawn: who becomes a parent, who is run again, what is handed in."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.propose.archive import ROOM, Archive, Make, Node, Run, Terms, luck
from festina.select import Plan, units_steady

TERMS = Terms(tries=10, seeds=4)
SCORE = st.one_of(st.none(), st.floats(-1, 1))


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    nodes = {0: Node(0, None, "0", (0.0, 0.25, 0.0, 0.25))}
    for number in range(1, draw(st.integers(1, 12))):
        scores = tuple(draw(st.lists(SCORE, min_size=1, max_size=4)))
        flags = [draw(st.booleans()) for _ in range(4)]
        nodes[number] = Node(number, draw(st.integers(0, number - 1)), str(number), scores, *flags[:2],
                             refused=flags[2], tested=flags[3])  # fmt: skip
    return Archive(nodes, 0)


@given(archives())
def test_P7_a_clade_counts_every_member_once(archive: Archive) -> None:
    for number in archive.nodes:
        members = Counter(archive.clade(number))
        assert set(members.values()) == {1}
        assert set(members) == {each for each in archive.nodes if number in archive.lineage(each)}


@given(archives(), st.integers(0, 99))
def test_P7_only_what_leads_in_public_and_was_not_refused_is_handed_in(archive: Archive, seed: int) -> None:
    number = archive.ready(TERMS)
    if number is not None:
        node = archive.nodes[number]
        assert node.works
        assert node.sound
        assert not node.refused
        assert not node.tested
        assert len(node.scores) == TERMS.seeds
        assert archive.lead(number) > 0
        given_up = [up for up in archive.lineage(number) if archive.nodes[up].refused]
        assert all(archive.lead(number) > archive.lead(up) for up in given_up)
    what = archive.next_try(TERMS, seed)
    assert what == archive.next_try(TERMS, seed)  # a choice follows from the nodes and a seed
    if isinstance(what, Make):
        assert archive.nodes[what.parent].works
        assert not archive.nodes[what.parent].dry


def test_P7_the_incumbent_comes_first_and_one_run_is_enough_where_nothing_is_noise() -> None:
    assert Archive({0: Node(0, None, "a")}, 0).next_try(TERMS, 1) == Run(0, 0, 2)
    still = Archive({0: Node(0, None, "a", (0.5,) * 4), 1: Node(1, 0, "b", (0.6,))}, 0)
    assert still.ready(TERMS) == 1
    noisy = Archive({0: Node(0, None, "a", (0.5, 0.4)), 1: Node(1, 0, "b", (0.6,))}, 0)
    assert noisy.ready(TERMS) is None
    assert noisy.next_try(TERMS, 1) == Run(1, 1, 1)


def test_P7_two_coarse_scores_that_agree_by_luck_prove_no_silence() -> None:
    lucky = Archive({0: Node(0, None, "a", (0.5, 0.5)), 1: Node(1, 0, "b", (0.6,))}, 0)
    assert lucky.ready(TERMS) is None
    assert lucky.next_try(TERMS, 1) == Run(0, 2, 2)
    few = Terms(tries=10, seeds=2)  # too few for a proof: the leader is run on all of them
    assert lucky.ready(few) is None
    assert lucky.next_try(few, 1) == Run(1, 1, 1)
    other = Archive({0: Node(0, None, "a", (0.5,) * 4), 1: Node(1, 0, "b", (0.6,)), 2: Node(2, 0, "c", (0.7, 0.1))}, 0)
    assert other.ready(TERMS) is None  # another tree has shown that there is noise
    assert Archive({0: Node(0, None, "a", (None,) * 4)}, 0).runs_wanted(TERMS) == TERMS.seeds


def test_P7_a_lucky_seed_is_found_out_before_it_leads_on() -> None:
    lucky, good = Node(1, 0, "b", (0.9, 0.0)), Node(2, 0, "c", (0.7, 0.6))
    archive = Archive({0: Node(0, None, "a", (0.5, 0.4, 0.5, 0.4)), 1: lucky, 2: good}, 0)
    assert archive.candidates() == [2]
    assert archive.next_try(TERMS, 1) == Run(2, 2, 2)


def test_P7_a_good_tree_from_which_only_failures_come_is_left_for_another() -> None:
    barren = {n: Node(n, 1, f"b{n}", (0.1,)) for n in range(3, 13)}
    fertile = {n: Node(n, 2, f"f{n}", (0.55,)) for n in range(13, 23)}
    known = {0: Node(0, None, "a", (0.3,) * 4), 1: Node(1, 0, "x", (0.6,)), 2: Node(2, 0, "y", (0.5,))}
    archive = Archive({**known, **barren, **fertile}, 0)
    drawn = Counter(what.parent for seed in range(400) if isinstance(what := archive.next_try(TERMS, seed), Make))
    assert drawn[1] < 200 < 220 < 400 - drawn[0]  # its share as the leader, and next to nothing by its clade
    assert sum(drawn[n] for n in (2, *fertile)) > 10 * sum(drawn[n] for n in barren)
    busy = Archive({**known, **barren, **fertile}, 0, making=(2,) * 20)  # tries under way count as failures till then
    again = Counter(what.parent for seed in range(400) if isinstance(what := busy.next_try(TERMS, seed), Make))
    assert again[2] < drawn[2]


def test_P7_a_search_that_still_climbs_goes_on_and_one_at_rest_hands_in() -> None:
    known = {0: Node(0, None, "0", (0.0,) * 4)}
    climbing = {n: Node(n, n - 1, str(n), (0.1 * n,)) for n in range(1, 13)}
    assert not Archive(known | climbing, 0).due(TERMS, since=12, left=1000)
    resting = climbing | {n: Node(n, 12, str(n), (0.0,)) for n in range(13, 13 + TERMS.tries // 2)}
    assert Archive(known | resting, 0).due(TERMS, since=17, left=1000)
    assert not Archive(known | resting, 0).due(TERMS, since=TERMS.tries - 1, left=1000)  # too soon
    assert not Archive(known | resting, 0).due(Terms(10, 4, least=2.0), since=17, left=1000)  # not worth a test
    assert Archive(known | climbing, 0).due(TERMS, since=8 * TERMS.tries, left=1000)  # bounded, come what may


PLAN = Plan("bounded", 0.001, 0.0, 0.04, 0.1, (), 2000)


def test_P7_what_leads_is_tested_once_further_search_has_cost_as_much_or_the_rest_is_for_the_test() -> None:
    known = {0: Node(0, None, "0", (0.0,) * 4)}
    climbing = {n: Node(n, n - 1, str(n), (0.02 * n,)) for n in range(1, 13)}
    dear = Terms(12, 4, 0.04, PLAN)
    price = dear.price(0.24)
    assert price == 2 * units_steady(PLAN, 0.24)
    assert 70 < price < 90
    assert dear.price(0.12) > 1.75 * price  # two steps of half the size cost three and a half times as much
    still = {n: Node(n, 12, str(n), (0.0,)) for n in range(13, 12 + price)}
    assert not Archive(known | climbing | still, 0).due(dear, since=12 + price, left=1000)
    last = {12 + price: Node(12 + price, 12, "last", (0.0,))}
    assert Archive(known | climbing | still | last, 0).due(dear, since=12 + price, left=1000)
    assert not Archive(known | climbing, 0).due(dear, since=12, left=int(ROOM * price) + 1)
    assert Archive(known | climbing, 0).due(dear, since=12, left=int(ROOM * price))  # just enough for the test
    assert not Archive(known | climbing, 0).due(dear, since=12, left=price - 1)  # not enough: more has to be found
    assert Archive(known | climbing, 0).last(dear, left=price) == 12  # nothing else can be tried
    assert Archive(known | climbing, 0).last(dear, left=price - 1) is None
    assert Archive(known | climbing, 0).last(replace(dear, whole=50), left=10) == 12  # it goes on in the next run
    assert not Archive(known | climbing, 0).due(replace(dear, whole=50), since=12, left=50)  # nor is it hurried
    wide = Terms(10, 4, 0.04, PLAN, width=10.0)
    assert wide.price(2.4) == price
    assert Terms(10, 4, 0.04, PLAN, sides=3).price(0.24) == 3 * price // 2


@given(st.lists(st.integers(0, 1), min_size=8, max_size=80), st.data())
def test_P7_luck_is_the_squared_standard_error_of_paired_differences(mine: list[int], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.integers(0, 1), min_size=len(mine), max_size=len(mine)))
    found, n = luck(mine, other), len(mine)
    signs = [(x > y) - (x < y) for x, y in zip(mine, other, strict=True)]
    won, lost = signs.count(1), signs.count(-1)
    mean = (won - lost) / n
    assert found == pytest.approx(((won + lost) / n - mean * mean) / (n - 1))
    assert luck(mine, other[1:]) is None
    assert luck(mine[:7], other[:7]) is None


def test_P7_a_lead_that_may_be_luck_promises_little_and_one_beyond_it_nearly_all() -> None:
    """Steps with nothing behind them, on 40 items that are right or wrong, and steps that are what they look."""
    rng = random.Random(1)
    known = {0: Node(0, None, "0", (0.5,) * 4)}
    noise = {n: Node(n, 0, str(n), (0.5 + rng.gauss(0.0, 0.05),), luck=0.05**2) for n in range(1, 300)}
    lucky = Archive(known | noise, 0)
    best = lucky.candidates()[0]
    assert lucky.lead(best) > 0.12
    assert lucky.promise(best) < 0.04
    assert not lucky.due(Terms(10, 4, 0.04, PLAN), since=299, left=10_000)
    real = {n: Node(n, 0, str(n), (0.5 + rng.gauss(0.0, 0.05),), luck=0.01**2) for n in range(1, 300)}
    sure = Archive(known | real, 0)
    best = sure.candidates()[0]
    assert sure.promise(best) > 0.9 * sure.lead(best)
    step = Node(300, best, "300", (sure.nodes[best].scores[0] or 0.0,), luck=0.0)  # steps add up, from the head on
    moved = Archive(known | real | {300: step}, best)
    assert moved.promise(300) == 0.0
    assert Archive(known | real | {300: step}, 0).promise(300) == pytest.approx(sure.promise(best), rel=1e-2)


def test_P7_half_of_the_children_are_made_of_what_leads_and_none_of_a_leader_that_is_dry() -> None:
    nodes = {0: Node(0, None, "0", (0.0,) * 4), **{n: Node(n, 0, str(n), (0.1 * n,)) for n in range(1, 9)}}
    drawn = Counter(Archive(nodes, 0).next_try(TERMS, seed).parent for seed in range(400))  # type: ignore[union-attr]
    assert 170 < drawn[8] < 330
    assert drawn[0] > 20
    dry = nodes | {8: Node(8, 0, "8", (0.8,), dry=True)}
    again = Counter(Archive(dry, 0).next_try(TERMS, seed).parent for seed in range(400))  # type: ignore[union-attr]
    assert again[8] == 0 < again[7]
    worse = {0: Node(0, None, "0", (0.0,) * 4), **{n: Node(n, 0, str(n), (-0.1 * n,)) for n in range(1, 9)}}
    first = Counter(Archive(worse, 0).next_try(TERMS, seed).parent for seed in range(400))  # type: ignore[union-attr]
    assert first[0] > 200  # where nothing leads, the incumbent does
