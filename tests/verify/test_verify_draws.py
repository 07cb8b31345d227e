"""A batch is a function of its numbers and the verifier's secret; finite items are never dealt twice unawares."""

from __future__ import annotations

import hashlib
import json

import pytest

from festina.errors import Fault, UsageError
from festina.verify import draws
from festina.verify.draws import Dealer
from festina.verify.types import Source
from tests.verify.home import GENERATOR


def dealer(text: str, *, kind="generator", secret=b"s", mode="fresh") -> Dealer:
    data = text.encode()
    source = Source(kind, hashlib.sha256(data).hexdigest(), None)
    return Dealer(source, data, secret, suite="hidden", mode=mode, roots=())


def finite(count: int, **options) -> Dealer:
    lines = [json.dumps({"id": f"q{i}", "input": i, "label": i}) for i in range(count)]
    return dealer("\n".join(lines), kind="items", **options)


def inputs(batch) -> list[bytes]:
    return [item.input for item in batch.items.values()]


def test_E3_the_same_numbers_give_the_same_batch_in_another_process_life():
    assert dealer(GENERATOR).deal(7, 40, 0) == dealer(GENERATOR).deal(7, 40, 0)


def test_E3_another_seed_gives_other_items_and_ids():
    one, other = dealer(GENERATOR).deal(7, 40, 0), dealer(GENERATOR).deal(8, 40, 0)
    assert not set(inputs(one)) & set(inputs(other))
    assert not one.items.keys() & other.items.keys()


def test_T1_who_knows_seed_and_generator_but_not_the_secret_cannot_draw_the_items():
    """The engine hands its unit seeds to candidates; the seed that the generator sees is another."""
    ours = set(inputs(dealer(GENERATOR, secret=b"ours").deal(7, 40, 0)))
    assert not ours & set(inputs(dealer(GENERATOR, secret=b"guessed").deal(7, 40, 0)))
    plain: dict = {}
    exec(GENERATOR, plain)
    assert not ours & {json.dumps(each["input"], separators=(",", ":")).encode() for each in plain["generate"](7, 40)}


def test_ids_are_opaque_and_order_is_shuffled():
    batch = finite(40).deal(1, 40, 0)
    assert sorted(map(int, inputs(batch))) == list(range(40))
    assert list(map(int, inputs(batch))) != list(range(40))
    assert list(batch.items) != sorted(batch.items)
    assert all(len(each) == 16 for each in batch.items)
    assert b"label" not in batch.inputs


def test_V3_finite_items_are_dealt_without_replacement_and_end_in_suite_spent():
    deal = finite(100).deal
    seen = [i for first in (0, 40) for i in inputs(deal(first, 40, first))]
    assert len(set(seen)) == 80
    with pytest.raises(UsageError) as caught:
        deal(3, 40, 80)
    assert caught.value.name == "suite-spent"
    assert "100 hidden items, 80 are used, and 40 more" in caught.value.what
    assert "vault add hidden" in caught.value.fix


def test_sealed_positions_show_every_candidate_the_same_items_under_other_ids():
    for made in (finite(100, mode="sealed"), dealer(GENERATOR, mode="sealed")):
        one, other = made.deal(1, 40, 20), made.deal(2, 40, 20)
        assert sorted(inputs(one)) == sorted(inputs(other))
        assert inputs(one) != inputs(other)
        assert not one.items.keys() & other.items.keys()
        assert sorted(inputs(one)) != sorted(inputs(made.deal(1, 40, 60)))


def test_a_batch_is_found_again_after_it_was_forgotten(monkeypatch):
    monkeypatch.setattr(draws, "KEPT", 2)
    made = dealer(GENERATOR)
    batch = made.deal(1, 5, 0)
    for seed in range(2, 6):
        made.deal(seed, 5, 0)
    assert made.find(batch.id) == batch


@pytest.mark.parametrize("name", ["", "1.5.0", "1.5.0.0", "-1.5.0.00", "x.y.z.w", "1.5.0." + "0" * 32, "é.1.1.1"])
def test_a_batch_that_was_never_drawn_is_unknown(name):
    with pytest.raises(UsageError) as caught:
        dealer(GENERATOR).find(name)
    assert caught.value.name in {"unknown-batch", "bad-draw"}


def test_a_generator_that_ignores_its_seed_is_a_fault_not_a_score():
    made = dealer(
        "import os\ndef generate(s, n): return [{'input': os.urandom(8).hex(), 'label': 1} for _ in range(n)]"
    )
    with pytest.raises(Fault) as caught:
        made.sample(1, 5)
    assert caught.value.name == "generator-unstable"
    batch = made.deal(1, 5, 0)
    made._kept.clear()
    with pytest.raises(Fault):
        made.find(batch.id)


def test_a_generator_that_uses_the_global_stream_is_still_stable():
    text = "import random\ndef generate(seed, n): return [{'input': random.random(), 'label': 1} for _ in range(n)]"
    assert dealer(text).deal(1, 5, 0) == dealer(text).deal(1, 5, 0)


def test_items_never_repeat_within_a_batch():
    text = (
        "import random\n"
        "def generate(s, n):\n"
        "    coins = random.Random(s)\n"
        "    while True: yield {'input': coins.randrange(45), 'label': 1}\n"
    )
    assert len(set(inputs(dealer(text).deal(1, 30, 0)))) == 30
    with pytest.raises(UsageError) as caught:
        dealer(text).deal(1, 46, 0)
    assert caught.value.name == "generator-narrow"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("def generate(s, n): return 3", "generator.py"),
        ("def generate(s, n): return []", "generator.py"),
        ("def generate(s, n): return [{'input': 1}] * n", "generator.py"),
        ("def generate(s, n): return [{'input': {1, 2}, 'label': 1}] * n", "generator.py"),
        ("def generate(s, n): return [{'input': float('nan'), 'label': 1}] * n", "generator.py"),
        ("def generate(s, n): return [{'input': '\\ud800', 'label': 1}] * n", "generator.py"),
        ("\n\ndef generate(s, n):\n    raise KeyError('secret-label')", "generator.py:4"),
        ("def generate(s, n):\n    raise SystemExit", "generator.py:2"),
        ("def generate(s, n):\n    raise KeyboardInterrupt", "generator.py:2"),
        ("import no_such_module\ndef generate(s, n): return []", "generator.py:1"),
        ("generate = 3", "generator.py"),
    ],
)
def test_a_broken_generator_is_named_without_quoting_what_it_said(text, where):
    with pytest.raises(UsageError) as caught:
        dealer(text).deal(1, 3, 0)
    assert caught.value.name in {"generator-broken", "item-malformed"}
    assert caught.value.where == where
    assert "secret-label" not in str(caught.value)


def test_kept_batches_are_bounded_in_bytes_and_one_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(draws, "KEPT_BYTES", 5000)
    made = dealer(GENERATOR)
    for seed in range(10):
        made.deal(seed, 40, 0)
    assert 1 <= len(made._kept) < 4
    with pytest.raises(UsageError) as caught:
        made.deal(1, 200, 0)
    assert caught.value.name == "batch-too-large"


@pytest.mark.parametrize("numbers", [(-1, 5, 0), (1, 0, 0), (1, 5, -1), (1 << 256, 5, 0), (1, 100_001, 0)])
def test_draws_out_of_bounds_are_refused(numbers):
    with pytest.raises(UsageError) as caught:
        dealer(GENERATOR).deal(*numbers)
    assert caught.value.name == "bad-draw"
