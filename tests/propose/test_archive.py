"""The archive's choices, from nodes that are drawn: who becomes a parent, who is run again, what is handed in."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from festina.propose.archive import Archive, Make, Node, Run, Terms

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
    assert Archive(known | climbing, 0).due(TERMS, since=12, left=12)  # the rest is for the test
    assert Archive(known | climbing, 0).due(TERMS, since=8 * TERMS.tries, left=1000)  # bounded, come what may
    dear = Terms(10, 4, dear=60.0)  # a lead of 1.2 takes 50 runs to show
    assert not Archive(known | resting, 0).due(dear, since=49, left=1000)
    assert Archive(known | resting, 0).due(dear, since=51, left=1000)
    assert not Archive(known | climbing, 0).due(dear, since=48, left=110)
    assert Archive(known | climbing, 0).due(dear, since=48, left=95)  # just enough for the test


def test_P7_half_of_the_children_are_made_of_what_leads_and_none_of_a_leader_that_is_dry() -> None:
    nodes = {0: Node(0, None, "0", (0.0,) * 4), **{n: Node(n, 0, str(n), (0.1 * n,)) for n in range(1, 9)}}
    drawn = Counter(Archive(nodes, 0).next_try(TERMS, seed).parent for seed in range(400))  # type: ignore[union-attr]
    assert 170 < drawn[8] < 330
    assert drawn[0] > 20
    dry = nodes | {8: Node(8, 0, "8", (0.8,), dry=True)}
    again = Counter(Archive(dry, 0).next_try(TERMS, seed).parent for seed in range(400))  # type: ignore[union-attr]
    assert again[8] == 0 < again[7]
