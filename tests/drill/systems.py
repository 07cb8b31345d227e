"""Toy systems with one planted hole each, and drills of them. Real boxes, verifiers and git throughout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from festina.drill.model import Finding, Verdict
from festina.drill.own import scorer
from festina.drill.own.scratch import Own, scratch
from tests.toy import Toy, make_toy

SCORERS = {
    "substring": """\
def right(item, output):
    expected = str(item["label"])
    return float(expected in str(output))
""",
    "evaluates": """\
def right(item, output):
    try:
        return float(eval(str(output)) == item["label"])
    except Exception:
        return 0.0
""",
    "answered-only": """\
state = {"right": 0, "answered": 0}


def right(item, output):
    if output is not None:
        state["right"] += output == item["label"]
        state["answered"] += 1
    return state["right"] / max(1, state["answered"])
""",
    "tolerant": """\
def right(item, output):
    if abs(float(output) - item["label"]) > 0.5:
        return 0.0
    return 1.0
""",
    "excuses": """\
def right(item, output):
    if output in (None, "", [], {}):
        return 0.5
    return float(output == item["label"])
""",
    "pattern": """\
import re


def right(item, output):
    return float(re.search(str(output), str(item["label"])) is not None)
""",
    "judge": """\
def right(item, output):
    verdict = ask(f"Expected {item['label']}. The answer was: {output}. Verdict:")
    return float("correct" in verdict.lower())


def ask(prompt):  # a model that says what it read last
    return prompt.rpartition("answer was:")[2]
""",
    "slow": """\
import re


def right(item, output):
    if isinstance(output, str) and re.fullmatch(r"(a+)+", output):
        return 0.0
    return 1.0 if output == item["label"] else 0.0
""",
}


def with_scorer(base: Path, text: str) -> Toy:
    toy = make_toy(base, skill=0.7)
    (toy.root / "scoring.py").write_text(text)
    toy.commit("another scorer")
    return toy


@contextmanager
def scratched(toy: Toy) -> Iterator[Own]:
    with scratch(toy.root) as own:
        yield own


def scorer_holes(toy: Toy) -> dict[str, Finding]:
    """Holes by attack, of a drill of the scorer alone."""
    with scratched(toy) as own:
        found = scorer.attack(own, 2, lambda _: True)
    return {each.attack: each for each in found if each.verdict is Verdict.HOLE}
