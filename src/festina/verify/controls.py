"""Controls: answers that must fail and the answer that must pass, scored like any candidate's.  # V-2

Tried on a fresh sample of the suite's items, inside the verifier:

- *constant*: null, empty values, 0, the commonest right answer of another sample, the median where answers are
  numbers, and "everything" (all right answers of the sample in one text, and in one list); the best of them counts;
- *random*: the right answers of the other sample in random order, and meaningless text and numbers;
- *oracle*: each item's ``oracle`` where the items carry one; else the label is tried as the output and counts as
  the oracle only if it gets the best score on every item.

The rule for ``ok``, on unit scores:

1. not all the same: a scorer that gives every answer the same score measures nothing;
2. with an oracle, oracle minus the better of constant and random is at least max(0.1, three standard errors
   of that difference): a tenth of the range, and not by luck of the sample;
3. without one, constant and random are at most 0.8: some room must be left above them.

A scorer that raises on the oracle, or on every control answer there is, is broken: ``UsageError`` scorer-broken.
It may raise on single nonsensical answers: that is their worst score.

Does not cover: guards (for many of them an empty answer is rightly the best), subtle mistakes of a scorer.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from festina.errors import UsageError
from festina.ledger.canonical import canonical
from festina.verify.parse import Item, Malformed, decode
from festina.verify.scoring import Failure, Mark, Row, Scorer, broken, marks
from festina.verify.types import Controls

__all__ = ["check"]

GAP = 0.1
ERRORS = 3.0
ROOM = 0.8
BEST = 1 - 1e-9

Answer = Callable[[int], bytes]


def check(
    scorer: Scorer,
    guards: Sequence[Scorer],
    sample: Callable[[int, int], list[Item]],
    seed: int,
    n: int,
    roots: Sequence[Path],
) -> Controls:
    """Score the control answers on ``n`` items; raises ``UsageError`` for a scorer that cannot score."""
    items, others = sample(2 * seed, n), sample(2 * seed + 1, n)
    if len(items) < 2:
        raise UsageError("controls-too-few", "controls need two items or more", fix="add items, or raise the batch")
    stream = random.Random(seed)  # which nonsense is answered need not be secret

    def tried(answers: Sequence[Answer]) -> list[list[Mark]]:
        return _tried(scorer, [[answer(i) for i in range(len(items))] for answer in answers], items, roots)

    constants, randoms = tried(_constants(items, others)), tried(_randoms(others, stream))
    oracle, failure = _oracle(scorer, guards, items, roots)
    _refuse_broken(scorer, [*constants, *randoms], oracle is not None, failure)
    constant, chance = max(constants, key=_mean), max(randoms, key=_mean)
    ok, note = _judge(constant, chance, oracle)
    return Controls(_mean(constant), _mean(chance), None if oracle is None else _mean(oracle), ok, note)


def _tried(
    scorer: Scorer, answers: Sequence[Sequence[bytes]], items: Sequence[Item], roots: Sequence[Path]
) -> list[list[Mark]]:
    """Score sets of answers, each as a candidate's would be: through the strict reader, a batch of its own."""
    sets = [
        [_row(item, data, f"control-{number}-{i}") for i, (item, data) in enumerate(zip(items, each, strict=True))]
        for number, each in enumerate(answers)
    ]
    if scorer.together:
        found = iter(marks(scorer, [row for rows in sets for row in rows], roots))
        return [[next(found) for _ in rows] for rows in sets]
    return [marks(scorer, rows, roots) for rows in sets]


def _row(item: Item, output: bytes, shown_id: str) -> Row:
    """An output beyond the reader's limits is as good as none."""
    try:
        value = decode(output)
    except Malformed:
        return Row(item, shown_id, None, "output beyond the reader's limits")
    return Row(item, shown_id, lambda: value)


def _mean(marks: Sequence[Mark]) -> float:
    return math.fsum(each.unit for each in marks) / len(marks)


