"""Blocks that candidates share: levels sum to at most alpha over every history, and reuse is attacked in vain."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault
from festina.select.budget import BLOCK_TESTS, InformationLedger, SealedBlocks, slot_nats

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


def _load():
    pytest.importorskip("numpy", reason="the simulator needs numpy, which comes with the development tools")
    folder = Path(__file__).parents[2] / "benchmarks"
    spec = importlib.util.spec_from_file_location("festina_benchmark_reuse", folder / "reuse.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_S1_positive_control_naive_reuse_of_a_block_falls_to_boosting_and_to_climbing_the_accept_bit():
    bench = _load()
    assert bench.climb("alone", 60, 1).mean() > 0.4
    assert bench.boost("alone", "scores", 30, 1).mean() > 0.9
    assert bench.boost("reuse", "scores", 60, 1).mean() > 0.15  # even with the run-level budget


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sealed", "ledger"])
def test_S1_blocks_hold_at_99_percent_under_adaptive_reuse(kind):
    bench = _load()
    for hit in (bench.climb(kind, 2000, 1), bench.boost(kind, "slots", 2000, 1)):
        assert bench.upper_limit(int(hit.sum()), 2000) <= bench.ALPHA
