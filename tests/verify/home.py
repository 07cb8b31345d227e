"""A home with a vault, a key and an evaluator, and verifiers started from them. Real processes throughout."""

from __future__ import annotations

import json
from pathlib import Path

from festina.ledger.entries import GuardTerms, SuiteTerms
from festina.ledger.signing import LocalKey
from festina.verify import Vault, Verifier

SCORING = """\
def right(item, output):
    return 1.0 if output == item["label"] else 0.0


def short(item, output):
    return float(len(str(output)))
"""

#: Every label carries this mark, so that a search for it in bytes or memory finds any leaked label.
MARK = "label:"

GENERATOR = """\
import random


def generate(seed, n):
    coins = random.Random(seed)
    for _ in range(n):
        x = coins.getrandbits(60)
        yield {"input": {"x": x}, "label": "lab" + f"el:{x % 97}"}
"""


PROGRAM = """\
#!/usr/bin/env python3
import json, os, sys, time
rows = [json.loads(line) for line in sys.stdin]
if SLOW and "sleeping" not in sys.argv:
    read, write = os.pipe()
    os.write(write, json.dumps(rows).encode())
    os.close(write)
    os.dup2(read, 0)
    os.execv(sys.executable, [sys.executable, __file__, "sleeping"])
rows = rows[0] if "sleeping" in sys.argv else rows
time.sleep(2 * SLOW)
for row in rows:
    print(json.dumps({"id": row["id"], "score": float(row["output"] == row["label"])}))
"""

#: One scorer of each form; ``write_scorers`` writes their files.
FORMS = ("scoring:right", 'command:["./score.py"]')
INSPECT = "inspect:quiz.py@quiz"
TASK = """\
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, accuracy, scorer, stderr

@scorer(metrics=[accuracy(), stderr()])
def exact():
    async def score(state, target):
        ODD
        return Score(value="C" if state.output.completion == target.text else "I")
    return score

@task
def quiz():
    return Task(dataset=[Sample(input="own", target="own")], scorer=exact())
"""


def write_scorers(home: Home, *, slow: bool = False) -> None:
    """A scorer of every form. ``slow``: a process of its own holds the labels for two seconds."""
    (home.evaluator / "quiz.py").write_text(TASK.replace("ODD", "import time; time.sleep(2)" if slow else "pass"))
    program = home.evaluator / "score.py"
    program.write_text(PROGRAM.replace("SLOW", str(slow)))
    program.chmod(0o755)


def suite(**changes):
    terms = {
        "name": "hidden", "scorer": "scoring:right", "low": 0.0, "high": 1.0, "direction": "higher", "unit": "item",
        "mode": "fresh", "margin": 0.0, "detect": 0.1, "batch_items": 40, "max_units": 10, "source": None,
        "assurance": "hidden",
    }  # fmt: skip
    return SuiteTerms(**{**terms, **changes})


def guard(name="short", scorer="scoring:short", low=0.0, high=100.0, direction="lower"):
    return GuardTerms(name=name, scorer=scorer, low=low, high=high, direction=direction, max_loss=0.01)


class Home:
    """``start()`` gives a running verifier; all of them are closed with the home."""

    def __init__(self, base: Path, scoring: str = SCORING, *, generator: str | None = GENERATOR):
        self.base = base
        self.vault = Vault(base / "state" / "vault")
        self.evaluator = base / "evaluator"
        self.evaluator.mkdir()
        (self.evaluator / "scoring.py").write_text(scoring)
        self.key = base / "state" / "keys" / "verifier.pem"
        self.local = LocalKey.create(self.key, "verifier")
        self.running: list[Verifier] = []
        if generator is not None:
            self.generator(generator)

    def generator(self, text: str) -> None:
        path = self.base / "gen.py"
        path.write_text(text)
        self.vault.add_generator("hidden", path, replace=True)

    def items(self, count: int) -> None:
        path = self.base / "items.jsonl"
        path.write_text(
            "".join(json.dumps({"id": f"q{i}", "input": i, "label": f"{MARK}{i}"}) + "\n" for i in range(count))
        )
        self.vault.add_items("hidden", path, replace=True)

    def start(self, terms=None, guards=(), **options) -> Verifier:
        verifier = Verifier.start(
            vault=self.vault.directory, evaluator=self.evaluator, key=self.key, suite=terms or suite(), guards=guards,
            **options,
        )  # fmt: skip
        self.running.append(verifier)
        return verifier

    def close(self) -> None:
        for verifier in self.running:
            verifier.close()


def right(line: dict) -> str:
    return f"{MARK}{line['input']['x'] % 97}"


def answers(inputs: bytes, give=right) -> bytes:
    """An honest candidate's output: one line an item."""
    lines = [json.loads(line) for line in inputs.splitlines()]
    return b"".join(json.dumps({"id": line["id"], "output": give(line)}).encode() + b"\n" for line in lines)
