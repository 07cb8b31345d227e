"""Propose a better rule: new terms for its formula, or better numbers in it.

Started by Festina in this tree, with a view of the incumbent. It learns from the public instances alone: they tell
how items are distributed, and by drawing from them with replacement there are as many training instances as it
likes. By lot it does one of two things, and hands the result in if it is better on training instances of its own:

- *terms*: random products and differences of what a rule may see are added to the formula, each with a range of
  weights, or an old term is left out; a race over more and more instances picks one;
- *numbers*: an evolution strategy over all numbers of the rule, sometimes with a table added to it first.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from packing import CAPACITY, DYNAMIC, STATIC, BadRule, Rule, play, read_rule

ITEMS = 5000  # of a training instance
CPU_S = 8.0  # for the search of one proposal; races and checks come on top
TERMS = 0.5  # share of proposals that look for terms
WEIGHTS = tuple(sign * size for size in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0) for sign in (1, -1))
RACE = (1, 2, 4)  # instances in each heat
KEPT = 8  # formulas that survive a heat, halved each time
CHECKS = 8  # instances on which the proposal must beat the incumbent
TABLES = 0.5  # share of the other proposals that add a table first


Found = tuple[dict[str, object], float, str]


@dataclass
class Variant:
    """A rule with the numbers that it may be given: [k] constants and tables of [101]."""

    rule: Rule
    constants: np.ndarray
    tables: dict[str, np.ndarray]

    @staticmethod
    def of(rule: Rule) -> Variant:
        return Variant(rule, np.array(rule.constants), {name: np.array(row) for name, row in rule.tables.items()})

    def document(self) -> dict[str, object]:
        """The rule as it is kept: four digits are enough."""
        numbers = iter(self.constants)
        text = re.sub(r"(?<![a-z\d.])[\d.]+(?:e[+-]?\d+)?", lambda _: _digits(next(numbers)), self.rule.formula)
        return {
            "priority": text,
            "tables": {name: [float(f"{x:.4g}") for x in row] for name, row in self.tables.items()},
        }


def _digits(number: float) -> str:
    text = f"{number:.4g}"
    return f"({text})" if number < 0 else text


class Training:
    """Instances drawn from the public items with replacement: the same ones for everybody who asks for a number."""

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        self._sizes, self._seed = list(sizes), seed
        self._known: dict[int, list[int]] = {}

    def __getitem__(self, number: int) -> list[int]:
        if number not in self._known:
            drawn = random.Random(f"{self._seed}/{number}").choices(self._sizes, k=ITEMS)
            self._known = {**dict(list(self._known.items())[-16:]), number: drawn}
        return self._known[number]


# -- terms --------------------------------------------------------------------------------------------------


def term(rng: random.Random, depth: int = 2) -> str:
    """A random expression of what a rule may see."""
    if depth == 0 or rng.random() < 0.3:
        name = rng.choice((*STATIC, *DYNAMIC))
        return rng.choice((name, name, name, f"sqrt({name})", f"log1p({name})", f"{name}*{name}"))
    sign = rng.choice("-*-*+/")
    first, second = term(rng, depth - 1), term(rng, depth - 1)
    return f"({first} {sign} {f'(1 + {second})' if sign == '/' else second})"


def with_terms(rule: Rule, rng: random.Random) -> Iterator[Rule]:
    """Formulas with a term more, or with one exchanged. The new term's weight is the last number."""
    while True:
        parts = rule.formula.split(" + ")
        if len(parts) > 1 and rng.random() < 0.3:
            del parts[rng.randrange(len(parts))]
        formula = " + ".join([*parts, f"{term(rng)} * 1.0"])
        try:
            yield read_rule(
                {"priority": formula, "tables": {k: list(v) for k, v in rule.tables.items() if k in formula}}
            )
        except BadRule:  # too long
            continue


def find_terms(rule: Rule, training: Training, rng: random.Random, until: float) -> Variant:
    """The formula and the weight that win a race over more and more instances."""
    scored: list[tuple[float, int, Rule]] = []
    for number, candidate in enumerate(with_terms(rule, rng)):
        scored.append((float(_weighed(candidate, training, range(RACE[0])).min()), number, candidate))
        if time.process_time() > until:
            break
    kept = KEPT
    for heat in RACE[1:]:
        field = sorted(scored)[:kept]
        scored = [(float(_weighed(each, training, range(heat)).min()), n, each) for _, n, each in field]
        kept //= 2
    best = min(scored)[2]
    weight = WEIGHTS[int(_weighed(best, training, range(RACE[-1])).argmin())]
    return Variant(best, np.array([*best.constants[:-1], weight]), Variant.of(best).tables)


def _weighed(rule: Rule, training: Training, numbers: Sequence[int]) -> np.ndarray:
    """Bins used with each weight of the last term."""
    constants = np.tile(rule.constants, (len(WEIGHTS), 1))
    constants[:, -1] = WEIGHTS
    return np.sum([play(rule, training[number], constants) for number in numbers], axis=0)


