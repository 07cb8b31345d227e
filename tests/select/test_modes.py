"""Blocks that candidates share: levels sum to at most alpha over every history, and reuse is attacked in vain."""

import itertools
import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from acceptance import attack
from acceptance.frame import ALPHA, upper_limit
from festina.errors import Fault
from festina.select.budget import BLOCK_TESTS, InformationLedger, SealedBlocks, slot_nats

SHOWN = ("scores shown", "verdicts only")
HISTORY = st.lists(st.tuples(st.booleans(), st.integers(1, 50)), max_size=60)


def test_S1_slots_are_a_probability():
    assert sum(math.exp(-slot_nats(s)) for s in range(1, 100_000)) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(Fault):
        slot_nats(0)


def test_S1_a_ledgers_levels_sum_to_at_most_alpha_over_all_histories_at_once():
    """Theorem 3 counts every pair of place and history, not one path."""
    total, most = 0.0, 10
    for length in range(most):
        for words in itertools.product([False, True], repeat=length):
            book = InformationLedger(0.05)
            for word in words:
                level, book = book.open()
                book = book.close(level, word)
            total += book.next_level()
    places = sum(20 / ((t + 20) * (t + 21)) for t in range(most))
    assert total == pytest.approx(0.05 * places)
    assert places <= 1.0


def test_S1_slots_share_a_level_and_never_add_to_it():
    book = InformationLedger(0.05)
    level, opened = book.open()
    after = opened.close(level, False)
    share = sum(after.told(slots).next_level() for slots in range(1, 20_000))
    assert share == pytest.approx(after.next_level(), rel=1e-4)
    blocks = SealedBlocks(0.05)
    level, opened = blocks.open()
    sealed = opened.close(level, False)
    assert sum(sealed.told(slots).next_level() for slots in range(1, 20_000)) <= sealed.next_level()


@given(HISTORY)
def test_S1_nothing_that_happens_raises_a_level_of_the_same_block(history):
    book, blocks = InformationLedger(0.05), SealedBlocks(0.05)
    for accepted, slots in history:
        level, opened = book.open()
        book = opened.close(level, accepted).told(slots)
        assert 0.0 < book.next_level() < level
        level, moving = blocks.open()
        number, blocks = blocks.block, moving.close(level, accepted).told(slots)
        assert blocks.block in (number, number + 1)
        assert blocks.block == number + 1 or blocks.next_level() < level
        assert blocks.spent <= 0.05
        assert book.bits == pytest.approx(book.nats / math.log(2))


def test_S8_a_sealed_block_is_given_up_when_its_tests_are_spent_or_the_line_moves():
    blocks = SealedBlocks(0.05)
    for _ in range(BLOCK_TESTS):
        assert blocks.block == 0
        level, opened = blocks.open()
        blocks = opened.close(level, False)
    assert (blocks.block, blocks.index, blocks.nats) == (1, 0, 0.0)
    assert blocks.retire() == blocks  # nothing was told about it yet
    level, opened = blocks.open()
    assert opened.close(level, False).retire().block == 2


def test_S1_a_word_about_an_old_block_costs_the_new_one_nothing():
    level, opened = SealedBlocks(0.05).open()
    fresh = opened.close(level, True)
    assert fresh.told(40) == fresh


def test_S1_a_new_epoch_pays_for_what_an_earlier_one_was_told():
    book = InformationLedger(0.05)
    level, opened = book.open()
    again = opened.close(level, False).told(3).under(0.1)
    assert again.next_level() == pytest.approx(0.1 * 20 / (21 * 22) * 19 / 20 * math.exp(-slot_nats(3)))
    assert (again.gone, again.refusals) == (0.0, 1)


@pytest.mark.parametrize("make", [InformationLedger, SealedBlocks])
def test_P4_one_test_at_a_time_closed_once(make):
    level, book = make(0.05).open()
    with pytest.raises(Fault):
        book.open()
    book = book.close(level, False)
    with pytest.raises(Fault):
        book.close(level, False)


# -- attacks on reuse ------------------------------------------------------------------------------------


def _door(name):
    return next(door for door in attack.GATES if door.name == name)


@pytest.mark.parametrize("name", [attack.KEEP, attack.LADDER, attack.THRESHOLDOUT])
def test_S1_positive_control_rules_that_show_scores_of_one_holdout_fall_to_votes(name):
    fought = attack.fight(_door(name), "boost", 20, 500)
    assert fought.wrong.all()
    assert fought.gain.mean() < 0.15  # of .80
    assert fought.seems.mean() > 1.0 or name == attack.THRESHOLDOUT  # the rule's own scores say otherwise


def test_S1_positive_control_near_copies_pass_a_bonferroni_test_whose_scores_are_shown():
    shown, silent = (attack.fight(_door(f"Bonferroni t, {what}"), "duplicates", 30, 300) for what in SHOWN)
    assert shown.wrong.mean() > 0.9
    assert silent.wrong.mean() < 0.2


@pytest.mark.slow
def test_S1_positive_control_even_this_rule_falls_where_items_stay_and_scores_are_shown():
    assert attack.fight(_door(attack.MISTAKE), "duplicates", 40, 300).wrong.mean() > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sealed", "ledger"])
def test_S1_blocks_hold_at_99_percent_under_adaptive_reuse(mode):
    door = _door(f"Festina, {mode}, short slots")
    for name, runs in (("climb", 2000), ("duplicates", 400)):
        assert upper_limit(int(attack.fight(door, name, runs, 300).wrong.sum()), runs) <= ALPHA


@pytest.mark.slow
def test_S1_sealed_blocks_find_the_real_gains_that_votes_bury_elsewhere():
    fought = attack.fight(_door(attack.SEALED), "boost", 40, 1000)
    assert fought.wrong.sum() <= 4
    assert fought.gain.mean() > 0.3  # of .80; at 2,000 items it is above .75
