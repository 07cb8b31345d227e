"""Loops over one proposer: Festina's gate with and without an archive before it, and arms of the choice of parents."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from festina.ledger.seeds import scratch_seed, try_seed, unit_seed
from festina.loop.searching import RUNS_A_UNIT
from festina.propose.archive import Archive, Make, Node, Run, Terms, luck, places
from festina.select import SPREAD, Budget, Evidence, Plan, gate
from festina.select.budget import SEARCHED
from searching.systems import Edge, System, Tree


class Clade(Archive):
    """By what clades came to alone."""

    def _parent(self, rng: random.Random) -> int | None:
        open_nodes = [node for node in self.nodes.values() if node.works]
        return self.head if rng.random() < 0.1 else self._by_clade(rng, open_nodes)


class FromRoot(Archive):
    """Every child is made of the incumbent: best of N."""

    def _parent(self, rng: random.Random) -> int | None:
        return self.head


class Islands(Archive):
    """Four islands in turn by birth, each by what its clades came to; a fifth of the children come from anywhere."""

    def _parent(self, rng: random.Random) -> int | None:
        turn, works = rng.randrange(4), [n.number for n in self.nodes.values() if n.works]
        mine = [n for n in works if self._island(n) == turn]
        if not mine or rng.random() < 0.2:
            return super()._parent(rng)
        ranks = places({n: self.lead(n) for n in mine})
        drawn = {}
        for n in mine:
            members = [ranks[each] for each in self.clade(n) if each in ranks]
            drawn[n] = rng.betavariate(1 + sum(members), 1 + len(members) - sum(members))
        return max(drawn, key=lambda n: drawn[n])

    def _island(self, number: int) -> int:
        path = self.lineage(number)
        return path[1] % 4 if len(path) > 1 else 0


class ByScore(Clade):
    """Thompson sampling on each node's own rank."""

    def clade(self, number: int) -> Iterator[int]:
        yield number


class Leader(Archive):
    """Always a child of what leads."""

    def _parent(self, rng: random.Random) -> int | None:
        return next(iter(self.candidates()), self.head)


ARMS: dict[str, type[Archive] | None] = {
    "one by one": None, "best of N": FromRoot, "leader": Leader, "own score": ByScore, "islands": Islands,
    "clade": Clade, "mixed": Archive,
}  # fmt: skip


ALPHA = 0.05


