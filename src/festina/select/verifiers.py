"""Several verifiers on the same planted defects: how often each misses, how often all do, and what that says.  # V-5

Every plant gives one word a verifier, what it would have said on its own (``own_word``): ``missed`` when its evidence
for a gain reached the threshold, ``caught`` when its evidence against one did or the units ran out, ``undecided`` when
the test ended on another's word first. Rates count decided words; joint numbers count plants on which all had decided.

If verifiers missed independently, the joint rate would be the product of the single ones. ``effective`` asks how many
independent verifiers of the same mean skill would miss as much jointly as these do: ``ln(joint) / mean ln(single)``,
from 1 (one voice) to their number. Its interval puts exact intervals of several rates together (Bonferroni), so it is
wide rather than too narrow.
With no joint miss there is nothing to take a logarithm of: then it cannot be told, and ``needed`` says about how many
plants would show it if they shared all their blind spots.

``voices`` counts by declared family what may count as independent at all: an unknown family counts as shared, and the
proposer's own family is no voice of its own. ``drilled`` names what verifiers paid for in a drill, beside the planted
changes. Not covered: kinds of defects that were never planted or tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, exp, fsum, inf, log, sqrt
from typing import Literal

from festina.select import gate
from festina.select.rates import CONFIDENCE, bisect, exact, log_choose
from festina.select.rules import RULE

OwnWord = Literal["missed", "caught", "undecided"]
GOAL = "the goal's scorer"
UNKNOWN, CODE = "unknown", "python"
ENOUGH = 5  # expected joint misses that make a dependence visible
WIDEST = 40.0  # log odds beyond which nobody looks


@dataclass(frozen=True, slots=True)
class Rate:
    """Misses of one verifier, or of all together."""

    misses: int
    decided: int

    @property
    def interval(self) -> tuple[float, float]:
        """Exact, 95 %."""
        return exact(self.misses, self.decided)


@dataclass(frozen=True, slots=True)
class Pair:
    """How the misses of two verifiers go together, on plants about which both had decided.

    ``odds_ratio`` is 1 for independence; its interval is exact given how often each missed (0 and infinity where
    that leaves it open). ``ratio`` is joint over product, ``phi`` the correlation; None where they are not defined.
    """

    one: int
    other: int
    both: int
    only_one: int
    only_other: int
    neither: int
    ratio: float | None
    phi: float | None
    odds_ratio: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Study:
    """All of it, in the order of the verifiers."""

    rates: tuple[Rate, ...]
    undecided: tuple[int, ...]
    joint: Rate
    product: float  # joint rate that independence would give; from the single rates of the same plants
    pairs: tuple[Pair, ...]
    effective: float | None  # None: cannot be told yet
    effective_interval: tuple[float, float]
    needed: int  # about how many plants would be enough to tell; 0 where it can be told


def own_word(
    level: float, beta: float, units_max: int, margin: float, detect: float, differences: Sequence[float],
    rule: int = RULE,
) -> OwnWord:
    """What one verifier would have said on its own about the units that there are."""
    state = gate.start(gate.Plan("bounded", level, margin, detect, beta, (), units_max, rule=rule))
    outcome = gate.decision(gate.observe_all(state, [gate.Evidence(x) for x in differences]))
    if outcome == "continue":
        return "undecided"
    return "missed" if outcome == "accept" else "caught"


def study(words: Sequence[Sequence[OwnWord]]) -> Study:
    """``words[p][v]``: of verifier v about plant p. At least one verifier."""
    count = len(words[0]) if words else 1
    columns = [[row[v] for row in words] for v in range(count)]
    rates = tuple(_rate(column) for column in columns)
    undecided = tuple(column.count("undecided") for column in columns)
    full = [row for row in words if "undecided" not in row]
    joint = Rate(sum(all(word == "missed" for word in row) for row in full), len(full))
    single = [sum(row[v] == "missed" for row in full) / len(full) if full else 0.0 for v in range(count)]
    product = 1.0
    for share in single:
        product *= share
    pairs = tuple(_pair(words, one, other) for one, other in combinations(range(count), 2))
    effective, interval = _effective(full, joint, count)
    return Study(rates, undecided, joint, product, pairs, effective, interval, _needed(rates, joint, count))


def voices(families: Sequence[str], proposer: str) -> int:
    """How many of the verifiers may count as independent of each other and of the proposer, at most.

    Plain code is of no model's family. Where the proposer's family is unknown, no model's can be told from it.
    """
    own = {
        family
        for family in families
        if family not in (UNKNOWN, proposer) and (proposer != UNKNOWN or family == CODE)
    }
    shared = any(family not in own for family in families)
    return len(own) + shared


def drilled(names: Sequence[str], rows: Sequence[tuple[str, Sequence[OwnWord]]], most: int = 8) -> list[str]:
    """Sentences about (attack, a word of each verifier) from a drill. Its attacks are chosen and not drawn: they are
    counted and named, and no rate or interval is made of them."""
    full = [(attack, words) for attack, words in rows if len(words) == len(names) and "undecided" not in words]
    if len(names) < 2 or not full:
        return []
    paid = [sum(words[v] == "missed" for _, words in full) for v in range(len(names))]
    each = ", ".join(f"{name} paid for {count}" for name, count in zip(names, paid, strict=True))
    said = [f"Of {len(full)} attacks that all {len(names)} verifiers judged, {each}."]
    shared = [attack for attack, words in full if all(word == "missed" for word in words)]
    if shared:
        more = f" and {len(shared) - most} more" if len(shared) > most else ""
        said.append(f"All of them paid for {', '.join(shared[:most])}{more}: a blind spot that they share.")
    elif any(paid):
        said.append("None of these attacks was paid for by all of them.")
    return said


def _rate(words: Sequence[OwnWord]) -> Rate:
    return Rate(words.count("missed"), len(words) - words.count("undecided"))


def _pair(words: Sequence[Sequence[OwnWord]], one: int, other: int) -> Pair:
    rows = [(row[one], row[other]) for row in words if "undecided" not in (row[one], row[other])]
    both = rows.count(("missed", "missed"))
    first, second = rows.count(("missed", "caught")), rows.count(("caught", "missed"))
    neither = len(rows) - both - first - second
    a, b = both + first, both + second  # misses of each
    square = a * b * (len(rows) - a) * (len(rows) - b)
    phi = (both * neither - first * second) / sqrt(square) if square else None
    ratio = both * len(rows) / (a * b) if a and b else None
    return Pair(one, other, both, first, second, neither, ratio, phi, odds_interval(both, a, b, len(rows)))


def odds_interval(both: int, a: int, b: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of the odds ratio, given the margins: ``a`` and ``b`` misses among ``total`` plants."""
    low, high = max(0, a + b - total), min(a, b)
    tail = (1.0 - confidence) / 2.0
    weights = [log_choose(a, k) + log_choose(total - a, b - k) for k in range(low, high + 1)]

    def share(log_odds: float, start: int, stop: int) -> float:
        """P(start <= X <= stop) at these odds."""
        terms = [w + (low + i) * log_odds for i, w in enumerate(weights)]
        top = max(terms)
        sizes = [exp(term - top) for term in terms]
        return fsum(sizes[start - low : stop - low + 1]) / fsum(sizes)

    down = 0.0 if both == low else exp(bisect(lambda t: share(t, both, high) < tail, -WIDEST, WIDEST))
    up = inf if both == high else exp(bisect(lambda t: share(t, low, both) > tail, -WIDEST, WIDEST))
    return down, up


