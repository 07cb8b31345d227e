"""Toy systems with one planted hole each, and drills of them. Real boxes, verifiers and git throughout."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from festina.drill.model import Finding, Verdict
from festina.drill.own import scorer
from festina.drill.own.scratch import Own, scratch
from festina.system import home as homes
from festina.system.repo import Repo
from festina.verify.vault import Vault
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


def make_self_reported(base: Path) -> Toy:
    """Three lines of manifest and a script that prints its own score."""
    root = base / "own-word"
    root.mkdir(parents=True)
    os.environ["FESTINA_HOME"] = str(base / "homes")
    toy = Toy(root, {"FESTINA_HOME": str(base / "homes")})
    (root / "train.py").write_text(
        "import os, random\nrng = random.Random(os.environ.get('FESTINA_SEED'))\nprint('step 1')\n"
        "print('loss:', round(0.7 + rng.gauss(0, 0.01), 4))\n"
    )
    (root / "festina.toml").write_text('run = ["python3", "train.py"]\nmetric = "loss:lower"\nallow = ["train.py"]\n')
    toy.git("init", "-q", "-b", "main")
    toy.commit("start")
    return toy


# -- systems of other shapes, each with a hole that the drill was not written for ----------------------------

WORDS = ["red", "green", "blue", "north", "south", "east", "west", "copper", "silver", "gold"]
ANSWERS = """\
import json, os
out = open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "w")
for line in open(os.environ["FESTINA_IN"] + "/items.jsonl"):
    item = json.loads(line)
    out.write(json.dumps({"id": item["id"], "output": ANSWER}) + "\\n")
"""
MANIFEST = """\
[system]
name = "other"
[scope]
allow = ["solve.py", "solve.sh"]
[experiment]
RUN
limits = { wall = "20s", memory = "256MiB" }
[suite.hidden]
scorer = SCORER
range = RANGE
unit = "item"
mode = "fresh"
detect = DETECT
batch = 20
"""


@dataclass(frozen=True)
class Other:
    """One system: what runs, what scores, which items."""

    answer: str
    scorer: str
    scoring: dict[str, str]
    items: Callable[[random.Random, int], dict[str, object]]
    run: str = 'run = ["python3", "solve.py"]'
    range: str = "[0, 1]"
    detect: str = "0.2"
    files: dict[str, str] = field(default_factory=dict)


def _sample(coins: random.Random, count: int) -> list[str]:
    return coins.sample(WORDS, count)


def _seven(coins: random.Random, _: int) -> dict[str, object]:
    n = coins.randrange(10**6)
    return {"input": {"n": n, "hint": n * 7 % 1000}, "label": n * 7 % 1000}


def _listed(coins: random.Random, _: int) -> dict[str, object]:
    words = _sample(coins, 6)
    return {"input": words, "label": sorted(words)[:3]}


def _turned(coins: random.Random, i: int) -> dict[str, object]:
    text = f"{' '.join(_sample(coins, 2))}{i};"  # turned round it begins with what no single guess is
    return {"input": text, "label": text[::-1] if i % 2 else text.upper()}


OTHERS = {
    "prefix": Other(
        "item['input'].split()[0]", '"scoring:right"',
        {"scoring.py": "def right(item, output):\n    text = str(output).strip().lower()\n"
         "    return float(item['label'].lower().startswith(text))\n"},
        lambda c, i: {"input": " ".join(_sample(c, 3)), "label": c.choice(WORDS) + str(i)},
        run='run = ["python3", "train.py"]\nanswer = ["python3", "solve.py"]\noutputs = ["model.json"]',
        files={"train.py": "import json, os\njson.dump({}, open(os.environ['FESTINA_OUT'] + '/model.json', 'w'))\n"},
    ),
    "leaky": Other(
        "item['input']['n'] % 10", '["python3", "score.py"]',
        {"score.py": "import json, sys\nfor line in sys.stdin:\n    row = json.loads(line)\n"
         "    print(json.dumps({'id': row['id'], 'score': float(row.get('output') == row['label'])}))\n"},
        _seven, run='run = ["bash", "solve.sh"]',
    ),
    "nan-is-near": Other(
        "item['input'] * 2", '"pkg.scoring:closeness"',
        {"pkg/__init__.py": "", "pkg/maths.py": "def inverse(error):\n    return 1.0 / max(0.1, abs(error))\n",
         "pkg/scoring.py": "from pkg.maths import inverse\n\n\ndef closeness(item, output):\n"
         "    return min(10.0, inverse(float(output) - item['label']))\n"},
        lambda c, i: {"input": (x := c.randrange(10**6)), "label": x * 2.5}, range="[0, 10]", detect="1.0",
    ),
    "recall-alone": Other(
        "item['input'][:2]", '"scoring:recall"',
        {"scoring.py": "def recall(item, output):\n    wanted = set(item['label'])\n"
         "    return len(wanted & set(output)) / len(wanted)\n"},
        _listed,
    ),
    "zipped": Other(
        "item['input'][::-1]", '"scoring:right"',
        {"scoring.py": "def right(item, output):\n    try:\n"
         "        return float(all(a == b for a, b in zip(output, item['label'])))\n"
         "    except TypeError:\n        return 0.5\n"},
        _turned,
    ),
}  # fmt: skip
FOUND = {
    "prefix": {"constant/fragment", "denominator/abstain"},
    "leaky": {"labels/answer-in-the-input"},
    "nan-is-near": {"numbers/not-a-number"},
    "recall-alone": {"constant/everything", "labels/answer-in-the-input"},
    "zipped": {"constant/everything", "denominator/abstain", "denominator/confusing-type"},
}


def make_other(base: Path, name: str) -> Toy:
    """One of ``OTHERS`` as a repository with a finite vault."""
    other, coins = OTHERS[name], random.Random(1)
    root = base / name
    root.mkdir(parents=True)
    os.environ["FESTINA_HOME"] = str(base / "homes")
    toy = Toy(root, {"FESTINA_HOME": str(base / "homes")})
    program = ANSWERS.replace("ANSWER", other.answer)
    solve = {"solve.py": program} if "solve.py" in other.run else {"solve.sh": f"python3 - <<'END'\n{program}END\n"}
    manifest = MANIFEST.replace("RUN", other.run).replace("SCORER", other.scorer)
    manifest = manifest.replace("RANGE", other.range).replace("DETECT", other.detect)
    for path, text in {"festina.toml": manifest, **solve, **other.scoring, **other.files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    toy.git("init", "-q", "-b", "main")
    toy.commit("start")
    items = base / "items.jsonl"
    items.write_text("".join(json.dumps({"id": str(i), **other.items(coins, i)}) + "\n" for i in range(300)))
    Vault(homes.ensure(Repo.discover(root), name).vault).add_items("hidden", items)
    return toy