@dataclass
class Play:
    """One run of one arm. ``curve``: (runs of the system used, true score of the incumbent) after each verdict."""

    system: System
    seed: int
    trials: int
    tries: int = 24
    most: int = 4  # runs of one tree
    restart: bool = False
    share: float = 1.0  # of a run that a side of a test takes: less than one where a tree is trained once
    spread: float = SEARCHED  # of the error budget, before an archive's tests
    used: float = 0
    tested: int = 0
    proposed: int = 0
    accepted: list[float] = field(default_factory=list)  # true gain of each acceptance
    curve: list[tuple[float, float]] = field(default_factory=list)
    budget: Budget = field(default_factory=lambda: Budget(ALPHA, SPREAD))

    def __post_init__(self) -> None:
        self.leaf = f"{self.system.name}-{self.seed}"
        self.head = self.system.start
        self.gate_rows: list[Edge] = []
        self.curve.append((0, self.system.truth(self.head)))

    def play(self, arm: str) -> Play:
        """To the end of the trials, or until the loop gives up."""
        kind = ARMS[arm]
        if kind is None:
            self._one_by_one()
        else:
            self._search(kind)
        self.curve.append((self.trials, self.system.truth(self.head)))
        return self

    def at(self, used: int) -> float:
        """True score of what was accepted after so many runs."""
        return [score for runs, score in self.curve if runs <= used][-1]

    # -- the gate ---------------------------------------------------------------------------------------

    def test(self, tree: Tree) -> bool | None:
        """The real rule on paired units; None: the trials were spent before a verdict."""
        s = self.system
        level, opened = self.budget.open()
        state = gate.start(self._plan(level))
        number = 0
        while gate.decision(state) == "continue":
            if self.used + 2 * self.share > self.trials:
                return None
            seed = unit_seed(self.leaf, self.tested, number)
            mine, other = (s.unit(each, seed) for each in (tree, self.head))
            state = gate.observe(state, Evidence(mine - other))
            self.used, number = self.used + 2 * self.share, number + 1
        won = gate.decision(state) == "accept"
        self.budget = opened.close(level, won, gate.refund_share(state))
        self.tested += 1
        self.gate_rows.append(Edge(self.head, tree, "accepted" if won else "rejected"))
        if won:
            self.accepted.append(s.truth(tree) - s.truth(self.head))
            self.head = tree
        self.curve.append((self.used, s.truth(self.head)))
        return won

    def child(self, tree: Tree, past: list[Edge], seed: int) -> Tree:
        self.proposed += 1
        return self.system.child(tree, self.head, past, seed)

    def _one_by_one(self) -> None:
        idle = 0
        while self.used < self.trials and idle < 20:
            made = self.child(self.head, self.gate_rows, try_seed(self.leaf, self.proposed))
            tried = any(edge.after == made and edge.before == self.head for edge in self.gate_rows)
            if made is None or made == self.head or tried:
                idle += 1
                continue
            idle = 0
            if self.test(made) is None:
                return

    # -- the archive ------------------------------------------------------------------------------------

    def _search(self, kind: type[Archive]) -> None:
        self.budget = Budget(ALPHA, self.spread)
        self.trees: dict[int, Any] = {}
        self.parents: dict[int, int | None] = {}
        self.scores: dict[int, list[float | None]] = {}
        self.words: dict[Any, str] = {}
        self.barren: dict[int, int] = {}
        self.luck: dict[int, float | None] = {}
        since = idle = count = 0
        while self.used < self.trials:
            archive, terms = self._archive(kind), self._terms()
            left, over = int(self.trials - self.used), archive.over(terms, idle)
            best = archive.ready(terms) if archive.due(terms, since, left) else None
            best = archive.last(terms, left) if best is None and over else best
            if best is not None:
                tree = self.trees[best]
                won = self.test(tree)
                if won is None:
                    return
                self.words[tree] = "accepted" if won else "rejected"
                since = idle = 0
                if won and self.restart:
                    self.trees, self.parents, self.scores, self.barren = {}, {}, {}, {}
                continue
            what = archive.next_try(terms, try_seed(self.leaf, count))
            if over and isinstance(what, Make):
                return
            count += 1
            if isinstance(what, Run):
                self._run(what)
            elif what is None:
                return
            else:
                since, idle = since + self._make(archive, what, try_seed(self.leaf, count)), idle + 1

    def _terms(self) -> Terms:
        s = self.system
        plan = self._plan(Budget(ALPHA, self.spread).next_level())
        return Terms(self.tries, self.most, s.detect, plan, 1.0, RUNS_A_UNIT * self.share, self.trials)

    def _plan(self, level: float) -> Plan:
        s = self.system
        return Plan(s.kind, level, 0.0, s.detect, 0.1, (), s.most)  # type: ignore[arg-type]

    def _archive(self, kind: type[Archive]) -> Archive:
        if self.head not in self.trees.values():
            self._add(self.head, None)
        nodes = {}
        head = -1
        for n, tree in self.trees.items():
            word = self.words.get(tree)
            nodes[n] = Node(
                n, self.parents[n], str(n), tuple(self.scores[n]), barren=self.barren.get(n, 0),
                refused=word == "rejected", tested=word is not None, luck=self.luck.get(n),
            )  # fmt: skip
            head = n if tree == self.head else head
        return kind(nodes, head)

    def _add(self, tree: Tree, parent: int | None) -> int:
        number = len(self.trees)
        self.trees[number], self.parents[number], self.scores[number] = tree, parent, []
        return number

    def _run(self, what: Run) -> None:
        for at in range(what.first, what.first + what.count):
            seed = scratch_seed(self.leaf, at)
            self.scores[what.node].append(self.system.public(self.trees[what.node], seed))
            self.used += 1 if at == 0 else self.share

    def _make(self, archive: Archive, what: Make, seed: int) -> bool:
        """Whether it came to a new tree."""
        made = self.child(self.trees[what.parent], self._history(archive, what.parent), seed)
        if made is None or made in self.trees.values():
            self.barren[what.parent] = self.barren.get(what.parent, 0) + 1
            return False
        number = self._add(made, what.parent)
        self._run(Run(number, 0, what.count))
        each = [self.system.public_each(self.trees[n]) for n in (number, what.parent)]
        self.luck[number] = luck(each[0], each[1]) if each[0] and each[1] else None
        return True

    def _history(self, archive: Archive, parent: int) -> list[Edge]:
        """As ``loop.history``: the gate's words, then the lineage as a line that walked there."""
        rows = [edge for edge in self.gate_rows if edge.word != "accepted"]
        path = archive.lineage(parent)
        for at, number in enumerate(path):
            after = path[at + 1] if at + 1 < len(path) else None
            for each in archive.children.get(number, ()):
                if after is not None and each > after:
                    continue
                gain = archive.gain(each, number) if archive.nodes[each].works and archive.nodes[number].works else None
                word = "accepted" if each == after else "failed" if gain is None else "better" if gain > 0 else "worse"
                rows.append(Edge(self.trees[number], self.trees[each], word, gain))
        return rows
