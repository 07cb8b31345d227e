"""Slow beside the version in use: one limit for both, drawn from what was known before.  # D-4"""

from __future__ import annotations

import random

import pytest

from festina.select import monitor
from festina.watch.split import Seen, Split
from festina.watch.usual import FLOOR_S, LEAST, NEWEST, Usual
from festina.watch.verdicts import BROKEN, SLOW
from tests.waiting import until
from tests.watch.services import Service, ask, split
from tests.watch.test_split_attacks import Raw, raw  # noqa: F401 - a fixture


def known(made: Split, seconds: float) -> None:
    for _ in range(LEAST):
        made._usual.took(seconds)  # type: ignore[union-attr]


def test_D4_the_limit_follows_the_version_in_use_and_is_none_before_enough_is_known() -> None:
    usual = Usual(3.0)
    for _ in range(LEAST - 1):
        usual.took(1.0)
    assert usual.limit_s is None
    usual.took(1.0)
    assert usual.limit_s == pytest.approx(3.0)
    for _ in range(NEWEST):
        usual.took(2.0)
    assert usual.limit_s == pytest.approx(6.0), "both grow slower: so does what is too slow"
    for _ in range(NEWEST):
        usual.took(0.001)
    assert usual.limit_s == FLOOR_S, "what nobody notices"


@pytest.mark.parametrize("slow", ["new", "old"])
def test_D4_an_answer_far_slower_than_usual_has_failed_whoever_gave_it(
    pair: tuple[Service, Service], slow: str
) -> None:
    old, new = pair
    made, port, seen = split("canary", old, new, 0.5, slower=3.0, slow_s=60.0, draw=lambda: 0.9 * (slow == "old"))
    (new if slow == "new" else old).wait_s = 1.0
    assert ask(port)[0] == 200
    until(lambda: len(seen) == 1)
    assert seen == [Seen(False, None) if slow == "new" else Seen(None, False)], "nothing is known yet"
    known(made, 0.01)
    assert ask(port)[0] == 200, "and clients get it all the same"
    until(lambda: len(seen) == 2)
    assert (seen[1], seen[1].kind) == (Seen(True, None) if slow == "new" else Seen(None, True), SLOW)
    made.close()


def test_D4_at_the_full_step_nobody_is_beside_it(pair: tuple[Service, Service]) -> None:
    made, port, seen = split("full", *pair, share=1.0, slower=3.0)
    assert made._usual is None
    ask(port)
    until(lambda: len(seen) == 1)
    made.close()


@pytest.mark.parametrize("step", ["canary", "full"])
def test_D4_half_an_answer_of_the_right_length_is_broken_beside_another_version(raw: Raw, step: str) -> None:  # noqa: F811
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
    seen: list[Seen] = []
    at = raw.start(lambda client: client.sendall(half + b'{"a":'))
    made = Split(step, at, at, 1.0, seen.append, slow_s=60.0, draw=lambda: 0.0)  # type: ignore[arg-type]
    assert ask(made.serve("127.0.0.1", 0))[:2] == (200, b'{"a":')
    until(lambda: len(seen) == 1)
    assert (seen[0], seen[0].kind) == ((Seen(True, None), BROKEN) if step == "canary" else (Seen(False, None), ""))
    made.close()


def rolled_back(factor: float, *, drift: float = 0.0, share: float = 0.2, requests: int = 3000, seed: int = 0) -> bool:
    """Whether a version ``factor`` times as slow is taken back; ``drift``: both grow slower so much each request."""
    draw, usual = random.Random(seed), Usual(3.0)
    seen = monitor.start(monitor.canary_null(share, 1.0), 0.01)
    for k in range(requests):
        mine, took = draw.random() < share, 0.05 * draw.paretovariate(2.0) * (1.0 + drift * k)
        took *= factor if mine else 1.0
        if usual.limit_s is not None and took >= usual.limit_s:
            seen = monitor.observe(seen, mine)
        if not mine:
            usual.took(took)
    return seen.answer == "roll back"


def test_D4_a_slower_version_is_found_and_one_that_is_as_slow_is_kept_however_both_change() -> None:
    assert sum(rolled_back(1.0, seed=seed) for seed in range(40)) <= 2
    assert sum(rolled_back(1.0, drift=0.002, seed=seed) for seed in range(40)) <= 2
    assert all(rolled_back(4.0, seed=seed) for seed in range(10)), "a positive control"
    assert sum(rolled_back(0.5, seed=seed) for seed in range(20)) == 0
