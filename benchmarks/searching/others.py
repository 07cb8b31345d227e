"""Other people's loops over the same proposer: what they keep is decided by public scores alone.

* ``KeepIfBetter``: autoresearch's rule (karpathy/autoresearch, program.md): one run a change, kept when the number is
  better than the best so far. Re-implemented.
* ``OpenEvolve``: parents, islands, archive and tracked best are those of its package's ``ProgramDatabase``
  (``pip install -e '.[bench]'``), with its default configuration; its prompts, models and processes are not run: the
  change comes from the same proposer that every other arm has. A program is a name here, so its maps of features
  (length and edit distance) see names.

Both are told everything that the archive tells a proposer: the lineage of the tree that is changed, with public gains.
"""

from __future__ import annotations

import random

from festina.ledger.seeds import scratch_seed, try_seed
from searching.loops import Play
from searching.systems import Edge, Tree


class KeepIfBetter(Play):
    """One line, one run a change."""

    def play(self, arm: str) -> Play:
        best = self._run(self.head)
        past: list[Edge] = []
        while self.used < self.trials:
            made = self.child(self.head, past, try_seed(self.leaf, self.proposed))
            if made is None or made == self.head:
                if self.proposed > 20 * self.trials:
                    break
                continue
            score = self._run(made)
            gain = None if score is None or best is None else score - best
            won = gain is not None and gain > 0
            past.append(Edge(self.head, made, "accepted" if won else "failed" if gain is None else "worse", gain))
            if won:
                self.take(made)
                best = score
        return self.end()

    def _run(self, tree: Tree) -> float | None:
        self.used += 1
        return self.system.public(tree, scratch_seed(self.leaf, self.used))

    def take(self, tree: Tree) -> None:
        self.accepted.append(self.system.truth(tree) - self.system.truth(self.head))
        self.head = tree
        self.curve.append((self.used, self.system.truth(tree)))

    def end(self) -> Play:
        self.curve.append((self.trials, self.system.truth(self.head)))
        return self


class OpenEvolve(KeepIfBetter):
    """Its database's parents and its tracked best."""

    def play(self, arm: str) -> Play:
        from openevolve.config import DatabaseConfig
        from openevolve.database import Program, ProgramDatabase

        database = ProgramDatabase(DatabaseConfig(log_prompts=False, random_seed=None))
        coins = random.Random(self.leaf)
        trees, edges, score = {"0": self.head}, {"0": list[Edge]()}, {"0": self._run(self.head)}
        below: dict[str, list[Edge]] = {}
        database.add(Program(id="0", code="0", metrics={"combined_score": score["0"] or 0.0}))
        asked = 0
        while self.used < self.trials and asked < 20 * self.trials:
            asked += 1
            island = asked % database.config.num_islands
            random.seed(coins.random())  # the package draws from the module's own generator
            parent = database.sample_from_island(island, num_inspirations=0)[0].code.split()[-1]
            made = self.child(trees[parent], edges[parent] + below.get(parent, []), try_seed(self.leaf, asked))
            if made is None or made in trees.values():
                continue
            name, value, base = str(asked), self._run(made), score[parent]
            gain = None if value is None or base is None else value - base
            word = "failed" if gain is None else "better" if gain > 0 else "worse"
            below.setdefault(parent, []).append(Edge(trees[parent], made, word, gain))
            if value is None:
                continue
            trees[name], score[name] = made, value
            edges[name] = edges[parent] + below[parent][:-1] + [Edge(trees[parent], made, "accepted", gain)]
            metrics = {"combined_score": value}
            database.add(Program(id=name, code=f"{parent} {name}", parent_id=parent, metrics=metrics), iteration=asked,
                         target_island=island)  # fmt: skip
            database.increment_island_generation(island)
            if database.should_migrate():
                database.migrate_programs()
            best = database.get_best_program().code.split()[-1]
            if trees[best] != self.head:
                self.take(trees[best])
        return self.end()