def _effective(
    full: Sequence[Sequence[OwnWord]], joint: Rate, count: int
) -> tuple[float | None, tuple[float, float]]:
    """The effective number and its interval; all rates on the same plants.

    With ``c_v``, the share of verifier v's misses that all others missed too, the joint rate is ``p_v * c_v`` for
    every v, and so the number is ``1 + sum ln c_v / sum ln p_v``. The interval holds all these rates at once.
    """
    if count == 1:
        return 1.0, (1.0, 1.0)
    misses = [sum(row[v] == "missed" for row in full) for v in range(count)]
    total = len(full)
    if not all(0 < found < total for found in misses):
        return None, (1.0, float(count))
    confidence = 1.0 - (1.0 - CONFIDENCE) / (2 * count)
    alone = [exact(found, total, confidence) for found in misses]
    others = [exact(joint.misses, found, confidence) for found in misses]

    def number(shares: Sequence[float], rates: Sequence[float]) -> float:
        if min(shares) <= 0.0:
            return float(count)
        spread = fsum(log(p) for p in rates)  # every rate is above 0 here: somebody missed, and so does its bound
        return min(float(count), 1.0 + fsum(log(c) for c in shares) / spread) if spread < 0.0 else float(count)

    middle = None
    if joint.misses:
        middle = number([joint.misses / found for found in misses], [found / total for found in misses])
    low = number([high for _, high in others], [low for low, _ in alone])
    return middle, (low, number([low for low, _ in others], [high for _, high in alone]))


def _needed(rates: Sequence[Rate], joint: Rate, count: int) -> int:
    """Plants until ``ENOUGH`` joint misses are expected if all blind spots are shared; 0 where that many were seen."""
    if count == 1 or joint.misses >= ENOUGH:
        return 0
    rarest = min((rate.misses + 0.5) / (rate.decided + 1.0) for rate in rates)
    return ceil(ENOUGH / rarest)