# -- numbers ------------------------------------------------------------------------------------------------


def with_table(rule: Rule, rng: random.Random) -> Rule:
    """The same rule with a table of zeros: for the space left, for the space given up, or for both, as a difference."""
    name = next(letter for letter in "abcd" if letter not in rule.tables)
    added = rng.choice((f"{name}[left]", f"{name}[space]", f"{name}[space] - {name}[left]"))
    tables = {**{key: list(row) for key, row in rule.tables.items()}, name: [0.0] * (CAPACITY + 1)}
    return read_rule({"priority": f"{rule.formula} + {added}", "tables": tables})


def tune(
    start: Variant, training: Training, rng: random.Random, until: float, variants: int = 32, table_step: float = 0.3
) -> Variant:
    """An evolution strategy with mirrored steps over all numbers; the instances are new in each generation."""
    stream = np.random.default_rng(rng.getrandbits(64))
    names = list(start.tables)
    k = len(start.constants)
    mean = np.concatenate([start.constants, *(start.tables[name] for name in names)])
    scale = np.concatenate([0.2 * np.abs(start.constants) + 0.02, *(np.full(CAPACITY + 1, table_step) for _ in names)])
    step, generation = 1.0, 1000
    while time.process_time() < until and len(mean):
        half = stream.normal(size=(variants // 2, len(mean)))
        moves = np.concatenate([half, -half])
        points = mean + step * scale * moves
        tables = {name: points[:, k + i * 101 : k + (i + 1) * 101] for i, name in enumerate(names)}
        used = play(start.rule, training[generation], points[:, :k], tables)
        best = moves[np.argsort(used, kind="stable")[: variants // 4]]
        mean = mean + step * scale * best.mean(axis=0)
        drift = float((best.mean(axis=0) ** 2).mean()) * len(best)
        step *= float(np.exp(0.3 * (drift - 1) / (1 + len(mean) ** 0.5)))
        generation += 1
    tables = {name: mean[k + i * 101 : k + (i + 1) * 101] for i, name in enumerate(names)}
    return Variant(start.rule, mean[:k], tables)


# -- one proposal -------------------------------------------------------------------------------------------


def propose(rule: Rule, sizes: Sequence[int], seed: int, cpu_s: float = CPU_S) -> Found | None:
    """(the rule's document, bins saved per cent of those used, what was done), or None."""
    rng, training = random.Random(seed), Training(sizes, seed)
    began = time.process_time()
    terms = rng.random() < TERMS
    table = not terms and len(rule.tables) < 2 and rng.random() < TABLES
    if terms or not (table or rule.tables or len(rule.constants)):  # best fit has no number to change
        what = "another term"
        found = find_terms(rule, training, rng, began + 0.4 * cpu_s)
    else:
        what = "other numbers"
        found = Variant.of(with_table(rule, rng) if table else rule)
    found = tune(found, training, rng, began + cpu_s)
    document = found.document()
    new = read_rule(document)
    before, after = (np.array([play(r, training[-n])[0] for n in range(1, CHECKS + 1)]) for r in (rule, new))
    gain = 100 * float((before - after).mean() / before.mean())
    return (document, gain, what) if gain > 0 else None


def public_sizes(tree: str) -> list[int]:
    with open(os.path.join(tree, "data", "public.jsonl")) as file:
        return [size for line in file for size in bytes.fromhex(json.loads(line)["label"]["items"])]


def text_of(document: Mapping[str, object]) -> str:
    """A rule's file: the tables one number group a line would be long; ten numbers a line read well and patch well."""
    tables = []
    for name, row in document["tables"].items():  # type: ignore[attr-defined]
        lines = [", ".join(map(json.dumps, row[i : i + 10])) for i in range(0, len(row), 10)]
        tables.append(f"    {json.dumps(name)}: [\n      " + ",\n      ".join(lines) + "\n    ]")
    inner = "{\n" + ",\n".join(tables) + "\n  }" if tables else "{}"
    return f'{{\n  "priority": {json.dumps(document["priority"])},\n  "tables": {inner}\n}}\n'


def main() -> None:
    view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
    tree = os.path.join(view, "tree")
    with open(os.path.join(tree, "rule.json")) as file:
        rule = read_rule(json.load(file))
    found = propose(rule, public_sizes(tree), int(os.environ["FESTINA_SEED"]))
    if found is None:
        print("nothing better was found")
        return
    document, gain, what = found
    os.makedirs(os.path.join(out, "files"), exist_ok=True)
    with open(os.path.join(out, "files", "rule.json"), "w") as file:
        file.write(text_of(document))
    with open(os.path.join(out, "proposal.json"), "w") as file:
        json.dump({
            "weakness": "bins stay open that nothing fills",
            "rationale": f"{what}: {gain:.3f} % fewer bins on training instances",
            "predicted": round(gain, 3),
        }, file)  # fmt: skip


if __name__ == "__main__":
    main()