def _right(item: Item) -> bytes:
    return item.label if item.oracle is None else item.oracle


def _constants(items: Sequence[Item], others: Sequence[Item]) -> list[Answer]:
    common = Counter(map(_right, others)).most_common(1)[0][0]
    everything = [json.loads(_right(item)) for item in items]
    text = " ".join(each if isinstance(each, str) else canonical(each).decode() for each in everything)
    numbers = [each for each in map(json.loads, map(_right, others)) if isinstance(each, int | float)]
    encoded = [b"null", b'""', b"0", b"1", b"[]", b"{}", common, canonical(text), canonical(everything)]
    if len(numbers) == len(others):
        encoded.append(canonical(statistics.median_low(numbers)))
    return [_always(data) for data in encoded]


def _always(data: bytes) -> Answer:
    return lambda _: data


def _randoms(others: Sequence[Item], stream: random.Random) -> list[Answer]:
    shuffled = [_right(item) for item in others]
    stream.shuffle(shuffled)
    return [
        lambda i: shuffled[i % len(shuffled)],
        lambda _: canonical(f"{stream.getrandbits(64):x}"),
        lambda _: canonical(stream.random()),
    ]


def _oracle(
    scorer: Scorer, guards: Sequence[Scorer], items: Sequence[Item], roots: Sequence[Path]
) -> tuple[list[Mark] | None, Failure | None]:
    """The oracle's marks, or None where no right output is known."""
    right = [[_right(item) for item in items]]
    found = _tried(scorer, right, items, roots)[0]
    failure = next((each.failure for each in found if each.failure is not None), None)
    declared = all(item.oracle is not None for item in items)
    if declared and failure is not None:
        raise broken(scorer.name, f"fails on the oracle's own output ({failure.error})", failure.where)
    if not declared and not all(each.unit >= BEST for each in found):
        return None, failure
    for guard in guards:
        judged = _tried(guard, right, items, roots)[0]
        failed = next((each.failure for each in judged if each.failure is not None), None)
        if failed is not None:
            raise broken(guard.name, f"fails on the oracle's own output ({failed.error})", failed.where)
    return found, failure


def _refuse_broken(scorer: Scorer, tried: Sequence[Sequence[Mark]], known: bool, failure: Failure | None) -> None:
    failures = [each.failure for marks in tried for each in marks]
    if not known and failure is not None and all(each is not None for each in failures):
        raise broken(
            scorer.name,
            f"fails on every control answer ({failure.error}); if it expects outputs of a certain form, "
            'give the items an "oracle" output',
            failure.where,
        )


def _judge(constant: Sequence[Mark], chance: Sequence[Mark], oracle: Sequence[Mark] | None) -> tuple[bool, str]:
    low, random_, top = _mean(constant), _mean(chance), None if oracle is None else _mean(oracle)
    values = [low, random_] if top is None else [low, random_, top]
    if max(values) - min(values) < 1e-9:
        what = "every control answer" if top is None else "constant, random and right answers"
        return False, f"the scorer gives {what} the same score ({low:.3f}): it measures nothing"
    worst_name, worst = ("a constant answer", constant) if low >= random_ else ("a random answer", chance)
    if oracle is None or top is None:
        if max(low, random_) > ROOM:
            return False, f"{worst_name} scores {max(low, random_):.3f} of 1 without knowing anything"
        return True, "constant and random answers fail; no right output is known, so the top was not checked"
    differences = [right.unit - wrong.unit for right, wrong in zip(oracle, worst, strict=True)]
    gap = statistics.fmean(differences)
    needed = max(GAP, ERRORS * statistics.stdev(differences) / math.sqrt(len(differences)))
    if gap < needed:
        return False, f"{worst_name} scores {_mean(worst):.3f} and the right one {top:.3f}: not {needed:.3f} apart"
    return True, f"the right answer scores {top:.3f}, {worst_name} {_mean(worst):.3f}"
