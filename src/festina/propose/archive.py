"""Which tree to change next, and when one is worth handing in: pure, from public results alone.  # P-7

An archive holds every tree that was tried, with its parent and its scores on public evidence. All nodes are run on the
same seeds in the same order, so that any two compare pair by pair. ``next_try`` says what to do next, ``ready`` which
node to hand in:

- the incumbent is run first; where four seeds give it the same score, and no tree has shown two, nothing is noise, and
  one run a tree is enough;
- the node that leads with fewer runs than ``seeds`` is run again, twice as often each time, until it holds or falls;
- else a child is made, half of them of the node that leads, or of the incumbent where nothing does. The other parents
  are drawn by what the clade (a node and all its descendants) has come to, not by the node's own score alone: a good
  tree from which nothing but failures comes is left for others (clade metaproductivity: Wang et al., Huxley-Goedel
  Machine, arXiv 2510.21614; each member counts once here).

What leads is handed in once further search has cost as much as its test will, or once the runs that are left are just
enough for it. The price of a test is the gate's own law: two steps of half the size cost three and a half times as much
as one. A lead counts for what it promises beyond luck (``promise``).

A node that the gate did not accept stays a parent, but only what is publicly better than it by itself is handed in
from its clade: its lead was luck or does not carry over. Every choice follows from the nodes and a seed.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from festina.select import Plan, units_steady

__all__ = ["Archive", "Make", "Node", "Run", "Terms", "luck"]

RESTARTS = 0.1  # share of children that are made of the incumbent itself, whatever its clade came to
LEADERS = 0.5  # share of the others that are made of the node that leads (benchmarks/search.py)
SHARPER = 10  # nodes: as their number grows, a result weighs more, or the many newcomers would always win the draw
FIRST_RUNS = 2  # of the incumbent
SAME_RUNS = 4  # of the incumbent that score alike: two do by luck where scores are coarse
GIVE_UP = 8  # times ``tries`` without anything to hand in
LEAST_STEP = 1e-9
LEAST_ITEMS = 8  # whose differences say how much of a lead may be luck
ROOM = 1.25  # of a test's price is kept for it: noise lengthens it, and the lead may be smaller on hidden items


@dataclass(frozen=True, slots=True)
class Terms:
    """``tries``: new trees for each hand-in at least, and half as many without a better one before it.

    ``seeds``: runs of one tree at most. ``least``: lead worth a test. ``plan``: of the test, scaled to a range that is
    ``width`` wide; each of its units takes ``sides`` runs: less than one where a kept model only answers. None: a test
    costs nothing. ``whole``: the runs that one
    run of the engine may make; a test that costs more goes on over several, and none waits for its end.
    """

    tries: int
    seeds: int
    least: float = 0.0
    plan: Plan | None = None
    width: float = 1.0
    sides: float = 2.0
    whole: float = math.inf

    def price(self, lead: float) -> int:
        """Runs of a test that shows a lead, without noise: 63 units for a tenth of the range, 13 for six tenths."""
        if self.plan is None:
            return 0
        return math.ceil(self.sides * units_steady(self.plan, round(min(1.0, lead / self.width), 4)))


@dataclass(frozen=True, slots=True)
class Node:
    """One tree that was tried. ``scores``: by seed, higher is better; None: that run gave nothing."""

    number: int
    parent: int | None
    tree: str
    scores: tuple[float | None, ...] = ()
    sound: bool = True  # no guard is publicly hurt
    dry: bool = False  # its improver knows nothing new below it
    barren: int = 0  # tries below it of which no new tree came
    refused: bool = False  # the gate has not accepted it
    tested: bool = False  # it was handed in against the incumbent, or is it
    luck: float | None = None  # squared standard error of its gain over its parent, from its public items' differences

    @property
    def works(self) -> bool:
        return bool(self.scores) and None not in self.scores


@dataclass(frozen=True, slots=True)
class Run:
    """Run a known node on seeds ``first`` to ``first + count - 1``."""

    node: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Make:
    """Make a child of ``parent`` and run it on the first ``count`` seeds."""

    parent: int
    count: int


@dataclass(frozen=True)
class Archive:
    """The nodes by number, the incumbent's, and what is under way: nodes being run, parents of children being made."""

    nodes: Mapping[int, Node]
    head: int
    running: tuple[int, ...] = ()
    making: tuple[int, ...] = ()

    # -- readings ---------------------------------------------------------------------------------------

    @cached_property
    def children(self) -> Mapping[int, tuple[int, ...]]:
        found: dict[int, list[int]] = {}
        for node in self.nodes.values():
            if node.parent is not None:
                found.setdefault(node.parent, []).append(node.number)
        return {number: tuple(each) for number, each in found.items()}

    @cached_property
    def spread(self) -> float:
        """Variance of what one change of a tree does, without the luck of public items."""
        beyond = [
            self.gain(n.number, n.parent) ** 2 - n.luck for n in self.nodes.values()
            if n.luck is not None and n.parent is not None and n.works and self.nodes[n.parent].works
        ]  # fmt: skip
        return max(0.0, math.fsum(beyond) / max(1, len(beyond)))

    def lineage(self, number: int) -> list[int]:
        """From the oldest ancestor to the node itself."""
        path = [number]
        while (parent := self.nodes[path[-1]].parent) is not None:
            path.append(parent)
        return path[::-1]

    def clade(self, number: int) -> Iterator[int]:
        """The node and all its descendants, each once."""
        left = [number]
        while left:
            at = left.pop()
            yield at
            left += self.children.get(at, ())

    def lead(self, number: int) -> float:
        """Mean public gain over the incumbent, on the seeds that both have run; -inf for what does not work."""
        return self.gain(number, self.head)

    def gain(self, number: int, over: int) -> float:
        """Mean difference of two nodes' scores, seed by seed."""
        mine, other = self.nodes[number], self.nodes[over]
        if not mine.works:
            return -math.inf
        pairs = [(x, y) for x, y in zip(mine.scores, other.scores, strict=False) if x is not None and y is not None]
        return math.fsum(x - y for x, y in pairs) / len(pairs) if pairs else math.inf if not other.works else 0.0

    def promise(self, number: int) -> float:
        """What of its lead is to be expected on other items: each step is shrunk by how much of it may be luck.

        Steps between trees and their parents are taken for draws about 0 whose variance is what their mean square has
        beyond the luck of public items (empirical Bayes: Efron, Morris 1973). Of hundreds of steps that come to nothing
        the few that lead are mostly luck; where steps differ by more than luck, they are believed.
        """
        if not self.nodes[number].works or not self.nodes[self.head].works:
            return self.lead(number)
        mine, other = self.lineage(number), self.lineage(self.head)
        apart = [each for each in mine if each not in other], [each for each in other if each not in mine]
        ahead, back = (math.fsum(self.gain_shrunk(each) for each in path) for path in apart)
        return ahead - back

    def gain_shrunk(self, number: int) -> float:
        """The expected gain over its parent; 0 of a tree without one."""
        node = self.nodes[number]
        if node.parent is None or not node.works or not self.nodes[node.parent].works:
            return 0.0
        gain = self.gain(number, node.parent)
        return gain if node.luck is None else gain * self.spread / (self.spread + node.luck) if self.spread else 0.0

    def steady(self, number: int) -> bool:
        """Whether it is better than the incumbent on every seed that both have run."""
        pairs = zip(self.nodes[number].scores, self.nodes[self.head].scores, strict=False)
        return all(x is not None and (y is None or x > y) for x, y in pairs)

    def noiseless(self) -> bool:
        """Whether the incumbent scored the same on ``SAME_RUNS`` seeds, and no tree has shown two scores."""
        head = self.nodes[self.head]
        return head.works and len(head.scores) >= SAME_RUNS and all(
            len(set(node.scores)) <= 1 for node in self.nodes.values()
        )

    def runs_wanted(self, terms: Terms) -> int:
        return 1 if self.noiseless() else terms.seeds

    def runs_of_head(self, terms: Terms) -> int:
        """How often the incumbent is run before anything is made of it: further where that may save every other run."""
        scores = self.nodes[self.head].scores
        alike = len(scores) >= FIRST_RUNS and len(set(scores)) == 1 and terms.seeds >= SAME_RUNS
        return SAME_RUNS if alike else min(FIRST_RUNS, terms.seeds)

    def floor(self, number: int) -> float:
        """The lead that a node must beat: the incumbent's, or that of a rejected tree that it stands on."""
        rejected = [self.lead(each) for each in self._refused if each in self.lineage(number)]
        return max([0.0, *rejected])

    @cached_property
    def _refused(self) -> tuple[int, ...]:
        return tuple(node.number for node in self.nodes.values() if node.refused)

    def candidates(self) -> list[int]:
        """Nodes that may be handed in, the best lead first: what lost on one seed already would make a long test."""
        return list(self._candidates)

    @cached_property
    def _candidates(self) -> tuple[int, ...]:
        found = [
            (-lead, node.number) for node in self.nodes.values()
            if node.sound and not node.tested and not node.refused and (lead := self.lead(node.number)) > LEAST_STEP
            and lead > self.floor(node.number) + LEAST_STEP and self.steady(node.number)
        ]  # fmt: skip
        return tuple(number for _, number in sorted(found))

    # -- decisions --------------------------------------------------------------------------------------

    def next_try(self, terms: Terms, seed: int) -> Run | Make | None:
        """What to do beside what is under way; None: nothing can be done until that has ended, or nothing is left."""
        head = self.nodes[self.head]
        wanted = self.runs_of_head(terms)
        if len(head.scores) < wanted:
            return None if self.running else Run(self.head, len(head.scores), wanted - len(head.scores))
        more = self._more(terms)
        if more is not None:
            return more
        parent = self._parent(random.Random(seed))
        return None if parent is None else Make(parent, 1)

    def due(self, terms: Terms, since: int, left: int) -> bool:
        """Whether to hand in now, ``since`` new trees after the last time and with ``left`` runs to go."""
        return self.ready(terms) is not None and self.enough(terms, since, left)

    def enough(self, terms: Terms, since: int, left: int) -> bool:
        """Whether what leads is worth a test, and either the search is at rest or the rest is for the test.

        Each further try costs a run and may make the test cheaper; the test costs its price. So what leads has to last
        as many tries as its test takes runs: at most twice of what the better choice of the two would have cost.
        """
        best = self._leader()
        promise = -math.inf if best is None else self.promise(best)
        if best is None or since < terms.tries or promise <= 0.0 or promise < terms.least:
            return False
        price = terms.price(promise)
        if left <= ROOM * price <= terms.whole:
            return left >= price  # the rest is for the test; where it is too little, only a larger lead can be shown
        return self.rested(best) >= max(terms.tries // 2, price) or since >= GIVE_UP * terms.tries

    def last(self, terms: Terms, left: int) -> int | None:
        """The node to hand in where nothing else can be tried: what leads, if its test can end should the lead hold."""
        best = self.ready(terms)
        if best is None or self.promise(best) <= 0.0:
            return None
        price = terms.price(max(self.lead(best), terms.least))
        return best if price <= left or terms.whole < ROOM * price else None

    def over(self, terms: Terms, idle: int) -> bool:
        """Whether nothing better came for so long that it will not by going on; ``idle``: tries since a hand-in."""
        best = self._leader()
        return idle >= GIVE_UP * terms.tries and (best is None or self.rested(best) >= GIVE_UP * terms.tries)

    def rested(self, number: int) -> int:
        """New trees since this one came."""
        return sum(each > number for each in self.nodes)

    def ready(self, terms: Terms) -> int | None:
        """The node to hand in: the best lead, if it has held on as many seeds as are wanted."""
        best = self._leader()
        return best if best is not None and len(self.nodes[best].scores) >= self.runs_wanted(terms) else None

    def _more(self, terms: Terms) -> Run | None:
        """Further runs of the node that leads: what one lucky seed has lifted is found out before it leads on."""
        best = self._leader()
        if best is None or best in self.running:
            return None
        have, wanted = len(self.nodes[best].scores), self.runs_wanted(terms)
        known = len(self.nodes[self.head].scores)
        if have >= wanted:
            return None
        if known <= have:  # the incumbent first: they are compared on the same seeds
            return None if self.head in self.running else Run(self.head, known, min(wanted, 2 * known) - known)
        return Run(best, have, min(known, 2 * have, wanted) - have)

    def _parent(self, rng: random.Random) -> int | None:
        """A node to make a child of: sometimes the incumbent, often what leads, else by clade."""
        open_nodes = [node for node in self.nodes.values() if node.works and node.sound and not node.dry]
        if not open_nodes:
            return None
        if not self.nodes[self.head].dry and rng.random() < RESTARTS:
            return self.head
        leader = self._leader()
        leader = self.head if leader is None and self.nodes[self.head].works else leader  # nothing beats it yet
        if leader is not None and not self.nodes[leader].dry and rng.random() < LEADERS:
            return leader
        return self._by_clade(rng, open_nodes)

    def _leader(self) -> int | None:
        return next(iter(self._candidates), None)

    def _by_clade(self, rng: random.Random, open_nodes: list[Node]) -> int | None:
        """By Thompson sampling over what each clade has come to."""
        worth = self._ranks()
        best, chosen = -1.0, None
        for node in open_nodes:
            members = [worth[each] for each in self.clade(node.number)]
            failed = sum(self.making.count(each) + self.nodes[each].barren for each in self.clade(node.number))
            good, weight = math.fsum(members), max(1.0, len(worth) / SHARPER)
            bad = len(members) - good + failed  # under way: a failure till then
            drawn = rng.betavariate(1.0 + weight * good, 1.0 + weight * bad)
            if drawn > best:
                best, chosen = drawn, node.number
        return chosen

    def _ranks(self) -> dict[int, float]:
        """Each node's place among all, from 0 (worst, or does not work) to 1 (best); ties share their places."""
        leads = {number: self.lead(number) for number in self.nodes}
        return places(leads)


def luck(mine: Sequence[float], other: Sequence[float]) -> float | None:
    """Squared standard error of the mean difference of two trees' scores on the same items; None: too few items."""
    if len(mine) < LEAST_ITEMS or len(mine) != len(other):
        return None
    return statistics.variance([x - y for x, y in zip(mine, other, strict=True)]) / len(mine)


def places(values: Mapping[int, float]) -> dict[int, float]:
    """Mid-ranks in (0, 1); -inf is 0."""
    ordered = sorted(values.values())
    count = len(ordered)
    spots: dict[float, list[int]] = {}
    for at, value in enumerate(ordered):
        spots.setdefault(value, []).append(at)
    return {
        number: 0.0 if value == -math.inf else (sum(spots[value]) / len(spots[value]) + 0.5) / count
        for number, value in values.items()
    }
